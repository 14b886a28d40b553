"""Information that many views share, from pairs of views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

import torch

View = TypeVar("View")


def mean_over_pairs(views: Sequence[View], measure: Callable[[View, View], torch.Tensor]) -> torch.Tensor:
    """Mean of measure(a, b) over all pairs of views. What stage 1 maximises."""
    return torch.stack([measure(a, b) for a, b in combinations(views, 2)]).mean()


def total_correlation_bound(views: Sequence[View], information: Callable[[View, View], torch.Tensor]) -> torch.Tensor:
    """Lower bound on the total correlation of n views in nats: (2 / n) times the sum over pairs of their information.

    The mean over centres of the star bound TC >= sum_j I(r_i; r_j) (design/method.md, proposition 2).
    """
    n = len(views)
    return mean_over_pairs(views, information) * (n - 1)
