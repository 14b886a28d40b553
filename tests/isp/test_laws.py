"""One list of all stages of the camera, and every law as one test over all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from dirnet.isp import camera
from dirnet.isp.codec import double_jpeg, jpeg, webp
from dirnet.isp.color import apply_gains, apply_matrix, saturate
from dirnet.isp.detail import boost_local_contrast, resample, sharpen, smear_chroma, smear_luma
from dirnet.isp.mosaic import demosaic, imbalance_greens, mosaic
from dirnet.isp.optics import blur_motion, correct_shading, correct_vignetting, shade_colours, vignette
from dirnet.isp.sensor import (
    add_banding,
    add_colour_bias,
    add_noise,
    add_tukey_noise,
    digitise,
    noise_like,
    stick_pixels,
)
from dirnet.isp.tone import apply_gamma, bend, srgb_decode, srgb_encode, unbend

Tensor = torch.Tensor
SEEDS = torch.tensor([3, 4])
EYE = torch.eye(3).tolist()
CCM = [[1.6, -0.5, -0.1], [-0.2, 1.5, -0.3], [0.0, -0.4, 1.4]]


@dataclass(frozen=True)
class Case:
    """A stage: apply(image, *settings); for a batch of two, settings that do nothing, usual ones, and hostile ones.

    inverse: undoes it, with the same settings. tone: it maps each value by itself, and must be monotone.
    smooth: which settings gradients flow into (all by default), and whether the image's are checked.
    """

    apply: Callable[..., Tensor]
    neutral: Sequence[Any] | None
    usual: Sequence[Any]
    hostile: Sequence[Sequence[Any]]
    inverse: Callable[..., Tensor] | None = None
    tone: bool = False
    channels: int = 3
    smooth: bool = True


def _noise(samples: Tensor, shot: Tensor, read: Tensor) -> Tensor:
    return add_noise(samples, shot, read, noise_like(samples, SEEDS[: len(samples)]))


def _tukey(samples: Tensor, scale: Tensor, shape: Tensor) -> Tensor:
    return add_tukey_noise(samples, scale, shape, SEEDS[: len(samples)])


def _banding(samples: Tensor, sigma: Tensor) -> Tensor:
    return add_banding(samples, sigma, SEEDS[: len(samples)])


def _stick(samples: Tensor, share: Tensor) -> Tensor:
    return stick_pixels(samples, share, SEEDS[: len(samples)])


def _digitise(samples: Tensor, error: Tensor) -> Tensor:
    levels = torch.full((len(samples),), 0.0625).to(samples)
    return digitise(samples, levels, error, torch.zeros(len(samples), dtype=torch.int64))


def _low_bits(samples: Tensor, bits: Tensor) -> Tensor:
    none = torch.zeros(len(samples)).to(samples)
    return digitise(samples, none, none, bits.long())


def _mosaicked(method: str, cfa: str) -> Callable[[Tensor], Tensor]:
    def apply(image: Tensor) -> Tensor:
        h, w = image.shape[-2:]
        even = torch.nn.functional.pad(image, (0, w % 2, 0, h % 2), mode="replicate")
        return demosaic(mosaic(even, cfa)[..., :h, :w], cfa, method)

    return apply


def _greens(samples: Tensor, ratio: Tensor) -> Tensor:
    h, w = samples.shape[-2:]
    even = torch.nn.functional.pad(samples, (0, w % 2, 0, h % 2), mode="replicate")  # a mosaic has whole cells
    return imbalance_greens(even, ratio, "RGGB")[..., :h, :w]


def _jpeg(exact: bool) -> Callable[..., Tensor]:
    return lambda image, quality: jpeg(image, quality.long(), torch.arange(2)[: len(image)], exact=exact)


def _double(image: Tensor, first: Tensor, quality: Tensor) -> Tensor:
    shift = torch.tensor([[3, 5], [1, 7]])[: len(image)]
    return double_jpeg(image, first.long(), shift, quality.long(), torch.tensor([2, 0])[: len(image)], exact=False)


CASES = {
    "blur_motion": Case(blur_motion, ([0, 0], [1, 2]), ([3.3, 7.1], [0.3, 2.1]), [([0.1, 60], [0, 3.14])]),
    "vignette": Case(vignette, ([0, 0],), ([0.3, 0.8],), [([5, 100],)], inverse=correct_vignetting),
    "shade_colours": Case(
        shade_colours, ([[0.0] * 3] * 2,), ([[0.2, 0, -0.1], [0.5, 0.1, 0.3]],), [([[-0.99] * 3, [9] * 3],)],
        inverse=correct_shading,
    ),
    "apply_gains": Case(
        apply_gains, ([[1.0] * 3] * 2,), ([[2, 1, 1.5], [0.8, 1, 0.7]],), [([[1e-6] * 3, [1e4] * 3],)],
        inverse=lambda image, gains: apply_gains(image, 1 / gains),
    ),
    "imbalance_greens": Case(_greens, ([0, 0],), ([0.1, -0.05],), [([-1, 3],)], channels=1,
                             inverse=lambda samples, ratio: _greens(samples, 1 / (1 + ratio) - 1)),
    "add_noise": Case(_noise, ([0, 0], [0, 0]), ([1e-3, 5e-3], [1e-6, 1e-4]), [([1, 0], [0, 1])], channels=1),
    "add_tukey_noise": Case(
        _tukey, ([0, 0], [0.1, -0.1]), ([0.01, 0.02], [0.14, -0.2]), [([1, 1], [-1, 2]), ([1, 1], [0, 1e-9])],
        channels=1,
    ),
    "add_banding": Case(_banding, ([0, 0],), ([0.01, 0.02],), [([1, 10],)], channels=1),
    "add_colour_bias": Case(
        add_colour_bias, ([[0.0] * 4] * 2,), ([[0.01, 0, 0.02, 0], [0, 0.01, 0, 0.03]],), [([[1] * 4, [-1] * 4],)],
        channels=1,
    ),
    "stick_pixels": Case(_stick, ([0, 0],), ([0.01, 0.1],), [([1, 1e-9],)], channels=1, smooth=False),
    "digitise": Case(_digitise, ([0, 0],), ([0.01, -0.02],), [([0.9, -0.9],)], channels=1),
    "digitise to few bits": Case(_low_bits, ([0, 0],), ([6, 8],), [([1, 16],)], channels=1, smooth=False),
    **{f"demosaic {method} {cfa}": Case(_mosaicked(method, cfa), None, (), [()], smooth=method != "edge_aware")
       for method, cfa in (("bilinear", "RGGB"), ("malvar", "GRBG"), ("nearest", "BGGR"), ("edge_aware", "GBRG"))},
    "apply_matrix": Case(
        apply_matrix, ([EYE] * 2,), ([CCM, [[0.9, 0.1, 0.0], [0.0, 1.2, -0.2], [0.1, 0.1, 0.8]]],),
        [([[[9, -4, -4]] * 3, [[0] * 3] * 3],)],
        inverse=lambda image, matrix: apply_matrix(image, torch.linalg.inv(matrix)),
    ),
    "srgb_encode": Case(srgb_encode, None, (), [()], inverse=srgb_decode, tone=True),
    "srgb_decode": Case(srgb_decode, None, (), [()], inverse=srgb_encode, tone=True),
    "apply_gamma": Case(apply_gamma, ([1, 1],), ([1.2, 0.8],), [([0.05, 20],)], tone=True,
                        inverse=lambda image, ratio: apply_gamma(image, 1 / ratio)),
    "bend": Case(bend, ([0, 0],), ([0.5, -0.7],), [([1, -1],)], inverse=unbend, tone=True),
    "smear_chroma": Case(smear_chroma, ([0, 0],), ([0.3, 0.9],), [([1, 1e-6],)]),
    "smear_luma": Case(smear_luma, ([0, 0],), ([0.3, 0.9],), [([1, 1e-6],)]),
    "boost_local_contrast": Case(boost_local_contrast, ([0, 0],), ([0.3, 0.6],), [([50, -1],)]),
    "saturate": Case(saturate, ([1, 1],), ([1.1, 0.6],), [([0, 50],)]),
    "sharpen": Case(sharpen, ([0, 0], [1, 2]), ([0.3, 0.9], [0.8, 1.5]), [([50, 1], [0.05, 30])]),
    "resample": Case(resample, ([1, 1],), ([0.5, 0.73],), [([1e-3, 0.99],)], smooth=False),
    "jpeg": Case(_jpeg(exact=True), ([0, 0],), ([30, 80],), [([1, 100],)], smooth=False),
    "jpeg, quick": Case(_jpeg(exact=False), ([0, 0],), ([30, 80],), [([1, 100],)], smooth=False),
    "double_jpeg": Case(_double, ([0, 0], [0, 0]), ([30, 60], [80, 90]), [([1, 100], [0, 1])], smooth=False),
    "webp": Case(webp, ([0, 0],), ([20, 80],), [([1, 100],)], smooth=False),
}  # fmt: skip
ALL = pytest.mark.parametrize("name", CASES)


def those(holds: Callable[[Case], bool]) -> pytest.MarkDecorator:
    """The stages that a law speaks of."""
    return pytest.mark.parametrize("name", [name for name, case in CASES.items() if holds(case)])


SIZES = [(1, 1), (1, 7), (2, 2), (5, 3), (16, 16), (33, 18)]


def image_of(case: Case, h: int = 24, w: int = 20, dtype: torch.dtype = torch.float32) -> Tensor:
    """Two smooth pictures with some texture, well inside 0..1."""
    generator = torch.Generator().manual_seed(5)
    rows, columns = torch.linspace(0, 2, h, dtype=dtype)[:, None], torch.linspace(0, 3, w, dtype=dtype)
    waves = torch.stack([torch.sin(rows * (1 + i) + columns * (2 - i % 3)) for i in range(2 * case.channels)])
    texture = torch.rand(waves.shape, generator=generator, dtype=dtype)
    return (0.5 + 0.2 * waves + 0.1 * (texture - 0.5)).view(2, case.channels, h, w)


def settings_of(values: Sequence[Any], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.tensor(value, dtype=dtype) for value in values]


def test_every_stage_of_the_camera_is_in_the_list() -> None:
    in_camera = {stage.apply.__name__ for stage in (*camera.LENS, *camera.SENSOR, *camera.FINISH)}
    assert in_camera <= {name.split()[0] for name in CASES}


@those(lambda case: case.neutral is not None)
def test_identity_settings_give_the_identity_picture(name: str) -> None:
    case = CASES[name]
    assert case.neutral is not None
    image = image_of(case)
    torch.testing.assert_close(case.apply(image, *settings_of(case.neutral)), image, atol=2e-6, rtol=0)


@ALL
def test_usual_settings_change_the_picture(name: str) -> None:
    case = CASES[name]
    image = image_of(case)
    for before, after in zip(image, case.apply(image, *settings_of(case.usual)), strict=True):
        assert (after - before).abs().max() > 1e-3


@those(lambda case: case.inverse is not None)
def test_there_and_back_again(name: str) -> None:
    case = CASES[name]
    assert case.inverse is not None
    image, settings = image_of(case, dtype=torch.float64), settings_of(case.usual, torch.float64)
    torch.testing.assert_close(case.inverse(case.apply(image, *settings), *settings), image, atol=1e-9, rtol=0)


@those(lambda case: case.smooth)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    case = CASES[name]
    inputs = [image_of(case, 6, 4, torch.float64), *settings_of(case.usual, torch.float64)]
    assert torch.autograd.gradcheck(case.apply, [tensor.requires_grad_() for tensor in inputs], atol=1e-5)


@ALL
def test_gradients_reach_the_picture_and_are_finite(name: str) -> None:
    case = CASES[name]
    for values in (case.usual, *case.hostile):
        image = image_of(case).requires_grad_()
        output = case.apply(image, *settings_of(values))
        (gradient,) = torch.autograd.grad(output.square().sum(), image)
        assert gradient.isfinite().all()
        assert gradient.any() or values is not case.usual


@those(lambda case: case.tone)
def test_tone_is_monotone(name: str) -> None:
    case = CASES[name]
    ramp = torch.linspace(0, 1, 4001, dtype=torch.float64).expand(2, 3, 1, -1)
    for values in (case.usual, *case.hostile):
        mapped = case.apply(ramp, *settings_of(values, torch.float64))
        assert (mapped.diff(dim=-1) >= 0).all()
        torch.testing.assert_close(mapped[..., [0, -1]], ramp[..., [0, -1]], atol=1e-9, rtol=0)


@ALL
@pytest.mark.parametrize("size", [(24, 20), (9, 31)])
def test_a_picture_does_not_depend_on_its_batch(name: str, size: tuple[int, int]) -> None:
    case = CASES[name]
    image, settings = image_of(case, *size), settings_of(case.usual)
    together = case.apply(image, *settings)
    alone = case.apply(image[:1], *(setting[:1] for setting in settings))
    assert torch.equal(alone, together[:1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@ALL
def test_a_picture_does_not_depend_on_the_device(name: str) -> None:
    case = CASES[name]
    image, settings = image_of(case), settings_of(case.usual)
    there = case.apply(image.cuda(), *(setting.cuda() for setting in settings)).cpu()
    torch.testing.assert_close(there, case.apply(image, *settings), atol=2e-3 if not case.smooth else 2e-5, rtol=0)


@ALL
@pytest.mark.parametrize("size", SIZES)
def test_hostile_but_valid_values_give_numbers(name: str, size: tuple[int, int]) -> None:
    case = CASES[name]
    noise = torch.rand(2, case.channels, *size, generator=torch.Generator().manual_seed(1))
    for image in (noise, noise.round(), torch.zeros_like(noise), torch.ones_like(noise)):
        for values in (case.usual, *case.hostile, *([case.neutral] if case.neutral is not None else [])):
            output = case.apply(image, *settings_of(values))
            assert output.shape == image.shape
            assert output.isfinite().all()


@those(lambda case: case.smooth)
def test_double_precision_stays_double(name: str) -> None:
    case = CASES[name]
    image, settings = image_of(case, dtype=torch.float64), settings_of(case.usual, torch.float64)
    assert case.apply(image, *settings).dtype == torch.float64
