from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from dirnet.learn.budget import Budget, budget
from dirnet.learn.recipe import load_recipe
from dirnet.nets.model import DiR
from dirnet.tasks.restore import Restoration


@cache
def of(name: str, *overrides: str) -> Budget:
    return budget(load_recipe(name, overrides), Restoration())


SAME_GRAPH = ["canonical", "canonical-consistency", "canonical-masking", "dil"]


def by_hand(model: nn.Module, *inputs: torch.Tensor) -> int:
    """MACs of the convolutions and linear layers that a call runs through, layer by layer."""
    counted: list[int] = []

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            counted.append(output.numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Linear):
            counted.append(output.numel() * layer.in_features)

    hooks = [layer.register_forward_hook(count) for layer in model.modules()]
    model(*inputs)
    for hook in hooks:
        hook.remove()
    return sum(counted)


def test_macs_a_pixel_are_those_of_the_layers() -> None:
    model = DiR("tiny")
    image, features = torch.rand(1, 3, 96, 96), torch.rand(1, 16, 48, 48)
    expected = by_hand(model, image) + 2 * by_hand(model.decoder, features)  # of r+ and of the pilot
    assert of("tiny-proof").macs_per_pixel == expected / 96**2


def test_parameters_are_those_of_the_parts() -> None:
    found = of("tiny-proof")
    total = sum(parameter.numel() for parameter in DiR("tiny").parameters())
    assert sum(found.parameters.values()) - found.parameters["critic"] == total
    learning = {stage.stage: stage.parameters for stage in found.stages}
    assert learning["tone"] == found.parameters["tone"]
    assert learning["reference"] == found.parameters["reference"] + found.parameters["decoder"]


def test_a_step_of_the_reference_costs_three_passes_but_for_what_the_picture_is_not_told() -> None:
    """Backward, every layer costs its forward twice: once for its weights, once for its input, the picture aside."""
    model, image = DiR("tiny"), torch.rand(16, 3, 96, 96)
    forward = by_hand(model.reference, image) + by_hand(model.decoder, torch.rand(16, 16, 48, 48))
    first = next(layer for layer in model.reference.modules() if isinstance(layer, nn.Conv2d))
    stages = {stage.stage: stage for stage in of("tiny-proof").stages}
    assert stages["reference"].macs_per_step == 3 * forward - 16 * 48 * 48 * first.weight.numel()


def test_the_whole_is_steps_times_steps_cost() -> None:
    found = of("tiny-proof", "information_steps=7", "reference_steps=5", "refinement_steps=0", "crop=64")
    assert [stage.steps for stage in found.stages] == [2000, 7, 5, 0, 0]
    assert found.stages[3].macs == 0
    assert found.macs == sum(stage.steps * stage.macs_per_step for stage in found.stages)


@pytest.mark.parametrize("baseline", [*SAME_GRAPH, "canonical-unet"])
def test_a_baseline_has_the_budget_of_tiny_proof(baseline: str) -> None:
    ours, theirs = of("tiny-proof"), of(baseline)
    assert theirs.macs == pytest.approx(ours.macs, rel=1e-3)
    assert theirs.stages[0] == ours.stages[0]  # tone


@pytest.mark.parametrize("baseline", SAME_GRAPH)
def test_the_same_graph_has_the_same_size(baseline: str) -> None:
    ours, theirs = of("tiny-proof"), of(baseline)
    assert theirs.parameters == ours.parameters
    assert theirs.macs_per_pixel == ours.macs_per_pixel


def test_the_unet_is_of_the_size_of_tiny() -> None:
    ours, theirs = of("tiny-proof"), of("canonical-unet")
    assert sum(theirs.parameters.values()) == pytest.approx(sum(ours.parameters.values()), rel=0.03)
    assert theirs.macs_per_pixel == pytest.approx(ours.macs_per_pixel, rel=0.03)
