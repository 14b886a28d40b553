from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dirnet.errors import TrainingError, UsageError
from dirnet.learn import loop
from dirnet.learn.checkpoint import load_parts, read_position
from dirnet.learn.data import Photographs
from dirnet.learn.loop import Outcome, Progress, train
from dirnet.learn.recipe import Recipe, load_recipe
from dirnet.nets.model import DiR
from dirnet.nets.weights import load
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture
from dirnet.tasks.restore import Restoration

pytestmark = pytest.mark.usefixtures("quick_loop")

STEPS = {"tone": 2, "information": 3, "reference": 3, "refinement": 4}
RECIPE = replace(
    load_recipe("tiny-proof"),
    **{f"{stage}_steps": n for stage, n in STEPS.items()}, batch=4, crop=48, places=6, sheets=3, warmup=2,
)  # fmt: skip

# A process of its own, which is killed in the middle of a step; checkpoints are written after every step.
KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from dirnet.learn import loop
from dirnet.learn.data import Photographs
from dirnet.learn.recipe import load_recipe
from dirnet.tasks.restore import Restoration

torch.set_num_threads(1)
loop.use_all_cores, loop.SAVE_EVERY_SECONDS, loop.LOG_EVERY_STEPS = lambda: None, 0.0, 1

def die(progress):
    if (progress.stage, progress.step) == ("refinement", 2):
        os.kill(os.getpid(), signal.SIGKILL)

recipe, photographs, out = sys.argv[1:]
loop.train(load_recipe(recipe), Photographs([Path(photographs)], 80), Restoration(), Path(out), on_step=die)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, torch.Tensor]) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name, photograph in photographs.items():
        picture = Picture(photograph[0, :, 100:190, 150:260].permute(1, 2, 0).numpy())
        write_picture(folder / f"{name}.png", picture)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Photographs:
    return Photographs([folder], 80)


def run(out: Path, found: Photographs, recipe: Recipe = RECIPE, **options: Any) -> Outcome:
    return train(recipe, found, Restoration(), out, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, found: Photographs) -> Path:
    """The folder of a run from beginning to end, in one go."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert run(out, found).finished
    return out


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def assert_same(a: Path, b: Path) -> None:
    """Weights, checkpoint and log of two runs that are finished, to the last bit.

    But for the model in the checkpoint, which takes on the averaged weights only where the last stage was left.
    """
    for first, second in zip(load(weights(a)).model.parameters(), load(weights(b)).model.parameters(), strict=True):
        assert torch.equal(first, second)
    parts, others = (load_parts(out / "checkpoint.safetensors") for out in (a, b))
    assert parts.keys() == others.keys() == {"model", "critic", "average", "optimizer"}
    for part in ("average", "critic", "optimizer"):
        assert parts[part].keys() == others[part].keys()
        for key, tensor in parts[part].items():
            assert torch.equal(tensor, others[part][key]), f"{part}/{key}"
    assert log(a) == log(b)


def weights(out: Path) -> str:
    return str(out / "weights.safetensors")


def test_a_run_leaves_recipe_log_checkpoint_and_weights(undisturbed: Path, found: Photographs) -> None:
    card = load(weights(undisturbed)).card
    assert card["finished"] is True
    assert (card["recipe"], card["suite"], card["seed"]) == ("tiny-proof", "seen", 0)
    assert (card["stage"], card["steps"]) == ("refinement", 4)
    assert (card["photographs"], card["data_hash"]) == (3, found.hash())
    assert load_recipe(str(undisturbed / "recipe.toml")) == RECIPE
    position = read_position(undisturbed / "checkpoint.safetensors")
    assert (position.stage, position.step) == ("refinement", 4)
    assert position.seconds > 0


def test_the_log_has_every_step_once_in_order(undisturbed: Path) -> None:
    lines = log(undisturbed)
    expected = [(stage, step) for stage, n in STEPS.items() for step in range(n)]
    assert [(line["stage"], line["step"]) for line in lines] == expected
    for line in lines:
        assert len(line) >= 3
        assert all(math.isfinite(value) for key, value in line.items() if key != "stage")


def test_training_changed_the_model(undisturbed: Path) -> None:
    torch.manual_seed(0)
    fresh = DiR("tiny").half().float()
    for name, part in load(weights(undisturbed)).model.named_children():
        before = fresh.get_submodule(name).state_dict()
        assert any(not torch.equal(tensor, before[key]) for key, tensor in part.state_dict().items()), name


def test_stopped_after_every_step_and_resumed_it_ends_with_the_same_bits(
    undisturbed: Path, found: Photographs, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    rounds, seconds = 0, 0.0
    while True:
        outcome = run(out, found, max_time=0, resume=True)
        rounds += 1
        assert outcome.seconds > seconds
        seconds = outcome.seconds
        assert load(weights(out)).card["finished"] is outcome.finished
        if outcome.finished:
            break
        assert rounds <= sum(STEPS.values())
    assert rounds == sum(STEPS.values())
    assert_same(out, undisturbed)


def test_with_muon_as_well(found: Photographs, tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimizer="muon")
    assert run(tmp_path / "undisturbed", found, recipe).finished
    while not run(tmp_path / "stopped", found, recipe, max_time=0, resume=True).finished:
        pass
    assert_same(tmp_path / "stopped", tmp_path / "undisturbed")


def test_killed_and_resumed_it_ends_with_the_same_bits(
    undisturbed: Path, folder: Path, found: Photographs, tmp_path: Path
) -> None:
    out, recipe = tmp_path / "run", tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.to_toml())
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(recipe), str(folder), str(out)],
        capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert process.returncode == -signal.SIGKILL, process.stderr
    position = read_position(out / "checkpoint.safetensors")
    assert (position.stage, position.step) == ("refinement", 1)
    assert log(out)[-1]["step"] == 1  # a step past the checkpoint, which will be done again
    assert not (out / "weights.safetensors").exists()
    assert run(out, found, resume=True).finished
    assert_same(out, undisturbed)


def test_a_finished_run_resumed_stays_as_it_is(undisturbed: Path, found: Photographs, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    out.mkdir()
    for path in undisturbed.iterdir():
        if path.is_file():
            (out / path.name).write_bytes(path.read_bytes())
    steps: list[Progress] = []
    assert run(out, found, resume=True, on_step=steps.append).finished
    assert steps == []
    assert_same(out, undisturbed)


@pytest.fixture
def begun(tmp_path: Path, found: Photographs) -> Path:
    """A run that was stopped after its first step."""
    out = tmp_path / "begun"
    assert not run(out, found, max_time=0).finished
    return out


def test_a_run_that_is_there_is_not_begun_again_unasked(begun: Path, found: Photographs) -> None:
    before = (begun / "checkpoint.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=r"A run lies in .*begun already\. Add --resume"):
        run(begun, found)
    assert (begun / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "named"),
    [({"seed": 1}, "seed 0, now 1"), ({"recipe": replace(RECIPE, align=0.3)}, "align 0.0, now 0.3")],
)
def test_another_recipe_or_seed_does_not_resume_a_run(
    begun: Path, found: Photographs, other: dict[str, Any], named: str
) -> None:
    before = (begun / "checkpoint.safetensors").read_bytes()
    reason = rf"another recipe, seed, weights, network or photographs; got {named}\. Compare .*recipe\.toml"
    with pytest.raises(TrainingError, match=reason):
        run(begun, found, resume=True, **other)
    assert (begun / "checkpoint.safetensors").read_bytes() == before


def test_other_photographs_do_not_resume_a_run(
    begun: Path, found: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "hash", lambda: "others")
    with pytest.raises(TrainingError, match=r"got photographs .*, now others"):
        run(begun, found, resume=True)


def test_a_recipe_without_a_step_is_a_sentence(tmp_path: Path, found: Photographs) -> None:
    idle = replace(RECIPE, **{f"{stage}_steps": 0 for stage in STEPS})
    with pytest.raises(UsageError, match="no steps at all"):
        run(tmp_path / "idle", found, idle)


def test_a_run_from_before_a_key_was_thought_of_is_resumed(begun: Path, found: Photographs) -> None:
    terms = begun / "recipe.toml"
    lines = terms.read_text().splitlines(keepends=True)
    terms.write_text("".join(line for line in lines if not line.startswith(("grained", "task", "# photographs"))))
    assert len(terms.read_text()) < sum(map(len, lines))
    assert run(begun, found, resume=True).finished


def test_a_broken_checkpoint_is_a_sentence(begun: Path, found: Photographs) -> None:
    checkpoint = begun / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=r"Cannot read the checkpoint.*Delete it"):
        run(begun, found, resume=True)


def test_a_line_of_the_log_that_a_crash_cut_short_is_dropped(begun: Path, found: Photographs) -> None:
    with (begun / "log.jsonl").open("a") as lines:
        lines.write('{"stage": "informa')
    run(begun, found, max_time=0, resume=True)
    assert [line["step"] for line in log(begun)] == [0, 1]


def test_without_a_checkpoint_a_run_begins_anew(begun: Path, found: Photographs) -> None:
    (begun / "checkpoint.safetensors").unlink()
    run(begun, found, max_time=0, seed=3)
    assert [line["step"] for line in log(begun)] == [0]
    assert load(weights(begun)).card["seed"] == 3


def test_averaged_weights_follow_the_model(begun: Path) -> None:
    """After the first step they have gone nine tenths of the way."""
    torch.manual_seed(0)
    fresh = DiR("tiny").state_dict()
    parts = load_parts(begun / "checkpoint.safetensors")
    for key, average in parts["average"].items():
        torch.testing.assert_close(average, 0.1 * fresh[key] + 0.9 * parts["model"][key])
        assert torch.equal(load(weights(begun)).model.state_dict()[key], average.half().float())


def test_seeds_give_different_runs(begun: Path, found: Photographs, tmp_path: Path) -> None:
    run(tmp_path / "other", found, max_time=0, seed=1)
    assert log(tmp_path / "other") != log(begun)


def test_each_step_is_told(found: Photographs, tmp_path: Path) -> None:
    told: list[Progress] = []
    run(tmp_path / "run", found, replace(RECIPE, reference_steps=0, align=0.0, refinement_steps=1), on_step=told.append)
    assert [(p.stage, p.step, p.steps) for p in told] == [
        ("tone", 1, 2), ("tone", 2, 2),
        ("information", 1, 3), ("information", 2, 3), ("information", 3, 3), ("refinement", 1, 1),
    ]  # fmt: skip
    assert [*told[0].losses] == ["tone"]
    assert told[2].losses.keys() == {"information", "independence"}


def test_an_unknown_preset_or_suite_is_a_sentence(found: Photographs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Unknown preset"):
        run(tmp_path / "run", found, replace(RECIPE, preset="huge"))
    with pytest.raises(UsageError, match="Unknown suite"):
        run(tmp_path / "run", found, replace(RECIPE, suite="unheard-of"))


def test_a_beginning_of_another_preset_is_a_sentence(found: Photographs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"another preset.*got small; wanted tiny"):
        train(RECIPE, found, Restoration(), tmp_path / "run", start=DiR("small"))
    assert not (tmp_path / "run").exists()


def test_nonsense_is_stopped_and_leaves_the_weights_alone(found: Photographs, tmp_path: Path) -> None:
    """A step whose losses are no numbers does not update; ten in a row end the run."""
    mad = replace(RECIPE, information_steps=20, independence_alone=math.nan)
    with pytest.raises(TrainingError, match=r"independence.*not finite in 10 steps"):
        run(tmp_path / "mad", found, mad)
    assert len(log(tmp_path / "mad")) == STEPS["tone"] + 9


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    rates = [loop._schedule(step, 1000, 100) for step in range(1000)]
    assert rates[:3] == pytest.approx([0.01, 0.02, 0.03])
    assert rates[99] == rates[100] == 1
    assert rates[550] == pytest.approx((1 + 0.01) / 2)
    assert rates[999] == pytest.approx(0.01, abs=1e-5)
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))


def test_pictures_of_nothing_without_the_variance_term_are_stopped_within_200_steps(tmp_path: Path) -> None:
    grey = Picture(torch.full((90, 90, 3), 0.5).numpy())
    for name in "ab":
        write_picture(tmp_path / "grey" / f"{name}.png", grey)
    told: list[Progress] = []
    recipe = replace(RECIPE, tone_steps=0, information_steps=400, independence_alone=0.0, warmup=100)
    with pytest.raises(TrainingError, match=r"nothing of each other|collapsed"):
        run(tmp_path / "run", Photographs([tmp_path / "grey"], 80), recipe, on_step=told.append)
    assert len(told) < 200
