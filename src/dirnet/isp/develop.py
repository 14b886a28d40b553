"""A real RAW through the camera: the samples are there, lens, sensor and ISP come on top by settings."""

from __future__ import annotations

from typing import Any

import torch

from dirnet.errors import UsageError
from dirnet.isp import core
from dirnet.isp.camera import LENS, finish, read_out, store
from dirnet.isp.color import planckian_gains
from dirnet.isp.mosaic import DEMOSAIC_REACH, DEMOSAICS, demosaic, imbalance_greens, mosaic
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic
from dirnet.isp.stages import run_in_strips


def as_shot(exposure: Mosaic) -> dict[str, Any]:
    """The right settings for a RAW: its own colours and levels, Malvar demosaicing, nothing added.

    Noise settings are 0: the samples have their own. No gain is below 1, so that what is blown out is white.
    """
    ccm = exposure.ccm.tolist()
    own = {
        "ccm": ccm,
        "ccm_used": ccm,
        "white_balance": (exposure.white_balance / exposure.white_balance.min().clamp(max=1)).tolist(),
        "black_level": exposure.black_level / exposure.white_level,
        "cfa": exposure.cfa,
        "demosaic": "malvar",
    }
    return clean_settings() | own


def balance_for(exposure: Mosaic, kelvin: float) -> torch.Tensor:
    """White balance gains (3,), G = 1, under a black body of 2000..12000 K.

    Raises UsageError where the file does not say what its sensor sees in daylight.
    """
    if exposure.daylight is None:
        raise UsageError(
            f"White balance by temperature needs to know the sensor of {exposure.camera or 'this camera'}",
            got="a RAW without calibrated colours",
            cure="Give the gains themselves.",
        )
    gains = exposure.daylight * planckian_gains(torch.tensor([float(kelvin)]), exposure.ccm[None])[0]
    return gains / gains[1]


def develop(exposure: Mosaic, params: ISPParams | None = None, *, exact_jpeg: bool = True) -> torch.Tensor:
    """A real RAW to sRGB (1, 3, H, W) in 0..1, not turned, by one row of settings (none: `as_shot`), as in `render`.

    Faults of lens and sensor come on top of what the RAW has already; iso_gain amplifies its samples, noise included.
    Where a sample is blown out, all colours are cut at the same light, so that it stays neutral. exact_jpeg: see
    `codec.jpeg`. Raises UsageError for settings without demosaicing.
    """
    params = ISPParams.from_settings([as_shot(exposure)]) if params is None else params
    cfa, method = CFA_PATTERNS[int(params.cfa[0])], DEMOSAICS[int(params.demosaic[0])]
    if method == "none":
        raise UsageError("A RAW must be demosaiced", got=method, wanted=f"one of {', '.join(DEMOSAICS[1:])}")
    samples = core.even(_through_lens(exposure.samples.float()[None, None], params, cfa))
    samples = read_out(imbalance_greens(samples, params.green_imbalance, cfa), params)
    h, w = exposure.samples.shape
    image = finish(core.develop(samples, params, cfa, method, (h, w), neutral=True), params)
    return store(image, params, exact_jpeg=exact_jpeg)


def _through_lens(samples: torch.Tensor, params: ISPParams, cfa: str) -> torch.Tensor:
    """Faults of the lens on samples (1, 1, H, W), by way of a guess at the other two colours of each site."""

    def guess(samples: torch.Tensor, _: ISPParams) -> torch.Tensor:
        return demosaic(samples, cfa, "bilinear")

    def sample(image: torch.Tensor, _: ISPParams) -> torch.Tensor:
        return mosaic(image, cfa)

    return run_in_strips(LENS, samples, params, guess, sample, DEMOSAIC_REACH["bilinear"])
