from __future__ import annotations

import itertools
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from dirnet.isp.codec import SUBSAMPLINGS, jpeg

QUALITIES = (1, 10, 30, 50, 75, 90, 95, 100)
LAYOUTS = range(len(SUBSAMPLINGS))


def pillow(pixels: np.ndarray, quality: int, layout: int) -> np.ndarray:
    """The oracle, (H, W, 3) uint8 in and out. Pillow numbers the chroma layouts as `SUBSAMPLINGS` does."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=layout)
    return np.asarray(Image.open(file))


def coded(pixels: np.ndarray, kinds: Sequence[tuple[int, int]], *, exact: bool = True) -> np.ndarray:
    """The same picture by every (quality, layout), (N, H, W, 3) uint8."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    quality, layout = torch.tensor(kinds).unbind(1)
    decoded = jpeg(image.expand(len(kinds), -1, -1, -1), quality, layout, exact=exact) * 255
    assert (decoded - decoded.round()).abs().max() < 1e-4  # multiples of 1/255
    return decoded.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def crop_of(photograph: torch.Tensor, size: tuple[int, int] = (185, 203)) -> np.ndarray:
    crop = photograph[0, :, 60 : 60 + size[0], 130 : 130 + size[1]]
    return (crop * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_photographs_are_those_of_pillow_to_the_last_bit(photographs: dict[str, torch.Tensor], name: str) -> None:
    pixels, kinds = crop_of(photographs[name]), list(itertools.product(QUALITIES, LAYOUTS))
    differing = [(ours != pillow(pixels, *kind)).sum() for ours, kind in zip(coded(pixels, kinds), kinds, strict=True)]
    assert dict(zip(kinds, differing, strict=True)) == dict.fromkeys(kinds, 0)


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33])
def test_noise_of_any_size_is_that_of_pillow_to_the_last_bit(height: int) -> None:
    random = np.random.default_rng(height)
    kinds = list(itertools.product((5, 50, 95, 100), LAYOUTS))
    for width in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for ours, kind in zip(coded(pixels, kinds), kinds, strict=True):
            np.testing.assert_array_equal(ours, pillow(pixels, *kind), err_msg=f"{height} x {width}, {kind}")


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_stay(value: int) -> None:
    pixels = np.full((11, 13, 3), value, np.uint8)
    kinds = list(itertools.product(QUALITIES, LAYOUTS))
    for ours, kind in zip(coded(pixels, kinds), kinds, strict=True):
        np.testing.assert_array_equal(ours, pillow(pixels, *kind))


def test_the_fast_mode_is_close(photographs: dict[str, torch.Tensor]) -> None:
    kinds = list(itertools.product((30, 50, 75, 90, 95), LAYOUTS))
    psnr, same = [], []
    for photograph in photographs.values():
        pixels = crop_of(photograph)
        error = coded(pixels, kinds).astype(float) - coded(pixels, kinds, exact=False)
        psnr.append(-10 * np.log10(np.mean((error / 255) ** 2, axis=(1, 2, 3))))
        same.append((error == 0).mean())
    assert np.mean(psnr) >= 45
    assert np.mean(same) >= 0.5


@pytest.mark.parametrize("exact", [True, False])
def test_quality_0_leaves_a_sample_as_it_is_among_others(exact: bool) -> None:
    image = torch.rand(4, 3, 19, 21)
    decoded = jpeg(image, torch.tensor([0, 30, 0, 90]), torch.tensor([0, 1, 2, 2]), exact=exact)
    assert torch.equal(decoded[0], image[0])
    assert torch.equal(decoded[2], image[2])
    assert not torch.equal(decoded[1], image[1])


@pytest.mark.parametrize("exact", [True, False])
def test_a_sample_does_not_depend_on_its_batch_nor_on_gradients(coffee: torch.Tensor, exact: bool) -> None:
    kinds = torch.tensor(list(itertools.product((20, 60, 95), LAYOUTS)))
    image = torch.cat([coffee[..., 20 * k : 20 * k + 41, 300:355] for k in range(len(kinds))])
    together = jpeg(image, kinds[:, 0], kinds[:, 1], exact=exact)
    for index in range(len(kinds)):
        rows = slice(index, index + 1)
        assert torch.equal(jpeg(image[rows], kinds[rows, 0], kinds[rows, 1], exact=exact)[0], together[index])
    with_gradient = jpeg(image.clone().requires_grad_(), kinds[:, 0], kinds[:, 1], exact=exact)
    assert torch.equal(with_gradient.detach(), together)


@pytest.mark.parametrize("exact", [True, False])
def test_the_gradient_without_subsampling_is_that_of_doing_nothing(coffee: torch.Tensor, exact: bool) -> None:
    """Every rounding passes gradients straight through, and the transform undoes itself."""
    image = (coffee[..., 200:237, 300:341] * 0.6 + 0.2).requires_grad_()
    weight = torch.randn_like(image)
    decoded = jpeg(image, torch.tensor([90]), torch.tensor([0]), exact=exact)
    (gradient,) = torch.autograd.grad((decoded * weight).sum(), image)
    torch.testing.assert_close(gradient, weight, atol=5e-3, rtol=0)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("quality", [10, 50, 95])
def test_gradients_point_downhill(coffee: torch.Tensor, exact: bool, layout: int, quality: int) -> None:
    """Steps along them bring the decoded picture nearer to what was wanted: a cure before coding can be learned."""
    target = coffee[..., 200:264, 300:364]
    image = (target * 0.8 + 0.05).requires_grad_()
    losses = []
    for _ in range(12):
        loss = (jpeg(image, torch.tensor([quality]), torch.tensor([layout]), exact=exact) - target).pow(2).mean()
        (gradient,) = torch.autograd.grad(loss, image)
        assert gradient.isfinite().all()
        image = (image - 0.2 * image.numel() * gradient / 2).detach().requires_grad_()
        losses.append(loss.item())
    coding_alone = (jpeg(target, torch.tensor([quality]), torch.tensor([layout])) - target).pow(2).mean().item()
    assert losses[-1] - coding_alone < 0.7 * (losses[0] - coding_alone)
