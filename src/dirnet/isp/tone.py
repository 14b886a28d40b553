"""Tone: the sRGB transfer curve, and a wrong gamma and an S-curve on top of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dirnet.isp import curves

# Where the closed form of `unbend` breaks down, one Newton step from here is exact to 1e-12.
_SMALLEST_BEND = 1e-4


def srgb_encode(linear: torch.Tensor) -> torch.Tensor:
    """Linear light 0..1 -> sRGB 0..1 (IEC 61966-2-1); values below 0 go down the linear part."""
    return curves.encode(linear)


def srgb_decode(encoded: torch.Tensor) -> torch.Tensor:
    """sRGB 0..1 -> linear light 0..1; the inverse of `srgb_encode`."""
    return curves.decode(encoded)


def apply_gamma(encoded: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """A gamma that is off by `ratio` (B,): encoded (B, 3, H, W) in 0..1 -> encoded ** ratio. Above 1 is darker."""
    # As encoded * encoded ** (ratio - 1): exact at the right gamma and at black, gradients included.
    log = F.threshold(encoded, curves.SMALLEST, curves.SMALLEST).log()
    return encoded * (log * (ratio - 1)[:, None, None, None]).exp()


def display(linear: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Linear light (B, 3, H, W) as it is shown: clipped to 0..1, `srgb_encode`, `apply_gamma` with ratio (B,)."""
    return curves.display(linear, ratio[:, None, None, None])


def bend(encoded: torch.Tensor, s_curve: torch.Tensor) -> torch.Tensor:
    """An S-curve of contrast: encoded (B, 3, H, W) in 0..1 -> x + s (smoothstep(x) - x), smoothstep = 3 x^2 - 2 x^3.

    s_curve (B,) in -1..1: above 0 more contrast, below 0 less. Monotone; black, white and the middle stay. No clipping.
    """
    s = s_curve[:, None, None, None].to(encoded)
    return torch.lerp(encoded, encoded.square() * (3 - 2 * encoded), s)


def unbend(encoded: torch.Tensor, s_curve: torch.Tensor) -> torch.Tensor:
    """The inverse of `bend`, by the trigonometric root of the cubic; encoded in 0..1, clipped where it is not.

    At s = 1 smoothstep is level at black and white: there the slope of the inverse is held at a large number.
    """
    s, encoded = s_curve[:, None, None, None], encoded.clamp(0, 1)
    with torch.no_grad():
        x = _bend_root(encoded - 0.5, torch.where(s.abs() < _SMALLEST_BEND, _SMALLEST_BEND, s)) + 0.5
        slope = (1 - s + 6 * s * x * (1 - x)).clamp(min=1e-3)
    return x - (bend(x, s_curve) - encoded) / slope  # a Newton step, which carries the gradients too


def _bend_root(v: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """u with (1 + s / 2) u - 2 s u^3 = v, both counted from the middle; s is not 0."""
    scale = ((2 + s) / (3 * s.abs())).sqrt()
    ratio = 6 * v / ((2 + s) * scale)
    third = ((ratio + (ratio.square() + 1).sqrt()).log() / 3).exp()  # sinh(asinh(ratio) / 3), which torch has slowly
    return scale * torch.where(s > 0, (ratio.clamp(-1, 1).asin() / 3).sin(), (third - 1 / third) / 2)
