"""Muon: every kernel moves along the orthogonal matrix nearest to its momentum, so that no direction lags behind."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SMALLEST = 8  # rows or columns of a kernel as a matrix; with fewer there is little to make orthogonal
QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's: brings singular values near 1 in few steps, if not to it
LIKE_ADAMW = 0.2  # root mean square of an update of AdamW, which that of Muon is scaled to


class Muon(torch.optim.AdamW):
    """AdamW, but for convolutions' kernels, whose update is orthogonal; the rate means the same for both.

    A kernel (out, in, k, k) is taken as a matrix (out, in k k), if that has `SMALLEST` rows and columns at least.
    Their gradients are used up by `step`. The state is tensors alone: a kernel's `step` and `momentum`, AdamW's of the
    rest.
    Keller Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; scaled as in Liu et al.,
    "Muon is scalable for LLM training", 2025.
    """

    momentum = 0.95

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for kernel in group["params"]:
                gradient = kernel.grad
                if gradient is None or not _orthogonal(kernel):
                    continue
                state = self.state[kernel]
                if not state:
                    state.update(step=torch.tensor(0.0), momentum=torch.zeros_like(kernel))  # AdamW asks for a step
                state["step"] += 1
                momentum = state["momentum"].mul_(self.momentum).add_(gradient)
                ahead = gradient.add(momentum, alpha=self.momentum)  # Nesterov's
                update = orthogonalised(ahead.flatten(1))
                kernel.mul_(1 - group["lr"] * group["weight_decay"])
                kernel.add_(update.view_as(kernel), alpha=-group["lr"] * LIKE_ADAMW * max(update.shape) ** 0.5)
                kernel.grad = None
        return super().step(closure)


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """The matrix (m, n) with all its singular values brought near 1 (within about .7 to 1.2), by Newton and Schulz."""
    a, b, c = QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if wide.shape == matrix.shape else wide.T


def _orthogonal(parameter: Tensor) -> bool:
    return parameter.ndim == 4 and min(parameter.shape[0], parameter[0].numel()) >= SMALLEST
