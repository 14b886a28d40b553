"""More than eight bits a channel: told by the file's own header, decoded by codecs that keep them all.

Pillow reads such PNG, TIFF, PPM, JPEG 2000 and AVIF files as 8 bit without a word.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dirnet.errors import PictureError
from dirnet.pictures.codecs import photo_library, quiet_pillow
from dirnet.pictures.exif import XMP
from dirnet.pictures.picture import Pixels

HEAD_BYTES = 65536
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0")
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_PPM_LEVELS = re.compile(rb"P[2356](?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+(\d+)")
_BITS_PER_SAMPLE, _SAMPLE_FORMAT, _FLOAT = 258, 339, 3


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins with `head` is built as a TIFF or BigTIFF."""
    return head.startswith(_TIFF_HEADS)


def is_png(head: bytes) -> bool:
    """Whether a file that begins with `head` is a PNG."""
    return head.startswith(_PNG_HEAD)


def tiff_tags(path: Path) -> ImageFileDirectory_v2:
    """The first directory of a TIFF."""
    with path.open("rb") as file, quiet_pillow():
        head = file.read(16)
        if not is_tiff(head):  # a RAW file of a number of its own: ORF, RW2
            head = {b"II": b"II*\0", b"MM": b"MM\0*"}[head[:2]] + head[4:]
        tags = ImageFileDirectory_v2(head if head[2] == 43 else head[:8])
        file.seek(tags.next)
        tags.load(file)
    return tags


def xmp_of_tiff(path: Path) -> bytes | None:
    """XMP packet of a TIFF, or of a RAW file built as one."""
    # The picture counts: a broken note about it is left out.
    with contextlib.suppress(Exception):
        packet = tiff_tags(path).get(XMP)
        return packet if isinstance(packet, bytes) else bytes(packet) if packet else None
    return None


def is_deep(path: Path, head: bytes) -> bool:
    """Whether the file at `path`, whose first `HEAD_BYTES` are `head`, holds more than eight bits a channel."""
    if is_tiff(head):
        tags = tiff_tags(path)
        bits, formats = tags.get(_BITS_PER_SAMPLE, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
        return max(bits) > 8 or _FLOAT in formats
    if is_png(head):
        return head[24:25] == b"\x10"
    if levels := _PPM_LEVELS.match(head):
        return int(levels[1]) > 255
    if head.startswith(b"\xff\x4f\xff\x51"):  # JPEG 2000 codestream: Ssiz of the first component
        return head[42] & 0x7F > 7
    if head[4:8] == b"jP  ":  # JP2: bits of the image header box
        return head[head.find(b"ihdr") + 14] & 0x7F > 7
    if head[4:8] == b"ftyp" and (at := head.find(b"pixi")) > 0:  # AVIF: bits of the first channel
        return head[at + 9] > 8
    return False


def read_deep_png(path: Path) -> Pixels:
    """(H, W, 1..4) float32, 0..1: gray, gray + alpha, RGB or RGB + alpha, not turned."""
    samples = np.atleast_3d(photo_library("imagecodecs").png_decode(path.read_bytes())).astype(np.float32)
    samples /= np.float32(65535)
    return samples


def read_deep_tiff(path: Path, max_pixels: int) -> tuple[Pixels, int, int, bytes | None]:
    """(H, W, 1..4) float32 as above, depth (16, or 32 for floats, which stay as they are), orientation, ICC profile."""
    with photo_library("tifffile").TiffFile(path) as tiff:
        page = tiff.pages[0]
        check_size(path, page.imagewidth, page.imagelength, max_pixels)
        _check_layout(path, page, tiff.filehandle.size)
        samples = page.asarray()
        if page.axes == "SYX":
            samples = np.moveaxis(samples, 0, 2)
        depth = 32 if samples.dtype.kind == "f" else 16
        samples = _to_unit(path, np.atleast_3d(samples), page.bitspersample)
        if page.photometric == 0:
            samples[..., 0] = 1 - samples[..., 0]
        colours, extra = 1 if page.photometric < 2 else 3, page.extrasamples
        if extra and extra[0] == 1:  # colours were multiplied by alpha: undo it
            alpha = samples[..., colours : colours + 1]
            np.divide(samples[..., :colours], alpha, out=samples[..., :colours], where=alpha > 0)
            samples = np.minimum(samples, 1) if depth == 16 else samples
        if not extra or extra[0] == 0:
            samples = samples[..., :colours]
        orientation = page.tags.get(274)
        turn = int(orientation.value) if orientation else 1
        return samples[..., : colours + 1], depth, turn, page.iccprofile


def check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Raise a PictureError for an empty picture or one of more than `max_pixels`."""
    if not 0 < width * height <= max_pixels:
        raise PictureError(
            f"{path} is empty or too large", got=f"{width} x {height} pixels", wanted=f"1 to {max_pixels} pixels"
        )


def _check_layout(path: Path, page: Any, file_size: int) -> None:
    if page.axes not in ("YX", "YXS", "SYX") or page.photometric not in (0, 1, 2) or page.samplesperpixel > 8:
        raise PictureError(
            f"{path} is a kind of TIFF that cannot be read",
            got=f"axes {page.axes}, photometric {page.photometric}, {page.samplesperpixel} channels",
            wanted="gray or RGB, with or without alpha",
        )
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > file_size or 0 in page.databytecounts:
        raise PictureError(f"{path} is cut short")


def _to_unit(path: Path, samples: np.ndarray, bits: int) -> Pixels:
    if samples.dtype.kind == "u":
        return samples.astype(np.float32) / np.float32(2**bits - 1)
    if samples.dtype.kind != "f":
        raise PictureError(f"{path} cannot be read", got=f"{samples.dtype} samples", wanted="unsigned or float samples")
    with np.errstate(over="ignore"):
        floats = samples.astype(np.float32)
    if not np.isfinite(floats).all():
        raise PictureError(f"{path} holds pixels that are no numbers", got="NaN or infinity")
    return floats
