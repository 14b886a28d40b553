"""Grain of no camera in particular: noise of any strength, fineness and colour on pictures that are otherwise right."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F

WEAKEST, STRONGEST = 1.0, 12.0  # steps of 255
COARSEST = 1.6  # pixels: the standard deviation of the Gaussian that its brightness has gone through
WIDEST = 6.0  # the same of its colour, which cameras smooth more than brightness, and JPEG as well
FINE = 0.25  # share of pictures whose grain is as fine as can be, and of those whose colour is as fine as brightness
MOST_COLOUR = 1.2  # strength of either axis of colour beside that of brightness; 1 where channels are independent
REACH = 18  # pixels of a Gaussian on either side
DENOISED = 0.6  # share of pictures whose grain has been through a camera's own denoiser
MILDEST, HARSHEST = 0.4, 1.6  # of that denoiser: how different patches it averages, in units of the grain
NEAR = 2  # pixels it looks around, on every side


def add_grain(
    spoiled: torch.Tensor, ideal: torch.Tensor, names: Sequence[str], share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """In the place of a share of spoiled pictures (N, 3, H, W): what they should be, with grain and nothing else wrong.

    Normal noise through Gaussians, one for its brightness and a wider one for its colour; its strength independent of
    the light or in proportion to its root, or in between. Some have gone through a camera's own denoiser, which leaves
    grain where the scene has detail: those should be what it makes of the picture without grain, as the mean of many
    shots would be. Gives the pictures, and what they should be. A draw depends on the picture's name alone.
    """
    found, wanted = spoiled.clone(), ideal.clone()
    for index, name in enumerate(names):
        seed = int.from_bytes(hashlib.sha256(f"grain/{name}".encode()).digest()[:7])
        generator = torch.Generator().manual_seed(seed)
        chosen, fine, coarse, alike, wide, colour, strong, shot = torch.rand(8, generator=generator).tolist()
        if chosen >= share:
            continue
        picture = ideal[index]
        size = (picture.shape[1], picture.shape[2])
        coarse = 0.0 if fine < FINE else COARSEST * coarse
        wide = coarse if alike < FINE else coarse + (WIDEST - coarse) * wide
        grain = _grain(size, coarse, wide, MOST_COLOUR * colour, generator).to(picture)
        strength = WEAKEST * (STRONGEST / WEAKEST) ** strong / 255
        light = picture.mean(0).clamp(min=0.02).sqrt()
        grain = strength * (1 - shot + 1.6 * shot * light) * grain
        denoised, harsh, patch = torch.rand(3, generator=generator).tolist()
        if denoised < DENOISED:
            width = MILDEST * (HARSHEST / MILDEST) ** harsh * float(grain.std())
            grainy, picture = _denoised(torch.stack((picture + grain, picture)), width, 1 if patch < 0.5 else 3)
            found[index], wanted[index] = grainy.clamp(0, 1), picture
        else:
            found[index] = (picture + grain).clamp(0, 1)
    return found, wanted


def _denoised(images: torch.Tensor, width: float, patch: int) -> torch.Tensor:
    """Pictures (N, 3, H, W) after non-local means (Buades et al., 2005) over what is at most `NEAR` pixels away.

    width: the root mean square difference of patches, `patch` pixels a side, at which one weighs 1 / e in another's
    mean. Patches of one pixel make it a bilateral filter.
    """
    beside = F.pad(images, (NEAR,) * 4, mode="reflect")
    h, w = images.shape[2:]
    total, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
    for y, x in itertools.product(range(2 * NEAR + 1), repeat=2):
        other = beside[..., y : y + h, x : x + w]
        apart = F.avg_pool2d((other - images).square().mean(1, keepdim=True), patch, 1, patch // 2)
        weight = (-apart / width**2).exp()
        total, weights = total + weight * other, weights + weight
    return total / weights


# Brightness, red less blue, green less the others: an orthonormal basis of colours, a row each.
_AXES = F.normalize(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]]), dim=1)


def _grain(
    size: tuple[int, int], coarse: float, wide: float, colour: float, generator: torch.Generator
) -> torch.Tensor:
    """Noise (3, *size) of variance 1: brightness, and two axes of colour that are `colour` times as strong."""
    h, w = size
    noise = torch.randn(3, h + 2 * REACH, w + 2 * REACH, generator=generator)
    smooth = torch.cat((_smooth(noise[:1], coarse), colour * _smooth(noise[1:], wide)))
    mixed = torch.einsum("ak,ahw->khw", _AXES, smooth)
    return mixed / mixed.std()


def _smooth(noise: torch.Tensor, width: float) -> torch.Tensor:
    """(C, h, w) through a Gaussian of `width` pixels, its variance kept; `REACH` less on every side."""
    taps = torch.exp(-0.5 * (torch.arange(-REACH, REACH + 1) / max(width, 1e-2)) ** 2)
    taps = taps / taps.square().sum().sqrt()
    return F.conv2d(F.conv2d(noise[:, None], taps[None, None, :, None]), taps[None, None, None])[:, 0]
