from __future__ import annotations

import numpy as np
import pytest

from dirnet.errors import DirnetError
from dirnet.judge import statistics
from dirnet.judge.statistics import crossed_interval, paired_interval, redrawn_interval, redraws, shares


def figures(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    before = random.normal(25, 4, n)
    return before + random.gamma(2.0, 1.0, n), before


def test_it_agrees_with_the_bootstrap_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = figures(60)
    theirs = stats.bootstrap(
        (a, b), lambda x, y, axis=-1: (x - y).mean(axis=axis), paired=True, vectorized=True, n_resamples=20_000,
        method="percentile", rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    assert paired_interval(a, b, resamples=20_000) == pytest.approx((theirs.low, theirs.high), abs=0.02)


@pytest.mark.parametrize(("level", "z"), [(0.95, 1.959964), (0.8, 1.281552)])
def test_for_many_normal_differences_it_is_the_closed_form(level: float, z: float) -> None:
    a = np.random.default_rng(3).normal(2.0, 3.0, 2000)
    half = z * a.std() / np.sqrt(len(a))
    low, high = paired_interval(a, np.zeros_like(a), resamples=8000, level=level)
    assert (low, high) == pytest.approx((a.mean() - half, a.mean() + half), abs=half * 0.06)


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    zeros = np.zeros(40)
    hits = sum(
        low <= 1.0 <= high
        for low, high in (paired_interval(random.normal(1, 2, 40), zeros, resamples=400) for _ in range(300))
    )
    assert 0.89 <= hits / 300 <= 0.98


def test_what_is_common_to_a_pair_does_not_widen_it() -> None:
    common = np.random.default_rng(2).normal(0, 100, 30)
    assert paired_interval(common + 1.5, common) == pytest.approx((1.5, 1.5))


def test_swapping_the_sides_turns_the_interval_round() -> None:
    a, b = figures(25)
    low, high = paired_interval(a, b)
    assert paired_interval(b, a) == pytest.approx((-high, -low))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    a, b = figures(25)
    assert paired_interval(a, b) == paired_interval(a, b)
    assert paired_interval(a, b) != paired_interval(a, b, seed=1)


def test_the_memory_bound_does_not_change_the_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = figures(25)
    whole = paired_interval(a, b)
    monkeypatch.setattr(statistics, "_DRAWS_AT_ONCE", 25 * 7)
    assert paired_interval(a, b) == whole


@pytest.mark.parametrize(("a", "b"), [([1.0, 2.0], [1.0]), ([], []), ([1.0], [2.0]), ([1.0, float("nan")], [1.0, 2.0])])
def test_what_makes_no_pairs_is_a_sentence(a: list[float], b: list[float]) -> None:
    with pytest.raises(DirnetError, match="No interval"):
        paired_interval(a, b)


def test_over_seeds_and_pictures_it_covers_the_truth() -> None:
    """Seeds and pictures both have effects of their own; an interval over pictures alone misses far more often."""
    random = np.random.default_rng(7)
    crossed = alone = 0
    for _ in range(150):
        table = 1.0 + random.normal(0, 1, (8, 1)) + random.normal(0, 1, (1, 30)) + random.normal(0, 1, (8, 30))
        low, high = crossed_interval(table, resamples=300)
        crossed += low <= 1.0 <= high
        low, high = paired_interval(table[0], np.zeros(30), resamples=300)
        alone += low <= 1.0 <= high
    assert crossed >= 130
    assert alone < 100


def test_over_equal_seeds_it_is_wider_only_by_the_pictures() -> None:
    a, b = figures(40)
    low, high = crossed_interval([a - b] * 3, resamples=4000)
    assert (low, high) == pytest.approx(paired_interval(a, b, resamples=4000), abs=0.05)


@pytest.mark.parametrize("table", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, float("nan")], [1.0, 2.0]], [1.0, 2.0]])
def test_a_table_that_is_too_small_or_not_finite_is_a_sentence(table: list) -> None:
    with pytest.raises(DirnetError, match="two seeds and two pictures"):
        crossed_interval(table)


def test_a_mean_over_redraws_has_the_interval_of_the_paired_bootstrap() -> None:
    a, b = figures(30)
    drawn = redraws(30, resamples=4000)
    assert drawn.shape == (4000, 30)
    assert (drawn.min(), drawn.max()) == (0, 29)
    interval = redrawn_interval(a[drawn].mean(1), b[drawn].mean(1))
    assert interval == pytest.approx(paired_interval(a, b, resamples=4000, seed=1), abs=0.05)
    assert np.array_equal(redraws(30), redraws(30))


def test_a_share_is_the_ratio_of_means_and_its_interval_that_of_resampled_ratios() -> None:
    random = np.random.default_rng(3)
    wanted = random.normal(1.0, 0.2, 60)
    gained = 0.4 * wanted + random.normal(0, 0.3, 60)
    found = shares(gained, wanted)
    assert found.mean() == pytest.approx(gained.mean() / wanted.mean())
    drawn = random.integers(60, size=(4000, 60))
    oracle = np.quantile(gained[drawn].mean(1) / wanted[drawn].mean(1), [0.025, 0.975])
    assert paired_interval(found, np.zeros(60), resamples=4000) == pytest.approx(oracle, abs=0.02)
