"""Our PNG files, as libpng and Pillow read them."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import dirnet
from dirnet.pictures.png import ROWS, _paeth, write_png

SAMPLE = Path(dirnet.__file__).parent / "samples" / "coffee.jpg"


def strips_of(samples: np.ndarray, rows: int) -> list[np.ndarray]:
    return [samples[top : top + rows] for top in range(0, len(samples), rows)]


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 70), width=st.integers(1, 40), channels=st.sampled_from([1, 2, 3, 4]),
    dtype=st.sampled_from([np.uint8, np.uint16]), rows=st.integers(1, 80), seed=st.integers(0, 99), flat=st.booleans(),
)  # fmt: skip
def test_libpng_reads_the_same_numbers(tmp_path_factory, height, width, channels, dtype, rows, seed, flat):
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)
    if flat:  # every filter gets its turn
        samples = np.cumsum(samples // 97, axis=seed % 2, dtype=dtype)
    samples = samples[..., 0] if channels == 1 else samples
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, strips_of(samples, rows), (height, width))
    found = imagecodecs.png_decode(path.read_bytes())
    assert found.dtype == dtype
    assert np.array_equal(found.reshape(samples.shape), samples)


def test_a_photograph_is_as_small_as_from_libpng(tmp_path):
    with Image.open(SAMPLE) as image:
        samples = np.asarray(image)
        image.save(tmp_path / "theirs.png")
    write_png(tmp_path / "ours.png", strips_of(samples, ROWS), samples.shape[:2])
    assert (tmp_path / "ours.png").stat().st_size < 1.02 * (tmp_path / "theirs.png").stat().st_size


def test_notes_and_profile_are_those_given(tmp_path):
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    notes = exif.tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    write_png(tmp_path / "a.png", [np.zeros((2, 3, 3), np.uint8)], (2, 3), icc=icc, exif=notes, xmp=xmp)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.info["icc_profile"] == icc
        assert image.getexif()[0x010F] == "Maker"
        assert image.info["xmp"] == xmp


@pytest.mark.parametrize("seed", range(3))
def test_paeth_is_the_predictor_of_the_specification(seed):
    rng = np.random.default_rng(seed)
    left, up, corner = rng.integers(0, 256, (3, 9, 50), np.uint8)

    def predictor(a: int, b: int, c: int) -> int:  # section 9.4
        p = a + b - c
        pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
        if pa <= pb and pa <= pc:
            return a
        return b if pb <= pc else c

    expected = [predictor(*map(int, abc)) for abc in zip(left.flat, up.flat, corner.flat, strict=True)]
    assert _paeth(left, up, corner).ravel().tolist() == expected
