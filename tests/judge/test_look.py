from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dirnet.errors import PictureError
from dirnet.judge.look import (
    ANYWHERE,
    NEAR,
    PLACES,
    QUERIES,
    ROOM,
    VIEWS,
    Scene,
    distractors,
    expose,
    read_scene,
    see,
    untrained,
)
from dirnet.nets.model import DiR
from dirnet.pictures.folders import Input
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture


def scene_of(image: torch.Tensor, folder: Path, name: str = "a.png", seed: int = 0) -> Scene:
    path = folder / name
    if not path.exists():
        write_picture(path, Picture(image[0].permute(1, 2, 0).numpy()))
    return read_scene(Input(path, Path(name)), seed)


@pytest.fixture
def scene(astronaut: torch.Tensor, tmp_path: Path) -> Scene:
    return scene_of(astronaut[..., 100:180, 200:301], tmp_path)


def test_what_is_looked_at_depends_on_name_and_seed_alone(
    astronaut: torch.Tensor, coffee: torch.Tensor, tmp_path: Path
) -> None:
    one = scene_of(astronaut[..., :64, :64], tmp_path / "one")
    other = scene_of(coffee[..., :64, :64], tmp_path / "other")
    assert torch.equal(one.places, other.places)
    assert torch.equal(one.near, other.near)
    assert torch.equal(one.offsets, other.offsets)
    assert not torch.equal(one.places, scene_of(coffee[..., :64, :64], tmp_path / "other", seed=1).places)
    assert not torch.equal(one.places, scene_of(coffee[..., :64, :64], tmp_path / "other", "b.png").places)


def test_the_middle_is_taken_and_near_distractors_are_8_to_32_pixels_away(
    scene: Scene, astronaut: torch.Tensor
) -> None:
    assert scene.image.shape == (3, 80, 96)
    assert torch.allclose(scene.image, astronaut[0, :, 100:180, 202:298], atol=1e-6)
    assert scene.places.shape == (PLACES, 2)
    assert scene.near.shape == (QUERIES, NEAR, 2)
    apart = 2 * (scene.near - scene.places[:QUERIES, None]).double().norm(dim=2)
    assert float(apart.min()) >= 8
    assert float(apart.max()) <= 32
    for cells in (scene.places, scene.near.flatten(0, 1)):
        assert bool((cells >= 1).all())
        assert bool((cells < torch.tensor([23, 31])).all())


def test_a_photograph_that_is_too_small_is_named(astronaut: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"a\.png is too small.*63x90"):
        scene_of(astronaut[..., :90, :63], tmp_path)


def test_no_distractor_is_the_place_itself(scene: Scene, chelsea: torch.Tensor, tmp_path: Path) -> None:
    scenes = [scene, scene_of(chelsea[..., :80, :80], tmp_path, "b.png")]
    chosen = distractors(scenes, 0)
    assert chosen.shape == (2, QUERIES, ANYWHERE)
    assert {int(i) // PLACES for i in chosen[0].flatten()} == {0, 1}
    for number, one in enumerate(scenes):
        own = chosen[number] // PLACES == number
        apart = (one.places[chosen[number] % PLACES] - one.places[:QUERIES, None]).double().norm(dim=2)
        assert float(apart[own].min()) >= 4
    assert torch.equal(chosen, distractors(scenes, 0))
    assert not torch.equal(chosen, distractors(scenes, 1))


def test_aligned_views_show_the_same_region_each_spoiled_in_its_own_way(scene: Scene) -> None:
    clean = expose(scene, "clean", 0, 0)
    assert clean.pictures.shape == (VIEWS + 1, 3, 80 - ROOM, 96 - ROOM)
    assert clean.aligned.shape == (VIEWS + 1, 3, 80 - 2 * ROOM, 96 - 2 * ROOM)
    assert torch.allclose(clean.aligned, clean.aligned[-1:], atol=1.5 / 255)
    assert torch.equal(clean.aligned[-1], scene.image[:, ROOM:-ROOM, ROOM:-ROOM])
    spoiled = expose(scene, "seen", 5, 0)
    assert torch.equal(spoiled.aligned[-1], clean.aligned[-1])
    assert len({row["noise_seed"] for row in spoiled.settings}) == VIEWS
    assert torch.equal(spoiled.pictures, expose(scene, "seen", 5, 0).pictures)


def test_features_are_those_of_the_model_at_the_places(scene: Scene) -> None:
    model = untrained(DiR("tiny"))
    exposures = expose(scene, "seen", 3, 0)
    features, gate = see(model, scene, exposures.pictures)
    assert list(features) == ["baseline", "pilot", "refined"]
    assert gate == 0
    maps = model(exposures.pictures).baseline
    for view in (0, VIEWS):
        start = (ROOM - scene.offsets[view]) // 2
        row, column = (scene.places[5] + start).tolist()
        around = maps[view, :, row - 1 : row + 2, column - 1 : column + 2].permute(1, 2, 0).flatten()
        assert torch.allclose(features["baseline"].patches[view, 5], around, atol=1e-5)
        assert torch.allclose(features["baseline"].cells[view, 5], maps[view, :, row, column], atol=1e-5)
    assert torch.equal(features["pilot"].patches, features["refined"].patches)  # untrained
    assert features["pilot"].similarity > 0.5


def test_gates_at_their_bound_are_counted(scene: Scene) -> None:
    model = untrained(DiR("tiny"))
    last = model.aligner.moments[-1]
    assert isinstance(last, torch.nn.Linear)
    last.bias[: len(last.bias) // 4] = 9.0
    _, gate = see(model, scene, expose(scene, "seen", 3, 0).pictures)
    assert gate == 0.25


def test_a_plain_unet_has_no_gates_and_a_pilot_that_says_nothing(scene: Scene) -> None:
    features, gate = see(untrained(DiR("tiny-unet")), scene, expose(scene, "seen", 3, 0).pictures)
    assert gate == 0
    assert features["pilot"].similarity == 0
    assert not features["pilot"].patches.any()
    assert torch.equal(features["refined"].patches[:-1], features["baseline"].patches[:-1])


def test_the_untrained_network_is_always_the_same() -> None:
    torch.manual_seed(3)
    one = untrained(DiR("tiny")).state_dict()
    other = untrained(DiR("tiny")).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
