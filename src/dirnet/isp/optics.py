"""The lens: shake, vignetting and colour shading, on linear camera RGB before the mosaic."""

from __future__ import annotations

import math

import torch

from dirnet.isp.edges import mirror


def blur_motion(image: torch.Tensor, length: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """A straight shake at even speed: image (B, 3, H, W), length (B,) in pixels, 0 = none; angle (B,) in radians.

    Angle 0 is along the rows, pi / 2 down the columns. The point spread function is the line from -length / 2 to
    length / 2, between pixels by bilinear interpolation, centred and of sum 1. Edges are mirrored; nothing is clipped.
    """
    rows = zip(image.split(1), length.unbind(), angle.unbind(), strict=True)
    return torch.cat([_spread(sample, _line(extent, direction)) for sample, extent, direction in rows])


def vignette(image: torch.Tensor, strength: torch.Tensor, *, top: int = 0, height: int | None = None) -> torch.Tensor:
    """Natural (cos^4) fall-off: image (B, 3, H, W) / (1 + strength r^2)^2, r = 1 in the picture's corners.

    strength (B,) >= 0 is the squared tangent of the angle at which light meets the corners. An image that is a strip
    of a larger picture begins at its row `top` of `height` rows. Nothing is clipped.
    """
    return image / _fall_off(image, strength, top, height)


def correct_vignetting(
    image: torch.Tensor, strength: torch.Tensor, *, top: int = 0, height: int | None = None
) -> torch.Tensor:
    """The inverse of `vignette`."""
    return image * _fall_off(image, strength, top, height)


def shade_colours(
    image: torch.Tensor, shading: torch.Tensor, *, top: int = 0, height: int | None = None
) -> torch.Tensor:
    """Each colour's own fall-off: image (B, 3, H, W) * (1 + shading r^2), r = 1 in the picture's corners.

    shading (B, 3) >= -1: by how much more of each colour the corners have. Strips as in `vignette`; nothing is clipped.
    """
    return image * _shade(image, shading, top, height)


def correct_shading(
    image: torch.Tensor, shading: torch.Tensor, *, top: int = 0, height: int | None = None
) -> torch.Tensor:
    """The inverse of `shade_colours`."""
    return image / _shade(image, shading, top, height)


def _fall_off(image: torch.Tensor, strength: torch.Tensor, top: int, height: int | None) -> torch.Tensor:
    return (1 + strength[:, None, None, None] * _squared_radius(image, top, height)).square()


def _shade(image: torch.Tensor, shading: torch.Tensor, top: int, height: int | None) -> torch.Tensor:
    return 1 + shading[:, :, None, None] * _squared_radius(image, top, height)


def _squared_radius(image: torch.Tensor, top: int, height: int | None) -> torch.Tensor:
    """(H, W): squared distance of each pixel's centre from the picture's, over half of its diagonal."""
    h, w = image.shape[-2:]
    height = h if height is None else height
    y = torch.arange(top, top + h, dtype=torch.float64) + 0.5 - height / 2
    x = torch.arange(w, dtype=torch.float64) + 0.5 - w / 2
    return ((y.square()[:, None] + x.square()) * (4 / (height**2 + w**2))).to(image)


def _line(length: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """(2 reach + 1, 2 reach + 1): the mean of bilinear points along a line, four or more to a pixel."""
    extent = math.ceil(float(length.detach()))
    points, reach = max(4 * extent, 1), (extent + 1) // 2
    along = ((torch.arange(points, dtype=length.dtype, device=length.device) + 0.5) / points - 0.5) * length
    pixels = torch.arange(-reach, reach + 1, dtype=length.dtype, device=length.device)
    across, down = ((1 - (pixels - (along * part)[:, None]).abs()).clamp(min=0) for part in (angle.cos(), angle.sin()))
    return (down[:, :, None] * across[:, None, :]).mean(0)


def _spread(image: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Correlate (1, C, H, W) with a point spread function, of which few values are not 0."""
    h, w = image.shape[-2:]
    reach = len(spread) // 2
    padded = mirror(image, reach, reach, reach, reach)
    blurred = torch.zeros_like(image)
    for y, x in torch.nonzero(spread).tolist():
        blurred = blurred.addcmul_(padded[..., y : y + h, x : x + w], spread[y, x].to(image))
    return blurred
