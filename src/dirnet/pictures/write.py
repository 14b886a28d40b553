"""One door out: written beside and renamed, never over an original unasked."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dirnet.errors import PictureError
from dirnet.files import replacing
from dirnet.pictures.codecs import failures_as, photo_library
from dirnet.pictures.exif import EXIF_HEAD, parse_exif
from dirnet.pictures.picture import Picture
from dirnet.pictures.tiff import write_tiff

_JPEG_MARKER_BYTES = 65533


def write_picture(path: Path, picture: Picture, *, force: bool = False) -> None:
    """Write PNG, JPEG (quality 95, 4:4:4), TIFF or WebP (lossless), by the suffix of `path`.

    16 bits stay 16 in PNG and TIFF; alpha, ICC and EXIF are kept where the format can hold them (JPEG has no alpha:
    the picture is laid on white). Raises PictureError for another suffix and for a file that is there, unless `force`.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise PictureError(f"Cannot write {path}", got=repr(path.suffix), wanted=f"one of {', '.join(_WRITERS)}")
    check_free(path, picture.source, force=force)
    if not np.isfinite(picture.pixels).all():
        raise PictureError(f"Cannot write {path}", got="pixels that are no numbers (NaN or infinity)")
    with failures_as(f"Cannot write {path}"), replacing(path) as beside:
        write(beside, picture)


def check_free(path: Path, source: Path | None = None, *, force: bool = False) -> None:
    """Raise a PictureError if there is a file at `path`, unless `force`."""
    if path.exists() and not force:
        original = source is not None and source.exists() and path.samefile(source)
        what = f"{path} is the original itself" if original else f"{path} is there already"
        raise PictureError(what, cure="Write elsewhere, or force it.")


def _png(path: Path, picture: Picture) -> None:
    if picture.depth == 8:
        _as_image(picture).save(path, "PNG", icc_profile=picture.icc, exif=picture.exif or b"")
        return
    png = memoryview(photo_library("imagecodecs").png_encode(_samples(picture, 16)))
    with path.open("wb") as file:
        file.write(png[:33])  # signature and header; profile and EXIF must stand before the pixels
        if picture.icc:
            file.write(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc)))
        if picture.exif:
            file.write(_chunk(b"eXIf", picture.exif.removeprefix(EXIF_HEAD)))
        file.write(png[33:])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _jpeg(path: Path, picture: Picture) -> None:
    exif = picture.exif if picture.exif and len(picture.exif) <= _JPEG_MARKER_BYTES else b""
    if picture.alpha is not None:
        alpha = picture.alpha[..., None]
        picture = picture.with_pixels(picture.pixels * alpha + 1 - alpha)
    image = _as_image(picture, with_alpha=False)
    image.save(path, "JPEG", quality=95, subsampling=0, icc_profile=picture.icc, exif=exif)


def _webp(path: Path, picture: Picture) -> None:
    icc = None if picture.grayscale else picture.icc  # WebP has no gray: it is written as RGB
    _as_image(picture).save(path, "WEBP", lossless=True, exact=True, icc_profile=icc or b"", exif=picture.exif or b"")


def _tiff(path: Path, picture: Picture) -> None:
    exif = parse_exif(picture.exif) if picture.exif else {}
    write_tiff(path, _samples(picture, picture.depth), picture.icc, exif)


def _samples(picture: Picture, bits: int, *, with_alpha: bool = True) -> np.ndarray:
    """(H, W) or (H, W, 2..4) unsigned integers, as the format wants them."""
    colours, alpha = 1 if picture.grayscale else 3, picture.alpha if with_alpha else None
    shape = (*picture.pixels.shape[:2], colours + (alpha is not None))
    samples: np.ndarray = np.empty(shape, np.uint8 if bits == 8 else np.uint16)
    for row, (pixels, levels) in enumerate(zip(picture.pixels, samples, strict=True)):
        levels[:, :colours] = _levels(pixels.mean(axis=1, keepdims=True) if picture.grayscale else pixels, bits)
        if alpha is not None:
            levels[:, colours] = _levels(alpha[row], bits)
    return samples[..., 0] if samples.shape[2] == 1 else samples


def _levels(values: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * np.float32(2**bits - 1))


def _as_image(picture: Picture, *, with_alpha: bool = True) -> Image.Image:
    return Image.fromarray(_samples(picture, 8, with_alpha=with_alpha))


_WRITERS: dict[str, Callable[[Path, Picture], None]] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".webp": _webp,
}
