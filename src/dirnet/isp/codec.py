"""What saving does to a picture: JPEG to the last bit of libjpeg, once or twice, and WebP; gradients pass through."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from dirnet.errors import DirnetError
from dirnet.isp.jpeg import SUBSAMPLINGS, pull_back, roundtrip

__all__ = ["SUBSAMPLINGS", "double_jpeg", "jpeg", "webp"]

_LONGEST_WEBP = 16383
_Map = Callable[[torch.Tensor], torch.Tensor]


def jpeg(image: torch.Tensor, quality: torch.Tensor, subsampling: torch.Tensor, *, exact: bool = True) -> torch.Tensor:
    """Code and decode as JPEG: image (B, 3, H, W) sRGB 0..1 -> the same shape, multiples of 1/255.

    quality (B,) int 1..100 per sample, 0 leaves the sample as it is; subsampling (B,) int, index in `SUBSAMPLINGS`.
    exact: the very pixels of libjpeg-turbo. Otherwise its transform in float32 without inner roundings, about 50 dB
    from them. Gradients pass straight through every rounding and stop where image or result is clamped.
    """
    layouts = {index: SUBSAMPLINGS[int(subsampling[index])] for index in _chosen(quality)}
    if not layouts:
        return image
    watched = torch.is_grad_enabled() and image.requires_grad
    legal, inside = image.new_empty(2, *(image.shape if watched else (0,)))  # 1 where a value was not clamped

    def code(pixels: torch.Tensor) -> torch.Tensor:
        coded = pixels.clone()
        for index, layout in layouts.items():
            for rows, rgb in roundtrip(pixels[index], int(quality[index]), layout, exact=exact):
                clamped = rgb.clamp(0, 255)
                if watched:
                    strip = pixels[index, :, rows]
                    torch.eq(strip, strip.clamp(0, 1), out=legal[index, :, rows])
                    torch.eq(rgb, clamped, out=inside[index, :, rows])
                torch.div(clamped.to(image.dtype), 255, out=coded[index, :, rows])
        return coded

    def back(gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        for index, layout in layouts.items():
            torch.mul(pull_back(gradient[index] * inside[index], layout), legal[index], out=gradient[index])
        return gradient

    return _Coded.apply(image, code, back)


def double_jpeg(
    image: torch.Tensor,
    first_quality: torch.Tensor,
    first_shift: torch.Tensor,
    quality: torch.Tensor,
    subsampling: torch.Tensor,
    *,
    exact: bool = True,
) -> torch.Tensor:
    """`jpeg` of samples that were JPEGs before and have been cropped since; image (B, 3, H, W) sRGB 0..1.

    first_quality (B,) int of the earlier coding, 0 = there was none; first_shift (B, 2) int: its grid of 16 x 16 units
    lies that many rows further down and columns further right. So what was cropped is (16 - shift) % 16 rows above and
    columns on the left; they are taken as repetitions of the first row and column. Both codings subsample alike.
    """
    samples, earlier = list(image.split(1)), _chosen(first_quality)
    for index in earlier:
        top, left = (-first_shift[index] % 16).tolist()
        whole = F.pad(samples[index], (left, 0, top, 0), mode="replicate")
        row = slice(index, index + 1)
        samples[index] = jpeg(whole, first_quality[row], subsampling[row], exact=exact)[..., top:, left:]
    return jpeg(torch.cat(samples) if earlier else image, quality, subsampling, exact=exact)


def webp(image: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Code and decode as lossy WebP, by Pillow: image (B, 3, H, W) sRGB 0..1 -> the same shape, multiples of 1/255.

    quality (B,) int 1..100 per sample, 0 leaves the sample as it is. Gradients pass straight through, but for clamped
    values. Raises DirnetError for a side over 16383 pixels.
    """
    chosen = _chosen(quality)
    if not chosen:
        return image
    h, w = image.shape[-2:]
    if max(h, w) > _LONGEST_WEBP:
        raise DirnetError(
            "A picture is too large for WebP",
            got=f"{w} x {h}",
            wanted=f"at most {_LONGEST_WEBP} pixels a side",
            cure="Scale it down, cut it into tiles, or set webp_quality to 0.",
        )
    legal = image == image.clamp(0, 1)

    def code(pixels: torch.Tensor) -> torch.Tensor:
        coded = pixels.clone()
        for index in chosen:
            whole = (pixels[index].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
            decoded = torch.from_numpy(_webp(whole.cpu().numpy(), int(quality[index])))
            coded[index] = decoded.permute(2, 0, 1).to(image) / 255
        return coded

    def back(gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        for index in chosen:
            gradient[index] *= legal[index]
        return gradient

    return _Coded.apply(image, code, back)


def _webp(pixels: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=quality)
    return np.array(Image.open(file).convert("RGB"))


def _chosen(quality: torch.Tensor) -> list[int]:
    return torch.nonzero(quality > 0).flatten().tolist()


class _Coded(torch.autograd.Function):
    """code(image) with a gradient of its own: back(gradient of the result)."""

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, code: _Map, back: _Map) -> torch.Tensor:
        ctx.back = back
        with torch.autocast(image.device.type, enabled=False):
            return code(image)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        return ctx.back(gradient), None, None
