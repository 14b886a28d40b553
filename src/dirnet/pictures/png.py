"""PNG beyond libraries: a writer that keeps 8 and 16 bits, alpha and notes, strip by strip; and colours by number."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dirnet.pictures.exif import EXIF_HEAD

ROWS = 32  # that a strip should have: few enough to work on in little memory
_XMP_HEAD = b"XML:com.adobe.xmp\0\0\0\0\0"
_SRGB_BY_NUMBER = b"\x01\x0d"  # primaries of BT.709, curve of sRGB
_GAMMA_APART = 0.05
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels: gray, gray + alpha, RGB, RGB + alpha


def write_png(
    path: Path,
    strips: Iterable[np.ndarray],
    size: tuple[int, int],
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> None:
    """Write a picture of size (H, W) of which strips come from top to bottom.

    Each is (h, W) gray or (h, W, 2..4) gray or RGB with straight alpha last, uint8 or uint16. Every row has the filter
    with the least sum of absolute values, as the specification advises (W3C PNG, third edition, section 12.7).
    """
    packer = zlib.compressobj(strategy=zlib.Z_FILTERED)
    above = np.zeros(0, np.uint8)
    with path.open("wb") as file:
        for strip in strips:
            channels = 1 if strip.ndim == 2 else strip.shape[2]
            pixel = channels * strip.dtype.itemsize
            rows = np.ascontiguousarray(strip, strip.dtype.newbyteorder(">")).view(np.uint8).reshape(len(strip), -1)
            if not len(above):
                file.write(b"\x89PNG\r\n\x1a\n")
                _chunk(file, b"IHDR", _header(size, strip.dtype.itemsize * 8, _COLOUR_TYPES[channels]))
                if icc:
                    _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
                if exif:
                    _chunk(file, b"eXIf", exif.removeprefix(EXIF_HEAD))
                if xmp:
                    _chunk(file, b"iTXt", _XMP_HEAD + xmp)
                above = np.zeros_like(rows[0])
            if packed := packer.compress(_filtered(rows, above, pixel)):
                _chunk(file, b"IDAT", packed)
            above = rows[-1]
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def foreign_colours(head: bytes) -> str | None:
    """What a PNG that begins with `head` says of its colours without an ICC profile, where that is not sRGB."""
    chunks = {kind: data[:4] for kind, data in _chunks(head) if kind in (b"cICP", b"gAMA", b"sRGB", b"iCCP")}
    if (numbers := chunks.get(b"cICP")) and not numbers.startswith(_SRGB_BY_NUMBER):
        return f"cICP {', '.join(map(str, numbers))}"
    if b"gAMA" in chunks and not chunks.keys() & {b"cICP", b"sRGB", b"iCCP"}:
        gamma = int.from_bytes(chunks[b"gAMA"]) / 100_000
        return None if abs(gamma - 1 / 2.2) < _GAMMA_APART else f"gAMA {gamma:g}"
    return None


def _chunks(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of the chunks before the pixels."""
    at = 8
    while at + 8 <= len(head) and (kind := head[at + 4 : at + 8]) not in (b"IDAT", b"IEND"):
        (size,) = struct.unpack_from(">L", head, at)
        yield kind, head[at + 8 : at + 8 + size]
        at += 12 + size


def _header(size: tuple[int, int], bits: int, colour_type: int) -> bytes:
    return struct.pack(">LLBBBBB", size[1], size[0], bits, colour_type, 0, 0, 0)


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data)))


def _filtered(rows: np.ndarray, above: np.ndarray, pixel: int) -> bytes:
    """Rows (h, bytes) uint8, each less what its filter foretells, after the number of that filter."""
    up = np.concatenate((above[None], rows[:-1]))
    left, corner = (np.pad(part[:, :-pixel], ((0, 0), (pixel, 0))) for part in (rows, up))
    mean = ((left.astype(np.uint16) + up) >> 1).astype(np.uint8)
    found = np.stack((rows, rows - left, rows - up, rows - mean, rows - _paeth(left, up, corner)))
    best = np.minimum(found, -found).sum(2, dtype=np.uint64).argmin(0)
    return np.column_stack((best.astype(np.uint8), found[best, np.arange(len(rows))])).tobytes()


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Of the three neighbours the one that is nearest to left + up - corner; in this order where they are equal."""
    to_left, to_up = up.astype(np.int16) - corner, left.astype(np.int16) - corner
    to_corner = np.abs(to_left + to_up)
    to_left, to_up = np.abs(to_left), np.abs(to_up)
    nearer = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearer)
