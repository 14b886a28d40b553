"""Samples and colours mixed by weights that repeat with the 2 x 2 cell of a colour filter array.

Two rows of a picture lie in memory as one row of cells, so that a weight that repeats is one vector for all of them.
Mosaicking, gains, bilinear and Malvar demosaicing and colour matrices, alone or all at once, are such mixtures. A
pixel's sum is always taken in the same order, so it depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

# Rows and columns around a picture that `mix_neighbours` looks at.
MARGIN = 2


def pattern(weights: torch.Tensor, width: int) -> torch.Tensor:
    """Weights (P, K, 4) of P planes in K results at the sites of a cell -> (P, K, 1, 2 width), even width."""
    p, k, _ = weights.shape
    return weights.reshape(p, k, 2, 2).repeat(1, 1, 1, width // 2).view(p, k, 1, 2 * width)


def mix(planes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Planes (1, P, H, W) -> (1, K, H, W): sums of planes times weights (P, K, 1, 2 W), or (P, K, 1, 1) everywhere.

    H is even where weights repeat with the cell.
    """
    length = weights.shape[3] if weights.shape[3] > 1 else planes.shape[3]
    rows = planes.reshape(planes.shape[1], -1, length)
    return _Mix.apply(rows, weights).view(1, weights.shape[1], *planes.shape[2:])


def mix_neighbours(padded: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Filter samples (1, 1, H + 4, W + 4), even sides -> (1, K, H, W); weights (4 or 6, K, 1, 2 W + 8) of a `pattern`.

    The planes that are mixed: the sample itself; the sums of its two neighbours in the row, of its two in the column,
    of the four on the diagonals; of the two that are two steps away in the row, and in the column.
    """
    h, width = padded.shape[-2] - 2 * MARGIN, padded.shape[-1]
    return _MixNeighbours.apply(padded.reshape(-1), weights, width).view(1, -1, h, width)[..., MARGIN:-MARGIN]


class _Mix(torch.autograd.Function):
    """rows (P, N, L), weights (P, K, 1, L or 1) -> (K, N, L)."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(rows, weights)
        return _mixed(rows.unbind(), weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        rows, weights = ctx.saved_tensors
        by_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        if by_rows is not None:
            for plane, weight in zip(by_rows, weights, strict=True):
                _unmix(grad, weight, plane)
        return by_rows, _by_weights(grad, rows.unbind(), weights) if ctx.needs_input_grad[1] else None


class _MixNeighbours(torch.autograd.Function):
    """samples (flat), weights (P, K, 1, 2 width) -> (K, N, 2 width), columns of the margin included, though worthless.

    In a flat picture a neighbour is a fixed number of places away.
    """

    @staticmethod
    def forward(ctx: Any, flat: torch.Tensor, weights: torch.Tensor, width: int) -> torch.Tensor:
        ctx.save_for_backward(flat, weights)
        ctx.width = width
        return _mixed(_neighbours(flat, width, len(weights)), weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        (flat, weights), width = ctx.saved_tensors, ctx.width
        by_flat = by_weights = None
        if ctx.needs_input_grad[0]:
            by_flat = torch.zeros_like(flat)
            size, plane = len(flat) - 2 * MARGIN * width, torch.empty_like(grad[0])
            for weight, steps in zip(weights, _steps(width), strict=False):
                _unmix(grad, weight, plane)
                for step in steps:
                    by_flat.narrow(0, MARGIN * width + step, size).add_(plane.view(-1))
        if ctx.needs_input_grad[1]:
            by_weights = _by_weights(grad, _neighbours(flat, width, len(weights)), weights)
        return by_flat, by_weights, None


def _steps(width: int) -> tuple[tuple[int, ...], ...]:
    diagonals = (-width - 1, -width + 1, width - 1, width + 1)
    return (0,), (-1, 1), (-width, width), diagonals, (-2, 2), (-2 * width, 2 * width)


def _neighbours(flat: torch.Tensor, width: int, count: int) -> list[torch.Tensor]:
    """The first 4 or 6 planes of `mix_neighbours`, each (N, 2 width)."""
    start, size = MARGIN * width, len(flat) - 2 * MARGIN * width

    def pair(step: int) -> torch.Tensor:
        return flat.narrow(0, start - step, size) + flat.narrow(0, start + step, size)

    beside = flat.narrow(0, start - width - 1, size + 2 * width) + flat.narrow(0, start - width + 1, size + 2 * width)
    planes = [flat.narrow(0, start, size), beside.narrow(0, width, size), pair(width)]
    planes.append(beside.narrow(0, 0, size) + beside.narrow(0, 2 * width, size))
    planes += [pair(2), pair(2 * width)] if count == 6 else []
    return [plane.view(-1, 2 * width) for plane in planes]


def _mixed(rows: Sequence[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    mixed = rows[0] * weights[0]
    for plane, weight in zip(rows[1:], weights[1:], strict=True):
        mixed.addcmul_(plane, weight)
    return mixed


def _unmix(grad: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """The gradient by one plane (N, L): grad (K, N, L), the plane's weight (K, 1, L or 1)."""
    torch.mul(grad[0], weight[0], out=out)
    for one, share in zip(grad[1:], weight[1:], strict=True):
        out.addcmul_(one, share)


def _by_weights(grad: torch.Tensor, rows: Sequence[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    return torch.stack([(grad * plane).sum(1, keepdim=True).sum_to_size(weights.shape[1:]) for plane in rows])
