"""Spoiled pictures as yet another camera might have given them: generic changes that name no kind of degradation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

MIXED = 0.25  # spread of the filter's taps beside the middle one
LOUDER = 1.2  # what is wrong is made stronger by e to the power of this times a normal number's size
STREAKED, STREAK = 0.5, 25  # noise in rows or columns: its most beside the noise itself; its length in pixels
TRANSFER, SOFTEST = 0.8, -0.6  # gains of the picture's finer scales: their spread, and the least
WIDTHS = (0.8, 1.6, 3.2)  # of the Gaussians that part those scales, in pixels
_MARGIN = 16


def randomise(spoiled: torch.Tensor, ideal: torch.Tensor, names: Sequence[str], share: float) -> torch.Tensor:
    """Change a share of spoiled pictures (N, 3, H, W), sides over 16; ideal, of that shape, is what they should be.

    What is wrong goes through a random filter over space and channels, may run in rows or columns, and is made stronger
    than it was drawn; the picture beneath may be made sharper or softer by a random transfer function. After RandConv
    (Xu et al., Robust and generalizable visual representation learning via random convolutions, ICLR 2021). A draw
    depends on the picture's name alone.
    """
    normal, even = _draws(names, ideal.device)
    chosen = even[:, 5] < share
    if not chosen.any():
        return spoiled
    found = spoiled.clone()
    found[chosen] = _change(spoiled[chosen], ideal[chosen], normal[chosen], even[chosen])
    return found


def _change(spoiled: torch.Tensor, ideal: torch.Tensor, normal: torch.Tensor, even: torch.Tensor) -> torch.Tensor:
    """Pictures (N, 3, H, W) as `randomise` changes them, all of them; work is done where the draws ask for it."""
    noise = spoiled - ideal
    wrong = _mix(noise, normal[:, :81].reshape(-1, 3, 3, 3, 3)) * _wide((LOUDER * normal[:, 81].abs()).exp())
    for axis, amount, whether in ((2, even[:, 0], even[:, 1]), (3, even[:, 2], even[:, 3])):
        runs = whether < 0.3
        elsewhere = noise[runs].roll((noise.shape[2] // 2, noise.shape[3] // 2), (2, 3))
        wrong[runs] += STREAKED * _wide(amount[runs]) * _streaks(elsewhere, axis)
    picture, bent = ideal.clone(), even[:, 4] < 0.5
    picture[bent] = _transfer(ideal[bent], (TRANSFER * normal[bent, 82:]).clamp(min=SOFTEST))
    return (picture + wrong).clamp(0, 1)


def _draws(names: Sequence[str], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """For every name 81 + 1 + 3 normal numbers and 6 even ones between 0 and 1."""
    seeds = [int.from_bytes(hashlib.sha256(f"randomise/{name}".encode()).digest()[:7]) for name in names]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    normal = torch.stack([torch.randn(82 + len(WIDTHS), generator=generator) for generator in generators])
    even = torch.stack([torch.rand(6, generator=generator) for generator in generators])
    return normal.to(device), even.to(device)


def _mix(noise: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Each picture's noise through its own 3 x 3 filter (N, 3, 3, 3, 3) near the identity, which keeps its strength."""
    n, c, h, w = noise.shape
    taps = MIXED * taps
    taps[:, range(c), range(c), 1, 1] += 1
    taps = taps / taps.square().sum((2, 3, 4), keepdim=True).sqrt()
    rows = F.pad(noise, (1, 1, 1, 1), mode="reflect").reshape(1, n * c, h + 2, w + 2)
    return F.conv2d(rows, taps.reshape(n * c, c, 3, 3), groups=n).reshape(n, c, h, w)


def _streaks(noise: torch.Tensor, axis: int) -> torch.Tensor:
    """The running mean along an axis, at the strength that independent noise had before."""
    window = (STREAK, 1) if axis == 2 else (1, STREAK)
    padding = (window[0] // 2, window[1] // 2)
    return math.sqrt(STREAK) * F.avg_pool2d(noise, window, stride=1, padding=padding)


def _transfer(picture: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Picture + sum of gains (N, 3) times what a Gaussian of each of `WIDTHS` takes away."""
    padded = F.pad(picture, (_MARGIN,) * 4, mode="reflect")
    h, w = padded.shape[2:]
    frequency = (
        torch.fft.fftfreq(h, device=picture.device)[:, None] ** 2 + torch.fft.rfftfreq(w, device=picture.device) ** 2
    )
    taken = torch.stack([1 - (-2 * (math.pi * width) ** 2 * frequency).exp() for width in WIDTHS])
    response = 1 + torch.einsum("nk,khw->nhw", gains, taken)[:, None]
    found = torch.fft.irfft2(torch.fft.rfft2(padded) * response, s=(h, w))
    return found[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, 1, 1, 1)
