"""One door out: written beside and renamed, never over an original unasked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dirnet.errors import PictureError
from dirnet.files import replacing
from dirnet.pictures.codecs import failures_as
from dirnet.pictures.exif import XMP, parse_exif
from dirnet.pictures.picture import STRIP, Picture, check_free
from dirnet.pictures.png import ROWS, write_png
from dirnet.pictures.tiff import write_tiff

_JPEG_MARKER_BYTES, _JPEG_XMP_BYTES = 65533, 65504


def write_picture(path: Path, picture: Picture, *, force: bool = False) -> None:
    """Write PNG, JPEG (quality 95, 4:4:4), TIFF, WebP (lossless) or linear DNG, by the suffix of `path`.

    16 bits stay 16 in PNG and TIFF, floats stay floats in TIFF; alpha, ICC, EXIF and XMP are kept where the format can
    hold them (JPEG has no alpha: the picture is laid on white). Raises PictureError for another suffix and for a file
    that is there, unless `force`.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise PictureError(f"Cannot write {path}", got=repr(path.suffix), wanted=f"one of {', '.join(_WRITERS)}")
    check_free(path, picture.source, force=force)
    strips = range(0, len(picture.pixels), STRIP)
    if not all(np.isfinite(picture.pixels[top : top + STRIP]).all() for top in strips):
        raise PictureError(f"Cannot write {path}", got="pixels that are no numbers (NaN or infinity)")
    with failures_as(f"Cannot write {path}"), replacing(path) as beside:
        write(beside, picture)


def _png(path: Path, picture: Picture) -> None:
    height, width = picture.pixels.shape[:2]
    bits = min(picture.depth, 16)
    strips = (_samples(picture, bits, slice(top, top + ROWS)) for top in range(0, height, ROWS))
    write_png(path, strips, (height, width), icc=picture.icc, exif=picture.exif, xmp=picture.xmp)


def _jpeg(path: Path, picture: Picture) -> None:
    exif = picture.exif if picture.exif and len(picture.exif) <= _JPEG_MARKER_BYTES else b""
    xmp = picture.xmp if picture.xmp and len(picture.xmp) <= _JPEG_XMP_BYTES else b""
    image = image_of(picture.on_white())
    image.save(path, "JPEG", quality=95, subsampling=0, icc_profile=picture.icc, exif=exif, xmp=xmp)


def _webp(path: Path, picture: Picture) -> None:
    if picture.grayscale:  # WebP has no gray: it is written as RGB, for which a profile of gray does not hold
        picture = replace(picture.in_srgb(), icc=None)
    notes = {"icc_profile": picture.icc or b"", "exif": picture.exif or b"", "xmp": picture.xmp or b""}
    image_of(picture).save(path, "WEBP", lossless=True, exact=True, **notes)


def _tiff(path: Path, picture: Picture) -> None:
    write_tiff(path, _samples(picture, picture.depth), picture.icc, _notes(picture))


def _dng(path: Path, picture: Picture) -> None:
    from dirnet.pictures.dng import write_linear_dng

    write_linear_dng(path, picture, _notes(picture))


def _notes(picture: Picture) -> dict[int, Any]:
    notes = parse_exif(picture.exif) if picture.exif else {}
    return {**notes, XMP: picture.xmp} if picture.xmp else notes


def _samples(picture: Picture, bits: int, rows: slice = slice(None)) -> np.ndarray:
    """(H, W) or (H, W, 2..4) unsigned integers, or floats of 32 bits, as the format wants them; of some rows."""
    colours, chosen = 1 if picture.grayscale else 3, picture.pixels[rows]
    alpha = None if picture.alpha is None else picture.alpha[rows]
    shape = (*chosen.shape[:2], colours + (alpha is not None))
    samples: np.ndarray = np.empty(shape, {8: np.uint8, 16: np.uint16, 32: np.float32}[bits])
    for row, (pixels, levels) in enumerate(zip(chosen, samples, strict=True)):
        levels[:, :colours] = _levels(pixels.mean(axis=1, keepdims=True) if picture.grayscale else pixels, bits)
        if alpha is not None:
            levels[:, colours] = _levels(alpha[row], bits)
    return samples[..., 0] if samples.shape[2] == 1 else samples


def _levels(values: np.ndarray, bits: int) -> np.ndarray:
    return values if bits == 32 else np.rint(np.clip(values, 0, 1) * np.float32(2**bits - 1))


def image_of(picture: Picture) -> Image.Image:
    """The picture as an image of 8 bits: L, LA, RGB or RGBA; made in strips, which spares memory."""
    height, width = picture.pixels.shape[:2]
    image = Image.new(("L" if picture.grayscale else "RGB") + "A" * (picture.alpha is not None), (width, height))
    for top in range(0, height, STRIP):
        image.paste(Image.fromarray(_samples(picture, 8, slice(top, top + STRIP))), (0, top))
    return image


_WRITERS: dict[str, Callable[[Path, Picture], None]] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".webp": _webp,
    ".dng": _dng,
}
