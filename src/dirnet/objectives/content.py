"""Content: how much of a good photograph can be read off a representation."""

from __future__ import annotations

import torch

RIDGE = 1e-4  # in units of the mean square of what is known


def linear_rest(known: torch.Tensor, sought: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean square of what the best linear map from known (N, c, h, w) leaves of sought (N, d, h, w).

    weights (N,): of each picture's squares. The map is found anew in every batch, in closed form, and is differentiated
    through; so nothing but `known` can learn. It is a Gaussian decoder, and the less it leaves, the higher the bound of
    Barber and Agakov (2003) on the information of known about sought (docs/theory.md, section 3).
    """
    scale = weights.sqrt()[:, None, None, None]
    known = torch.cat((known, torch.ones_like(known[:, :1])), 1)
    a, b = ((maps * scale).movedim(1, -1).flatten(0, -2) for maps in (known, sought))
    square = a.T @ a / len(a)
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), device=square.device)
    return (b - a @ torch.linalg.solve(square + ridge, a.T @ b / len(a))).square().mean()
