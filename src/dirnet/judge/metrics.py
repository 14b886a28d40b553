"""How near a picture is to the right one. Pictures are (3, H, W), 8-bit values as floats 0..1 unless said otherwise."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

IDENTICAL = 100.0  # dB; what stands for infinity, so that means stay numbers
WINDOW = 11  # pixels a side of the Gaussian window of SSIM
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of MS-SSIM, each scale half of the one before


def psnr(picture: torch.Tensor, clean: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; 100 for equal pictures."""
    error = float((picture.double() - clean.double()).square().mean())
    return min(IDENTICAL, -10 * math.log10(error)) if error else IDENTICAL


def ssim(picture: torch.Tensor, clean: torch.Tensor) -> float:
    """Structural similarity (Wang et al., 2004): mean over channels and pixels, Gaussian window 11, sigma 1.5.

    Borders of 5 pixels are left out, as scikit-image and the authors do; a picture smaller than the window is
    compared with one window as large as it is.
    """
    luminance, structure = _similarities(picture.double(), clean.double())
    return float((luminance * structure).mean())


def ms_ssim(picture: torch.Tensor, clean: torch.Tensor) -> float:
    """SSIM over several scales (Wang, Simoncelli and Bovik, 2003): structure at each, luminance at the last.

    At five scales, or as many as leave the window room, of weights that sum to 1; a mean below 0 counts as 0.
    """
    x, y, found = picture.double(), clean.double(), 1.0
    room = int(math.log2(max(1.0, min(picture.shape[1:]) / WINDOW)))
    weights = SCALES[: 1 + min(len(SCALES) - 1, room)]
    for scale, weight in enumerate(weights):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        luminance, structure = _similarities(x, y)
        similar = luminance * structure if scale == len(weights) - 1 else structure
        found *= max(0.0, float(similar.mean())) ** (weight / sum(weights))
    return found


def match_tone(picture: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """The picture with the gain and offset of each channel that bring it nearest to the clean one; not clipped."""
    x, y = picture.double().flatten(1), clean.double().flatten(1)
    mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    variance = (x - mean_x).square().mean(1, keepdim=True)
    gain = ((x - mean_x) * (y - mean_y)).mean(1, keepdim=True) / variance.clamp(min=1e-12)
    return (gain * (x - mean_x) + mean_y).view_as(picture)


def linear_cka(a: torch.Tensor, b: torch.Tensor) -> float:
    """Similarity of two representations (c, h, w) of one picture, 0..1: linear centred kernel alignment over cells.

    Kornblith et al., 2019. Blind to rotation and scale of the channels.
    """
    x, y = (f.double().flatten(1) - f.double().flatten(1).mean(1, keepdim=True) for f in (a, b))
    cross = (x @ y.T).square().sum()
    norm = (x @ x.T).norm() * (y @ y.T).norm()
    return float(cross / norm) if norm > 0 else 0.0


def to_8bit(image: torch.Tensor) -> torch.Tensor:
    """Rounded to multiples of 1/255 and clipped to 0..1: what a file would hold."""
    return (image.clamp(0, 1) * 255).round() / 255


def _similarities(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two factors of SSIM at every place of the window: luminance, and contrast with structure."""
    size = min(WINDOW, *(side - 1 + side % 2 for side in x.shape[1:]))
    mean_x, mean_y = _blur(x, size), _blur(y, size)
    var_x = _blur(x * x, size) - mean_x**2
    var_y = _blur(y * y, size) - mean_y**2
    covariance = _blur(x * y, size) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (var_x + var_y + c2)


def _blur(planes: torch.Tensor, size: int) -> torch.Tensor:
    """Gaussian window of sigma 1.5 without padding, as sums of shifted planes: float64 convolutions are slow."""
    at = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    window = torch.exp(-(at**2) / (2 * 1.5**2))
    weights = (window / window.sum()).tolist()
    for axis in (-1, -2):
        length = planes.shape[axis] - size + 1
        blurred = planes.narrow(axis, 0, length) * weights[0]
        for shift, weight in enumerate(weights[1:], 1):
            blurred.add_(planes.narrow(axis, shift, length), alpha=weight)
        planes = blurred
    return planes
