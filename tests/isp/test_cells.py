from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from dirnet.isp.cells import mix, mix_neighbours, pattern


def by_place(weights: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Weights (P, K, 4) of the sites of a cell -> (P, K, H, W)."""
    y, x = torch.meshgrid(torch.arange(h) % 2, torch.arange(w) % 2, indexing="ij")
    return weights[..., y * 2 + x]


@pytest.mark.parametrize("results", [1, 3])
def test_a_mixture_is_a_weighted_sum(results: int) -> None:
    planes, weights = torch.rand(1, 3, 6, 8, dtype=torch.float64), torch.rand(3, results, 4, dtype=torch.float64)
    expected = (planes[0][:, None] * by_place(weights, 6, 8)).sum(0)[None]
    torch.testing.assert_close(mix(planes, pattern(weights, 8)), expected)
    same = weights[:, :, :1, None]
    torch.testing.assert_close(
        mix(planes[..., :5, :7], same), torch.einsum("bphw,pk->bkhw", planes, same[..., 0, 0])[..., :5, :7]
    )


@pytest.mark.parametrize("count", [4, 6])
def test_neighbours_are_where_they_should_be(count: int) -> None:
    padded, weights = torch.rand(1, 1, 8, 10, dtype=torch.float64), torch.rand(count, 3, 4, dtype=torch.float64)
    steps = [
        [(0, 0)],
        [(0, -1), (0, 1)],
        [(-1, 0), (1, 0)],
        [(-1, -1), (-1, 1), (1, -1), (1, 1)],
        [(0, -2), (0, 2)],
        [(-2, 0), (2, 0)],
    ]
    sums = [sum(padded[0, 0, 2 + dy : 6 + dy, 2 + dx : 8 + dx] for dy, dx in step) for step in steps[:count]]
    expected = (torch.stack(sums)[:, None] * by_place(weights, 4, 6)).sum(0)[None]
    torch.testing.assert_close(mix_neighbours(padded, pattern(weights, 10)), expected)


@pytest.mark.parametrize("count", [4, 6])
def test_gradients(count: int) -> None:
    planes = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(3, 2, 4, dtype=torch.float64, requires_grad=True)
    same = torch.rand(3, 2, 1, 1, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda p, w: mix(p, pattern(w, 4)), (planes, weights))
    assert gradcheck(mix, (planes, same))
    padded = torch.rand(1, 1, 6, 8, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(count, 3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda p, w: mix_neighbours(p, pattern(w, 8)), (padded, weights))
