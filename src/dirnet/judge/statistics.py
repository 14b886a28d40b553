"""How sure a difference is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dirnet.errors import DirnetError

_DRAWS_AT_ONCE = 1 << 20


def paired_interval(
    a: Sequence[float], b: Sequence[float], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Lower and upper end of the interval of mean(a - b) by the paired percentile bootstrap (Efron, 1979).

    a, b: one figure a picture, in the same order, at least two, all finite; the result is in their unit.
    The draw depends on `seed` and on the number of pairs alone. Raises DirnetError for figures that make no pairs.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape or len(left) < 2:
        wanted = "two lists of one length, at least two figures each"
        raise DirnetError("No interval for these figures", got=f"{left.shape} and {right.shape}", wanted=wanted)
    difference = left - right
    if not np.isfinite(difference).all():
        raise DirnetError("No interval for these figures", got="figures that are not finite", wanted="finite ones")
    random = np.random.default_rng(seed)
    pairs = len(difference)
    rows = max(1, _DRAWS_AT_ONCE // pairs)  # bounds the memory; the stream of draws is the same for any number of rows
    means = [
        difference[random.integers(pairs, size=(min(rows, resamples - done), pairs))].mean(axis=1)
        for done in range(0, resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def shares(gained: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Figures whose mean is the ratio of two means, and whose spread is its own: what each of them adds to it.

    gained, wanted: tables of one shape, such as (seeds, pictures). The ratio to the first order (the delta method), so
    that the intervals of means fit it; rough where the mean of wanted is hardly apart from 0.
    """
    share = gained.mean() / wanted.mean()
    return share + (gained - share * wanted) / wanted.mean()


def redraws(pictures: int, *, resamples: int = 200, seed: int = 0) -> np.ndarray:
    """Which pictures each resample of the bootstrap draws: (resamples, pictures) numbers, by these arguments alone.

    For figures that are no mean over pictures, such as average precision: two that were both computed over each of
    these draws are paired, whoever computed them.
    """
    return np.random.default_rng(seed).integers(pictures, size=(resamples, pictures))


def redrawn_interval(a: Sequence[float], b: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """As `paired_interval`, of the difference of two figures that were computed over each of the same `redraws`."""
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    low, high = np.quantile(difference, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def crossed_interval(
    differences: Sequence[Sequence[float]], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """The interval of the mean of differences (seeds, pictures), by a bootstrap that draws seeds and pictures anew.

    What is claimed of a method is claimed of other seeds and other pictures alike (Owen, 2007, the pigeonhole
    bootstrap). At least two seeds and two pictures, all finite; else DirnetError. With few seeds it is rough.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        wanted = "finite figures of two seeds and two pictures at least"
        raise DirnetError("No interval for these figures", got=f"a table of shape {table.shape}", wanted=wanted)
    random = np.random.default_rng(seed)
    seeds, pictures = table.shape
    means = [
        table[np.ix_(random.integers(seeds, size=seeds), random.integers(pictures, size=pictures))].mean()
        for _ in range(resamples)
    ]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
