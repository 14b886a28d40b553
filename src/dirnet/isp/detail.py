"""Detail: what the ISP takes away with its denoising and puts back by sharpening, on display-referred sRGB."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dirnet.isp.edges import mirror

# Half widths of the smoothing tents in pixels, powers of 2; the standard deviation is about 0.4 of them.
_CHROMA_REACH = 16
_LUMA_REACH = 4
_LOCAL_REACH = 32
# Edges well above the root of this stay, ripples well below it go.
_EDGE_VARIANCE = 0.05**2


def smear_chroma(image: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """The camera's colour denoising: image (B, 3, H, W) sRGB, its chroma (Cb, Cr of BT.601) blended with a wide smooth.

    strength (B,) in 0..1. The smooth is a tent of 16 pixels half width; luma stays. Clipped to 0..1.
    """
    red, green, blue = image.split(1, 1)
    luma = _luma(image)
    chroma = torch.cat((red - luma, blue - luma), 1)
    red_change, blue_change = ((_smooth(chroma, _CHROMA_REACH) - chroma) * _wide(strength)).split(1, 1)
    green_change = red_change * (-0.299 / 0.587) + blue_change * (-0.114 / 0.587)
    return torch.cat((red + red_change, green + green_change, blue + blue_change), 1).clamp(0, 1)


def smear_luma(image: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """The "watercolour" of strong denoising: image (B, 3, H, W) sRGB, its luma blended with an edge-preserving smooth.

    strength (B,) in 0..1. The smooth is the guided filter with luma as its own guide (K. He, J. Sun, X. Tang, Guided
    image filtering, TPAMI 35, 2013), epsilon 0.05^2, with tents of 4 pixels half width for windows. Clipped to 0..1.
    """
    luma = _luma(image)
    mean, square = _smooth(torch.cat((luma, luma.square()), 1), _LUMA_REACH).split(1, 1)
    variance = square - mean.square()
    slope = variance / (variance + _EDGE_VARIANCE)
    slope, offset = _smooth(torch.cat((slope, mean - slope * mean), 1), _LUMA_REACH).split(1, 1)
    return (image + (slope * luma + offset - luma) * _wide(strength)).clamp(0, 1)


def boost_local_contrast(image: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Local contrast ("clarity"): image (B, 3, H, W) sRGB + amount (B,) * (luma - a tent smooth of luma, 32 pixels).

    A negative amount softens. Clipped to 0..1.
    """
    luma = _luma(image)
    return (image + (luma - _smooth(luma, _LOCAL_REACH)) * _wide(amount)).clamp(0, 1)


def sharpen(image: torch.Tensor, amount: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Unsharp mask on luma: image (B, 3, H, W) sRGB + amount (B,) * (luma - its Gaussian), overshoot and halo included.

    radius (B,): standard deviation of the Gaussian in pixels, cut at four of them. Clipped to 0..1.
    """
    luma = _luma(image)
    blurred = [_gaussian(sample, deviation) for sample, deviation in zip(luma.split(1), radius.unbind(), strict=True)]
    return (image + (luma - torch.cat(blurred)) * _wide(amount)).clamp(0, 1)


def resample(image: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """A picture that was once smaller: image (B, 3, H, W) scaled by factor (B,) and back, sides rounded, at least 1.

    Bicubic, with antialiasing on the way down; the size is a whole number, so factor has no gradient. Clipped to 0..1.
    """
    return torch.cat([_resize_twice(*row) for row in zip(image.split(1), factor.tolist(), strict=True)]).clamp(0, 1)


def _luma(image: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W), ITU-R BT.601."""
    red, green, blue = image.split(1, 1)
    return red * 0.299 + green * 0.587 + blue * 0.114


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]


def _smooth(planes: torch.Tensor, reach: int) -> torch.Tensor:
    """Each plane of (B, C, H, W) smoothed by a tent of sum 1, half width `reach` (a power of 2), along both axes.

    A tent is a box twice, and a box of a power of 2 is doubled from shifted sums: log2(reach) additions.
    """
    edge = reach - 1
    for dim, pad in ((-1, (0, 0, edge, edge)), (-2, (edge, edge, 0, 0))):
        planes = mirror(planes, *pad)
        for power in range(2 * reach.bit_length() - 2):
            step = 1 << power // 2
            n = planes.shape[dim] - step
            planes = planes.narrow(dim, 0, n) + planes.narrow(dim, step, n)
    return planes / reach**4


def _gaussian(plane: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """(1, 1, H, W) blurred by a Gaussian; a deviation of 0 leaves it as it is."""
    reach = int(4 * float(deviation.detach()) + 0.5)
    distance = torch.arange(reach + 1, dtype=plane.dtype, device=plane.device)
    weight = (-0.5 * (distance / deviation.to(plane).clamp(min=1e-3)).square()).exp()
    weight = weight / (2 * weight.sum() - 1)
    for dim, pad in ((-1, (0, 0, reach, reach)), (-2, (reach, reach, 0, 0))):
        padded, n = mirror(plane, *pad), plane.shape[dim]
        plane = plane * weight[0]
        for step in range(1, reach + 1):
            pair = padded.narrow(dim, reach - step, n) + padded.narrow(dim, reach + step, n)
            plane = plane.addcmul(pair, weight[step])
    return plane


def _resize_twice(image: torch.Tensor, factor: float) -> torch.Tensor:
    h, w = image.shape[-2:]
    size = [max(1, round(factor * side)) for side in (h, w)]
    small = F.interpolate(image, size, mode="bicubic", antialias=True)
    return F.interpolate(small, (h, w), mode="bicubic", antialias=True)
