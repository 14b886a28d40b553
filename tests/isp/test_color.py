from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from skimage.color import colorconv
from torch.autograd import gradcheck

from dirnet.isp.color import (
    SRGB_TO_XYZ,
    apply_gains,
    apply_matrix,
    camera_ccm,
    number_of_cameras,
    planckian_gains,
    planckian_xy,
    saturate,
)

# Camera RGB -> linear sRGB by the released code of Brooks et al., 2019, to six decimals.
CCM = {
    (1, 0, 0, 0): [[1.262272, -0.457958, 0.195686], [-0.150500, 1.133467, 0.017033], [-0.010644, -0.362345, 1.372989]],
    (0, 1, 0, 0): [[2.120775, -0.967374, -0.153401], [-0.125742, 1.586153, -0.460412], [0.049879, -0.441563, 1.391684]],
    (0, 0, 1, 0): [[1.705489, -0.532387, -0.173102], [-0.292151, 1.816804, -0.524653], [0.032218, -0.493346, 1.461128]],
    (0, 0, 0, 1): [[1.634243, -0.437328, -0.196914], [-0.183886, 1.502407, -0.318520], [0.040786, -0.429707, 1.388921]],
    (1, 1, 1, 1): [[1.621535, -0.565778, -0.055757], [-0.182023, 1.476120, -0.294097], [0.022848, -0.425974, 1.403126]],
}  # fmt: skip
TO_CAMERA = {
    (1, 0, 0, 0): [[0.826379, 0.295062, -0.121440], [0.109196, 0.917753, -0.026949], [0.035224, 0.244491, 0.720284]],
    (7, 7, 7, 7): [[0.646005, 0.271431, 0.082563], [0.082558, 0.755754, 0.161688], [0.014544, 0.225019, 0.760436]],
}  # fmt: skip


@pytest.mark.parametrize(("weights", "expected"), CCM.items())
def test_matrices_of_brooks(weights: tuple[int, ...], expected: list[list[float]]) -> None:
    np.testing.assert_allclose(camera_ccm(weights), expected, atol=5.1e-7, rtol=0)


@pytest.mark.parametrize(("weights", "expected"), TO_CAMERA.items())
def test_their_inverses(weights: tuple[int, ...], expected: list[list[float]]) -> None:
    np.testing.assert_allclose(np.linalg.inv(camera_ccm(weights)), expected, atol=5.1e-7, rtol=0)


def test_white_stays_white_for_every_mixture() -> None:
    assert number_of_cameras() == 4
    for weights in np.random.default_rng(0).random((50, 4)):
        ccm = camera_ccm(weights)
        np.testing.assert_allclose(ccm.sum(1), 1, atol=1e-12)
        np.testing.assert_allclose(camera_ccm(weights * 3e7), ccm, atol=1e-12)


def test_srgb_primaries() -> None:
    np.testing.assert_allclose(SRGB_TO_XYZ, colorconv.xyz_from_rgb, atol=1e-4)
    np.testing.assert_allclose(SRGB_TO_XYZ.sum(1), [0.95047, 1, 1.08883], atol=1e-6)  # D65


def test_a_matrix_acts_on_every_pixel_of_its_sample() -> None:
    image, matrix = torch.rand(4, 3, 5, 7), torch.randn(4, 3, 3)
    together = apply_matrix(image, matrix)
    torch.testing.assert_close(together, (matrix @ image.flatten(2)).view_as(image))
    for index in range(4):
        assert torch.equal(apply_matrix(image[index : index + 1], matrix[index : index + 1])[0], together[index])


def test_gains_are_a_diagonal_matrix() -> None:
    image, gains = torch.rand(2, 3, 4, 4), torch.rand(2, 3)
    torch.testing.assert_close(apply_gains(image, gains), apply_matrix(image, torch.diag_embed(gains)))


def test_gradients() -> None:
    image, matrix, gains = (
        torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in [(2, 3, 3, 2), (2, 3, 3), (2, 3)]
    )
    assert gradcheck(apply_matrix, (image, matrix))
    assert gradcheck(apply_gains, (image, gains))


# Chromaticity of a black body for the 2 degree observer of 1931, to four decimals; illuminant A is that of CIE 15.
BLACK_BODY = {
    2000: (0.5267, 0.4133),
    2500: (0.4770, 0.4137),
    2856: (0.4476, 0.4074),  # illuminant A: 0.44757, 0.40745
    3000: (0.4369, 0.4041),
    4000: (0.3804, 0.3767),
    5000: (0.3451, 0.3516),
    6500: (0.3135, 0.3237),
    10000: (0.2806, 0.2883),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_colour_of_a_black_body(dtype: torch.dtype) -> None:
    chromaticity = torch.stack(planckian_xy(torch.tensor(list(BLACK_BODY), dtype=dtype)), 1)
    np.testing.assert_allclose(chromaticity, list(BLACK_BODY.values()), atol=5e-4, rtol=0)


def test_the_colour_of_a_black_body_by_plancks_law() -> None:
    kelvin = np.linspace(2000, 12000, 21)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from colour import UCS_uv_to_xy
        from colour.temperature import CCT_to_uv_Planck1900

        theirs = np.array([UCS_uv_to_xy(CCT_to_uv_Planck1900(np.array([t]))).ravel() for t in kelvin])
    np.testing.assert_allclose(torch.stack(planckian_xy(torch.from_numpy(kelvin)), 1), theirs, atol=5e-4, rtol=0)


def test_gains_make_the_light_white() -> None:
    """What comes from a white wall under that light is grey to the camera once the gains are applied."""
    kelvin = torch.tensor([2500.0, 4000.0, 6500.0, 12000.0], dtype=torch.float64)
    ccm = torch.from_numpy(np.stack([camera_ccm(weights) for weights in np.eye(4)]))
    x, y = planckian_xy(kelvin)
    wall = np.linalg.inv(SRGB_TO_XYZ) @ torch.stack((x / y, torch.ones_like(x), (1 - x - y) / y)).numpy()
    camera = torch.linalg.solve(ccm, torch.from_numpy(wall).T[..., None])[..., 0]
    balanced = camera * planckian_gains(kelvin, ccm)
    torch.testing.assert_close(balanced, camera[:, 1:2].expand(4, 3))


def test_gains_of_warm_and_cold_light() -> None:
    kelvin = torch.arange(2000.0, 12001.0, 500.0)
    for ccm in (np.eye(3), camera_ccm([1] * 4)):
        gains = planckian_gains(kelvin, torch.from_numpy(ccm).float().expand(len(kelvin), 3, 3))
        assert (gains[:, 1] == 1).all()
        assert (gains[:, 0].diff() > 0).all()  # the warmer the light, the less red and the more blue is wanted
        assert (gains[:, 2].diff() < 0).all()
        assert (gains[:9, 2] > 1).all()  # up to 6000 K
        torch.testing.assert_close(gains[9], torch.ones(3), atol=0.06, rtol=0)  # 6500 K is nearly D65


def test_gains_depend_on_their_own_row() -> None:
    kelvin, ccm = torch.tensor([2300.0, 5000.0, 9000.0]), torch.from_numpy(camera_ccm([1, 2, 3, 4])).float()
    together = planckian_gains(kelvin, ccm.expand(3, 3, 3))
    for row in range(3):
        assert torch.equal(planckian_gains(kelvin[row : row + 1], ccm[None])[0], together[row])


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 1.3])
def test_saturation_scales_the_distance_from_grey(ratio: float) -> None:
    image = torch.rand(2, 3, 5, 7, dtype=torch.float64) * 0.4 + 0.3
    luma = torch.from_numpy(SRGB_TO_XYZ[1]) @ image.flatten(2).swapaxes(0, 1).flatten(1)
    luma = luma.view(2, 1, 5, 7)
    result = saturate(image, torch.full((2,), ratio, dtype=torch.float64))
    torch.testing.assert_close(result, luma + ratio * (image - luma), atol=1e-4, rtol=0)
    if ratio == 1:
        assert torch.equal(result, image)


def test_saturation_clips_and_keeps_grey() -> None:
    red = torch.tensor([0.9, 0.2, 0.2]).view(1, 3, 1, 1)
    assert float(saturate(red, torch.tensor([3.0])).amax()) == 1
    assert float(saturate(red, torch.tensor([3.0])).amin()) == 0
    grey = torch.linspace(0, 1, 9).expand(1, 3, 1, 9)
    torch.testing.assert_close(saturate(grey, torch.tensor([2.0])), grey, atol=2e-7, rtol=0)


def test_each_sample_has_its_own_saturation() -> None:
    image, ratio = torch.rand(3, 3, 5, 7), torch.tensor([0.3, 1.0, 1.8])
    together = saturate(image, ratio)
    for row in range(3):
        assert torch.equal(saturate(image[row : row + 1], ratio[row : row + 1])[0], together[row])


def test_gradients_of_light_and_saturation() -> None:
    image = (torch.rand(2, 3, 3, 2, dtype=torch.float64) * 0.2 + 0.4).requires_grad_()
    assert gradcheck(saturate, (image, torch.tensor([0.7, 1.2], dtype=torch.float64, requires_grad=True)))
    ccm = torch.from_numpy(np.stack([camera_ccm([1] * 4)] * 2)).requires_grad_()
    assert gradcheck(lambda t, m: planckian_gains(t * 1000, m), (torch.tensor([2.5, 7]).double().requires_grad_(), ccm))
