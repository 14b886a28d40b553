"""Mutual information from a critic's scores.

Every estimator takes scores (N, N) of all pairs, positives on the diagonal, and gives a lower bound on the mutual
information in nats; `jsd` gives the Jensen-Shannon divergence, and `jsd_in_nats` turns it into such a bound.
Nats may only be read off held-out scores whose negatives come from other scenes (docs/theory.md, section 5).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def jsd(scores: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Lower bound on JSD(J || M) = log 2 + E_J[log sigmoid T] / 2 + E_M[log sigmoid -T] / 2; at most log 2.

    weights (N, N): how much each negative counts, the diagonal is passed over; equal where None.
    Nowozin et al., f-GAN, 2016; equality at T = log J/M. log 2 minus this is the binary cross entropy.
    """
    joint = F.logsigmoid(scores.diagonal()).mean()
    product = _mean_over_negatives(F.logsigmoid(-scores), weights)
    return math.log(2) + (joint + product) / 2


def donsker_varadhan(scores: torch.Tensor) -> torch.Tensor:
    """E_J[T] - log E_M[exp T] (Donsker and Varadhan, 1983; Belghazi et al., MINE, 2018)."""
    n = len(scores)
    negatives = scores.masked_fill(torch.eye(n, dtype=torch.bool, device=scores.device), -math.inf)
    return scores.diagonal().mean() - (torch.logsumexp(negatives.flatten(), 0) - math.log(n * (n - 1)))


def infonce(scores: torch.Tensor) -> torch.Tensor:
    """E[log softmax over the row at the positive] + log N (van den Oord et al., 2018); at most log N."""
    return (scores.diagonal() - torch.logsumexp(scores, 1)).mean() + math.log(len(scores))


def nwj(scores: torch.Tensor) -> torch.Tensor:
    """E_J[T] - E_M[exp(T - 1)] (Nguyen, Wainwright and Jordan, 2010)."""
    return scores.diagonal().mean() - _mean_over_negatives((scores - 1).exp(), None)


def jsd_in_nats(scores: torch.Tensor) -> torch.Tensor:
    """The bound on mutual information that the Jensen-Shannon divergence gives through `xi`."""
    return xi(jsd(scores))


def xi(divergence: torch.Tensor) -> torch.Tensor:
    """Lower bound on KL(J || M) in nats from JSD(J || M): Dorent, Golland and Wells, arXiv 2510.20644.

    The inverse of y -> log 2 - [(1 + e^-y) log(1 + e^-y) + y e^-y] / 2, by bisection in float64. Strictly increasing;
    0 at 0, without bound as the divergence nears log 2 (there an interval belongs beside it). Not differentiable.
    """
    target = divergence.detach().double().clamp(0, math.log(2) * (1 - 1e-12))
    low, high = torch.zeros_like(target), torch.full_like(target, 64.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = divergence_of_two_points(middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def divergence_of_two_points(nats: torch.Tensor) -> torch.Tensor:
    """The Jensen-Shannon divergence of the two-point distributions that attain the bound of `xi`."""
    e = (-nats).exp()
    return math.log(2) - ((1 + e) * torch.log1p(e) + nats * e) / 2


def _mean_over_negatives(values: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    off_diagonal = ~torch.eye(len(values), dtype=torch.bool, device=values.device)
    weights = off_diagonal.to(values) if weights is None else weights * off_diagonal
    return (values * weights).sum() / weights.sum()
