"""What a recipe costs: parameters, multiplications a pixel, and the multiplications of its training, stage by stage."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dirnet.learn.data import ROOM, Scenes
from dirnet.learn.recipe import Recipe
from dirnet.learn.stages import STAGE_CLASSES, STAGES, Stage, ToneStage
from dirnet.nets.critic import Critic
from dirnet.nets.model import PRESETS, DiR
from dirnet.nets.tone import SHEET_WINDOW, SHEET_WINDOWS
from dirnet.tasks.base import Task


@dataclass(frozen=True)
class StageBudget:
    """One stage: its steps, the parameters that learn, and the MACs of one step, forward and backward."""

    stage: str
    steps: int
    parameters: int
    macs_per_step: int

    @property
    def macs(self) -> int:
        """Of the whole stage."""
        return self.steps * self.macs_per_step


@dataclass(frozen=True)
class Budget:
    """parameters: by part of the model; macs_per_pixel: of restoring a picture, tone head aside; and every stage."""

    parameters: dict[str, int]
    macs_per_pixel: float
    stages: list[StageBudget]

    @property
    def macs(self) -> int:
        """Of the whole training."""
        return sum(stage.macs for stage in self.stages)


def budget(recipe: Recipe, task: Task) -> Budget:
    """Count, by PyTorch's own counter, what the networks of a recipe multiply; the camera's work is left out."""
    model, critic = DiR(recipe.preset), Critic(PRESETS[recipe.preset].width)
    parts = {name: _size(part) for name, part in model.named_children()} | {"critic": _size(critic)}
    side = recipe.crop
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        image = torch.zeros(1, 3, side, side)
        model.decode(model(image), (side, side))
    clean = dataclasses.replace(recipe, suite="clean", randomised=0.0, grained=0.0)  # a camera that does nothing
    stages = []
    for name in (stage for stage in STAGES if stage != "joint"):  # whose cost is the network's
        stage = STAGE_CLASSES[name](clean, model, critic, task)
        learning = sum(parameter.numel() for parameter in stage.parameters() if parameter.requires_grad)
        steps = getattr(recipe, f"{name}_steps")
        stages.append(StageBudget(name, steps, learning, _macs_of_a_step(stage, recipe) if steps else 0))
    return Budget(parts, counter.get_total_flops() / 2 / side**2, stages)


def _macs_of_a_step(stage: Stage, recipe: Recipe) -> int:
    tone = isinstance(stage, ToneStage)
    n, side = (
        (recipe.sheets, SHEET_WINDOW * SHEET_WINDOWS) if tone else (recipe.batch // recipe.views, recipe.crop + ROOM)
    )
    scenes = Scenes(torch.rand(n, 3, side, side), [str(i) for i in range(n)])
    with FlopCounterMode(display=False) as counter:
        torch.stack(list(stage(scenes).values())).sum().backward()
    return counter.get_total_flops() // 2


def _size(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
