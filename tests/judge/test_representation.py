from __future__ import annotations

import math

import pytest
import torch

from dirnet.judge import representation
from dirnet.judge.representation import (
    effective_rank,
    feature_std,
    nats,
    pair_cross_entropy,
    patch_r1,
    standardised,
)


def frame(rows: int, d: int) -> torch.Tensor:
    """Orthonormal columns (rows, d) of mean 0."""
    ones = torch.ones(rows, 1, dtype=torch.float64)
    return torch.linalg.qr(torch.cat((ones, torch.randn(rows, d, dtype=torch.float64)), 1))[0][:, 1:]


def test_rank_is_that_of_closed_forms() -> None:
    assert effective_rank(frame(200, 7)) == pytest.approx(7)
    one = torch.randn(200, 1) @ torch.randn(1, 7)
    assert effective_rank(one) == pytest.approx(1, abs=1e-3)
    assert effective_rank(one + 100) == pytest.approx(1, abs=1e-3)  # where they lie does not matter
    assert effective_rank(torch.full((50, 7), 3.0)) == 0
    values = torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    share = values / values.sum()
    assert effective_rank(frame(100, 4) * values) == pytest.approx(float(torch.exp(-(share * share.log()).sum())))


def test_spread_is_the_mean_over_channels() -> None:
    features = torch.randn(100_000, 2) * torch.tensor([1.0, 3.0]) + 5
    assert feature_std(features) == pytest.approx(2, rel=0.02)
    assert feature_std(torch.ones(10, 3)) == 0


def test_standardised_patches_have_the_spread_of_their_cells() -> None:
    cells = torch.randn(5000, 3) * torch.tensor([1.0, 10.0, 0.1]) + 4
    done = standardised(cells.repeat(1, 9), cells)
    assert torch.allclose(done.mean(0), torch.zeros(27), atol=1e-4)
    assert torch.allclose(done.std(0, correction=0), torch.ones(27), atol=1e-4)
    assert torch.equal(standardised(torch.ones(4, 3), torch.ones(9, 3)), torch.zeros(4, 3))


def test_the_same_features_are_found_and_noise_is_found_by_chance() -> None:
    gallery = torch.randn(400, 256, 12)
    assert patch_r1(gallery[:, 0], gallery).mean() == 1
    by_chance = patch_r1(torch.randn(2000, 12), torch.randn(2000, 256, 12)).mean()
    assert float(by_chance) == pytest.approx(1 / 256, abs=4 * math.sqrt(1 / 256 / 2000))


def test_features_that_are_all_the_same_find_nothing() -> None:
    assert patch_r1(torch.ones(8, 5), torch.ones(8, 256, 5)).sum() == 0
    assert patch_r1(torch.zeros(8, 5), torch.zeros(8, 256, 5)).sum() == 0


def pairs(correlation: float, scenes: int = 24, places: int = 48, d: int = 4) -> torch.Tensor:
    """Two views (S, 2, P, d), Gaussian, each of their d numbers correlated by so much."""
    shared, a, b = torch.randn(3, scenes, places, d)
    common, own = math.sqrt(correlation), math.sqrt(1 - correlation)
    return torch.stack((common * shared + own * a, common * shared + own * b), 1)


def test_independent_views_share_nothing() -> None:
    entropy = pair_cross_entropy(pairs(0.0), seed=0)
    value, low, high = nats(entropy)
    assert low <= value <= high
    assert value < 0.02
    assert float(entropy.mean()) == pytest.approx(math.log(2), abs=0.03)


def test_correlated_views_share_something_and_no_more_than_there_is() -> None:
    truth = -4 / 2 * math.log(1 - 0.8**2)
    value, low, high = nats(pair_cross_entropy(pairs(0.8), seed=0))
    assert 0.3 * truth < low < value < high
    assert value < truth


def test_the_measurement_is_repeatable_and_leaves_the_generator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(representation, "STEPS", 10)
    views = pairs(0.5, scenes=4, places=16)
    torch.manual_seed(5)
    first = pair_cross_entropy(views, seed=1)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    assert torch.equal(first, pair_cross_entropy(views, seed=1))
    assert not torch.equal(first, pair_cross_entropy(views, seed=2))
