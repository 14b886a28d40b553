from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dirnet.objectives.information import (
    divergence_of_two_points,
    donsker_varadhan,
    infonce,
    jsd,
    jsd_in_nats,
    nwj,
    xi,
)

LN2 = math.log(2)
Estimator = Callable[[torch.Tensor], torch.Tensor]


def correlated(n: int, dimensions: int, rho: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of standard normal vectors whose coordinates correlate by rho."""
    a = torch.randn(n, dimensions)
    return a, rho * a + math.sqrt(1 - rho**2) * torch.randn(n, dimensions)


def log_density_ratio(a: torch.Tensor, b: torch.Tensor, rho: float) -> torch.Tensor:
    """log p(a, b) / p(a) p(b) of all pairs of `correlated`: the best critic there is."""
    square = a.square().sum(1)[:, None] + b.square().sum(1)
    rest = 1 - rho**2
    return (2 * rho * a @ b.T - rho**2 * square) / (2 * rest) - a.shape[1] * math.log(rest) / 2


def information(dimensions: int, rho: float) -> float:
    return -dimensions * math.log(1 - rho**2) / 2


def mean_and_error(values: list[torch.Tensor]) -> tuple[float, float]:
    """Mean over draws, and its standard error."""
    return float(torch.stack(values).mean()), float(torch.stack(values).std()) / math.sqrt(len(values))


def estimates(estimator: Estimator, dimensions: int, rho: float) -> tuple[float, float]:
    """By the best critic, from 24 draws of 400 pairs."""
    draws = [correlated(400, dimensions, rho) for _ in range(24)]
    return mean_and_error([estimator(log_density_ratio(*draw, rho)) for draw in draws])


def nwj_of_log_ratio(scores: torch.Tensor) -> torch.Tensor:
    """NWJ's best critic is 1 + log J/M."""
    return nwj(scores + 1)


ESTIMATORS = (donsker_varadhan, nwj_of_log_ratio, infonce, jsd_in_nats)
GAUSSIANS = [(dimensions, rho) for dimensions in (1, 2, 3, 4) for rho in (0.3, 0.6, 0.8)]


# The best critic: log J/M of Gaussians, whose information is known


@pytest.mark.parametrize(("dimensions", "rho"), GAUSSIANS)
@pytest.mark.parametrize("estimator", [donsker_varadhan, nwj_of_log_ratio])
def test_with_the_best_critic_the_bound_is_the_information(estimator: Estimator, dimensions: int, rho: float) -> None:
    value, error = estimates(estimator, dimensions, rho)
    assert value == pytest.approx(information(dimensions, rho), abs=3 * error)


@pytest.mark.parametrize(("dimensions", "rho"), [*GAUSSIANS, (1, 0.95)])
def test_the_divergence_in_nats_lies_between_half_the_information_and_all_of_it(dimensions: int, rho: float) -> None:
    value, error = estimates(jsd_in_nats, dimensions, rho)
    assert information(dimensions, rho) / 2 - 3 * error <= value <= information(dimensions, rho) + 3 * error


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8, 0.95])
def test_with_the_best_critic_the_divergence_is_what_quadrature_says(rho: float) -> None:
    """Of the two densities, on a grid from -8 to 8."""
    step = 0.02
    line = torch.arange(-8, 8, step, dtype=torch.float64)[:, None]
    density = (-line.square() / 2).exp() / math.sqrt(2 * math.pi)
    product = density * density.T
    ratio = log_density_ratio(line, line, rho)
    joint = product * ratio.exp()
    halves = joint * F.logsigmoid(ratio) + product * F.logsigmoid(-ratio)
    value, error = estimates(jsd, 1, rho)
    assert value == pytest.approx(LN2 + float(halves.sum()) * step**2 / 2, abs=3 * error)


@pytest.mark.parametrize(("dimensions", "rho"), [*GAUSSIANS, (20, 0.9)])
def test_infonce_exceeds_neither_the_information_nor_log_n(dimensions: int, rho: float) -> None:
    draws = [log_density_ratio(*correlated(64, dimensions, rho), rho) for _ in range(100)]
    value, error = mean_and_error([infonce(scores) for scores in draws])
    assert max(float(infonce(scores)) for scores in draws) <= math.log(64) + 1e-6
    assert value <= information(dimensions, rho) + 3 * error
    if information(dimensions, rho) < 1:  # far from log 64 the bound is near
        assert value >= 0.85 * information(dimensions, rho) - 3 * error


# A learned critic, on pairs that it has not seen


class Embeddings(nn.Module):
    """A critic of two small networks: scores are the dot products of what they make of the two views.

    Its scores are bounded: one that is far too high, far from all that was learned from, would outweigh all others
    in the exponentials of Donsker-Varadhan and NWJ.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Sequential(nn.Linear(dimensions, 48), nn.Tanh(), nn.Linear(48, 12)) for _ in range(2)
        )

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        first, second = self.first(a), self.second(b)
        return first[:, :10] @ second[:, :10].T + first[:, 10:11] + second[:, 10:11].T


Pairs = tuple[torch.Tensor, torch.Tensor]


def learned(critic: nn.Module, steps: int, pairs: Callable[[], Pairs]) -> nn.Module:
    """The critic after ascent on the divergence, which leads it to log J/M."""
    optimizer = torch.optim.Adam(critic.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (-jsd(critic(*pairs()))).backward()
        optimizer.step()
    return critic.requires_grad_(False)


LEARNED = [(1, 0.5), (1, 0.8), (2, 0.7), (4, 0.6)]


@cache
def learned_critic(dimensions: int, rho: float) -> nn.Module:
    torch.manual_seed(2)
    return learned(Embeddings(dimensions), 250, lambda: correlated(128, dimensions, rho))


@cache
def learned_estimates(estimator: Estimator, dimensions: int, rho: float) -> tuple[float, float]:
    critic = learned_critic(dimensions, rho)
    torch.manual_seed(3)
    return mean_and_error([estimator(critic(*correlated(500, dimensions, rho))) for _ in range(12)])


@pytest.mark.parametrize(("dimensions", "rho"), LEARNED)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_learned_critic_finds_no_more_than_there_is(estimator: Estimator, dimensions: int, rho: float) -> None:
    value, error = learned_estimates(estimator, dimensions, rho)
    assert value <= information(dimensions, rho) + 3 * error


@pytest.mark.parametrize(("dimensions", "rho"), LEARNED)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_learned_critic_finds_most_of_what_there_is(estimator: Estimator, dimensions: int, rho: float) -> None:
    value, _ = learned_estimates(estimator, dimensions, rho)
    share = 0.5 if estimator is jsd_in_nats else 0.75  # xi is not tight on Gaussians
    assert value >= share * information(dimensions, rho)


def test_of_independent_views_a_learned_critic_has_a_cross_entropy_of_ln_2() -> None:
    critic = learned(Embeddings(2), 150, lambda: correlated(128, 2, 0.0))
    value, error = mean_and_error([jsd(critic(*correlated(500, 2, 0.0))) for _ in range(12)])
    assert LN2 - value == pytest.approx(LN2, abs=0.005)
    assert value <= 3 * error


def test_on_pairs_that_a_critic_has_seen_its_scores_mean_nothing() -> None:
    """Learned by heart, 24 independent pairs seem to share much; others do not."""
    seen = correlated(24, 8, 0.0)
    critic = learned(Embeddings(8), 150, lambda: seen)
    assert jsd_in_nats(critic(*seen)) > 1
    for estimator in ESTIMATORS:
        assert estimator(critic(*correlated(500, 8, 0.0))) < 0.02


# What each estimator is


def test_infonce_is_a_cross_entropy() -> None:
    scores = torch.randn(9, 9)
    assert float(infonce(scores)) == pytest.approx(math.log(9) - float(F.cross_entropy(scores, torch.arange(9))))
    assert float(infonce(1e4 * torch.eye(9))) == pytest.approx(math.log(9))


def test_a_critic_that_knows_nothing_finds_nothing() -> None:
    zeros = torch.zeros(50, 50)
    assert LN2 - float(jsd(zeros)) == pytest.approx(LN2)
    for estimator in ESTIMATORS:
        assert float(estimator(zeros)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("estimator", [donsker_varadhan, infonce])
def test_a_constant_in_the_scores_means_nothing(estimator) -> None:
    scores = torch.randn(20, 20)
    torch.testing.assert_close(estimator(scores + 7), estimator(scores), atol=1e-5, rtol=0)


def test_donsker_varadhan_is_above_nwj_for_any_critic() -> None:
    for _ in range(10):
        scores = 2 * torch.randn(30, 30)
        assert donsker_varadhan(scores) >= nwj(scores)


def test_on_independent_pairs_no_critic_finds_much() -> None:
    """A wrong critic's values are no more than chance above 0."""
    a, b = correlated(2000, 2, 0.0)
    scores = log_density_ratio(a, b, 0.6)
    for estimator in (donsker_varadhan, infonce, jsd):
        assert estimator(scores) < 0.02


def test_the_divergence_is_log_2_less_binary_cross_entropy() -> None:
    scores = 2 * torch.randn(12, 12)
    other = ~torch.eye(12, dtype=torch.bool)
    bce = nn.BCEWithLogitsLoss()
    halves = bce(scores.diagonal(), torch.ones(12)) + bce(scores[other], torch.zeros(132))
    torch.testing.assert_close(jsd(scores), LN2 - halves / 2)
    assert jsd(100 * (2 * torch.eye(12) - 1)) == pytest.approx(LN2)


def test_weights_say_how_much_each_negative_counts() -> None:
    scores = torch.randn(6, 6)
    weights = torch.rand(6, 6)
    torch.testing.assert_close(jsd(scores, torch.full((6, 6), 3.0)), jsd(scores))
    torch.testing.assert_close(jsd(scores, 5 * weights + 5 * torch.eye(6)), jsd(scores, weights))  # no diagonal
    only = torch.zeros(6, 6)
    only[1, 4] = 2.0
    expected = LN2 + (F.logsigmoid(scores.diagonal()).mean() + F.logsigmoid(-scores[1, 4])) / 2
    torch.testing.assert_close(jsd(scores, only), expected)


def test_the_best_critic_is_found_by_ascent_on_the_divergence() -> None:
    """One scalar pair, a quadratic critic, whose best coefficients are known."""
    rho = 0.8
    a, b = (x.double() for x in correlated(600, 1, rho))
    features = torch.stack((a @ b.T, a.square() + b.square().T, torch.ones(600, 600, dtype=torch.float64)))
    coefficients = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=30, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -jsd(torch.einsum("k,kij->ij", coefficients, features))
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    rest = 1 - rho**2
    best = [rho / rest, -(rho**2) / (2 * rest), -math.log(rest) / 2]
    assert coefficients.tolist() == pytest.approx(best, rel=0.25)


# Xi


def test_xi_is_the_inverse_of_the_two_point_divergence() -> None:
    nats = torch.linspace(0, 12, 1201, dtype=torch.float64)
    divergence = divergence_of_two_points(nats)
    assert float(divergence[0]) == 0
    assert (divergence.diff() > 0).all()
    torch.testing.assert_close(xi(divergence), nats, atol=1e-9, rtol=0)


def test_xi_is_0_at_0_increasing_and_convex() -> None:
    nats = xi(torch.linspace(0, 0.99 * LN2, 1000, dtype=torch.float64))
    assert float(nats[0]) == pytest.approx(0, abs=1e-12)
    slope = nats.diff()
    assert (slope > 0).all()
    assert (slope.diff() > 0).all()
    assert float(slope[0]) * 999 / (0.99 * LN2) == pytest.approx(2 / LN2, rel=1e-3)


def test_the_two_point_divergence_is_one() -> None:
    """J = (1 - t, t) against M = (1, 0)-like pairs: KL is y and JSD is the closed form, at every y."""
    for nats in (0.1, 1.0, 3.0):
        m = math.exp(-nats)  # J sits on one point; M gives that point e^-y, so that KL(J || M) = y
        middle = (1 + m) / 2
        jensen_shannon = (-math.log(middle) + m * math.log(m / middle) + (1 - m) * LN2) / 2
        value = divergence_of_two_points(torch.tensor(nats, dtype=torch.float64))
        assert float(value) == pytest.approx(jensen_shannon, rel=1e-12)


def test_xi_is_under_the_divergence_of_any_two_distributions() -> None:
    """xi(JSD) <= KL, on 500 random pairs of distributions over five points."""
    j, m = torch.randn(2, 500, 5, dtype=torch.float64).mul(3).softmax(2)
    middle = (j + m) / 2

    def kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return (p * (p / q).log()).sum(1)

    assert (xi((kl(j, middle) + kl(m, middle)) / 2) <= kl(j, m) + 1e-9).all()


def test_xi_is_above_its_linear_corollary_and_finite_beyond_its_range() -> None:
    divergence = torch.linspace(-0.1, 0.8, 500, dtype=torch.float64)
    nats = xi(divergence)
    assert nats.isfinite().all()
    assert (nats.diff() >= 0).all()
    inside = (divergence > 0) & (divergence < LN2)
    assert (nats[inside] >= 2 / LN2 * divergence[inside]).all()
    assert nats[divergence <= 0].max() < 1e-9


@pytest.mark.parametrize("estimator", [jsd, donsker_varadhan, infonce, nwj])
def test_gradients_push_positives_up_and_negatives_down(estimator) -> None:
    scores = torch.randn(8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(estimator(scores), scores)
    other = ~torch.eye(8, dtype=torch.bool)
    assert (gradient.diagonal() > 0).all()
    assert (gradient[other] < 0).all()
