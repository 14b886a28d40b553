from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import colorconv
from torch.autograd import gradcheck

from dirnet.isp.color import SRGB_TO_XYZ, apply_gains, apply_matrix, camera_ccm, number_of_cameras

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
