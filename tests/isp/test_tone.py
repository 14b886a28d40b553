from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2xyz
from skimage.color.colorconv import xyz_from_rgb
from torch.autograd import gradcheck

from dirnet.isp.tone import apply_gamma, bend, srgb_decode, srgb_encode, unbend

LEVELS = torch.linspace(0, 1, 65536, dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-14), (torch.float32, 5e-7)])
def test_the_curve_of_iec_61966_2_1(dtype: torch.dtype, within: float) -> None:
    x = LEVELS.numpy()
    encoded = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    decoded = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(srgb_encode(LEVELS.to(dtype)), encoded, atol=within, rtol=0)
    np.testing.assert_allclose(srgb_decode(LEVELS.to(dtype)), decoded, atol=within, rtol=0)


def test_decoding_as_scikit_image_does_it(chelsea: torch.Tensor) -> None:
    theirs = rgb2xyz(chelsea[0].permute(1, 2, 0).double().numpy()) @ np.linalg.inv(xyz_from_rgb).T
    np.testing.assert_allclose(srgb_decode(chelsea)[0].permute(1, 2, 0), theirs, atol=1e-6)


def test_there_and_back_again() -> None:
    for dtype, within in ((torch.float64, 1e-7), (torch.float32, 6e-7)):  # the two knees of the standard differ by 3e-8
        x = LEVELS.to(dtype)
        torch.testing.assert_close(srgb_encode(srgb_decode(x)), x, atol=within, rtol=0)
        torch.testing.assert_close(srgb_decode(srgb_encode(x)), x, atol=within, rtol=0)


def test_below_black_both_are_straight_lines() -> None:
    x = torch.tensor([-0.5, -0.01])
    torch.testing.assert_close(srgb_encode(x), x * 12.92)
    torch.testing.assert_close(srgb_decode(x), x / 12.92)


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.1, 2.0])
def test_gamma_is_a_power(ratio: float) -> None:
    x = LEVELS.view(1, 1, 1, -1)
    powered = apply_gamma(x, torch.tensor([ratio], dtype=torch.float64))
    torch.testing.assert_close(powered, x**ratio, atol=0, rtol=1e-12)  # black stays black
    assert (powered.diff() >= 0).all()
    assert ((powered < x) == (ratio > 1))[..., 100:-1].all()


def test_each_sample_has_its_own_gamma_and_1_leaves_it_as_it_is() -> None:
    image = torch.rand(3, 3, 5, 7)
    image[..., 0, 0] = 0
    powered = apply_gamma(image, torch.tensor([1.0, 0.8, 1.3]))
    assert torch.equal(powered[0], image[0])
    torch.testing.assert_close(powered[2, ..., 1:, :], image[2, ..., 1:, :] ** 1.3)


def test_gradients() -> None:
    image = torch.rand(2, 3, 3, 4, dtype=torch.float64) * 0.9 + 0.06
    ratio = torch.tensor([0.9, 1.2], dtype=torch.float64)
    assert gradcheck(apply_gamma, (image.requires_grad_(), ratio.requires_grad_()))
    dark = torch.tensor([-0.1, 0.0, 0.001, 0.002], dtype=torch.float64)
    for curve in (srgb_encode, srgb_decode):
        assert gradcheck(curve, image)
        assert gradcheck(curve, dark.clone().requires_grad_())


def test_gradients_of_the_right_gamma_are_those_of_a_power() -> None:
    """At ratio 1, where every search for the gamma begins: d/dx = 1 and d/dratio = x ln x."""
    image = (torch.rand(1, 3, 3, 4, dtype=torch.float64) * 0.9 + 0.06).requires_grad_()
    ratio = torch.ones(1, dtype=torch.float64, requires_grad=True)
    by_image, by_ratio = torch.autograd.grad(apply_gamma(image, ratio).sum(), (image, ratio))
    torch.testing.assert_close(by_image, torch.ones_like(image))
    torch.testing.assert_close(by_ratio, (image * image.log()).sum()[None].detach())


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0])
def test_gradients_are_finite_at_black_and_white(value: float, ratio: float) -> None:
    image = torch.full((1, 3, 2, 2), value, requires_grad=True)
    gamma = torch.tensor([ratio], requires_grad=True)
    for output in (srgb_encode(image), srgb_decode(image), apply_gamma(image, gamma)):
        by_image, by_gamma = torch.autograd.grad(output.sum(), (image, gamma), allow_unused=True)
        assert by_image.isfinite().all()
        assert by_gamma is None or by_gamma.isfinite().all()


BENDS = [-1.0, -0.5, -1e-3, -1e-5, 0.0, 1e-6, 1e-4, 0.01, 0.5, 0.99, 1.0]


@pytest.mark.parametrize("s", BENDS)
def test_the_s_curve_is_a_share_of_smoothstep(s: float) -> None:
    x = LEVELS.view(1, 1, 1, -1)
    bent = bend(x, torch.tensor([s], dtype=torch.float64))
    torch.testing.assert_close(bent, (1 - s) * x + s * (3 * x**2 - 2 * x**3), atol=1e-15, rtol=0)
    assert (bent.diff() >= 0).all()
    assert bent[..., 0] == 0
    assert bent[..., -1] == 1


def test_the_inverse_of_smoothstep_in_closed_form() -> None:
    x = LEVELS.view(1, 1, 1, -1)
    torch.testing.assert_close(
        unbend(x, torch.ones(1)), 0.5 - ((1 - 2 * x).asin() / 3).sin(), atol=1e-14, rtol=0
    )  # I. Quilez; 0.326352 of a quarter
    assert float(unbend(torch.full((1, 3, 1, 1), 0.25), torch.ones(1))[0, 0, 0, 0]) == pytest.approx(0.326352, abs=1e-6)


@pytest.mark.parametrize("s", BENDS)
def test_bent_and_straight_again_as_well_as_the_slope_allows(s: float) -> None:
    for dtype in (torch.float64, torch.float32):
        x, s_curve = LEVELS.to(dtype).view(1, 1, 1, -1), torch.tensor([s], dtype=dtype)
        slope, within = 1 - s + 6 * s * x * (1 - x), 4 * torch.finfo(dtype).eps
        torch.testing.assert_close(bend(unbend(x, s_curve), s_curve), x, atol=within + 4e-15, rtol=0)
        assert ((unbend(bend(x, s_curve), s_curve) - x).abs() * slope <= within + 4e-15).all()


def test_each_sample_has_its_own_s_curve() -> None:
    image, s_curve = torch.rand(4, 3, 5, 7), torch.tensor([-0.7, 0.0, 0.4, 1.0])
    for curve in (bend, unbend):
        together = curve(image, s_curve)
        assert torch.equal(together[1], image[1])
        for row in range(4):
            assert torch.equal(curve(image[row : row + 1], s_curve[row : row + 1])[0], together[row])


def test_gradients_of_the_s_curve() -> None:
    image = (torch.rand(4, 3, 2, 2, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    s_curve = torch.tensor([-0.9, 1e-5, 0.3, 0.95], dtype=torch.float64, requires_grad=True)
    assert gradcheck(bend, (image, s_curve))
    assert gradcheck(unbend, (image, s_curve))
    ends = torch.tensor([0.0, 1.0]).expand(1, 3, 1, 2).requires_grad_()
    steep = torch.ones(1, requires_grad=True)
    for gradient in torch.autograd.grad(unbend(ends, steep).sum(), (ends, steep)):
        assert gradient.isfinite().all()
