"""A TIFF writer that keeps 8 and 16 bits and floats, alpha, ICC, EXIF and XMP, which no single library does."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import LONG, UNDEFINED

_STRIP_BYTES = 1 << 20
_STRIP_OFFSETS, _ICC_PROFILE = 273, 34675


def write_tiff(
    path: Path, samples: np.ndarray, icc: bytes | None, notes: dict[int, Any], *, compressed: bool = True
) -> None:
    """Write (H, W) gray or (H, W, 2..4) gray or RGB with straight alpha last.

    uint8, uint16 or float32. Baseline TIFF 6.0, little-endian, in strips: plain, or Deflate, of integers after
    horizontal differences (predictor 2). `notes` holds tags of the main directory and has the last word; a value that
    is a dict is a directory of its own (EXIF, GPS).
    """
    samples = np.atleast_3d(samples)
    height, width, channels = samples.shape
    bits = samples.dtype.itemsize * 8
    rows = max(1, _STRIP_BYTES // (width * channels * samples.dtype.itemsize))
    differences = compressed and samples.dtype.kind == "u"
    strips = [_pack(samples[top : top + rows], differences, compressed) for top in range(0, height, rows)]
    tags = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    tags[256], tags[257] = width, height
    tags[258] = (bits,) * channels  # BitsPerSample
    tags[259] = 8 if compressed else 1  # Compression: Deflate, none
    tags[262] = 2 if channels > 2 else 1  # PhotometricInterpretation: RGB, BlackIsZero
    tags.tagtype[_STRIP_OFFSETS] = LONG
    tags[_STRIP_OFFSETS] = tuple(itertools.accumulate(map(len, strips[:-1]), initial=0))  # counted from the first strip
    tags[277] = channels  # SamplesPerPixel
    tags[278] = rows  # RowsPerStrip
    tags[279] = tuple(map(len, strips))  # StripByteCounts
    tags[284] = 1  # PlanarConfiguration: chunky
    if samples.dtype.kind == "f":
        tags[339] = (3,) * channels  # SampleFormat: floating point
    if differences:
        tags[317] = 2  # Predictor: horizontal differences
    if channels in (2, 4):
        tags[338] = 2  # ExtraSamples: straight alpha
    if icc:
        tags.tagtype[_ICC_PROFILE] = UNDEFINED
        tags[_ICC_PROFILE] = icc
    for tag, value in notes.items():
        tags[tag] = value
    with path.open("wb") as file:
        tags.save(file)
        file.writelines(strips)


def _pack(strip: np.ndarray, differences: bool, compressed: bool) -> bytes:
    if differences:
        strip = np.diff(strip, axis=1, prepend=strip.dtype.type(0))
    data = strip.astype(strip.dtype.newbyteorder("<")).tobytes()
    return zlib.compress(data) if compressed else data
