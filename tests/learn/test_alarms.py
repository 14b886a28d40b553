from __future__ import annotations

import math

import pytest

from dirnet.errors import TrainingError
from dirnet.learn.alarms import PATIENCE, TAUGHT_BY, Watch

GOOD = {"detail": 0.1, "tone": 0.2}


def test_a_good_step_may_update_the_weights() -> None:
    assert Watch().may_update(GOOD, 1e9)


@pytest.mark.parametrize(
    ("losses", "norm"),
    [({**GOOD, "tone": math.nan}, 1.0), ({**GOOD, "detail": math.inf}, 1.0), (GOOD, math.nan), (GOOD, math.inf)],
)
def test_a_bad_step_is_passed_over(losses: dict[str, float], norm: float) -> None:
    watch = Watch()
    assert not watch.may_update(losses, norm)
    assert watch.may_update(GOOD, 1.0)


def test_bad_steps_in_a_row_stop_the_run_in_a_sentence() -> None:
    watch = Watch()
    for _ in range(PATIENCE - 1):
        assert not watch.may_update({**GOOD, "tone": math.nan}, math.inf)
    with pytest.raises(TrainingError, match=rf"tone, the gradient not finite in {PATIENCE} steps.*learning_rate"):
        watch.may_update({**GOOD, "tone": math.nan}, math.inf)


def test_a_good_step_between_begins_the_count_again() -> None:
    watch = Watch()
    for _ in range(5):
        for _ in range(PATIENCE - 1):
            watch.may_update(GOOD, math.nan)
        assert watch.may_update(GOOD, 1.0)


def test_a_baseline_that_hardly_varies_stops_the_run_with_the_knob() -> None:
    watch = Watch()
    for std in (0.5, *[0.001] * (PATIENCE - 1), 0.5, *[0.001] * (PATIENCE - 1), None):
        watch.look("refinement", GOOD, std)
    with pytest.raises(TrainingError, match=r"collapsed.*0\.0010.*independence"):
        watch.look("refinement", GOOD, 0.001)


def told(entropy: float, stage: str = "information", steps: int = TAUGHT_BY) -> None:
    watch = Watch()
    for step in range(steps):
        watch.look(stage, {"information": 2.0 if step < 50 else entropy}, 1.0)


def test_views_that_tell_nothing_of_each_other_stop_stage_1() -> None:
    with pytest.raises(TrainingError, match=r"150 steps.*nothing of each other.*0\.690"):
        told(0.69)
    told(0.69, steps=TAUGHT_BY - 1)
    told(0.69, stage="refinement")
    told(0.5, steps=400)
