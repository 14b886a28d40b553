from __future__ import annotations

import pytest
import torch

from dirnet.errors import DirnetError
from dirnet.isp.camera import degrade
from dirnet.suites.draw import draw_for_training
from dirnet.suites.views import Views, make_views

NAMES = [f"{letter}.png" for letter in "abcdef"]


@pytest.fixture
def scenes(photographs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Six scenes of 96 x 112."""
    return torch.cat([p[..., t : t + 96, 100:212] for p in photographs.values() for t in (40, 150)])


def spoil(scenes: torch.Tensor, *, names: list[str] = NAMES, matched: bool = False, seed: int = 0) -> Views:
    return make_views(scenes, "seen", names, views=4, size=64, matched=matched, seed=seed)


def settings_but_noise(views: Views) -> list[list[dict]]:
    rows = [{**row, "noise_seed": None} for row in views.params.to_settings()]
    return [rows[i : i + 4] for i in range(0, len(rows), 4)]


def test_shapes_and_crops(scenes: torch.Tensor) -> None:
    views = spoil(scenes)
    assert views.degraded.shape == views.clean.shape == (6, 4, 3, 64, 64)
    assert views.offsets.shape == (6, 4, 2)
    assert len(views.params) == 24
    for scene, crops, offsets in zip(scenes, views.clean, views.offsets, strict=True):
        for crop, (top, left) in zip(crops, offsets.tolist(), strict=True):
            assert torch.equal(crop, scene[:, top : top + 64, left : left + 64])


def test_what_two_crops_share_is_found_by_their_offsets(scenes: torch.Tensor) -> None:
    views = spoil(scenes)
    for crops, offsets in zip(views.clean, views.offsets, strict=True):
        (y, x), (v, u) = offsets[0].tolist(), offsets[1].tolist()
        top, left = max(y, v), max(x, u)
        bottom, right = min(y, v) + 64, min(x, u) + 64
        shared = crops[0][:, top - y : bottom - y, left - x : right - x]
        assert torch.equal(shared, crops[1][:, top - v : bottom - v, left - u : right - u])
        assert shared.numel() > 0


def test_offsets_are_steps_of_one_cell_and_go_everywhere() -> None:
    names = [str(i) for i in range(40)]
    offsets = make_views(torch.rand(40, 3, 30, 45), "clean", names, views=6, size=16, matched=False).offsets.flatten(
        0, 1
    )
    assert set(offsets[:, 0].tolist()) == set(range(0, 15, 2))
    assert set(offsets[:, 1].tolist()) == set(range(0, 30, 2))
    first, second = offsets[::2].float(), offsets[1::2].float()  # views of one scene
    assert abs(torch.corrcoef(torch.stack((first[:, 1], second[:, 1])))[0, 1]) < 4 / 120**0.5


def test_the_degraded_crop_is_the_clean_one_through_its_camera(scenes: torch.Tensor) -> None:
    views = spoil(scenes)
    expected = degrade(views.clean.flatten(0, 1), views.params, exact_jpeg=False)
    assert torch.equal(views.degraded.flatten(0, 1), expected)


def test_settings_are_the_draws_for_training(scenes: torch.Tensor) -> None:
    rows = [draw_for_training("seen", name, view=view, seed=5) for name in NAMES for view in range(4)]
    for told, row in zip(spoil(scenes, seed=5).params.to_settings(), rows, strict=True):
        for name in ("jpeg_quality", "demosaic", "jpeg_subsampling"):
            assert told[name] == row[name]
        assert told["shot_noise"] == pytest.approx(row["shot_noise"], rel=1e-6)


def test_no_two_exposures_share_settings_or_noise(scenes: torch.Tensor) -> None:
    views = spoil(scenes)
    rows = [row for scene in settings_but_noise(views) for row in scene]
    assert all(rows.count(row) == 1 for row in rows)
    assert len(set(views.params.noise_seed.tolist())) == 24


def test_matched_scenes_share_settings_but_neither_noise_nor_offsets(scenes: torch.Tensor) -> None:
    views = spoil(scenes, matched=True)
    settings = settings_but_noise(views)
    for first, second in ((0, 1), (2, 3), (4, 5)):
        assert settings[first] == settings[second]
        assert not torch.equal(views.offsets[first], views.offsets[second])
    assert settings[0] != settings[2] != settings[4] != settings[0]
    assert len(set(views.params.noise_seed.tolist())) == 24
    unmatched = spoil(scenes)
    assert settings[::2] == settings_but_noise(unmatched)[::2]
    assert torch.equal(views.offsets, unmatched.offsets)


def test_the_same_seed_gives_the_same_views_and_another_seed_others(scenes: torch.Tensor) -> None:
    first, again, other = spoil(scenes), spoil(scenes), spoil(scenes, seed=1)
    assert torch.equal(first.degraded, again.degraded)
    assert not torch.equal(first.offsets, other.offsets)
    assert set(first.params.noise_seed.tolist()).isdisjoint(other.params.noise_seed.tolist())


def test_a_scene_does_not_depend_on_the_others(scenes: torch.Tensor) -> None:
    together = spoil(scenes)
    alone = spoil(scenes[3:4], names=NAMES[3:4])
    assert torch.equal(alone.degraded[0], together.degraded[3])
    assert torch.equal(alone.offsets[0], together.offsets[3])


def test_a_scene_of_just_the_size_has_one_place() -> None:
    views = make_views(torch.rand(1, 3, 64, 65), "clean", ["a"], views=5, size=64, matched=False)
    assert not views.offsets.any()


@pytest.mark.parametrize("size", [(63, 80), (80, 63), (40, 40)])
def test_a_scene_that_is_too_small_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DirnetError, match="64"):
        make_views(torch.rand(2, 3, *size), "seen", ["a", "b"], views=2, size=64, matched=False)
