"""What saving does to a picture: JPEG to the last bit of libjpeg, once or twice, and WebP; gradients pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from dirnet.errors import DirnetError
from dirnet.isp.jpeg import SUBSAMPLINGS, pull_back, roundtrip
from dirnet.isp.strips import STRIP_PIXELS

__all__ = ["SUBSAMPLINGS", "double_jpeg", "jpeg", "webp"]

_LONGEST_WEBP = 16383
_Map = Callable[[torch.Tensor], torch.Tensor]


def jpeg(
    image: torch.Tensor,
    quality: torch.Tensor,
    subsampling: torch.Tensor,
    shift: torch.Tensor | None = None,
    *,
    exact: bool = True,
    inplace: bool = False,
) -> torch.Tensor:
    """Code and decode as JPEG: image (B, 3, H, W) sRGB 0..1 -> the same shape, multiples of 1/255.

    quality (B,) int 1..100 per sample, 0 leaves the sample as it is; subsampling (B,) int, index in `SUBSAMPLINGS`.
    shift (B, 2) int: the grid of 16 x 16 units lies that many rows further down and columns further right, since
    (16 - shift) % 16 rows above and columns on the left were cropped after coding; they repeated the first of each.
    exact: the very pixels of libjpeg-turbo. Otherwise its transform in float32 without inner roundings, about 50 dB
    from them. Gradients pass straight through every rounding and stop where image or result is clamped. inplace, for
    use without gradients: into the memory of image.
    """
    layouts = {index: SUBSAMPLINGS[int(subsampling[index])] for index in _chosen(quality)}
    if not layouts:
        return image
    crops = [(0, 0)] * len(image) if shift is None else [(top, left) for top, left in (-shift % 16).tolist()]
    watched = torch.is_grad_enabled() and image.requires_grad
    legal, inside = image.new_empty(2, *(image.shape if watched else (0,)))  # 1 where a value was not clamped

    def code(pixels: torch.Tensor) -> torch.Tensor:
        coded = pixels if inplace else pixels.clone()
        for index, layout in layouts.items():
            whole, strength = pixels[index], int(quality[index])
            for rows, rgb in roundtrip(whole, strength, layout, exact=exact, cropped=crops[index]):
                clamped = rgb.clamp(0, 255)
                if watched:
                    strip = whole[:, rows]
                    torch.eq(strip, strip.clamp(0, 1), out=legal[index, :, rows])
                    torch.eq(rgb, clamped, out=inside[index, :, rows])
                torch.div(clamped.to(image.dtype), 255, out=coded[index, :, rows])
        return coded

    def back(gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        for index, layout in layouts.items():
            by_pixels = pull_back(gradient[index] * inside[index], layout, cropped=crops[index])
            torch.mul(by_pixels, legal[index], out=gradient[index])
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
    inplace: bool = False,
) -> torch.Tensor:
    """`jpeg` of samples that were JPEGs before and have been cropped since; image (B, 3, H, W) sRGB 0..1.

    first_quality (B,) int of the earlier coding, 0 = there was none; first_shift (B, 2) int: where its grid lies. Both
    codings subsample alike.
    """
    once = jpeg(image, first_quality, subsampling, first_shift, exact=exact, inplace=inplace)
    return jpeg(once, quality, subsampling, exact=exact, inplace=inplace)


def webp(image: torch.Tensor, quality: torch.Tensor, *, inplace: bool = False) -> torch.Tensor:
    """Code and decode as lossy WebP, by Pillow: image (B, 3, H, W) sRGB 0..1 -> the same shape, multiples of 1/255.

    quality (B,) int 1..100 per sample, 0 leaves the sample as it is. Gradients pass straight through, but for clamped
    values. inplace: as in `jpeg`. Raises DirnetError for a side over 16383 pixels.
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
    watched = torch.is_grad_enabled() and image.requires_grad
    legal = image == image.clamp(0, 1) if watched else image.new_empty(0)
    rows = max(1, STRIP_PIXELS // w)

    def code(pixels: torch.Tensor) -> torch.Tensor:
        coded = pixels if inplace else pixels.clone()
        for index in chosen:
            decoded = _webp(pixels[index], int(quality[index]), rows)
            for to, strip in zip(coded[index].split(rows, 1), decoded, strict=True):
                torch.div(strip.to(image), 255, out=to)
        return coded

    def back(gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        for index in chosen:
            gradient[index] *= legal[index]
        return gradient

    return _Coded.apply(image, code, back)


def _webp(image: torch.Tensor, quality: int, rows: int) -> Iterator[torch.Tensor]:
    """Code and decode image (3, H, W) sRGB 0..1 -> strips of so many rows, whole numbers 0..255 in eight bits."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(_levels(image, rows)).save(file, "WEBP", quality=quality)
    picture = Image.open(file)
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        yield torch.from_numpy(np.array(strip)).permute(2, 0, 1)


def _levels(image: torch.Tensor, rows: int) -> np.ndarray:
    """(3, H, W) in 0..1 -> (H, W, 3) in 0..255, so many rows at a time."""
    whole = torch.empty(*image.shape[1:], 3, dtype=torch.uint8)
    for to, strip in zip(whole.split(rows), image.split(rows, 1), strict=True):
        to.copy_((strip.clamp(0, 1) * 255).round_().permute(1, 2, 0))
    return whole.numpy()


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
