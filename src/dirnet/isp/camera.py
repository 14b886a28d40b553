"""The whole camera: the stages in order, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

from dirnet.isp import core
from dirnet.isp.codec import double_jpeg, webp
from dirnet.isp.color import apply_matrix, saturate
from dirnet.isp.detail import boost_local_contrast, resample, sharpen, smear_chroma, smear_luma
from dirnet.isp.mosaic import DEMOSAICS
from dirnet.isp.optics import blur_motion, shade_colours, vignette
from dirnet.isp.params import ISPParams
from dirnet.isp.sensor import (
    add_banding,
    add_colour_bias,
    add_noise,
    add_tukey_noise,
    digitise,
    noise_like,
    stick_pixels,
)
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic
from dirnet.isp.stages import Stage, reach, run
from dirnet.isp.strips import Strip, Work, in_strips
from dirnet.isp.tone import bend, display, srgb_decode

LENS = (
    Stage(blur_motion, ("motion_blur", "motion_angle"), lambda length, _: math.ceil(float(length) / 2) + 1),
    Stage(vignette, ("vignetting",), placed=True),
    Stage(shade_colours, ("colour_shading",), placed=True),
)
SENSOR = (
    Stage(add_tukey_noise, ("tukey_scale", "tukey_shape", "noise_seed"), None),
    Stage(add_banding, ("row_noise", "noise_seed"), None),
    Stage(add_colour_bias, ("colour_bias",), None),
    Stage(stick_pixels, ("defect_pixels", "noise_seed"), None),
)
FINISH = (
    Stage(smear_chroma, ("chroma_smear",), 15),
    Stage(smear_luma, ("luma_smear",), 6),
    Stage(bend, ("s_curve",)),
    Stage(boost_local_contrast, ("local_contrast",), 31),
    Stage(saturate, ("saturation",)),
    Stage(sharpen, ("sharpening", "sharpening_radius"), lambda _, radius: math.ceil(4 * float(radius)) + 1),
    Stage(resample, ("resize",), None),
)


def unprocess(image: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """A photograph back to what the sensor saw: image (B, 3, H, W) sRGB 0..1 -> raw (B, 3, H, W) camera RGB.

    The exact inverse of a perfect camera's `render`: tone, colour matrix and white balance undone, no mosaic yet.
    Colours outside the camera's gamut are negative in raw.
    """
    return apply_matrix(srgb_decode(image), core.to_raw(params))


def render(raw: torch.Tensor, params: ISPParams, *, exact_jpeg: bool = True) -> torch.Tensor:
    """Photograph raw (B, 3, H, W) camera RGB with the camera of params (B rows) -> sRGB (B, 3, H, W) in 0..1.

    Differentiable in raw and in every float setting. Sample i depends on row i alone, its noise on its own seed.
    exact_jpeg: see `codec.jpeg`.
    """
    return _photograph(raw, params, exact_jpeg, encoded=False)


def degrade(image: torch.Tensor, params: ISPParams, *, exact_jpeg: bool = True) -> torch.Tensor:
    """The photograph as that camera would have given it: `render` of `unprocess`; (B, 3, H, W) sRGB 0..1."""
    return _photograph(image, params, exact_jpeg, encoded=True)


def expose(image: torch.Tensor, params: ISPParams) -> Mosaic:
    """The RAW file that one exposure would have left: image (1, 3, H, W) sRGB, one row of params -> Mosaic.

    White balance is the camera's own, errors included, with green at 1; a three-colour sensor is given a mosaic too.
    """
    cfa = CFA_PATTERNS[int(params.cfa[0])]
    h, w = image.shape[-2:]
    samples = _expose(image, params, cfa, encoded=True)[0, 0, :h, :w]
    gains = params.white_balance[0] * params.white_balance_ratio[0]
    noise = (float(params.shot_noise[0]), float(params.read_noise[0]))
    pedestal = float(params.black_level[0])
    return Mosaic(
        samples, cfa, pedestal * 16383, 16383.0, gains / gains[1], params.ccm_used[0], noise, camera="dirnet camera"
    )


def develop_colour(camera: torch.Tensor, ccm: torch.Tensor, gamma_ratio: torch.Tensor) -> torch.Tensor:
    """White-balanced camera RGB (B, 3, H, W) -> sRGB 0..1 by a colour matrix (B, 3, 3) and the tone curve."""
    return display(apply_matrix(camera, ccm), gamma_ratio)


def read_out(samples: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """Analogue gain, noise, black level and saturation: (1, C, H, W) -> the same shape, 0 = black, 1 = white."""
    return _read_amplified(samples * params.iso_gain[:, None, None, None], params)


def finish(camera: torch.Tensor, params: ISPParams, *, exact_jpeg: bool = True) -> torch.Tensor:
    """White-balanced camera RGB (1, 3, H, W) -> sRGB 0..1: all that the ISP does after demosaicing, and the file."""
    image = run(FINISH, develop_colour(camera, params.ccm_used, params.gamma_ratio), params)
    return _store(image, params, exact_jpeg)


def _photograph(image: torch.Tensor, params: ISPParams, exact_jpeg: bool, *, encoded: bool) -> torch.Tensor:
    """One exposure after the other, so that none depends on the others."""
    scenes = image.contiguous().split(1)
    pictures = (_shoot(scene, params[row : row + 1], encoded=encoded) for row, scene in enumerate(scenes))
    if len(scenes) == 1 or torch.is_grad_enabled():
        return _store(torch.cat(list(pictures)) if len(scenes) > 1 else next(pictures), params, exact_jpeg)
    shown = torch.empty_like(image, memory_format=torch.contiguous_format)
    for to, picture in zip(shown.split(1), pictures, strict=True):
        to.copy_(picture)  # while the cache holds it
    return _store(shown, params, exact_jpeg)


def _shoot(scene: torch.Tensor, params: ISPParams, *, encoded: bool) -> torch.Tensor:
    """One exposure (1, 3, H, W), all but the file."""
    method = DEMOSAICS[int(params.demosaic[0])]
    cfa = CFA_PATTERNS[int(params.cfa[0])] if method != "none" else None
    samples = _expose(scene, params, cfa, encoded=encoded)
    h, w = scene.shape[-2:]
    image = core.develop(samples, params, cfa, method, (h, w))
    image = _in_strips(FINISH, image, params)
    return run((stage for stage in FINISH if stage.reach is None), image, params)


def _expose(scene: torch.Tensor, params: ISPParams, cfa: str | None, *, encoded: bool) -> torch.Tensor:
    """What the converter gives to the ISP: (1, 1, H, W), sides made even, or three colours."""
    if any(stage.concerns(params) for stage in LENS):
        scene, encoded = _in_strips(LENS, scene, params, first=unprocess if encoded else None), False
    return _read_amplified(core.sense(scene, params, cfa, encoded=encoded), params)


def _read_amplified(samples: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """Noise, black level, saturation and converter, on whole samples (1, C, H, W)."""
    if bool(params.shot_noise > 0 or params.read_noise > 0):
        noise = noise_like(samples, params.noise_seed)
        samples = add_noise(samples, params.shot_noise, params.read_noise, noise)
    samples = run(SENSOR, samples, params)
    return digitise(samples, params.black_level, params.black_level_error, params.bit_depth)


def _in_strips(
    stages: Iterable[Stage],
    image: torch.Tensor,
    params: ISPParams,
    first: Callable[[torch.Tensor, ISPParams], torch.Tensor] | None = None,
) -> torch.Tensor:
    """One exposure through those stages that need not see the whole, strip by strip."""
    stages = [stage for stage in stages if stage.reach is not None and stage.concerns(params)]
    if not stages:
        return image
    names, height = list(vars(params)), image.shape[-2]

    def apply(strip: Strip, image: torch.Tensor, *settings: torch.Tensor) -> torch.Tensor:
        own = ISPParams(**dict(zip(names, settings, strict=True)))
        image = first(image, own) if first else image
        return strip.wanted(run(stages, image, own, strip.first, height))

    return in_strips(Work(apply, height, reach(stages, params)), image, *vars(params).values())


def _store(image: torch.Tensor, params: ISPParams, exact_jpeg: bool) -> torch.Tensor:
    """What is left of images (B, 3, H, W) in their files."""
    if bool((params.first_jpeg_quality + params.jpeg_quality).any()):
        first = (params.first_jpeg_quality, params.first_jpeg_shift)
        image = double_jpeg(image, *first, params.jpeg_quality, params.jpeg_subsampling, exact=exact_jpeg)
    return webp(image, params.webp_quality) if bool(params.webp_quality.any()) else image
