"""What the camera wrote about the picture, and the little of it that must change."""

from __future__ import annotations

import contextlib
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from dirnet.pictures.codecs import quiet_pillow

EXIF_HEAD = b"Exif\0\0"
ORIENTATION = ExifTags.Base.Orientation.value
XMP = ExifTags.Base.XMLPacket.value
_TURNED = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]")
_DIRECTORIES = (ExifTags.IFD.Exif.value, ExifTags.IFD.GPSInfo.value)
# Tags of the main directory that speak of the photograph; all others speak of how the file stores it.
_ABOUT_THE_PHOTOGRAPH = (
    ExifTags.Base.ImageDescription.value,
    ExifTags.Base.Make.value,
    ExifTags.Base.Model.value,
    ExifTags.Base.Software.value,
    ExifTags.Base.DateTime.value,
    ExifTags.Base.Artist.value,
    ExifTags.Base.Copyright.value,
)


def turn_upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, ...) as stored -> as it is to be seen; `orientation` 1..8 as in EXIF, others are taken for 1."""
    match orientation:
        case 2:
            return array[:, ::-1]
        case 3:
            return array[::-1, ::-1]
        case 4:
            return array[::-1]
        case 5:
            return array.swapaxes(0, 1)
        case 6:
            return np.rot90(array, -1)
        case 7:
            return array[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(array)
    return array


def reset_orientation(exif: bytes) -> bytes | None:
    """The same block with orientation 1 and without the thumbnail of the unturned picture; None if it is broken.

    Every other byte stays in its place, since maker notes point to one another by offset.
    """
    body = bytearray(exif.removeprefix(EXIF_HEAD))
    order = {b"II": "<", b"MM": ">"}.get(bytes(body[:2]))
    if order is None:
        return None
    with contextlib.suppress(struct.error):
        (start,) = struct.unpack_from(order + "L", body, 4)
        (count,) = struct.unpack_from(order + "H", body, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from(order + "H", body, entry) == (ORIENTATION,):  # of whatever type it was
                struct.pack_into(order + "HHLHH", body, entry, ORIENTATION, 3, 1, 1, 0)
        struct.pack_into(order + "L", body, start + 2 + 12 * count, 0)  # no second directory: that is the thumbnail
        return EXIF_HEAD + bytes(body)
    return None


def reset_xmp_orientation(xmp: bytes) -> bytes:
    """The same XMP packet with orientation 1; every other byte stays in its place."""
    return _TURNED.sub(rb"\g<1>1", xmp)


def exif_of_tiff(path: Path) -> bytes | None:
    """EXIF block of a TIFF (or of a RAW file built as one), which keeps it among its own tags."""
    # The picture counts: a broken note about it is left out.
    with path.open("rb") as file, contextlib.suppress(Exception), quiet_pillow():
        tags, head = Image.Exif(), file.read(8)
        if head[2:3] == b"+":  # BigTIFF
            file.seek(0)
            tags.load_from_fp(file)
        else:  # TIFF, or what only its own number tells from one: ORF, RW2
            tags.endian = {b"II": "<", b"MM": ">"}[head[:2]]
            tags.load_from_fp(file, *struct.unpack(tags.endian + "L", head[4:]))
        kept = Image.Exif()
        kept.update(_about_the_photograph(tags))
        return kept.tobytes() if len(kept) else None
    return None


def parse_exif(exif: bytes) -> dict[int, Any]:
    """Tags of an EXIF block that speak of the photograph, directories as dicts; empty if the block is broken."""
    tags = Image.Exif()
    with contextlib.suppress(Exception), quiet_pillow():
        tags.load(exif)
        kept = _about_the_photograph(tags)
        rewritten = Image.Exif()
        rewritten.update(kept)
        rewritten.tobytes()  # what cannot be written is broken too
        return kept
    return {}


def _about_the_photograph(exif: Image.Exif) -> dict[int, Any]:
    kept: dict[int, Any] = {tag: exif[tag] for tag in _ABOUT_THE_PHOTOGRAPH if exif.get(tag)}
    for directory in _DIRECTORIES:
        entries = {tag: value for tag, value in exif.get_ifd(directory).items() if tag != ExifTags.IFD.Interop}
        if entries:
            kept[directory] = entries
    return kept
