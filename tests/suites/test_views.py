from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dirnet.errors import DirnetError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.objectives.information import jsd, jsd_in_nats
from dirnet.suites.draw import draw, draw_for_training
from dirnet.suites.suites import Suite
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


# Shortcuts: what two views of a scene must not share, told by a critic that looks at nothing else


def shared_nats(pairs: torch.Tensor) -> float:
    """Nats that the columns of (N, 2) share: a critic on their tenths, learned on one half, judged on the other.

    Its score of each pair of tenths is free; ascent on the Jensen-Shannon divergence is then a convex problem.
    """
    tenths = F.one_hot(torch.bucketize(pairs, pairs.quantile(torch.arange(0.1, 1, 0.1))), 10).float()
    half = len(pairs) // 2
    table = torch.zeros(10, 10, requires_grad=True)

    def scores(rows: slice) -> torch.Tensor:
        first, second = tenths[rows].unbind(1)
        return first @ table @ second.T

    optimizer = torch.optim.Adam([table], lr=0.2)
    for _ in range(40):
        optimizer.zero_grad()
        (table.square().mean() * 1e-3 - jsd(scores(slice(half)))).backward()
        optimizer.step()
    return float(jsd_in_nats(scores(slice(half, None)).detach()))


SETTINGS: dict[str, Callable[[ISPParams], torch.Tensor]] = {
    "shot noise": lambda params: params.shot_noise.clamp(min=1e-5).log(),
    "JPEG quality": lambda params: params.jpeg_quality.float(),
    "gamma": lambda params: params.gamma_ratio.log().abs(),
    "exposure": lambda params: params.exposure.log().abs(),
}


@pytest.fixture(scope="module")
def pairs_of_views() -> Views:
    """Two views of each of 800 scenes, which have room for 17 x 17 crops."""
    names = [f"{i}.png" for i in range(800)]
    return make_views(torch.zeros(800, 3, 40, 40), "seen", names, views=2, size=8, matched=False)


@pytest.mark.parametrize("setting", SETTINGS)
def test_how_one_view_was_spoiled_does_not_tell_how_the_other_was(setting: str, pairs_of_views: Views) -> None:
    """With one severity for both, a representation of the degradation alone would seem to know the scene."""
    column = SETTINGS[setting]
    rows = [draw("seen", 1 + i % 5, f"{i}.png", view=view) for i in range(800) for view in range(2)]
    alike = ISPParams.from_settings(rows)
    assert shared_nats(column(alike).unflatten(0, (800, 2))) > 1  # of log 5 = 1.61
    assert shared_nats(column(pairs_of_views.params).unflatten(0, (800, 2))) < 0.02


@pytest.mark.parametrize("axis", [0, 1])
def test_where_a_place_lies_in_a_networks_cell_does_not_tell_where_it_does_in_the_other_view(
    axis: int, pairs_of_views: Views
) -> None:
    """The deepest cells are 8 pixels wide; with one offset for both views a place would have one phase in both."""
    place = 2 * torch.randint(16, 20, (800, 1))
    phases = ((place - pairs_of_views.offsets[..., axis]) % 8).float()
    assert shared_nats(phases[:, :1].repeat(1, 2)) > 1  # of log 4 = 1.39
    assert shared_nats(phases) < 0.02


def test_the_noise_of_every_exposure_is_its_own() -> None:
    """Of views of one scene, and of matched scenes, which share all other settings."""
    noisy = Suite("noisy", 1, "Sensor noise alone.", {"sensor_noise": ((3e-3, 3e-3),) * 5})
    rows = {name: [draw_for_training(noisy, name, view=view) for view in range(3)] for name in NAMES}
    name = next(name for name in NAMES if all(row["shot_noise"] for row in rows[name]))  # a few draws are clean
    views = make_views(torch.full((2, 3, 64, 64), 0.5), noisy, [name, "match"], views=3, size=64, matched=True)
    clean = views.clean.flatten(0, 1)
    silent = replace(views.params, shot_noise=torch.zeros(6), read_noise=torch.zeros(6))
    others = ~torch.eye(6, dtype=torch.bool)

    def resemblance(params: ISPParams) -> torch.Tensor:
        noise = degrade(clean, params, exact_jpeg=False) - degrade(clean, silent, exact_jpeg=False)
        return torch.corrcoef(noise.flatten(1))[others].abs()

    assert resemblance(views.params).max() < 5 / 64
    assert resemblance(replace(views.params, noise_seed=torch.ones_like(views.params.noise_seed))).min() > 0.5


def test_a_share_of_the_exposures_has_grain_in_the_place_of_what_the_camera_does(scenes: torch.Tensor) -> None:
    plain, grained = (
        make_views(scenes, "seen", NAMES, views=4, size=64, matched=False, grained=share) for share in (0.0, 0.5)
    )
    assert torch.equal(plain.clean, grained.clean)
    same = (plain.degraded == grained.degraded).flatten(2).all(2).flatten()
    assert 4 < int(same.sum()) < 20
    assert torch.equal(plain.ideal.flatten(0, 1)[same], grained.ideal.flatten(0, 1)[same])
    wrong = (grained.degraded - grained.ideal).flatten(0, 1)[~same]
    assert float((wrong.mean((1, 2, 3)) * 255).abs().max()) < 1.5  # a camera would have changed the light as well
