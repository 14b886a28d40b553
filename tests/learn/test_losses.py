from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dirnet.isp.params import ISPParams
from dirnet.learn import losses as module
from dirnet.learn.data import ROOM, Scenes
from dirnet.learn.losses import baseline_losses, consistency_loss, settings_table
from dirnet.learn.recipe import load_recipe
from dirnet.nets.critic import Critic
from dirnet.suites.views import Views, make_views

CROP = 48
RECIPE = load_recipe("tiny-proof", [f"crop={CROP}", "batch=8", "places=9"])


def views_of(scenes: Scenes, suite: str = "seen", views: int = 3) -> Views:
    return make_views(scenes.pictures, suite, scenes.names, views=views, size=CROP, matched=True)


def test_the_shared_region_shows_the_same_pixels_in_every_view(scenes: Scenes) -> None:
    """Clean crops, folded to cells of two pixels, stand for representations."""
    views = views_of(scenes, views=4)
    assert len(views.offsets.flatten(0, 1).unique(dim=0)) > 4
    shared = [module._shared_region(F.avg_pool2d(views.clean[:, view], 2), views, view) for view in range(4)]
    cells = (CROP - ROOM) // 2
    expected = F.avg_pool2d(scenes.pictures[:, :, ROOM:CROP, ROOM:CROP], 2)
    assert expected.shape[2:] == (cells, cells)
    for region in shared:
        assert torch.equal(region, expected)


def folded(pictures: torch.Tensor) -> torch.Tensor:
    """Twelve numbers a cell: all that two by two pixels hold."""
    return F.pixel_unshuffle(pictures.flatten(0, 1), 2)


def critic_of_pixels() -> Critic:
    """A critic that compares what lies in the cells themselves."""
    critic = Critic(12, projected=12).requires_grad_(False)
    for name, parameter in critic.projections.named_parameters():
        parameter.copy_(torch.eye(12) if name.endswith("weight") else torch.zeros(12))
    return critic


def test_views_of_one_scene_tell_of_each_other_and_of_different_scenes_do_not(scenes: Scenes) -> None:
    views = views_of(scenes)
    strangers = torch.stack([views.clean[:, view].roll(view, 0) for view in range(3)], 1)
    values = []
    for pictures in (views.clean, strangers):
        cells = folded(pictures)
        cells = (cells - cells.mean((0, 2, 3), keepdim=True)) / cells.std((0, 2, 3), keepdim=True)
        values.append(baseline_losses(critic_of_pixels(), cells, views, RECIPE, "key"))
    alike, different = values
    assert alike["information"] < 0.7 * different["information"]
    assert alike["independence"] < 0.7 * different["independence"]


def test_a_critic_that_knows_nothing_says_ln_2(scenes: Scenes) -> None:
    critic = Critic(12).requires_grad_(False)
    critic.log_temperature.fill_(-40)
    critic.bias.zero_()
    views = views_of(scenes)
    losses = baseline_losses(critic, folded(views.degraded), views, RECIPE, "key")
    assert float(losses["information"]) == pytest.approx(math.log(2), abs=1e-5)


def test_a_baseline_that_says_how_it_was_spoiled_is_less_independent(scenes: Scenes) -> None:
    """The settings themselves, laid over a part of the clean picture, against the clean picture alone."""
    views = views_of(scenes)
    silent = folded(views.clean)
    told = settings_table(views.params)[:, :, None, None].expand(-1, -1, *silent.shape[2:])
    telling = torch.cat((silent[:, : -told.shape[1]], told), 1)
    critic = critic_of_pixels()
    first, second = (baseline_losses(critic, r0, views, RECIPE, "key")["independence"] for r0 in (telling, silent))
    assert first > second + 0.1


def test_constant_or_equal_baselines_give_finite_losses_and_gradients(scenes: Scenes) -> None:
    for suite in ("seen", "clean"):
        views = views_of(scenes, suite)
        baseline = torch.ones(12, 12, CROP // 2, CROP // 2, requires_grad=True)
        losses = baseline_losses(Critic(12), baseline, views, RECIPE, "key")
        torch.stack(list(losses.values())).sum().backward()
        assert baseline.grad is not None
        assert baseline.grad.isfinite().all()


def test_settings_stand_in_standardised_columns(scenes: Scenes) -> None:
    params = views_of(scenes, views=6).params
    table = settings_table(params)
    assert len(table) == 24
    assert table.isfinite().all()
    torch.testing.assert_close(table.mean(0), torch.zeros(table.shape[1]), atol=1e-4, rtol=0)
    gamma = params.gamma_ratio.log()
    torch.testing.assert_close(table[:, 1], (gamma - gamma.mean()) / gamma.std(), atol=1e-4, rtol=1e-4)


def test_perfect_cameras_all_look_the_same() -> None:
    assert not settings_table(ISPParams.clean(7)).any()


def test_views_of_one_scene_are_consistent_and_those_of_different_scenes_are_not(scenes: Scenes) -> None:
    """Clean crops, folded, stand for r+."""
    views = views_of(scenes)
    strangers = torch.stack([views.clean[:, view].roll(view, 0) for view in range(3)], 1)
    assert float(consistency_loss(folded(views.clean), views)) == pytest.approx(0, abs=1e-6)
    assert float(consistency_loss(folded(strangers), views)) > 0.5
