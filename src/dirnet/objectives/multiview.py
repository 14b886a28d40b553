"""Information that many views share: pairwise, star and one-vs-rest forms of their total correlation.

Total correlation is TC = KL(p(r_1, ..., r_n) || prod p(r_i)); the inequalities are proposition 2 of docs/theory.md.
The measures handed over are estimators of mutual information in nats (`information`), already given their critic.
"""

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
    """Pairwise: TC >= (2 / n) sum_{i < j} I(r_i ; r_j), the mean of `star_bound` over its centres."""
    n = len(views)
    return mean_over_pairs(views, information) * (n - 1)


def star_bound(views: Sequence[View], information: Callable[[View, View], torch.Tensor], centre: int) -> torch.Tensor:
    """Star: TC >= sum_{j != i} I(r_i ; r_j), where i is the number of the centre."""
    return torch.stack([information(views[centre], view) for view in _others(views, centre)]).sum()


def one_vs_rest(views: Sequence[View], information: Callable[[View, Sequence[View]], torch.Tensor]) -> torch.Tensor:
    """One against the rest: TC <= sum_i I(r_i ; r_-i) <= n TC; information(view, others) sees the others jointly.

    A lower bound on each summand, as every estimator gives, leaves the second half alone: TC >= this / n.
    """
    return torch.stack([information(view, _others(views, i)) for i, view in enumerate(views)]).sum()


def _others(views: Sequence[View], i: int) -> list[View]:
    return [view for j, view in enumerate(views) if j != i]
