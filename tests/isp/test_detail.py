from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import skimage.filters
import torch
from PIL import Image
from scipy import ndimage
from torch.autograd import gradcheck

from dirnet.isp.detail import boost_local_contrast, resample, sharpen, smear_chroma, smear_luma

BT601 = np.array([0.299, 0.587, 0.114])
STAGES = {
    "smear_chroma": lambda image, strength: smear_chroma(image, strength),
    "smear_luma": lambda image, strength: smear_luma(image, strength),
    "boost_local_contrast": lambda image, strength: boost_local_contrast(image, strength),
    "sharpen": lambda image, strength: sharpen(image, strength, 0.4 + strength),
    "resample": lambda image, strength: resample(image, 1 - strength / 2),
}
every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))


def _double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _tent(plane: np.ndarray, reach: int) -> np.ndarray:
    weights = np.minimum(np.arange(1, 2 * reach), np.arange(1, 2 * reach)[::-1]) / reach**2
    return ndimage.convolve1d(ndimage.convolve1d(plane, weights, axis=0, mode="mirror"), weights, axis=1, mode="mirror")


def _crop(image: torch.Tensor) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """A piece of a photograph as our tensor, as (H, W, 3), and its luma."""
    piece = image[..., 60:131, 80:161].double() * 0.8 + 0.1
    pixels = piece[0].permute(1, 2, 0).numpy()
    return piece, pixels, pixels @ BT601


def _apart(result: torch.Tensor, expected: np.ndarray) -> float:
    """The greatest difference of a picture (1, C, H, W) from what is expected (H, W, C), cut to 0..1."""
    return float(np.abs(result[0].permute(1, 2, 0).numpy() - expected.clip(0, 1)).max())


def test_smeared_chroma_is_blurred_and_luma_is_kept(chelsea: torch.Tensor) -> None:
    image, pixels, luma = _crop(chelsea)
    colour = pixels - luma[..., None]
    smooth = np.stack([_tent(colour[..., channel], 16) for channel in range(3)], -1)
    for strength in (0.3, 1.0):
        smeared = smear_chroma(image, _double(strength))
        assert _apart(smeared, luma[..., None] + (1 - strength) * colour + strength * smooth) < 1e-12
    np.testing.assert_allclose(smeared[0].permute(1, 2, 0).numpy() @ BT601, luma, atol=1e-12)


def test_smeared_luma_is_a_guided_filter(chelsea: torch.Tensor) -> None:
    image, pixels, luma = _crop(chelsea)
    mean = _tent(luma, 4)
    variance = _tent(luma**2, 4) - mean**2
    slope = variance / (variance + 0.0025)
    smooth = _tent(slope, 4) * luma + _tent((1 - slope) * mean, 4)
    for strength in (0.3, 1.0):
        assert _apart(smear_luma(image, _double(strength)), pixels + strength * (smooth - luma)[..., None]) < 1e-12


def test_watercolour_keeps_edges_and_loses_ripples() -> None:
    step = torch.full((1, 3, 32, 64), 0.2)
    step[..., 32:] = 0.8
    noisy = (step + torch.randn(1, 1, 32, 64) * 0.02).clamp(0, 1)
    smeared = smear_luma(noisy, torch.ones(1))
    assert (smeared - step)[..., 12:20].std() < 0.3 * (noisy - step)[..., 12:20].std()
    assert (smeared[..., 32] - smeared[..., 31]).mean() > 0.57


def test_local_contrast_adds_the_difference_from_a_wide_smooth(chelsea: torch.Tensor) -> None:
    image, pixels, luma = _crop(chelsea)
    for amount in (0.5, -0.4):
        boosted = boost_local_contrast(image, _double(amount))
        assert _apart(boosted, pixels + amount * (luma - _tent(luma, 32))[..., None]) < 1e-12


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.7])
def test_sharpening_as_scipy_and_scikit_image_do_it(chelsea: torch.Tensor, radius: float) -> None:
    image, pixels, luma = _crop(chelsea)
    detail = luma - ndimage.gaussian_filter(luma, radius, mode="mirror")
    assert _apart(sharpen(image, _double(1.5), _double(radius)), pixels + 1.5 * detail[..., None]) < 1e-12
    grey = image[:, 1:2].expand(1, 3, -1, -1)
    theirs = skimage.filters.unsharp_mask(grey[0, 0].numpy(), radius, 1.5)
    edge = int(4 * radius + 0.5)  # there the edge pixel is repeated
    inner = (slice(edge, -edge),) * 2
    np.testing.assert_allclose(sharpen(grey, _double(1.5), _double(radius))[0, 0][inner], theirs[inner], atol=1e-12)


def test_sharpening_leaves_a_halo() -> None:
    step = torch.full((1, 3, 8, 32), 0.3)
    step[..., 16:] = 0.7
    sharp = sharpen(step, torch.ones(1), torch.tensor([1.5]))
    assert sharp[0, 0, 4, 15] < 0.3 - 0.05
    assert sharp[0, 0, 4, 16] > 0.7 + 0.05
    torch.testing.assert_close(sharp[..., :8], step[..., :8])


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.75])
def test_resampling_as_pillow_does_it(chelsea: torch.Tensor, factor: float) -> None:
    image, pixels, _ = _crop(chelsea)
    h, w, _ = pixels.shape
    for channel in range(3):
        plane = Image.fromarray(pixels[..., channel].astype(np.float32))
        theirs = plane.resize((round(factor * w), round(factor * h)), Image.Resampling.BICUBIC)
        theirs = np.asarray(theirs.resize((w, h), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(resample(image, _double(factor))[0, channel], theirs.clip(0, 1), atol=1e-6)


@every_stage
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 1), (2, 2), (33, 31)])
def test_any_size_stays_finite_in_range_and_grey_stays_as_it_is(stage: Callable, size: tuple[int, int]) -> None:
    image = torch.rand(4, 3, *size).round()
    image[3] = 0.6
    for strength in (torch.tensor([0.0, 0.5, 1.0, 0.8]), torch.tensor([1.0, 1.9, 0.01, 0.4])):
        result = stage(image, strength)
        assert result.shape == image.shape
        assert result.isfinite().all()
        assert 0 <= result.min() <= result.max() <= 1
        torch.testing.assert_close(result[3], image[3])


@every_stage
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neutral_is_the_identity(stage: Callable, dtype: torch.dtype) -> None:
    image = torch.rand(2, 3, 33, 20, dtype=dtype)
    torch.testing.assert_close(stage(image, torch.zeros(2, dtype=dtype)), image, atol=1e-6, rtol=0)


@every_stage
def test_a_sample_does_not_depend_on_its_batch(stage: Callable) -> None:
    image, strength = torch.rand(3, 3, 33, 31), torch.tensor([0.2, 1.0, 0.6])
    together = stage(image, strength)
    for row in range(3):
        assert torch.equal(stage(image[row : row + 1], strength[row : row + 1])[0], together[row])


def test_extreme_settings() -> None:
    image = torch.rand(2, 3, 9, 7)
    for radius in (0.0, 1e-6, 40.0):
        assert sharpen(image, torch.tensor([-50.0, 50.0]), torch.full((2,), radius)).isfinite().all()
    assert torch.equal(sharpen(image, torch.ones(2), torch.zeros(2)), image)
    assert resample(image, torch.tensor([1e-4, 3.0])).isfinite().all()
    assert boost_local_contrast(image, torch.tensor([-90.0, 90.0])).isfinite().all()


@every_stage
def test_gradients(stage: Callable) -> None:
    image = (torch.rand(2, 3, 5, 4, dtype=torch.float64) * 0.1 + 0.45).requires_grad_()
    strength = _double(0.31, 0.83).requires_grad_()
    assert gradcheck(stage, (image, strength))
