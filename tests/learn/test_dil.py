from __future__ import annotations

from typing import Any, ClassVar, cast

import pytest
import torch
from torch import nn

from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.learn.dil import serial_losses
from dirnet.nets.model import DiR
from dirnet.suites.draw import draw
from dirnet.tasks.base import Batch, TaskLoss
from dirnet.tasks.restore import Restoration


class Point(nn.Module):
    """A model of one number, and another that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(2.0))
        self.unread = nn.Parameter(torch.tensor(1.0))


class Distance:
    """A task: to be where the pictures are; two losses, one three times the other."""

    name = "distance"
    about: ClassVar[dict[str, Any]] = {}

    def loss(self, model: DiR, batch: Batch) -> TaskLoss:
        error = (cast(Any, model).at - batch.degraded.mean()).square()
        nothing = torch.zeros(0)
        return TaskLoss({"near": error, "nearer": 3 * error}, nothing, nothing, nothing, nothing)


def pictures_at(value: float) -> Batch:
    return Batch(*[torch.full((1, 3, 4, 4), value)] * 4)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("clip", [0.5, 99.0])
def test_losses_and_gradient_are_those_of_the_formula(rate: float, clip: float) -> None:
    """Of 4 (x - a)^2, a step of `rate`, and 4 (x' - b)^2, whose gradient by x' counts as that by x."""
    point, a, b = Point(), 0.5, 1.25
    losses = serial_losses(Distance(), cast(DiR, point), pictures_at(a), pictures_at(b), rate, clip)
    first = 8 * (2.0 - a)
    then = 2.0 - rate * min(clip, first) - b
    expected = ((2.0 - a) ** 2 + then**2) / 2
    assert losses["near"].item() == pytest.approx(expected, rel=1e-5)
    assert losses["nearer"].item() == pytest.approx(3 * expected, rel=1e-5)
    torch.stack(list(losses.values())).sum().backward()
    assert cast(torch.Tensor, point.at.grad).item() == pytest.approx((first + 8 * then) / 2, rel=1e-5)
    assert cast(torch.Tensor, point.unread.grad).item() == 0
    assert point.at.item() == 2.0


def test_without_a_step_it_is_the_tasks_loss_on_all_pictures(chelsea: torch.Tensor) -> None:
    torch.manual_seed(2)
    model = DiR("tiny")
    with torch.no_grad():  # past the zero-initialised layers, which let no gradient through
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    params = ISPParams.from_settings([draw("seen", severity, "a") for severity in (1, 3, 4, 5)])
    clean = chelsea[..., 100:116, 200:216].expand(4, -1, -1, -1)
    spoiled = degrade(clean, params, exact_jpeg=False)
    crops = (spoiled, clean, degrade(clean, params.tone_only()), spoiled)
    first, others, whole = (Batch(*(crop[part] for crop in crops)) for part in (slice(2), slice(2, 4), slice(4)))
    weights = [parameter for name, parameter in model.named_parameters() if not name.startswith("tone.")]
    model.tone.requires_grad_(False)
    found = serial_losses(Restoration(), model, first, others, 0.0, 0.5)
    expected = Restoration().loss(model, whole).losses
    torch.testing.assert_close(found["detail"], expected["detail"])
    pairs = zip(*(torch.autograd.grad(losses["detail"], weights) for losses in (found, expected)), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
