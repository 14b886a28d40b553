"""Grain of no camera in particular: noise of any strength, fineness and colour on pictures that are otherwise right."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

WEAKEST, STRONGEST = 1.0, 12.0  # steps of 255
COARSEST = 1.6  # pixels: the standard deviation of the Gaussian that it has gone through
FINE = 0.25  # share of pictures whose grain is as fine as can be
GREY = 1 / 3  # power of a uniform draw that makes the share of its variance that all channels have in common
REACH = 6  # pixels of that Gaussian on either side


def add_grain(spoiled: torch.Tensor, ideal: torch.Tensor, names: Sequence[str], share: float) -> torch.Tensor:
    """In the place of a share of spoiled pictures (N, 3, H, W): what they should be, with grain and nothing else wrong.

    Normal noise through a Gaussian, of any colour but mostly nearly grey, its strength independent of the light or in
    proportion to its root, or in between. What cameras leave of their noise is much like it, whatever they did. A
    draw depends on the picture's name alone.
    """
    found = spoiled.clone()
    for index, name in enumerate(names):
        seed = int.from_bytes(hashlib.sha256(f"grain/{name}".encode()).digest()[:7])
        generator = torch.Generator().manual_seed(seed)
        chosen, fine, coarse, grey, strong, shot = torch.rand(6, generator=generator).tolist()
        if chosen >= share:
            continue
        picture = ideal[index]
        size = (picture.shape[1], picture.shape[2])
        grain = _grain(size, 0.0 if fine < FINE else COARSEST * coarse, grey**GREY, generator).to(picture)
        strength = WEAKEST * (STRONGEST / WEAKEST) ** strong / 255
        light = picture.mean(0).clamp(min=0.02).sqrt()
        found[index] = (picture + strength * (1 - shot + 1.6 * shot * light) * grain).clamp(0, 1)
    return found


def _grain(size: tuple[int, int], coarse: float, grey: float, generator: torch.Generator) -> torch.Tensor:
    """Noise (3, *size) of variance 1."""
    h, w = size
    noise = torch.randn(3, h + 2 * REACH, w + 2 * REACH, generator=generator)
    taps = torch.exp(-0.5 * (torch.arange(-REACH, REACH + 1) / max(coarse, 1e-2)) ** 2)
    taps = taps / taps.square().sum().sqrt()  # which keeps the variance
    noise = F.conv2d(F.conv2d(noise[:, None], taps[None, None, :, None]), taps[None, None, None])[:, 0]
    alike = noise.sum(0) / math.sqrt(3)
    mixed = math.sqrt(1 - grey) * noise + math.sqrt(grey) * alike
    return mixed / mixed.std()
