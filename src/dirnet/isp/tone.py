"""Tone: the sRGB transfer curve and a wrong gamma on top of it."""

from __future__ import annotations

import torch

# Powers of exactly 0 have no useful gradient; this is far under one 16-bit step.
_SMALLEST = 1e-6


def srgb_encode(linear: torch.Tensor) -> torch.Tensor:
    """Linear light 0..1 -> sRGB 0..1 (IEC 61966-2-1); values below 0 go down the linear part."""
    power = linear.clamp(min=0.0031308).log().mul(1 / 2.4).exp() * 1.055 - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, power)


def srgb_decode(encoded: torch.Tensor) -> torch.Tensor:
    """sRGB 0..1 -> linear light 0..1; the inverse of `srgb_encode`."""
    power = ((encoded.clamp(min=0.04045) + 0.055) / 1.055).log().mul(2.4).exp()
    return torch.where(encoded <= 0.04045, encoded / 12.92, power)


def apply_gamma(encoded: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """A gamma that is off by `ratio` (B,): encoded (B, 3, H, W) in 0..1 -> encoded ** ratio. Above 1 is darker."""
    exponent = ratio[:, None, None, None]
    log = encoded.clamp(min=_SMALLEST).log()
    tangent = encoded * (1 + (exponent - 1) * log)  # exact at the right gamma and at black, gradients included
    return torch.where((exponent == 1) | (encoded <= 0), tangent, log.mul(exponent).exp())
