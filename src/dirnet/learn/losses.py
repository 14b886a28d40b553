"""What the stages ask of r0 and of r+: information and independence, content, consistency."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from dirnet.isp.params import ISPParams
from dirnet.learn import ranks
from dirnet.learn.data import ROOM, seed_of
from dirnet.learn.recipe import Recipe
from dirnet.nets.blocks import channel_statistics
from dirnet.nets.critic import Critic
from dirnet.objectives.content import linear_rest
from dirnet.objectives.independence import hsic, invariance, standardise, variance_hinge
from dirnet.objectives.information import donsker_varadhan, infonce, jsd, nwj
from dirnet.objectives.multiview import mean_over_pairs
from dirnet.objectives.negatives import Places, gather_places, negative_weights, pick_places
from dirnet.suites.views import Views
from dirnet.tasks.restore import FLOOR

Losses = dict[str, torch.Tensor]
# What a recipe's estimator asks of the critic's scores; the nats of the last three are a surrogate (docs/theory.md, 5).
COSTS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "jsd": lambda scores, weights: math.log(2) - jsd(scores, weights),
    "dv": lambda scores, weights: -donsker_varadhan(scores),
    "infonce": lambda scores, weights: -infonce(scores),
    "nwj": lambda scores, weights: -nwj(scores),
}


def baseline_losses(critic: Critic, baseline: torch.Tensor, views: Views, recipe: Recipe, key: str) -> Losses:
    """What r0 of all views is asked for; baseline (B K, c, h, w) and views are this process's share.

    information: the cost of the recipe's estimator, mean over pairs of views and patch scales; with "jsd" it is
    log 2 - JSD, the critic's binary cross entropy, where ln 2 means independent. independence: invariance between views
    + variance hinge + HSIC of pooled r0 with the settings.
    """
    shared = _shared_regions(baseline, views)
    height, width = shared[0].shape[2:]
    generator = torch.Generator().manual_seed(seed_of(key))
    scenes = len(views.offsets) * ranks.count()
    picked, own = pick_places(scenes, recipe.places, height, width, generator, recipe.hard), ranks.share(scenes)
    spots = Places(*(where[own].to(baseline.device) for where in picked))
    weights = negative_weights(recipe.places, torch.arange(scenes) // (1 + recipe.matched)).to(baseline)
    patches = [[ranks.gather(gather_places(scale, spots)) for scale in critic.patches(region)] for region in shared]
    embedded = [critic.project(patch) for patch in patches]
    cells = [ranks.gather(gather_places(region, spots)) for region in shared]

    def cost(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([COSTS[recipe.estimator](critic(*pair), weights) for pair in zip(a, b, strict=True)]).mean()

    consistency = mean_over_pairs(cells, invariance) + variance_hinge(torch.cat(cells))
    told = hsic(ranks.gather(channel_statistics(baseline)), settings_table(views.params).to(baseline))
    return {"information": mean_over_pairs(embedded, cost), "independence": consistency + told}


def content_loss(baseline: torch.Tensor, degraded: torch.Tensor, ideal: torch.Tensor) -> torch.Tensor:
    """The share of what is wrong with pictures that no linear map finds in r0 (N, c, h, w); at every fourth cell."""
    wrong, (h, w) = ideal - degraded, baseline.shape[2:]
    weights = 1 / (wrong.square().mean((1, 2, 3)) + FLOOR)
    parts = (baseline[..., ::2, ::2], F.pixel_unshuffle(wrong, 2)[..., :h:2, :w:2], weights)
    return linear_rest(*(ranks.gather(part) for part in parts))


def consistency_loss(refined: torch.Tensor, views: Views) -> torch.Tensor:
    """How far r+ (B K, c, h, w) of a scene's views are apart where all show it, in units of their spread.

    Stability training (Zheng et al., CVPR 2016), with another view where that has noise.
    """
    cells = [ranks.gather(region.movedim(1, -1).flatten(0, 2)) for region in _shared_regions(refined, views)]
    return mean_over_pairs(cells, invariance)


def mean_std(features: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each channel of (N, c, h, w), mean over channels."""
    return features.detach().float().std((0, 2, 3)).mean()


def settings_table(params: ISPParams) -> torch.Tensor:
    """The settings that say how a picture was spoiled, standardised over all processes: (N, columns)."""
    columns = (
        params.shot_noise.clamp(min=1e-5).log(),
        params.gamma_ratio.log(),
        params.exposure.log(),
        params.white_balance_ratio[:, ::2].log(),
        (params.ccm_used - params.ccm).flatten(1).norm(dim=1),
        torch.where(params.jpeg_quality > 0, params.jpeg_quality, 100),
        params.demosaic,
    )
    return standardise([ranks.gather(column) for column in columns])


def _shared_regions(features: torch.Tensor, views: Views) -> list[torch.Tensor]:
    """View by view, the cells of features (B K, c, h, w) that every view of the scene shows: (B, c, h', w')."""
    by_view = features.unflatten(0, views.offsets.shape[:2])
    return [_shared_region(by_view[:, view], views, view) for view in range(by_view.shape[1])]


def _shared_region(features: torch.Tensor, views: Views, view: int) -> torch.Tensor:
    """The cells of one view's r0 (B, c, h, w) that every view of the scene shows, wherever its crop lay."""
    size = features.shape[2] - ROOM // 2
    starts = ((ROOM - views.offsets[:, view]) // 2).tolist()
    return torch.stack([f[:, y : y + size, x : x + size] for f, (y, x) in zip(features, starts, strict=True)])
