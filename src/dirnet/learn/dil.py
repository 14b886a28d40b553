"""Distortion-invariant learning: what is learned from some spoilings of a scene is to serve its other spoilings."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call

from dirnet.nets.model import DiR
from dirnet.tasks.base import Batch, Task


def serial_losses(
    task: Task, model: DiR, first: Batch, others: Batch, rate: float, clip: float
) -> dict[str, torch.Tensor]:
    """The task's losses on two batches, the mean of both; on `others` at the weights that a step on `first` leads to.

    The step is virtual: gradient descent of `rate`, the gradient's norm clipped. First order: it counts as a constant,
    so the gradient is the sum of those along the way; that of `first`, known by then, is not computed again. Li et al.,
    Learning distortion invariant representation for image restoration from a causality perspective, CVPR 2023 (serial,
    first order), with views of a scene for their kinds of distortion.
    """
    module = _Losses(task, model)
    learning = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    before = module(first)
    total = torch.stack(list(before.values())).sum()
    gradients = torch.autograd.grad(total, list(learning.values()), materialize_grads=True)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    step = rate * (clip / norm).clamp(max=1)
    pairs = list(zip(learning.values(), gradients, strict=True))
    virtual = {name: weight - step * gradient for name, (weight, gradient) in zip(learning, pairs, strict=True)}
    after = functional_call(module, virtual, (others,))
    known = torch.stack([((weight - weight.detach()) * gradient).sum() for weight, gradient in pairs]).sum()
    # `known` is 0, and its gradient is that of all losses on `first`.
    return {name: (loss.detach() + known / len(before) + after[name]) / 2 for name, loss in before.items()}


class _Losses(nn.Module):
    """A task's losses as a module, which can be called at other weights than its own."""

    def __init__(self, task: Task, model: DiR) -> None:
        super().__init__()
        self.task, self.model = task, model

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        return self.task.loss(self.model, batch).losses
