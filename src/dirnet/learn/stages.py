"""The stages: tone; information, reference, refinement; adaptation; labels. Each makes losses of photographs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import torch
from torch import nn

from dirnet.errors import UsageError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.learn import ranks
from dirnet.learn.annotated import AnnotatedPhotographs, Labelled, Target
from dirnet.learn.data import ROOM, Photographs, Scenes, seed_of
from dirnet.learn.dil import serial_losses
from dirnet.learn.losses import Losses, baseline_losses, consistency_loss, content_loss, mean_std
from dirnet.learn.masking import mask
from dirnet.learn.recipe import Recipe
from dirnet.nets.critic import Critic
from dirnet.nets.model import DiR
from dirnet.objectives.alignment import alignment
from dirnet.suites.draw import draw_for_training
from dirnet.suites.views import Views, enlarge, make_views
from dirnet.tasks.attach import Attached
from dirnet.tasks.base import Batch, Task
from dirnet.tasks.inputs import prepare
from dirnet.tasks.restore import restore, tone_loss

ZOOM = 2  # of pictures that were enlarged after the camera: their grain is coarse
STAGES = ("tone", "information", "reference", "refinement", "adaptation", "joint")


class Stage(nn.Module):
    """One stage of learning: which parts learn, and what a step minimises (the sum of the losses it returns)."""

    def __init__(self, recipe: Recipe, model: Any, critic: Critic, learns: Sequence[nn.Module]) -> None:
        super().__init__()
        self.recipe, self.model, self.critic = recipe, model, critic
        self.baseline_std: torch.Tensor | None = None  # of r0's channels in the last step; a collapse shows here
        self.teacher: DiR | None = None  # the averaged model, where a stage learns from it
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        for part in learns:
            part.requires_grad_(True)

    def draw(self, photographs: Photographs, key: str) -> Scenes:
        """What a step looks at; a function of key alone. A step that is zoomed takes scenes of half the size."""
        recipe = self.recipe
        zoomed = Random(f"zoom/{key}").random() < recipe.zoomed
        side = (recipe.crop + ROOM) // (ZOOM if zoomed else 1)
        return photographs.crops(
            recipe.batch // recipe.views, side, key, enlarged=recipe.enlarged, leaves=recipe.leaves
        )

    def views(self, scenes: Scenes) -> Views:
        """Photograph this process's share of a step's scenes anew; those of half the size are enlarged afterwards."""
        recipe, own = self.recipe, ranks.share(len(scenes.names))
        zoom = (recipe.crop + ROOM) // scenes.pictures.shape[2]
        views = make_views(
            scenes.pictures[own], recipe.suite, scenes.names[own],
            views=recipe.views, size=recipe.crop // zoom, matched=bool(recipe.matched), randomised=recipe.randomised,
            grained=recipe.grained,
        )  # fmt: skip
        return views if zoom == 1 else enlarge(views, zoom)


class ToneStage(Stage):
    """Before the others, and apart from them: the tone head learns from contact sheets what a right tone is."""

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        super().__init__(recipe, model, critic, (model.tone,))

    def draw(self, photographs: Photographs, key: str) -> Scenes:
        """Contact sheets: the head learns from a few numbers a picture, and so needs many."""
        return photographs.sheets(self.recipe.sheets, key)

    def forward(self, scenes: Scenes) -> Losses:
        """The loss of one step: "tone"; the head's dropout and running figures are those of all sheets."""
        params = ISPParams.from_settings([draw_for_training(self.recipe.suite, name) for name in scenes.names])
        params, own = params.to(str(scenes.pictures.device)), ranks.share(len(scenes.names))
        spoiled = ranks.gather(degrade(scenes.pictures[own], params[own], exact_jpeg=False))
        return {"tone": tone_loss(self.model, scenes.pictures, spoiled, params)}


class InformationStage(Stage):
    """Stage 1: DiRNet and critic maximise what the views of a scene share, and nothing of how they were spoiled."""

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        super().__init__(recipe, model, critic, (model.encoder, critic))

    def forward(self, scenes: Scenes) -> Losses:
        """Losses of one step: the critic's cross entropy ("information") and "independence"."""
        views = self.views(scenes)
        baseline, _ = self.model.encoder(_channels_last(views.degraded.flatten(0, 1)))
        self.baseline_std = mean_std(ranks.gather(baseline.detach()))
        losses = baseline_losses(self.critic, baseline.float(), views, self.recipe, scenes.names[0])
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
        """The loss of one step: "reconstruction"."""
        views = self.views(scenes)
        half = self.recipe.views // 2
        pictures = torch.cat((views.clean[:, :half], views.degraded[:, half:]), 1).flatten(0, 1)
        latent = self.model.reference(_channels_last(pictures))
        whole = ranks.gather(latent.detach())
        generator = torch.Generator().manual_seed(seed_of(scenes.names[0]))
        noise = torch.randn(whole.shape, generator=generator)[ranks.share(len(whole))].to(latent)
        latent = latent + self.recipe.latent_noise * whole.std() * noise
        error = (self.model.decoder(latent).float() - pictures).square().mean((1, 2, 3))
        return {"reconstruction": 0.1 * (error + 1e-5).log().mean()}


class RefinementStage(Stage):
    """Stage 3: joint task-aligned refinement.

    Where r+ is aligned to it, the reference encoder stays frozen, or alignment would shrink it; else it learns with the
    rest, from where stage 2 left it. A loss of weight 0 is not even computed.
    """

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        frozen = {"tone", "reference"} if recipe.align else {"tone"}
        learns = [part for name, part in model.named_children() if name not in frozen]
        learns += [critic] if recipe.information else []
        super().__init__(recipe, model, critic, learns)
        self.task = task

    def forward(self, scenes: Scenes) -> Losses:
        """Losses of one step: the task's, and those that the recipe has a weight for, weighted."""
        views, recipe = self.views(scenes), self.recipe
        crops = (views.degraded, views.clean, views.ideal, self.shown(views, scenes))
        if recipe.meta:
            halves = zip(*(crop.tensor_split(2, 1) for crop in crops), strict=True)
            first, others = (Batch(*(crop.flatten(0, 1) for crop in half)) for half in halves)
            return serial_losses(self.task, self.model, first, others, recipe.meta, recipe.clip)
        batch = Batch(*(crop.flatten(0, 1) for crop in crops))
        losses, baseline, refined, degraded, ideal = self.task.loss(self.model, batch)
        baseline = baseline.float()
        self.check(refined, apart=len(ideal) == len(batch.ideal))
        if recipe.align and refined is not None:
            with torch.no_grad():
                reference = self.model.reference(_channels_last(ideal))
            losses["align"] = recipe.align * alignment(refined.float(), reference.float())
        if recipe.content:
            losses["content"] = recipe.content * content_loss(baseline, degraded, ideal)
        if recipe.consistency and refined is not None:
            losses["consistency"] = recipe.consistency * consistency_loss(refined.float(), views)
        if recipe.information or recipe.independence:
            self.baseline_std = mean_std(ranks.gather(baseline.detach()))
            found = baseline_losses(self.critic, baseline, views, recipe, scenes.names[0])
            losses["information"] = recipe.information * found["information"]
            losses["independence"] = recipe.independence * found["independence"]
        return losses

    def check(self, refined: torch.Tensor | None, *, apart: bool) -> None:
        """UsageError where the recipe asks for what the task has not: r+ of pictures, or views apart."""
        without = {"align", "consistency"} if refined is None else set()
        without |= set() if apart else {"consistency", "information", "independence"}
        asked = sorted(name for name in without if getattr(self.recipe, name))
        if asked:
            raise UsageError(
                f"The task {self.task.name} has nothing that {', '.join(asked)} could be asked of",
                cure=" ".join(f"--set {name}=0" for name in asked),
            )

    def shown(self, views: Views, scenes: Scenes) -> torch.Tensor:
        """What the networks see of the degraded crops (B, K, 3, S, S): all of it, unless the recipe masks."""
        if not self.recipe.masking:
            return views.degraded
        own, (b, k) = scenes.names[ranks.share(len(scenes.names))], views.degraded.shape[:2]
        names = [f"{name}/{view}" for name in own for view in range(k)]
        return mask(views.degraded.flatten(0, 1), names, self.recipe.masking).unflatten(0, (b, k))


class AdaptationStage(RefinementStage):
    """A new camera's own spoiled pictures, without clean ones: refinement, with the averaged model as teacher.

    What the teacher makes of a picture stands for the clean one; the pupil sees the picture spoiled further. The
    reference encoder and the tone head stay as they are.
    """

    def __init__(self, recipe: Recipe, model: DiR, critic: Critic, task: Task) -> None:
        super().__init__(recipe, model, critic, task)
        model.reference.requires_grad_(False)
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def draw(self, photographs: Photographs, key: str) -> Scenes:
        """Crops at full size: a smaller copy would have lost what the camera did."""
        recipe = self.recipe
        return photographs.crops(recipe.batch // recipe.views, recipe.crop + ROOM, key, scales=(1.0,))

    def views(self, scenes: Scenes) -> Views:
        """The pictures, spoiled further, beside what the teacher makes of them."""
        views = super().views(scenes)
        assert self.teacher is not None
        with torch.no_grad():
            clean = restore(self.teacher, views.clean.flatten(0, 1))
            ideal = degrade(clean, views.params.tone_only())
        shape = views.clean.shape[:2]
        return replace(views, clean=clean.unflatten(0, shape), ideal=ideal.unflatten(0, shape))


class JointStage(Stage):
    """With labels: a network's own losses on photographs that the suite spoils, as its attachment mends them.

    Where the suite is joined with `clean`, some of a step's photographs are clean. The network's normalisation stays as
    it is. Where the network alone learns, it sees the photographs as they are, without the attachment.
    """

    def __init__(self, recipe: Recipe, model: Attached, critic: Critic, task: Task) -> None:
        attached = [part for name, part in model.attachment.named_children() if name != "tone"]
        parts = {"attachment": attached, "network": [model.network], "both": [*attached, model.network]}
        super().__init__(recipe, model, critic, parts[recipe.learns])
        if model.spec.output != "torchvision-detection":
            raise UsageError(
                "The network cannot learn with labels", got=f"output {model.spec.output!r}",
                wanted="a torchvision detector, which has losses of its own",
            )  # fmt: skip
        for part in model.network.modules():
            part.train(not isinstance(part, nn.BatchNorm2d))
        self.labels = _labels(model)

    def draw(self, photographs: AnnotatedPhotographs, key: str) -> Labelled:
        """Photographs and what is in them; UsageError where the network has no label for some of it."""
        if self.labels is not None and (strange := photographs.categories - self.labels.keys()):
            raise UsageError(
                "The network has no label for some of what is annotated",
                got=f"categories {', '.join(map(str, sorted(strange)[:5]))}",
                wanted=f"some of {', '.join(map(str, sorted(self.labels)[:10]))}",
                cure="Say in its SPEC.toml, as category_ids, which category each of its labels is.",
            )
        return photographs.draw(self.recipe.batch, key)

    def forward(self, scenes: Labelled) -> Losses:
        """The network's losses of one step, by the names it gives them."""
        own = ranks.share(len(scenes.names))
        drawn = [ISPParams.from_settings([draw_for_training(self.recipe.suite, name)]) for name in scenes.names[own]]
        spoiled = [
            degrade(picture[None], params.to(str(picture.device)))[0]
            for picture, params in zip(scenes.pictures[own], drawn, strict=True)
        ]
        network = self.model.network if self.recipe.learns == "network" else self.model
        return network(prepare(spoiled, self.model.spec), [self._labelled(target) for target in scenes.targets[own]])

    def _labelled(self, target: Target) -> Target:
        """With the network's labels in the place of category ids."""
        if self.labels is None:
            return target
        found = [self.labels[category] for category in target["labels"].tolist()]
        return target | {"labels": torch.tensor(found, dtype=torch.int64, device=target["labels"].device)}


STAGE_CLASSES: dict[str, Callable[[Recipe, Any, Critic, Task], Stage]] = {
    "tone": ToneStage,
    "information": InformationStage,
    "reference": ReferenceStage,
    "refinement": RefinementStage,
    "adaptation": AdaptationStage,
    "joint": JointStage,
}


def _labels(model: Attached) -> dict[int, int] | None:
    """The network's label of each category that it has one for; None where that is not known."""
    heads, head = (getattr(model.network, name, None) for name in ("roi_heads", "head"))
    score = getattr(getattr(heads, "box_predictor", None), "cls_score", None)
    classification = getattr(head, "classification_head", None)
    columns = getattr(classification, "num_columns", None)  # of an SSD
    if model.spec.category_ids:
        first = 1 if heads or columns else 0  # there label 0 is no object
        return {category: label for label, category in enumerate(model.spec.category_ids) if label >= first}
    labels = score.out_features if isinstance(score, nn.Linear) else columns
    labels = labels or getattr(classification, "num_classes", None)  # FCOS, RetinaNet
    return {label: label for label in range(1, labels)} if isinstance(labels, int) else None


def _channels_last(image: torch.Tensor) -> torch.Tensor:
    return image.contiguous(memory_format=torch.channels_last)
