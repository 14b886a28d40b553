from __future__ import annotations

import pytest
import torch

from dirnet.objectives.independence import hsic, invariance, standardise, variance_hinge


def kernel(x: torch.Tensor) -> torch.Tensor:
    """Gaussian kernel of the median distance, centred by the textbook matrix H = I - 1/n."""
    n = len(x)
    squared = torch.cdist(x.double(), x.double()).square()
    width = squared[~torch.eye(n, dtype=torch.bool)].median()
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    return centre @ torch.exp(-squared / width) @ centre


def test_hsic_is_its_textbook_formula() -> None:
    a, b = torch.randn(30, 3), torch.randn(30, 2)
    b[:, 0] += a[:, 1]
    ka, kb = kernel(a), kernel(b)
    expected = torch.trace(ka @ kb) / (torch.trace(ka @ ka) * torch.trace(kb @ kb)).sqrt()
    torch.testing.assert_close(hsic(a, b).double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(hsic(a, b), hsic(b, a))


def test_hsic_of_the_same_is_1_whatever_the_scale() -> None:
    a = torch.randn(40, 3)
    assert float(hsic(a, a)) == pytest.approx(1, abs=1e-5)
    assert float(hsic(a, 50 * a - 3)) == pytest.approx(1, abs=1e-4)
    b = torch.randn(40, 2) + a[:, :2]
    assert float(hsic(0.01 * a, 100 * b)) == pytest.approx(float(hsic(a, b)), abs=1e-4)


def test_hsic_of_the_independent_is_near_0_and_of_the_dependent_is_not() -> None:
    a = torch.randn(600, 1)
    assert hsic(a, torch.randn(600, 1)) < 0.02
    assert hsic(a, a.square()) > 0.1  # no correlation, and yet
    assert hsic(a, a + torch.randn(600, 1)) > 0.1


def test_hsic_falls_by_descent() -> None:
    told = torch.randn(32, 2)
    features = torch.cat((told, torch.randn(32, 2)), 1).requires_grad_()
    optimizer = torch.optim.Adam([features], lr=0.05)
    before = float(hsic(features, told).detach())
    for _ in range(30):
        optimizer.zero_grad()
        hsic(features, told).backward()
        optimizer.step()
    assert hsic(features, told) < 0.6 * before


def test_rows_that_are_all_the_same_tell_nothing() -> None:
    features = torch.ones(8, 3, requires_grad=True)
    value = hsic(features, torch.randn(8, 2))
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_invariance_is_in_units_of_the_spread() -> None:
    a = torch.randn(500, 4)
    assert invariance(a, a) == 0
    b = torch.randn(500, 4)
    assert float(invariance(a, b)) == pytest.approx(2, rel=0.1)  # of independent views: twice the variance
    torch.testing.assert_close(invariance(100 * a, 100 * b), invariance(a, b), atol=0, rtol=1e-3)


def test_invariance_cannot_be_met_by_growing() -> None:
    a, b = torch.randn(50, 4, requires_grad=True), torch.randn(50, 4)
    (gradient,) = torch.autograd.grad(invariance(a, b), a)
    stepped = a.detach() - 5 * gradient
    assert invariance(stepped, b) < invariance(a, b)


def test_the_hinge_holds_up_what_spreads_too_little() -> None:
    wide = 3 * torch.randn(400, 5)
    assert variance_hinge(wide) == 0
    assert float(variance_hinge(torch.zeros(10, 5))) == pytest.approx(1 - 0.01)
    narrow = torch.randn(400, 1)
    narrow = 0.4 * narrow / narrow.std()
    assert float(variance_hinge(narrow)) == pytest.approx(0.6, abs=1e-3)
    features = (0.1 * torch.randn(20, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(variance_hinge(features), features)
    assert variance_hinge(features - 10 * gradient) < variance_hinge(features)


def test_settings_are_standardised_column_by_column() -> None:
    quality, gains = 50 + 20 * torch.randn(40), torch.randn(40, 2) * 0.01 + 3
    table = standardise((quality, gains, torch.arange(40)))
    assert table.shape == (40, 4)
    torch.testing.assert_close(table.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(table.std(0), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(table[:, 0], (quality - quality.mean()) / quality.std(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [2, 7, 24])
@pytest.mark.parametrize("value", [0.0, 100.0, 0.1, -11.5])
def test_a_setting_that_never_changes_becomes_0(n: int, value: float) -> None:
    torch.testing.assert_close(standardise((torch.full((n,), value),)), torch.zeros(n, 1), atol=0.02, rtol=0)
