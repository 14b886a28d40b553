from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dirnet.errors import TrainingError
from dirnet.learn import adapt as adapting
from dirnet.learn import loop
from dirnet.learn.adapt import MOST_LOST, SHARES, adapt, guard, known
from dirnet.learn.data import Photographs
from dirnet.learn.recipe import load_recipe
from dirnet.learn.stages import AdaptationStage
from dirnet.nets.critic import Critic
from dirnet.nets.model import DiR
from dirnet.nets.weights import load
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture
from dirnet.tasks.restore import Restoration, restore

RECIPE = replace(load_recipe("adapt"), adaptation_steps=3, batch=4, crop=48, places=6, warmup=2)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """One thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "use_all_cores", lambda: None)
        yield


@pytest.fixture
def _unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard to whom all weights are equally good."""
    monkeypatch.setattr(adapting, "known", lambda model, samples: 30.0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, torch.Tensor]) -> Photographs:
    """Parts of three photographs, as a noisy camera gives them."""
    folder = tmp_path_factory.mktemp("camera")
    for name, photograph in photographs.items():
        part = photograph[0, :, 100:190, 150:260].permute(1, 2, 0)
        spoiled = (part + 0.1 * torch.randn(part.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
        write_picture(folder / f"{name}.png", Picture(spoiled.numpy()))
    return Photographs([folder], 80)


def at(value: float) -> DiR:
    """A model whose weights are all one number."""
    model = DiR("tiny")
    model.load_state_dict({key: torch.full_like(tensor, value) for key, tensor in model.state_dict().items()})
    return model


def losing(most: float) -> Callable[[DiR], float]:
    """A measure that falls by `most` dB on the straight way from weights of 0 to weights of 1."""
    return lambda model: 30 - most * float(next(model.parameters()).detach().flatten()[0])


@pytest.mark.parametrize("share", SHARES)
def test_the_guard_goes_as_far_as_its_limit_allows(share: float) -> None:
    found, guarded = guard(at(0), at(1), losing(0.99 * MOST_LOST / share))
    assert guarded.share == share
    assert guarded.after == pytest.approx(30 - 0.99 * MOST_LOST)
    for parameter in found.parameters():
        assert torch.allclose(parameter, torch.tensor(share))


def test_the_guard_gives_the_old_weights_back_where_all_is_lost() -> None:
    old = at(0)
    found, guarded = guard(old, at(1), losing(20.0))
    assert found is old
    assert guarded == (0.0, 30.0, 30.0)


def test_the_guard_lets_a_gain_pass_whole() -> None:
    assert guard(at(0), at(1), losing(-1.0))[1] == (1.0, 30.0, 31.0)


def test_what_is_known_tells_taught_weights_from_none(tmp_path: Path, chelsea: torch.Tensor) -> None:
    write_picture(tmp_path / "chelsea.png", Picture(chelsea[0, :, 100:260, 100:260].permute(1, 2, 0).numpy()))
    assert known(load("tiny-proof").model, tmp_path, (3,)) > known(DiR("tiny").eval(), tmp_path, (3,)) + 1


def test_the_teacher_says_what_is_clean_and_the_pupil_sees_it_spoiled_further(pictures: Photographs) -> None:
    model = load("tiny-proof").model
    stage = AdaptationStage(RECIPE, model, Critic(16), Restoration())
    scenes = stage.draw(pictures, "key")
    views = stage.views(scenes)
    plain = super(AdaptationStage, stage).views(scenes)
    assert torch.equal(views.degraded, plain.degraded)
    assert torch.equal(views.clean.flatten(0, 1), restore(model, plain.clean.flatten(0, 1)))


def test_pictures_are_taken_at_full_size(pictures: Photographs) -> None:
    scenes = AdaptationStage(RECIPE, DiR("tiny"), Critic(16), Restoration()).draw(pictures, "key")
    values = torch.cat([pictures.photograph(i).flatten() for i in range(len(pictures))]).unique()
    assert torch.isin((scenes.pictures * 255).round().to(torch.uint8), values).all()
    assert torch.equal((scenes.pictures * 255).round(), scenes.pictures * 255)


@pytest.mark.usefixtures("_unguarded")
def test_adapting_moves_the_refinement_and_leaves_reference_and_tone(pictures: Photographs, tmp_path: Path) -> None:
    start = load("tiny-proof")
    before = {key: tensor.clone() for key, tensor in start.model.state_dict().items()}
    outcome, guarded = adapt(start, RECIPE, pictures, Restoration(), tmp_path)
    found = load(str(outcome.weights))
    assert outcome.finished
    assert guarded.share == 1.0
    assert found.card["began_from"] == start.sha256
    assert found.card["share_kept"] == 1.0
    moved = {
        key.split(".")[0] for key, tensor in found.model.state_dict().items() if not torch.equal(tensor, before[key])
    }
    assert moved == {"encoder", "aligner", "decoder"}
    for key, tensor in start.model.state_dict().items():
        assert torch.equal(tensor, before[key])


@pytest.mark.usefixtures("_unguarded")
def test_stopped_and_resumed_is_as_good_as_undisturbed(pictures: Photographs, tmp_path: Path) -> None:
    start = load("tiny-proof")
    adapt(start, RECIPE, pictures, Restoration(), tmp_path / "whole")
    outcome, _ = adapt(start, RECIPE, pictures, Restoration(), tmp_path / "parts", max_time=0)
    assert not outcome.finished
    while not outcome.finished:
        outcome, _ = adapt(start, RECIPE, pictures, Restoration(), tmp_path / "parts", max_time=0, resume=True)
    whole, parts = (load(str(tmp_path / name / "weights.safetensors")).model for name in ("whole", "parts"))
    for first, second in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.usefixtures("_unguarded")
def test_going_on_from_other_weights_is_refused(pictures: Photographs, tmp_path: Path) -> None:
    start = load("tiny-proof")
    adapt(start, RECIPE, pictures, Restoration(), tmp_path, max_time=0)
    with pytest.raises(TrainingError, match=r"begun with another recipe.*from weights"):
        adapt(replace(start, sha256="other"), RECIPE, pictures, Restoration(), tmp_path, resume=True)


def test_weights_that_the_guard_has_not_seen_do_not_bear_the_final_name(
    pictures: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(adapting, "known", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adapt(load("tiny-proof"), RECIPE, pictures, Restoration(), tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()
    monkeypatch.setattr(adapting, "known", lambda model, samples: 30.0)
    adapt(load("tiny-proof"), RECIPE, pictures, Restoration(), tmp_path, resume=True)
    assert "share_kept" in load(str(tmp_path / "weights.safetensors")).card
    assert not (tmp_path / "unguarded.safetensors").exists()


def test_several_processes_are_refused(pictures: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="one process"):
        adapt(load("tiny-proof"), RECIPE, pictures, Restoration(), tmp_path)
