import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from sample_files import exif_block

from dirnet.pictures.exif import parse_exif, reset_orientation, turn_upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_is_that_of_pillow(orientation):
    array = np.arange(15, dtype=np.uint8).reshape(3, 5)
    image = Image.fromarray(array)
    image.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(turn_upright(array, orientation), np.asarray(ImageOps.exif_transpose(image)))
    coloured = np.dstack([array, array + 100])
    np.testing.assert_array_equal(turn_upright(coloured, orientation)[..., 1], turn_upright(array + 100, orientation))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_is_not_turned(orientation):
    array = np.arange(6).reshape(2, 3)
    assert turn_upright(array, orientation) is array


@pytest.mark.parametrize("endian", ["<", ">"])
def test_orientation_is_reset_in_either_byte_order(endian):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x0112], exif[0x010F] = 6, "Maker"
    block = exif.tobytes()
    again = Image.Exif()
    again.load(reset_orientation(block))
    assert (again[0x0112], again[0x010F]) == (1, "Maker")


@pytest.mark.parametrize("length", range(0, len(exif_block()), 7))
def test_a_block_cut_short_raises_nothing(length):
    block = exif_block()[:length]
    kept = reset_orientation(block)
    assert kept is None or len(kept) == len(block)
    assert set(parse_exif(block)) <= {0x010F, 0x8769, 0x8825}


def test_the_thumbnail_is_no_longer_linked():
    block = bytearray(exif_block())
    order = {b"II": "<", b"MM": ">"}[bytes(block[6:8])]
    (count,) = struct.unpack_from(order + "H", block, 6 + 8)
    struct.pack_into(order + "L", block, 6 + 8 + 2 + 12 * count, 8)  # as a second directory, the first one
    before, after = Image.Exif(), Image.Exif()
    before.load(bytes(block))
    after.load(reset_orientation(bytes(block)))
    assert before.get_ifd(ExifTags.IFD.IFD1)
    assert not after.get_ifd(ExifTags.IFD.IFD1)


def test_only_what_speaks_of_the_photograph_is_parsed():
    parsed = parse_exif(exif_block())
    assert set(parsed) == {0x010F, 0x8769, 0x8825}
    assert (parsed[0x010F], parsed[0x8769][0x927C], parsed[0x8825][1]) == ("Maker", b"maker note", "N")


@pytest.mark.parametrize(("endian", "kind", "size"), [("<", 4, "L"), (">", 4, "L"), (">", 3, "H")])
def test_orientation_is_reset_whatever_its_type(endian, kind, size):
    entry = struct.pack(endian + "HHL", 0x0112, kind, 1) + struct.pack(endian + size, 6).ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[endian] + struct.pack(endian + "L", 8)
    block = b"Exif\0\0" + head + struct.pack(endian + "H", 1) + entry + bytes(4)
    before, after = Image.Exif(), Image.Exif()
    before.load(block)
    after.load(reset_orientation(block))
    assert (before[0x0112], after[0x0112]) == (6, 1)
