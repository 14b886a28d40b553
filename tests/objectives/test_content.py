from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dirnet.objectives.content import linear_rest


def maps(n: int, channels: int, seed: int) -> torch.Tensor:
    return torch.randn(n, channels, 12, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(of: torch.Tensor) -> np.ndarray:
    return of.movedim(1, -1).flatten(0, -2).numpy()


def test_it_is_what_weighted_least_squares_leave() -> None:
    """Oracle: NumPy's least squares."""
    known, sought = maps(4, 5, 0), maps(4, 3, 1)
    sought[:, 0] += 2 * known[:, 1] + 0.5
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
    each = weights.repeat_interleave(12 * 9).numpy()
    scaled = np.sqrt(each)[:, None]
    a, b = np.hstack([rows(known), np.ones((4 * 108, 1))]) * scaled, rows(sought) * scaled
    fitted = a @ np.linalg.lstsq(a, b)[0]
    assert float(linear_rest(known, sought, weights)) == pytest.approx(((b - fitted) ** 2).mean(), rel=1e-3)


def test_nothing_is_left_of_what_a_linear_map_gives() -> None:
    known = maps(3, 6, 2)
    sought = torch.einsum("dc,nchw->ndhw", torch.randn(4, 6, dtype=torch.float64), known) - 1.5
    assert float(linear_rest(known, sought, torch.ones(3))) < 1e-6


@pytest.mark.parametrize("correlation", [0.3, 0.8])
def test_of_gaussians_it_gives_their_information(correlation: float) -> None:
    """I = -log(1 - rho^2) / 2 (docs/theory.md): for Gaussians the bound is reached, and the rest is 1 - rho^2."""
    known, own = maps(400, 1, 3), maps(400, 1, 4)
    sought = correlation * known + math.sqrt(1 - correlation**2) * own
    rest = float(linear_rest(known, sought, torch.ones(400)))
    assert -math.log(rest) / 2 == pytest.approx(-math.log(1 - correlation**2) / 2, abs=0.02)


def test_features_learn_what_is_sought() -> None:
    sought = maps(2, 2, 5)
    known = maps(2, 2, 6).requires_grad_()
    optimizer = torch.optim.Adam([known], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        linear_rest(known, sought, torch.ones(2)).backward()
        optimizer.step()
    assert float(linear_rest(known, sought, torch.ones(2)).detach()) < 0.02
