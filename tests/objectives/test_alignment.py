from __future__ import annotations

import pytest
import torch

from dirnet.objectives.alignment import alignment


@pytest.fixture
def reference() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8)


def test_it_is_zero_for_the_reference_itself_and_more_for_anything_else(reference: torch.Tensor) -> None:
    assert alignment(reference, reference) == 0
    for _ in range(5):
        assert alignment(reference + 0.01 * torch.randn_like(reference), reference) > 0.005


def test_a_constant_shift_counts_in_the_difference_and_in_the_mean(reference: torch.Tensor) -> None:
    torch.testing.assert_close(alignment(reference + 0.3, reference), torch.tensor(2 * 0.3))


def test_a_wrong_spread_counts_beside_the_difference(reference: torch.Tensor) -> None:
    centred = reference - reference.mean((2, 3), keepdim=True)
    expected = 0.5 * centred.abs().mean() + 0.5 * centred.std((2, 3)).mean()
    torch.testing.assert_close(alignment(1.5 * centred, centred), expected)


def test_the_same_values_in_other_places_count_in_the_difference_alone(reference: torch.Tensor) -> None:
    moved = reference.roll(3, 2)
    torch.testing.assert_close(alignment(moved, reference), (moved - reference).abs().mean())


def test_no_gradient_flows_into_the_reference(reference: torch.Tensor) -> None:
    refined = (reference + 0.1).requires_grad_()
    target = reference.clone().requires_grad_()
    alignment(refined, target).backward()
    assert target.grad is None
    assert refined.grad is not None


def test_descent_brings_them_together(reference: torch.Tensor) -> None:
    refined = torch.zeros_like(reference, requires_grad=True)
    optimizer = torch.optim.Adam([refined], lr=0.1)
    before = float(alignment(refined, reference).detach())
    for _ in range(60):
        optimizer.zero_grad()
        alignment(refined, reference).backward()
        optimizer.step()
    assert alignment(refined, reference) < 0.1 * before
