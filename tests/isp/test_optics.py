from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.autograd import gradcheck

from dirnet.isp.optics import blur_motion, correct_shading, correct_vignetting, shade_colours, vignette

SIZES = [(1, 1), (1, 8), (7, 1), (2, 3), (33, 32)]
SHADING = torch.tensor([[0.3, 0.0, -0.2], [-1.0, 4.0, 0.1], [0.0, 0.0, 0.0]])


def _one(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value], dtype=torch.float64) for value in values]


@pytest.mark.parametrize(("length", "angle"), [(0.6, 0.3), (3.0, 0.0), (4.5, math.pi / 2), (7.3, 2.2), (12.0, -0.8)])
def test_a_shake_is_the_mean_along_its_line(length: float, angle: float) -> None:
    image = torch.rand(1, 3, 9, 11, dtype=torch.float64)
    expected = np.zeros((3, 9, 11))
    for along in (np.arange(2000) + 0.5) / 2000 - 0.5:
        offset = (length * along * math.sin(angle), length * along * math.cos(angle))
        for channel in range(3):
            expected[channel] += ndimage.shift(image[0, channel], offset, order=1, mode="mirror") / 2000
    blurred = blur_motion(image, *_one(length, angle))[0].numpy()
    np.testing.assert_allclose(blurred, expected, atol=0.01)
    assert np.sqrt(((blurred - expected) ** 2).mean()) < 0.003


def test_along_the_rows_a_shake_of_four_pixels_by_hand() -> None:
    point = torch.zeros(1, 3, 5, 9, dtype=torch.float64)
    point[..., 2, 4] = 1
    spread = blur_motion(point, *_one(4, 0))[0, 0]
    expected = torch.tensor([0, 0, 0.5, 1, 1, 1, 0.5, 0, 0], dtype=torch.float64) / 4
    torch.testing.assert_close(spread[2], expected, atol=0.002, rtol=0)
    torch.testing.assert_close(spread.sum(), torch.ones((), dtype=torch.float64))
    torch.testing.assert_close(blur_motion(point.mT, *_one(4, math.pi / 2)), blur_motion(point, *_one(4, 0)).mT)


@pytest.mark.parametrize("size", SIZES)
def test_a_shake_keeps_what_is_even_and_none_keeps_all(size: tuple[int, int]) -> None:
    image = torch.rand(3, 3, *size) * 4 - 1
    image[2] = 0.7
    blurred = blur_motion(image, torch.tensor([0.0, 200.0, 9.3]), torch.tensor([0.4, 1.1, 2.0]))
    assert torch.equal(blurred[0], image[0])
    assert blurred.isfinite().all()
    torch.testing.assert_close(blurred[2], image[2])


@pytest.mark.parametrize("size", SIZES)
def test_vignetting_is_cos_to_the_fourth(size: tuple[int, int]) -> None:
    h, w = size
    image, tangent = torch.rand(1, 3, h, w, dtype=torch.float64), 0.8
    y, x = np.mgrid[:h, :w] + 0.5
    angle = np.arctan(tangent * np.hypot(y - h / 2, x - w / 2) / (np.hypot(h, w) / 2))
    np.testing.assert_allclose(vignette(image, *_one(tangent**2)), image.numpy() * np.cos(angle) ** 4, atol=1e-14)


def test_shading_at_the_centre_and_towards_the_corners() -> None:
    shaded = shade_colours(torch.ones(3, 3, 201, 301), SHADING)
    torch.testing.assert_close(shaded[..., 100, 150], torch.ones(3, 3))
    torch.testing.assert_close(shaded[..., 0, 0], 1 + SHADING, atol=0.06, rtol=0)
    torch.testing.assert_close(shaded, shaded.flip(-1, -2))
    assert (shaded >= 0).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back_again(size: tuple[int, int], dtype: torch.dtype) -> None:
    image, strength = torch.rand(3, 3, *size, dtype=dtype), torch.tensor([0.0, 0.3, 5.0], dtype=dtype)
    shading = SHADING.to(dtype)
    torch.testing.assert_close(correct_vignetting(vignette(image, strength), strength), image)
    torch.testing.assert_close(correct_shading(shade_colours(image, shading), shading), image)
    assert torch.equal(vignette(image, strength)[0], image[0])
    assert torch.equal(shade_colours(image, shading)[2], image[2])


@pytest.mark.parametrize("spoil", [vignette, correct_vignetting, shade_colours, correct_shading])
def test_strips_are_parts_of_the_whole(spoil: Callable) -> None:
    image, shading = torch.rand(3, 3, 17, 12), SHADING * 0.5
    setting = shading if "shad" in spoil.__name__ else shading[:, 0].abs()
    whole = spoil(image, setting)
    strips = [spoil(image[..., top : top + 5, :], setting, top=top, height=17) for top in range(0, 17, 5)]
    assert torch.equal(torch.cat(strips, -2), whole)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    image = torch.rand(3, 3, 33, 31)
    length, angle = torch.tensor([2.5, 11.0, 0.7]), torch.tensor([0.1, 1.0, 3.0])
    for spoil, settings in ((blur_motion, (length, angle)), (vignette, (length,)), (shade_colours, (SHADING,))):
        together = spoil(image, *settings)
        for row in range(3):
            alone = spoil(image[row : row + 1], *(setting[row : row + 1] for setting in settings))
            assert torch.equal(alone[0], together[row])


def test_gradients() -> None:
    image, strength, shading, length, angle = (
        value.double().requires_grad_()
        for value in (
            torch.rand(2, 3, 4, 5),
            torch.tensor([0.3, 1.0]),
            SHADING[:2] * 0.5,
            torch.tensor([2.61, 0.83]),
            torch.tensor([0.4, 2.1]),
        )
    )
    assert gradcheck(blur_motion, (image, length, angle))
    assert gradcheck(vignette, (image, strength))
    assert gradcheck(correct_vignetting, (image, strength))
    assert gradcheck(shade_colours, (image, shading))
    assert gradcheck(correct_shading, (image, shading))
