from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import (
    peak_signal_noise_ratio as torchmetrics_psnr,
)
from torchmetrics.functional.image import (
    structural_similarity_index_measure as torchmetrics_ssim,
)

from dirnet.judge.metrics import IDENTICAL, linear_cka, match_tone, ms_ssim, psnr, ssim, to_8bit


@pytest.fixture
def clean(chelsea: torch.Tensor) -> torch.Tensor:
    return chelsea[0, :, 50:131, 100:197]


@pytest.fixture(params=["noisy", "dark", "smooth", "nearly equal"])
def picture(request: pytest.FixtureRequest, clean: torch.Tensor) -> torch.Tensor:
    """One of four spoilings of `clean`, to 8 bits."""
    kinds = {
        "noisy": clean + 0.1 * torch.randn_like(clean),
        "dark": 0.6 * clean,
        "smooth": torch.nn.functional.avg_pool2d(clean[None], 5, 1, 2)[0],
        "nearly equal": clean + (torch.rand_like(clean) < 0.01) / 255,
    }
    return to_8bit(kinds[request.param])


def channels_last(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).double().numpy()


def test_psnr_is_that_of_scikit_image_and_torchmetrics(picture: torch.Tensor, clean: torch.Tensor) -> None:
    ours = psnr(picture, clean)
    theirs = peak_signal_noise_ratio(channels_last(clean), channels_last(picture), data_range=1)
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert ours == pytest.approx(float(torchmetrics_psnr(picture.double(), clean.double(), data_range=1.0)), abs=1e-4)


def test_ssim_is_that_of_scikit_image_and_torchmetrics(picture: torch.Tensor, clean: torch.Tensor) -> None:
    ours = ssim(picture, clean)
    theirs = structural_similarity(
        channels_last(clean), channels_last(picture), channel_axis=2, data_range=1,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert ours == pytest.approx(theirs, abs=1e-9)
    _, each = torchmetrics_ssim(picture[None].double(), clean[None].double(), data_range=1.0, return_full_image=True)
    assert isinstance(each, torch.Tensor)
    assert ours == pytest.approx(float(each[..., 5:-5, 5:-5].mean()), abs=1e-6)  # it keeps the borders


@pytest.mark.parametrize("size", [(180, 240), (352, 177)])
def test_ms_ssim_is_the_product_of_torchmetrics_terms(size: tuple[int, int]) -> None:
    """Term by term, as its own product keeps the borders of the last one; to weights that sum to 1, not 1.0001."""
    y = torch.nn.functional.avg_pool2d(torch.rand(1, 3, size[0] + 6, size[1] + 6, dtype=torch.float64), 7, 1)
    x = (y + 0.05 * torch.randn_like(y)).clamp(0, 1)
    ours, theirs = ms_ssim(x[0], y[0]), 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363):
        theirs *= float(torchmetrics_ssim(x, y, data_range=1.0, return_contrast_sensitivity=True)[1]) ** weight
        x, y = (torch.nn.functional.avg_pool2d(image, 2) for image in (x, y))
    _, each = torchmetrics_ssim(x, y, data_range=1.0, return_full_image=True)
    assert isinstance(each, torch.Tensor)
    theirs *= float(each[..., 5:-5, 5:-5].mean()) ** 0.1333
    assert ours == pytest.approx(theirs ** (1 / 1.0001), abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (9, 40), (21, 30), (22, 22), (175, 400)])
def test_ms_ssim_has_as_many_scales_as_there_is_room_for(size: tuple[int, int]) -> None:
    a, b = torch.rand(3, *size), torch.rand(3, *size)
    assert ms_ssim(a, a) == pytest.approx(1)
    assert 0 <= ms_ssim(a, b) < 1
    if min(size) < 22:
        assert ms_ssim(a, b) == pytest.approx(max(0.0, ssim(a, b)))


def test_equal_pictures(clean: torch.Tensor) -> None:
    assert psnr(clean, clean) == IDENTICAL
    assert ssim(clean, clean) == pytest.approx(1)
    assert psnr(clean + 1e-9, clean.double()) <= IDENTICAL


@pytest.mark.parametrize(("error", "decibels"), [(0.1, 20), (1.0, 0), (1 / 255, 20 * math.log10(255))])
def test_psnr_of_a_constant_error(error: float, decibels: float) -> None:
    black = torch.zeros(3, 4, 4)
    assert psnr(black + error, black) == pytest.approx(decibels, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (6, 40), (10, 10), (11, 11)])
def test_ssim_of_pictures_smaller_than_its_window(size: tuple[int, int]) -> None:
    a, b = torch.rand(3, *size), torch.rand(3, *size)
    assert ssim(a, a) == pytest.approx(1)
    assert -1 <= ssim(a, b) < 1
    assert ssim(a, b) == pytest.approx(ssim(b, a))


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    a, b = torch.full((3, 12, 12), 0.25), torch.full((3, 12, 12), 0.75)
    c1 = 0.01**2
    assert ssim(a, b) == pytest.approx((2 * 0.25 * 0.75 + c1) / (0.25**2 + 0.75**2 + c1), rel=1e-9)


def test_matched_tone_is_the_least_squares_of_numpy_for_each_channel(
    picture: torch.Tensor, clean: torch.Tensor
) -> None:
    matched = match_tone(picture, clean)
    for ours, x, y in zip(matched, picture.double().numpy(), clean.double().numpy(), strict=True):
        design = np.stack((x.ravel(), np.ones(x.size)), 1)
        gain, offset = np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
        np.testing.assert_allclose(ours, gain * x + offset, atol=1e-9)


def test_matched_tone_undoes_any_gain_and_offset_and_is_not_clipped(clean: torch.Tensor) -> None:
    gains, offsets = torch.tensor([0.5, 1.7, -1.0]).view(3, 1, 1), torch.tensor([0.3, -0.4, 1.0]).view(3, 1, 1)
    torch.testing.assert_close(match_tone(clean * gains + offsets, clean).float(), clean, atol=1e-5, rtol=0)
    over = clean * 3 - 1
    assert match_tone(clean, over).max() > 1


def test_matched_tone_never_harms(picture: torch.Tensor, clean: torch.Tensor) -> None:
    assert psnr(match_tone(picture, clean), clean) >= psnr(picture, clean)


def test_a_flat_picture_is_matched_by_the_mean(clean: torch.Tensor) -> None:
    matched = match_tone(torch.full_like(clean, 0.3), clean)
    torch.testing.assert_close(matched, clean.double().mean((1, 2), keepdim=True).expand_as(clean))


def cka_by_kernels(a: torch.Tensor, b: torch.Tensor) -> float:
    """Kornblith's definition, over the kernel of all pairs of cells."""
    k, m = (f.double().flatten(1).T @ f.double().flatten(1) for f in (a, b))
    centre = torch.eye(len(k), dtype=torch.float64) - 1 / len(k)
    k, m = centre @ k @ centre, centre @ m @ centre
    return float((k * m).sum() / ((k * k).sum() * (m * m).sum()).sqrt())


def test_cka_is_its_definition_over_pairs_of_cells() -> None:
    a = torch.randn(5, 6, 7) + 2
    b = torch.cat((a[:2], torch.randn(6, 6, 7)))
    assert linear_cka(a, b) == pytest.approx(cka_by_kernels(a, b), abs=1e-10)
    assert linear_cka(a, b) == pytest.approx(linear_cka(b, a))


def test_cka_is_blind_to_rotation_scale_and_offset() -> None:
    a, b = torch.randn(4, 9, 9), torch.randn(6, 9, 9)
    b[:4] += a
    rotation, _ = torch.linalg.qr(torch.randn(4, 4))
    turned = 0.01 * torch.einsum("ij,jhw->ihw", rotation, a) + 40
    assert linear_cka(turned, b) == pytest.approx(linear_cka(a, b), abs=1e-4)
    assert linear_cka(a, turned) == pytest.approx(1, abs=1e-4)
    stretched = a * torch.tensor([10.0, 1, 1, 1]).view(4, 1, 1)
    assert linear_cka(a, stretched) < 0.9  # and not to what is no rotation


def test_cka_of_known_signals() -> None:
    """u, v: centred and orthonormal. One channel against a mix: cos^2; against two channels: 1 / sqrt 2."""
    u, v = torch.tensor([1.0, 1, -1, -1]) / 2, torch.tensor([1.0, -1, 1, -1]) / 2
    angle = 0.7
    mixed = math.cos(angle) * u + math.sin(angle) * v
    assert linear_cka(u.view(1, 2, 2), mixed.view(1, 2, 2)) == pytest.approx(math.cos(angle) ** 2, rel=1e-6)
    assert linear_cka(u.view(1, 2, 2), torch.stack((u, v)).view(2, 2, 2)) == pytest.approx(1 / math.sqrt(2))
    assert linear_cka(u.view(1, 2, 2), v.view(1, 2, 2)) == pytest.approx(0, abs=1e-12)


def test_cka_with_what_does_not_vary_is_0() -> None:
    assert linear_cka(torch.randn(3, 4, 4), torch.ones(2, 4, 4)) == 0
    assert linear_cka(torch.randn(3, 1, 1), torch.randn(3, 1, 1)) == 0


def test_8_bit_is_what_a_file_would_hold() -> None:
    image = torch.linspace(-0.5, 1.5, 3003).view(3, 1, -1)
    expected = np.rint(np.clip(image.numpy(), 0, 1) * np.float32(255)).astype(np.uint8)
    np.testing.assert_array_equal((to_8bit(image) * 255).round().to(torch.uint8), expected)
    assert torch.equal(to_8bit(to_8bit(image)), to_8bit(image))
