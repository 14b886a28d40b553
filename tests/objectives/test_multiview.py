from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from dirnet.objectives.information import donsker_varadhan, jsd, nwj, xi
from dirnet.objectives.multiview import mean_over_pairs, one_vs_rest, star_bound, total_correlation_bound

RHO, VIEWS = 0.8, 4


def total_correlation(n: int, rho: float = RHO) -> float:
    """Of n normal variables, every two of them correlated by rho."""
    return -((n - 1) * math.log(1 - rho) + math.log(1 + (n - 1) * rho)) / 2


PAIR = total_correlation(2)
ONE_VS_REST = total_correlation(VIEWS) - total_correlation(VIEWS - 1)  # the chain rule


# What is asked, and what is made of the answers


def test_the_mean_goes_over_each_pair_once() -> None:
    views = [torch.tensor(float(x)) for x in (1, 10, 100)]
    assert float(mean_over_pairs(views, lambda a, b: a * b)) == pytest.approx((10 + 100 + 1000) / 3)
    asked: list[tuple[float, float]] = []
    mean_over_pairs(views, lambda a, b: asked.append((a.item(), b.item())) or a)
    assert asked == [(1, 10), (1, 100), (10, 100)]


def test_a_star_asks_its_centre_against_each_other_view() -> None:
    views = [torch.tensor(float(x)) for x in (1, 10, 100)]
    assert [float(star_bound(views, lambda a, b: 2 * a + b, centre)) for centre in range(3)] == [114, 141, 411]


def test_one_vs_rest_hands_over_the_others_together() -> None:
    views = [torch.tensor(float(x)) for x in (1, 10, 100)]
    asked: list[tuple[float, list[float]]] = []

    def ask(view: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor:
        asked.append((view.item(), [other.item() for other in others]))
        return view

    assert one_vs_rest(views, ask) == 111
    assert asked == [(1, [10, 100]), (10, [1, 100]), (100, [1, 10])]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_pairwise_bound_is_2_over_n_times_the_sum_over_pairs(n: int) -> None:
    pairs = n * (n - 1) / 2
    bound = total_correlation_bound(range(n), lambda a, b: torch.tensor(0.7))
    assert float(bound) == pytest.approx(2 / n * pairs * 0.7)


def test_the_pairwise_bound_is_the_mean_of_the_stars() -> None:
    table = torch.rand(5, 5, dtype=torch.float64)
    table = table + table.T

    def information(a: int, b: int) -> torch.Tensor:
        return table[a, b]

    stars = torch.stack([star_bound(range(5), information, centre) for centre in range(5)])
    torch.testing.assert_close(total_correlation_bound(range(5), information), stars.mean())


def test_of_two_views_every_form_speaks_of_their_information() -> None:
    two = torch.tensor(PAIR)
    assert total_correlation_bound([0, 1], lambda a, b: two) == two == star_bound([0, 1], lambda a, b: two, 1)
    assert one_vs_rest([0, 1], lambda view, others: two) == 2 * two


# Any Gaussians: exact information from determinants


@pytest.mark.parametrize("n", [3, 4, 6])
def test_the_inequalities_hold_for_any_gaussians(n: int) -> None:
    for _ in range(30):
        mixed = torch.randn(n, n + 1, dtype=torch.float64)
        covariance = mixed @ mixed.T

        def entropy(of: Sequence[int], covariance: torch.Tensor = covariance) -> torch.Tensor:
            return torch.logdet(covariance[of][:, of]) / 2  # but for constants, which cancel

        def pair(a: int, b: int, entropy=entropy) -> torch.Tensor:
            return entropy([a]) + entropy([b]) - entropy([a, b])

        def against(view: int, others: Sequence[int], entropy=entropy) -> torch.Tensor:
            return entropy([view]) + entropy(others) - entropy([view, *others])

        views = list(range(n))
        total = sum(entropy([i]) for i in views) - entropy(views)
        for centre in views:
            assert star_bound(views, pair, centre) <= total + 1e-9
        assert total_correlation_bound(views, pair) <= total + 1e-9
        assert total - 1e-9 <= one_vs_rest(views, against) <= n * total + 1e-9


# Four views of equal correlation, from samples


def test_the_closed_forms_stand_where_the_theory_says() -> None:
    bound = float(total_correlation_bound(range(VIEWS), lambda a, b: torch.tensor(PAIR)))
    assert bound == pytest.approx(1.532, abs=5e-4)
    assert bound <= total_correlation(VIEWS) == pytest.approx(1.802, abs=5e-4)


@pytest.fixture(scope="module")
def draws() -> list[list[torch.Tensor]]:
    """12 draws of `VIEWS` standard normal variables, 1,000 each, every two of them correlated by `RHO`."""
    torch.manual_seed(0)

    def draw() -> list[torch.Tensor]:
        shared = torch.randn(1000)
        return [math.sqrt(RHO) * shared + math.sqrt(1 - RHO) * torch.randn(1000) for _ in range(VIEWS)]

    return [draw() for _ in range(12)]


def best_scores(view: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor:
    """log p(view | others) / p(view) of all pairs of a view and a set of others: the best critic there is."""
    shrunk = RHO / (1 + (len(others) - 1) * RHO)
    rest = 1 - len(others) * RHO * shrunk
    expected = shrunk * torch.stack(list(others)).sum(0)
    return (view[:, None].square() - (view[:, None] - expected).square() / rest - math.log(rest)) / 2


def mean_and_error(form, draws: list[list[torch.Tensor]]) -> tuple[float, float]:
    values = torch.stack([form(views) for views in draws])
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))


ESTIMATORS = pytest.mark.parametrize(
    "estimator", [donsker_varadhan, lambda scores: nwj(scores + 1)], ids=["donsker_varadhan", "nwj"]
)


@ESTIMATORS
def test_the_pairwise_bound_of_four_views(estimator, draws: list[list[torch.Tensor]]) -> None:
    value, _ = mean_and_error(
        lambda views: total_correlation_bound(views, lambda a, b: estimator(best_scores(a, [b]))), draws
    )
    assert value == pytest.approx(1.532, rel=0.03)


def test_the_pairwise_bound_of_four_views_through_xi(draws: list[list[torch.Tensor]]) -> None:
    """Lower than 1.532, since xi is not tight on Gaussians."""
    divergence, _ = mean_and_error(lambda views: mean_over_pairs(views, lambda a, b: jsd(best_scores(a, [b]))), draws)
    assert float(xi(torch.tensor(divergence))) * (VIEWS - 1) == pytest.approx(1.229, rel=0.03)


@ESTIMATORS
@pytest.mark.parametrize("centre", range(VIEWS))
def test_a_star_of_four_views_is_under_the_total_correlation(
    estimator, centre: int, draws: list[list[torch.Tensor]]
) -> None:
    value, error = mean_and_error(
        lambda views: star_bound(views, lambda a, b: estimator(best_scores(a, [b])), centre), draws
    )
    assert value == pytest.approx((VIEWS - 1) * PAIR, abs=3 * error)
    assert value <= total_correlation(VIEWS)


@ESTIMATORS
def test_one_vs_rest_of_four_views_encloses_the_total_correlation(estimator, draws: list[list[torch.Tensor]]) -> None:
    value, error = mean_and_error(
        lambda views: one_vs_rest(views, lambda view, others: estimator(best_scores(view, others))), draws
    )
    assert value == pytest.approx(VIEWS * ONE_VS_REST, abs=3 * error)
    assert total_correlation(VIEWS) <= value <= VIEWS * total_correlation(VIEWS)
