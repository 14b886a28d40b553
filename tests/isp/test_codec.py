from __future__ import annotations

import itertools
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from dirnet.errors import DirnetError
from dirnet.isp.codec import SUBSAMPLINGS, double_jpeg, jpeg, webp

QUALITIES = (1, 10, 30, 50, 75, 90, 95, 100)
LAYOUTS = range(len(SUBSAMPLINGS))


def pillow(pixels: np.ndarray, quality: int, layout: int) -> np.ndarray:
    """The oracle, (H, W, 3) uint8 in and out. Pillow numbers the chroma layouts as `SUBSAMPLINGS` does."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=layout)
    return np.array(Image.open(file))


def coded(pixels: np.ndarray, kinds: Sequence[tuple[int, int]], *, exact: bool = True) -> np.ndarray:
    """The same picture by every (quality, layout), (N, H, W, 3) uint8."""
    image = tensor(pixels)
    quality, layout = torch.tensor(kinds).unbind(1)
    decoded = jpeg(image.expand(len(kinds), -1, -1, -1), quality, layout, exact=exact) * 255
    assert (decoded - decoded.round()).abs().max() < 1e-4  # multiples of 1/255
    return decoded.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


def pixels_of(image: torch.Tensor) -> np.ndarray:
    """Of one sample, (H, W, 3) uint8."""
    return (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def crop_of(photograph: torch.Tensor, size: tuple[int, int] = (185, 203)) -> np.ndarray:
    return np.ascontiguousarray(pixels_of(photograph[..., 60 : 60 + size[0], 130 : 130 + size[1]]))


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


@pytest.mark.parametrize("size", [(517, 500), (40, 9001)])
def test_a_picture_of_several_strips_is_that_of_pillow_to_the_last_bit(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for kind in ((75, 0), (75, 1), (75, 2)):
        np.testing.assert_array_equal(coded(pixels, [kind])[0], pillow(pixels, *kind), err_msg=str(kind))


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
    assert np.mean(psnr) >= 49
    assert np.mean(same) >= 0.8


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


def test_gradients_stop_where_a_value_is_clamped(coffee: torch.Tensor) -> None:
    image = (coffee[..., 200:237, 300:341] * 1.6 - 0.3).requires_grad_()
    decoded = jpeg(image, torch.tensor([60]), torch.tensor([2]))
    (gradient,) = torch.autograd.grad(decoded.sum(), image)
    outside = (image < 0) | (image > 1)
    assert (gradient[outside] == 0).all()
    assert (gradient[~outside] != 0).float().mean() > 0.5
    assert 0.2 < outside.float().mean() < 0.8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_type_of_the_picture_is_kept(coffee: torch.Tensor, dtype: torch.dtype) -> None:
    image = coffee[..., 200:237, 300:341].to(dtype)
    decoded = jpeg(image, torch.tensor([60]), torch.tensor([2]))
    assert decoded.dtype == dtype
    expected = tensor(pillow(pixels_of(image), 60, 2))
    torch.testing.assert_close(decoded, expected.to(dtype), rtol=0, atol=1e-7)


def test_mixed_precision_around_it_changes_nothing(coffee: torch.Tensor) -> None:
    image, setting = coffee[..., 200:237, 300:341], (torch.tensor([60]), torch.tensor([2]))
    with torch.autocast("cpu", torch.bfloat16):
        inside = jpeg(image, *setting, exact=False)
    assert torch.equal(inside, jpeg(image, *setting, exact=False))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, 7), (1, 6), (4, 5)])
def test_a_cropped_jpeg_coded_again_is_that_of_pillow_to_the_last_bit(
    astronaut: torch.Tensor, shift: tuple[int, int], layout: int
) -> None:
    pixels = crop_of(astronaut, (61, 75))
    cropped = [(16 - side) % 16 for side in shift]
    whole = np.pad(pixels, ((cropped[0], 0), (cropped[1], 0), (0, 0)), mode="edge")
    once = np.ascontiguousarray(pillow(whole, 40, layout)[cropped[0] :, cropped[1] :])
    settings = [torch.tensor([value]) for value in (40, shift, 80, layout)]
    np.testing.assert_array_equal(pixels_of(double_jpeg(tensor(pixels), *settings)), pillow(once, 80, layout))


def test_the_first_grid_begins_at_its_shift(coffee: torch.Tensor) -> None:
    """Without a second coding the steps between columns are largest at the borders of the first one's blocks."""
    settings = [torch.tensor([value]) for value in (8, (0, 5), 0, 0)]
    once = double_jpeg(coffee, *settings)
    steps = (once[..., 1:] - once[..., :-1]).abs().mean((0, 1, 2))  # the first is that from column 0 to 1
    by_phase = torch.stack([steps[(phase - 1) % 8 :: 8].mean() for phase in range(8)])
    assert by_phase.argmax() == 5


def test_only_samples_that_were_jpegs_are_coded_twice(coffee: torch.Tensor) -> None:
    image = torch.cat([coffee[..., 20 * k : 20 * k + 41, 300:355] for k in range(4)]).requires_grad_()
    first, shift = torch.tensor([0, 30, 0, 70]), torch.tensor([[2, 3], [1, 0], [0, 0], [7, 7]])
    quality, layout = torch.tensor([50, 60, 0, 0]), torch.tensor([0, 1, 2, 2])
    decoded = double_jpeg(image, first, shift, quality, layout)
    assert torch.equal(decoded[0], jpeg(image[:1], quality[:1], layout[:1])[0])
    assert torch.equal(decoded[2], image[2])
    for row in (slice(1, 2), slice(3, 4)):
        alone = double_jpeg(image[row], first[row], shift[row], quality[row], layout[row])
        assert torch.equal(alone, decoded[row])
        assert not torch.equal(alone, jpeg(image[row], quality[row], layout[row]))
    (gradient,) = torch.autograd.grad(decoded.sum(), image)
    assert gradient.isfinite().all()
    assert (gradient[3] != 0).any()


def test_webp_is_that_of_pillow(chelsea: torch.Tensor) -> None:
    pixels = crop_of(chelsea, (61, 75))
    decoded = webp(tensor(pixels).expand(3, -1, -1, -1), torch.tensor([5, 0, 90]))
    for index, quality in ((0, 5), (2, 90)):
        file = BytesIO()
        Image.fromarray(pixels).save(file, "WEBP", quality=quality)
        np.testing.assert_array_equal(pixels_of(decoded[index : index + 1]), np.asarray(Image.open(file)))
    assert torch.equal(decoded[1], tensor(pixels)[0])


def test_the_gradient_of_webp_is_that_of_clamping() -> None:
    image = (torch.rand(2, 3, 19, 21) * 2 - 0.5).requires_grad_()
    weight = torch.randn_like(image)
    (gradient,) = torch.autograd.grad((webp(image, torch.tensor([40, 0])) * weight).sum(), image)
    assert torch.equal(gradient[0], weight[0] * ((image[0] >= 0) & (image[0] <= 1)))
    assert torch.equal(gradient[1], weight[1])


def test_a_picture_too_large_for_webp_is_refused() -> None:
    image = torch.zeros(1, 3, 1, 16384)
    assert webp(image, torch.tensor([0])) is image
    with pytest.raises(DirnetError, match="16384 x 1; wanted at most 16383 pixels a side"):
        webp(image, torch.tensor([50]))
