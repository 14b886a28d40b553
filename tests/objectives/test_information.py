from __future__ import annotations

import math

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


def estimates(estimator, dimensions: int, rho: float) -> tuple[float, float]:
    """Mean over 12 draws of 800 pairs, and its standard error."""
    draws = [correlated(800, dimensions, rho) for _ in range(12)]
    values = torch.stack([estimator(log_density_ratio(*draw, rho)) for draw in draws])
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))


GAUSSIANS = [(1, 0.3), (1, 0.8), (3, 0.5)]


@pytest.mark.parametrize(("dimensions", "rho"), GAUSSIANS)
@pytest.mark.parametrize(
    "estimator", [donsker_varadhan, lambda scores: nwj(scores + 1)], ids=["donsker_varadhan", "nwj"]
)
def test_with_the_best_critic_the_bound_is_the_information(estimator, dimensions: int, rho: float) -> None:
    value, error = estimates(estimator, dimensions, rho)
    assert value == pytest.approx(information(dimensions, rho), abs=3 * error + 0.005)


@pytest.mark.parametrize(("dimensions", "rho"), [*GAUSSIANS, (1, 0.95)])
def test_the_divergence_in_nats_lies_between_half_the_information_and_all_of_it(dimensions: int, rho: float) -> None:
    value, error = estimates(jsd_in_nats, dimensions, rho)
    assert information(dimensions, rho) / 2 - 3 * error <= value <= information(dimensions, rho) + 3 * error


@pytest.mark.parametrize(("dimensions", "rho"), [*GAUSSIANS, (20, 0.9)])
def test_infonce_exceeds_neither_the_information_nor_log_n(dimensions: int, rho: float) -> None:
    a, b = correlated(64, dimensions, rho)
    scores = log_density_ratio(a, b, rho)
    positives = scores.diagonal()
    assert infonce(scores) <= math.log(64)
    assert infonce(scores) <= information(dimensions, rho) + 3 * float(positives.std()) / 8


def test_infonce_is_a_cross_entropy() -> None:
    scores = torch.randn(9, 9)
    assert float(infonce(scores)) == pytest.approx(math.log(9) - float(F.cross_entropy(scores, torch.arange(9))))
    assert float(infonce(1e4 * torch.eye(9))) == pytest.approx(math.log(9))


def test_a_critic_that_knows_nothing_finds_nothing() -> None:
    zeros = torch.zeros(50, 50)
    assert LN2 - float(jsd(zeros)) == pytest.approx(LN2)
    for estimator in (donsker_varadhan, infonce, jsd_in_nats, lambda scores: nwj(scores + 1)):
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


def test_xi_is_the_inverse_of_the_two_point_divergence() -> None:
    nats = torch.linspace(0, 12, 241, dtype=torch.float64)
    divergence = divergence_of_two_points(nats)
    assert (divergence.diff() > 0).all()
    torch.testing.assert_close(xi(divergence), nats, atol=1e-6, rtol=1e-6)
    assert float(xi(torch.tensor(0.0))) == pytest.approx(0, abs=1e-9)
    assert float(divergence[0]) == 0


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


def test_xi_is_monotone_finite_and_above_its_linear_corollary() -> None:
    divergence = torch.linspace(-0.1, 0.8, 500, dtype=torch.float64)
    nats = xi(divergence)
    assert nats.isfinite().all()
    assert (nats.diff() >= 0).all()
    inside = (divergence > 0) & (divergence < LN2)
    assert (nats.diff()[inside[1:] & inside[:-1]] > 0).all()
    assert (nats[inside] >= 2 / LN2 * divergence[inside]).all()
    assert nats[divergence <= 0].max() < 1e-9


@pytest.mark.parametrize("estimator", [jsd, donsker_varadhan, infonce, nwj])
def test_gradients_push_positives_up_and_negatives_down(estimator) -> None:
    scores = torch.randn(8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(estimator(scores), scores)
    other = ~torch.eye(8, dtype=torch.bool)
    assert (gradient.diagonal() > 0).all()
    assert (gradient[other] < 0).all()
