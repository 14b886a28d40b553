"""The sensor: shot and read noise, banding, stuck pixels, black level, saturation and the converter.

Every kind of noise draws from a stream of its own, so that switching one on leaves the others as they were. A stream is
one generator a sample, on the CPU: a picture's noise depends neither on its batch nor on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from dirnet.isp import curves
from dirnet.isp.strips import pixelwise

# A sample's seed XOR one of these seeds the stream; torch's generator takes 32 bits. Normal noise has the bare seed.
_TUKEY, _BANDING, _DEFECTS = 0x9E3779B9, 0x7F4A7C15, 0xF39CC060


def noise_like(samples: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Standard normal noise of the shape of samples (B, C, H, W), each sample from its own seed (B,) int64."""
    return _draw(torch.randn, samples.shape[1:], seeds).to(samples)


def add_noise(samples: torch.Tensor, shot: torch.Tensor, read: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Shot and read noise: samples (B, C, H, W) linear, variance = shot * x + read with shot, read (B,), x in 0..1."""
    return curves.add_noise(samples, _wide(shot), _wide(read), noise)


def add_tukey_noise(
    samples: torch.Tensor, scale: torch.Tensor, shape: torch.Tensor, seeds: torch.Tensor
) -> torch.Tensor:
    """Long-tailed read noise, Tukey's lambda distribution: samples (B, C, H, W); scale in 0..1 units, shape (B,).

    Quantile function scale * (p^l - (1 - p)^l) / l, the logit at l = 0 (Wei et al., CVPR 2020); tails thin as l rises.
    """
    # p - 1/2 in odd multiples of 2^-25: never 0, symmetric, and exact in float32, as is the nearer tail.
    luck = _draw(torch.rand, samples.shape[1:], seeds ^ _TUKEY).sub_(0.5).add_(2.0**-25).to(samples)

    def add(samples: torch.Tensor, centred: torch.Tensor) -> torch.Tensor:
        tail = 0.5 - centred.abs()
        upper = torch.log1p(-tail)
        logit = upper - tail.log()
        # With P, p the larger and the smaller of p, 1 - p: (P^l - p^l) / l = P^l (1 - exp(-l logit)) / l.
        quantile = (_wide(shape) * upper).exp() * logit * _decay(_wide(shape) * logit)
        return samples + _wide(scale) * centred.sign() * quantile

    return pixelwise(add, (samples, luck), luck)


def add_banding(samples: torch.Tensor, sigma: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Row noise: one normal offset a row, the same in all columns and channels; samples (B, C, H, W), sigma (B,)."""
    rows = _draw(torch.randn, samples.shape[2:3], seeds ^ _BANDING).to(samples)
    return samples + _wide(sigma) * rows[:, None, :, None]


def add_colour_bias(samples: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Offset of each site of the 2 x 2 cell: samples (B, C, H, W), bias (B, 4) for sites (0,0), (0,1), (1,0), (1,1).

    Three channels take the offsets as R, the mean of both greens, and B.
    """
    if samples.shape[1] == 3:
        first, second, third, fourth = bias.unbind(1)
        return samples + torch.stack([first, (second + third) / 2, fourth], 1)[:, :, None, None]
    h, w = samples.shape[-2:]
    cells = bias.view(-1, 1, 2, 2).repeat(1, 1, (h + 1) // 2, (w + 1) // 2)
    return samples + cells[..., :h, :w]


def stick_pixels(samples: torch.Tensor, share: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Defect pixels: the share (B,) of sites of samples (B, C, H, W) is stuck, half of them at 1 and half at 0.

    Which ones is decided site by site; a rising share keeps those that are stuck. The gradient in share is 0.
    """
    luck = _draw(torch.rand, samples.shape[1:], seeds ^ _DEFECTS).to(samples)
    half = _wide(share) / 2

    def stick(samples: torch.Tensor, luck: torch.Tensor) -> torch.Tensor:
        return samples.masked_fill(luck < half, 0).masked_fill(luck >= 1 - half, 1)

    return pixelwise(stick, (samples, luck), luck)


def digitise(
    samples: torch.Tensor, black_level: torch.Tensor, black_level_error: torch.Tensor, bit_depth: torch.Tensor
) -> torch.Tensor:
    """What the converter keeps of samples (B, C, H, W), and what the ISP takes for black.

    black_level (B,): the pedestal as a share of the full range, which lets values below black survive down to
    -b / (1 - b); everything above white (1) is cut. bit_depth (B,) int64: steps of 1 / (2^bits - 1) of the full range,
    0 = none; gradients pass straight through. black_level_error (B,): how far too much is subtracted.
    """
    lowest, black, in_steps = _wide(-black_level / (1 - black_level)), _wide(black_level), bool(bit_depth.any())
    steps = _wide((2**bit_depth - 1).clamp(min=1)).to(samples)

    def keep(samples: torch.Tensor) -> torch.Tensor:
        kept = curves.limit(samples, lowest)
        if in_steps:
            stepped = (torch.round((black + kept * (1 - black)) * steps) / steps - black) / (1 - black)
            kept = torch.where(_wide(bit_depth > 0), stepped.detach() + (kept - kept.detach()), kept)
        return kept - _wide(black_level_error)

    return pixelwise(keep, (samples,), torch.empty_like(samples))


def _draw(kind: Callable[..., Any], shape: Sequence[int], seeds: torch.Tensor) -> torch.Tensor:
    """(B, *shape) float32 on the CPU: torch.rand or torch.randn, each row by a generator of its own seed."""
    generator, drawn = torch.Generator(), torch.empty(len(seeds), *shape)
    for row, seed in zip(drawn, seeds.tolist(), strict=True):
        kind(shape, generator=generator.manual_seed(seed), out=row)
    return drawn


def _decay(x: torch.Tensor) -> torch.Tensor:
    """(1 - exp(-x)) / x, smooth through 1 at x = 0."""
    near = x.abs() < 0.01
    far = torch.where(near, 1, x)
    series = 1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5)))
    return torch.where(near, series, -torch.expm1(-far) / far)


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]
