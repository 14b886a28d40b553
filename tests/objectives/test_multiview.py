from __future__ import annotations

import math

import pytest
import torch

from dirnet.objectives.information import donsker_varadhan, jsd, xi
from dirnet.objectives.multiview import mean_over_pairs, total_correlation_bound

RHO, VIEWS = 0.8, 4
PAIRWISE = -math.log(1 - RHO**2) / 2
TOTAL_CORRELATION = -((VIEWS - 1) * math.log(1 - RHO) + math.log(1 + (VIEWS - 1) * RHO)) / 2


def test_the_mean_goes_over_each_pair_once() -> None:
    views = [torch.tensor(float(x)) for x in (1, 10, 100)]
    assert float(mean_over_pairs(views, lambda a, b: a * b)) == pytest.approx((10 + 100 + 1000) / 3)
    asked: list[tuple[float, float]] = []
    mean_over_pairs(views, lambda a, b: asked.append((a.item(), b.item())) or a)
    assert asked == [(1, 10), (1, 100), (10, 100)]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_bound_is_2_over_n_times_the_sum_over_pairs(n: int) -> None:
    views = [torch.tensor(x) for x in range(n)]
    pairs = n * (n - 1) / 2
    assert float(total_correlation_bound(views, lambda a, b: torch.tensor(0.7))) == pytest.approx(2 / n * pairs * 0.7)


def test_with_exact_information_the_bound_is_under_the_total_correlation() -> None:
    bound = float(total_correlation_bound(range(VIEWS), lambda a, b: torch.tensor(PAIRWISE)))
    assert bound == pytest.approx(1.532, abs=5e-4)
    assert bound <= TOTAL_CORRELATION == pytest.approx(1.802, abs=5e-4)
    two = torch.tensor(PAIRWISE)
    assert total_correlation_bound([0, 1], lambda a, b: two) == two  # of two views it is their information


def equally_correlated(n: int) -> list[torch.Tensor]:
    """`VIEWS` standard normal variables, every two of them correlated by `RHO`."""
    shared = torch.randn(n)
    return [math.sqrt(RHO) * shared + math.sqrt(1 - RHO) * torch.randn(n) for _ in range(VIEWS)]


def scores(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Log density ratio of all pairs."""
    a, b, rest = a[:, None], b[None], 1 - RHO**2
    return (2 * RHO * a * b - RHO**2 * (a * a + b * b)) / (2 * rest) - math.log(rest) / 2


def test_four_gaussian_views_by_donsker_and_varadhan_and_through_xi() -> None:
    """The closed form's 1.532 in the limit; 1.229 through xi, which is not tight on Gaussians."""
    draws = [equally_correlated(1000) for _ in range(12)]

    def limit(measure) -> torch.Tensor:
        return torch.stack([total_correlation_bound(views, measure) for views in draws]).mean()

    assert float(limit(lambda a, b: donsker_varadhan(scores(a, b)))) == pytest.approx(1.532, rel=0.03)
    divergence = limit(lambda a, b: jsd(scores(a, b))) / (VIEWS - 1)
    assert float(xi(divergence)) * (VIEWS - 1) == pytest.approx(1.229, rel=0.03)
