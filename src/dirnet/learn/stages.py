"""The stages: tone; then information, reference and joint refinement. Each turns a step's photographs into losses."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from dirnet.isp.params import ISPParams
from dirnet.learn.data import Photographs, Scenes
from dirnet.learn.recipe import Recipe
from dirnet.nets.blocks import channel_statistics
from dirnet.nets.critic import Critic
from dirnet.nets.model import DiR
from dirnet.objectives.alignment import alignment
from dirnet.objectives.independence import hsic, invariance, standardise, variance_hinge
from dirnet.objectives.information import jsd
from dirnet.objectives.multiview import mean_over_pairs
from dirnet.objectives.negatives import Places, gather_places, negative_weights, pick_places
from dirnet.suites.draw import draw_for_training
from dirnet.suites.views import Views, make_views
from dirnet.tasks.base import Batch, Task
from dirnet.tasks.restore import tone_loss

ROOM = 32  # pixels by which the crops of one scene may lie apart
STAGES = ("tone", "information", "reference", "refinement")
Losses = dict[str, torch.Tensor]


class Stage(nn.Module):
    """One stage of learning: which parts learn, and what a step minimises (the sum of the losses it returns)."""

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, learns: Sequence[nn.Module]) -> None:
        super().__init__()
        self.recipe, self.model, self.critic = recipe, model, critic
        self.baseline_std: torch.Tensor | None = None  # of r0's channels in the last step; a collapse shows here
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        for part in learns:
            part.requires_grad_(True)

    def draw(self, photographs: Photographs, key: str) -> Scenes:
        """What a step looks at; a function of key alone."""
        return photographs.crops(self.recipe.batch // self.recipe.views, self.recipe.crop + ROOM, key)

    def views(self, scenes: Scenes) -> Views:
        """Photograph the scenes of a step anew."""
        recipe = self.recipe
        return make_views(
            scenes.pictures, recipe.suite, scenes.names, views=recipe.views, size=recipe.crop, matched=True
        )


class ToneStage(Stage):
    """Before the others, and apart from them: the tone head learns from contact sheets what a right tone is."""

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        super().__init__(recipe, model, critic, (model.tone,))

    def draw(self, photographs: Photographs, key: str) -> Scenes:
        """Contact sheets: the head learns from a few numbers a picture, and so needs many."""
        return photographs.sheets(self.recipe.sheets, key)

    def forward(self, scenes: Scenes) -> Losses:
        """The loss of one step: "tone"."""
        params = ISPParams.from_settings([draw_for_training(self.recipe.suite, name) for name in scenes.names])
        return {"tone": tone_loss(self.model, scenes.pictures, params.to(str(scenes.pictures.device)))}


class InformationStage(Stage):
    """Stage 1: DiRNet and critic maximise what the views of a scene share, and nothing of how they were spoiled."""

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        super().__init__(recipe, model, critic, (model.encoder, critic))

    def forward(self, scenes: Scenes) -> Losses:
        """Losses of one step: the critic's cross entropy ("information") and "independence"."""
        views = self.views(scenes)
        baseline, _ = self.model.encoder(_channels_last(views.degraded.flatten(0, 1)))
        self.baseline_std = mean_std(baseline)
        losses = baseline_losses(self.critic, baseline.float(), views, self.recipe.places, scenes.names[0])
        losses["independence"] = self.recipe.independence_alone * losses["independence"]
        return losses


class ReferenceStage(Stage):
    """Stage 2: what a good photograph is: the reference encoder and its decoder.

    They see clean and spoiled pictures through a little latent noise; both kinds, since what D(R(.)) drops of a spoiled
    picture would stay in the result for ever.
    """

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        super().__init__(recipe, model, critic, (model.reference, model.decoder))

    def forward(self, scenes: Scenes) -> Losses:
        """Losses of one step: "reconstruction" and "spread"."""
        views = self.views(scenes)
        half = self.recipe.views // 2
        pictures = torch.cat((views.clean[:, :half], views.degraded[:, half:]), 1).flatten(0, 1)
        latent = self.model.reference(_channels_last(pictures))
        generator = torch.Generator().manual_seed(_seed(scenes.names[0]))
        noise = torch.randn(latent.shape, generator=generator).to(latent)
        latent = latent + self.recipe.latent_noise * latent.detach().std() * noise
        # The spread is held near 1, or the noise would mean nothing: the encoder could outgrow it.
        spread = (latent.float().std((0, 2, 3)).log()).square().mean()
        error = (self.model.decoder(latent).float() - pictures).square().mean((1, 2, 3))
        reconstruction = 0.1 * (error + 1e-5).log().mean()
        return {"reconstruction": reconstruction, "spread": 0.05 * spread}


class RefinementStage(Stage):
    """Stage 3: joint task-aligned refinement.

    The reference encoder stays frozen, or alignment would shrink it; one that no stage 2 has taught (`canonical`: the
    same graph on the task's loss alone) learns here with the rest. A loss of weight 0 is not even computed.
    """

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        taught = (critic,) if recipe.reference_steps else (model.reference,)
        super().__init__(recipe, model, critic, (model.encoder, model.aligner, model.decoder, *taught))
        self.task = task

    def forward(self, scenes: Scenes) -> Losses:
        """Losses of one step: the task's, "align", "information" and "independence", each with its weight."""
        views, recipe = self.views(scenes), self.recipe
        clean = views.clean.flatten(0, 1)
        batch = Batch(views.degraded.flatten(0, 1), clean, views.params.to(str(clean.device)))
        losses, representation, ideal = self.task.loss(self.model, batch)
        if recipe.align:
            with torch.no_grad():
                reference = self.model.reference(_channels_last(ideal))
            losses["align"] = recipe.align * alignment(representation.refined.float(), reference.float())
        if recipe.information or recipe.independence:
            baseline = representation.baseline.float()
            self.baseline_std = mean_std(baseline)
            found = baseline_losses(self.critic, baseline, views, recipe.places, scenes.names[0])
            losses["information"] = recipe.information * found["information"]
            losses["independence"] = recipe.independence * found["independence"]
        return losses


STAGE_CLASSES: dict[str, Callable[[Recipe, DiR, Critic, Task], Stage]] = {
    "tone": ToneStage,
    "information": InformationStage,
    "reference": ReferenceStage,
    "refinement": RefinementStage,
}


def baseline_losses(critic: Critic, baseline: torch.Tensor, views: Views, places: int, key: str) -> Losses:
    """What r0 (B K, c, h, w) of all views is asked for.

    information: log 2 - JSD, the critic's binary cross entropy, mean over pairs of views and patch scales; ln 2 means
    independent. independence: invariance between views + variance hinge + HSIC of pooled r0 with the settings.
    """
    b, k = views.offsets.shape[:2]
    shared = [_shared_region(baseline.unflatten(0, (b, k))[:, view], views, view) for view in range(k)]
    height, width = shared[0].shape[2:]
    generator = torch.Generator().manual_seed(_seed(key))
    spots = Places(*(where.to(baseline.device) for where in pick_places(b, places, height, width, generator)))
    weights = negative_weights(places, torch.arange(b) // 2).to(baseline)
    patches = [[gather_places(scale, spots) for scale in critic.patches(region)] for region in shared]
    embedded = [critic.project(patch) for patch in patches]
    cells = [gather_places(region, spots) for region in shared]

    def cross_entropy(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
        scales = [math.log(2) - jsd(critic(*pair), weights) for pair in zip(a, b, strict=True)]
        return torch.stack(scales).mean()

    consistency = mean_over_pairs(cells, invariance) + variance_hinge(torch.cat(cells))
    told = hsic(channel_statistics(baseline), settings_table(views.params).to(baseline))
    return {"information": mean_over_pairs(embedded, cross_entropy), "independence": consistency + told}


def mean_std(features: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each channel of (N, c, h, w), mean over channels."""
    return features.detach().float().std((0, 2, 3)).mean()


def settings_table(params: ISPParams) -> torch.Tensor:
    """The settings that say how a picture was spoiled, standardised: (N, columns)."""
    return standardise(
        (
            params.shot_noise.clamp(min=1e-5).log(),
            params.gamma_ratio.log(),
            params.exposure.log(),
            params.white_balance_ratio[:, ::2].log(),
            (params.ccm_used - params.ccm).flatten(1).norm(dim=1),
            torch.where(params.jpeg_quality > 0, params.jpeg_quality, 100),
            params.demosaic,
        )
    )


def _shared_region(features: torch.Tensor, views: Views, view: int) -> torch.Tensor:
    """The cells of one view's r0 (B, c, h, w) that every view of the scene shows, wherever its crop lay."""
    size = features.shape[2] - ROOM // 2
    starts = ((ROOM - views.offsets[:, view]) // 2).tolist()
    return torch.stack([f[:, y : y + size, x : x + size] for f, (y, x) in zip(features, starts, strict=True)])


def _channels_last(image: torch.Tensor) -> torch.Tensor:
    return image.contiguous(memory_format=torch.channels_last)


def _seed(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7])
