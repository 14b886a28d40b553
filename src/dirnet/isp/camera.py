"""The whole camera: the stages in order, and nothing else."""

from __future__ import annotations

import math

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
from dirnet.isp.stages import Stage, run, run_in_strips
from dirnet.isp.strips import pixelwise
from dirnet.isp.tone import bend, srgb_decode

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


def read_out(samples: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """Analogue gain, noise, black level and saturation: (1, C, H, W) -> the same shape, 0 = black, 1 = white."""
    return _read_amplified(samples * params.iso_gain[:, None, None, None], params)


def finish(image: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """What the ISP does to a picture once it has its colours: (1, 3, H, W) sRGB 0..1, which may be written to."""
    image = run_in_strips(FINISH, image, params, inplace=True)
    whole = [stage for stage in FINISH if stage.reach is None and stage.concerns(params)]
    if not whole:
        return image
    if torch.is_grad_enabled():
        return run(whole, image, params)
    for plane in image.split(1, 1):  # colour by colour, so that there is never much more than the picture
        plane.copy_(run(whole, plane, params))
    return image


def store(image: torch.Tensor, params: ISPParams, *, exact_jpeg: bool) -> torch.Tensor:
    """What is left of images (B, 3, H, W) in their files; without gradients they may be written to."""
    inplace, first = not torch.is_grad_enabled(), (params.first_jpeg_quality, params.first_jpeg_shift)
    last = (params.jpeg_quality, params.jpeg_subsampling)
    image = double_jpeg(image, *first, *last, exact=exact_jpeg, inplace=inplace)
    return webp(image, params.webp_quality, inplace=inplace)


def _photograph(image: torch.Tensor, params: ISPParams, exact_jpeg: bool, *, encoded: bool) -> torch.Tensor:
    """One exposure after the other, so that none depends on the others."""
    scenes = image.split(1)
    pictures = (_shoot(scene, params[row : row + 1], encoded=encoded) for row, scene in enumerate(scenes))
    if len(scenes) == 1 or torch.is_grad_enabled():
        shown = torch.cat(list(pictures)) if len(scenes) > 1 else next(pictures)
        return store(shown, params, exact_jpeg=exact_jpeg)
    shown = torch.empty_like(image, memory_format=torch.contiguous_format)
    for to, picture in zip(shown.split(1), pictures, strict=True):
        to.copy_(picture)  # while the cache holds it
    return store(shown, params, exact_jpeg=exact_jpeg)


def _shoot(scene: torch.Tensor, params: ISPParams, *, encoded: bool) -> torch.Tensor:
    """One exposure (1, 3, H, W), all but the file."""
    method = DEMOSAICS[int(params.demosaic[0])]
    cfa = CFA_PATTERNS[int(params.cfa[0])] if method != "none" else None
    h, w = scene.shape[-2:]
    # What goes by unnamed is freed as soon as it is used.
    return finish(core.develop(_expose(scene, params, cfa, encoded=encoded), params, cfa, method, (h, w)), params)


def _expose(scene: torch.Tensor, params: ISPParams, cfa: str | None, *, encoded: bool) -> torch.Tensor:
    """What the converter gives to the ISP: (1, 1, H, W), sides made even, or three colours."""
    return _read_amplified(_gather(scene, params, cfa, encoded=encoded), params)


def _gather(scene: torch.Tensor, params: ISPParams, cfa: str | None, *, encoded: bool) -> torch.Tensor:
    """What lens and light give to the sensor."""
    if any(stage.concerns(params) for stage in LENS):
        scene, encoded = run_in_strips(LENS, scene, params, before=unprocess if encoded else None), False
    return core.sense(scene, params, cfa, encoded=encoded)


def _read_amplified(samples: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """Noise, black level, saturation and converter, on whole samples (1, C, H, W)."""
    if bool(params.shot_noise > 0 or params.read_noise > 0):
        noise = noise_like(samples, params.noise_seed)

        def add(samples: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            return add_noise(samples, params.shot_noise, params.read_noise, noise)

        samples = pixelwise(add, (samples, noise), noise)
        del noise
    for stage in SENSOR:
        samples = run([stage], samples, params)
    return digitise(samples, params.black_level, params.black_level_error, params.bit_depth)
