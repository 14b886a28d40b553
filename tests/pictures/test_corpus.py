"""Every kind of file, cut short and with bits flipped: a picture or a PictureError comes out, and nothing else."""

import numpy as np
import pytest

from dirnet.errors import PictureError
from dirnet.pictures.read import read_picture

TIMES = 60
NAMES = [
    *("rgb.jpg", "turned.jpg", "gray.jpg", "cmyk.jpg", "line.jpg"),
    *("rgb.png", "palette.png", "gray.png", "onebit.png", "alpha.png", "gray_alpha.png", "one.png"),
    *("rgb16.png", "gray16.png", "alpha16.png"),
    *("rgb.tif", "lzw.tif", "cmyk.tif", "rgb16.tif", "zip16.tif", "planes16.tif", "alpha16.tif"),
    *("big16.tif", "motorola16.tif", "float.tif"),
    *("still.webp", "alpha.webp", "animated.gif", "rgb.bmp", "rgb.ppm", "rgb.tga", "rgb.jp2", "raw.dng"),
]
MAX_PIXELS = 1_000_000


def test_no_kind_is_forgotten(samples):
    assert sorted(path.name for path in samples.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_whole_files_are_read(samples, name):
    picture = read_picture(samples / name)
    assert np.isfinite(picture.pixels).all()
    assert picture.depth == 32 or 0 <= picture.pixels.min() <= picture.pixels.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_cut_short(samples, tmp_path, name):
    whole, rng = (samples / name).read_bytes(), np.random.default_rng(11)
    lengths = {*range(0, 40, 3), *rng.integers(0, len(whole), TIMES - 14).tolist()}
    endings = [_ending(tmp_path / name, whole[:length]) for length in sorted(lengths)]
    assert set(endings) <= {"refused", "read"}
    assert endings[0] == "refused"  # nothing at all is no picture


@pytest.mark.parametrize("name", NAMES)
def test_bits_flipped(samples, tmp_path, name):
    whole, rng = (samples / name).read_bytes(), np.random.default_rng(13)
    endings = []
    for turn in range(TIMES):
        broken = bytearray(whole)
        reach = len(broken) if turn % 2 else min(len(broken), 512)  # half of them in the header, where it hurts
        for place in rng.integers(0, reach, 1 + turn % 4):
            broken[place] ^= 1 << rng.integers(0, 8)
        endings.append(_ending(tmp_path / name, bytes(broken)))
    assert len(endings) == TIMES
    assert set(endings) <= {"refused", "read"}


def _ending(path, content):
    """What became of the file; anything but a sentence that names it, or a sound picture, fails here."""
    path.write_bytes(content)
    try:
        picture = read_picture(path, max_pixels=MAX_PIXELS)
    except PictureError as error:
        sentence = str(error)
        assert path.name in sentence
        return "refused"
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.shape[0] * picture.pixels.shape[1] <= MAX_PIXELS
    assert np.isfinite(picture.pixels).all()
    assert picture.alpha is None or picture.alpha.shape == picture.pixels.shape[:2]
    return "read"
