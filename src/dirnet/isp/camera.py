"""The whole camera: the stages in order, and nothing else."""

from __future__ import annotations

import torch

from dirnet.isp.codec import jpeg
from dirnet.isp.color import apply_gains, apply_matrix
from dirnet.isp.mosaic import DEMOSAICS, demosaic, gain_mosaic, mosaic
from dirnet.isp.params import ISPParams
from dirnet.isp.sensor import add_noise, digitise, noise_like
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic
from dirnet.isp.tone import apply_gamma, srgb_decode, srgb_encode


def unprocess(image: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """A photograph back to what the sensor saw: image (B, 3, H, W) sRGB 0..1 -> raw (B, 3, H, W) camera RGB.

    The exact inverse of a perfect camera's `render`: tone, colour matrix and white balance undone, no mosaic yet.
    Colours outside the camera's gamut are negative in raw.
    """
    camera = apply_matrix(srgb_decode(image), torch.linalg.inv(params.ccm))
    return apply_gains(camera, 1 / params.white_balance)


def render(raw: torch.Tensor, params: ISPParams, *, exact_jpeg: bool = True) -> torch.Tensor:
    """Photograph raw (B, 3, H, W) camera RGB with the camera of params (B rows) -> sRGB (B, 3, H, W) in 0..1.

    Differentiable in raw and in every float setting. Sample i depends on row i alone, its noise on its own seed.
    exact_jpeg: see `codec.jpeg`.
    """
    camera = _expose(raw, params)
    image = develop_colour(camera, params.ccm_used, params.gamma_ratio)
    return jpeg(image, params.jpeg_quality, params.jpeg_subsampling, exact=exact_jpeg)


def degrade(image: torch.Tensor, params: ISPParams, *, exact_jpeg: bool = True) -> torch.Tensor:
    """The photograph as that camera would have given it: `render` of `unprocess`; (B, 3, H, W) sRGB 0..1."""
    return render(unprocess(image, params), params, exact_jpeg=exact_jpeg)


def expose(image: torch.Tensor, params: ISPParams) -> Mosaic:
    """The RAW file that one exposure would have left: image (1, 3, H, W) sRGB, one row of params -> Mosaic.

    White balance is the camera's own, errors included, with green at 1; a three-colour sensor is given a mosaic too.
    """
    cfa = CFA_PATTERNS[int(params.cfa[0])]
    h, w = image.shape[-2:]
    samples = _read_out(mosaic(_even(unprocess(image, params)), cfa), params)[0, 0, :h, :w]
    gains = params.white_balance[0] * params.white_balance_ratio[0]
    noise = (float(params.shot_noise[0]), float(params.read_noise[0]))
    pedestal = float(params.black_level[0])
    return Mosaic(
        samples, cfa, pedestal * 16383, 16383.0, gains / gains[1], params.ccm_used[0], noise, camera="dirnet camera"
    )


def develop_colour(camera: torch.Tensor, ccm: torch.Tensor, gamma_ratio: torch.Tensor) -> torch.Tensor:
    """White-balanced camera RGB (B, 3, H, W) -> sRGB 0..1 by a colour matrix (B, 3, 3) and the tone curve."""
    return apply_gamma(srgb_encode(apply_matrix(camera, ccm).clamp(0, 1)), gamma_ratio)


def develop(exposure: Mosaic) -> torch.Tensor:
    """A real RAW to sRGB (1, 3, H, W) in 0..1: as-shot white balance, Malvar demosaicing, colour matrix, sRGB curve."""
    h, w = exposure.samples.shape
    samples = exposure.samples.float()[None, None]
    balanced = gain_mosaic(_even(samples), exposure.white_balance.float()[None], exposure.cfa)[..., :h, :w]
    camera = demosaic(balanced.clamp(max=1), exposure.cfa, "malvar")
    return develop_colour(camera, exposure.ccm.float()[None], torch.ones(1))


def _expose(raw: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """Sensor, digital gains and demosaicing, each kind of sensor by itself; white-balanced camera RGB (B, 3, H, W)."""
    kinds = params.demosaic * len(CFA_PATTERNS) + torch.where(params.demosaic > 0, params.cfa, 0)
    groups = [torch.nonzero(kinds == kind).squeeze(1) for kind in torch.unique(kinds)]
    images = [_expose_alike(raw[rows], params[rows]) for rows in groups]
    return torch.cat(images)[torch.argsort(torch.cat(groups))]


def _expose_alike(raw: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """`_expose` for samples that share demosaicing and colour filter array."""
    method = DEMOSAICS[int(params.demosaic[0])]
    cfa = CFA_PATTERNS[int(params.cfa[0])]
    gains = params.white_balance * params.white_balance_ratio * params.exposure[:, None]
    if method == "none":
        return apply_gains(_read_out(raw, params), gains)
    h, w = raw.shape[-2:]
    samples = gain_mosaic(_read_out(mosaic(_even(raw), cfa), params), gains, cfa)
    return demosaic(samples[..., :h, :w], cfa, method)


def _read_out(samples: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """Analogue gain, noise, black level and saturation: (B, C, H, W) -> the same shape, 0 = black, 1 = white."""
    samples = samples * params.iso_gain[:, None, None, None]
    if bool((params.shot_noise > 0).any() or (params.read_noise > 0).any()):
        noise = noise_like(samples, params.noise_seed)
        samples = add_noise(samples, params.shot_noise, params.read_noise, noise)
    return digitise(samples, params.black_level, params.black_level_error)


def _even(image: torch.Tensor) -> torch.Tensor:
    """Repeat the last row and column where a side is odd: whole cells of the colour filter array."""
    h, w = image.shape[-2:]
    return torch.nn.functional.pad(image, (0, w % 2, 0, h % 2), mode="replicate") if h % 2 or w % 2 else image
