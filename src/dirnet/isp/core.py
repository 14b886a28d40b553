"""The core of the camera, from light to samples and from samples to a picture: in strips, in few passes.

What is linear between two curves is one mixture (`cells`): inverse colour matrix, white balance, mosaic and analogue
gain on the way in; digital gains, bilinear or Malvar demosaicing and colour matrix on the way out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dirnet.isp.cells import mix, mix_neighbours, pattern
from dirnet.isp.edges import mirror
from dirnet.isp.mosaic import DEMOSAIC_REACH, demosaic, gain_mosaic, taps
from dirnet.isp.params import ISPParams
from dirnet.isp.strips import Strip, Work, in_strips
from dirnet.isp.tone import display, srgb_decode


def to_raw(params: ISPParams) -> torch.Tensor:
    """(B, 3, 3): linear sRGB -> camera RGB before white balance."""
    return torch.linalg.inv(params.ccm) / params.white_balance[:, :, None]


def even(image: torch.Tensor) -> torch.Tensor:
    """Repeat the last row and column where a side is odd: whole cells of the colour filter array."""
    h, w = image.shape[-2:]
    return F.pad(image, (0, w % 2, 0, h % 2), mode="replicate") if h % 2 or w % 2 else image


def sense(scene: torch.Tensor, params: ISPParams, cfa: str | None, *, encoded: bool) -> torch.Tensor:
    """What light and analogue gain make of a scene (1, 3, H, W): samples (1, 1, H, W), sides made even, without noise.

    cfa None: (1, 3, H, W) by a three-colour sensor. encoded: the scene is sRGB, to be undone, else raw camera RGB. One
    row of params.
    """
    h, w = scene.shape[-2:]
    matrix = to_raw(params)[0] if encoded else torch.eye(3, device=scene.device)
    if cfa is None:
        weights = (matrix * params.iso_gain).mT[:, :, None, None]
    else:
        second = torch.tensor([site == cfa.rindex("G") for site in range(4)], device=scene.device)
        sites = params.iso_gain * (1 + params.green_imbalance * second)
        weights = pattern((matrix[["RGB".index(colour) for colour in cfa]].mT * sites)[:, None], w + w % 2)

    def sense_strip(_: Strip, light: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        light = srgb_decode(light) if encoded else light
        return mix(light if cfa is None else even(light), weights)

    return in_strips(Work(sense_strip, h if cfa is None else h + h % 2, 0), scene, weights.to(scene))


def develop(
    samples: torch.Tensor,
    params: ISPParams,
    cfa: str | None,
    method: str,
    size: tuple[int, int],
    *,
    neutral: bool = False,
) -> torch.Tensor:
    """What the ISP makes of samples as `sense` shapes them, read out: sRGB (1, 3, *size). One row of params.

    Without gradients, colours may be written to. neutral: all colours of a mosaic are cut at the same light, so that
    what is blown out has none.
    """
    (h, w), reach = size, DEMOSAIC_REACH[method]
    gains = params.white_balance * params.white_balance_ratio * params.exposure[:, None]
    ccm = params.ccm_used[0]
    # Where a side of one pixel is repeated, neighbours are not of the colour that is their turn: gains must come first.
    linear = method in ("bilinear", "malvar") and min(h, w) > 1 and not neutral
    if linear:
        shares, colours = taps(cfa, method)
        shares = (ccm @ shares.to(ccm)) * gains[0][colours][:, None]
        weights = pattern(shares, w + w % 2 + 2 * reach)
    else:
        weights = (ccm * gains if cfa is None else ccm).mT[:, :, None, None]

    def develop_strip(strip: Strip, samples: torch.Tensor, *settings: torch.Tensor) -> torch.Tensor:
        weights, gains, ratio = settings
        if linear:
            above, below = reach - (strip.top - strip.first), reach - (strip.last - strip.bottom)
            rows = strip.bottom - strip.top
            padded = mirror(samples[..., :w], above, below + rows % 2, reach, reach + w % 2)
            return display(mix_neighbours(padded, weights), ratio)[..., :rows, :w]
        if cfa is not None:
            balanced = gain_mosaic(even(samples), gains, cfa)[..., : samples.shape[2], :w]
            samples = demosaic(balanced.minimum(gains.amin()) if neutral else balanced, cfa, method)
        return display(mix(strip.wanted(samples), weights), ratio)

    work, settings = Work(develop_strip, h, reach), (weights.to(samples), gains, params.gamma_ratio)
    return in_strips(work, samples, *settings, inplace=cfa is None)
