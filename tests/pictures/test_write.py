import os

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from sample_files import exif_block, scene, srgb_profile, xmp_packet

from dirnet.errors import PictureError
from dirnet.pictures.exif import reset_orientation
from dirnet.pictures.picture import Picture
from dirnet.pictures.read import read_picture
from dirnet.pictures.write import write_picture

EXIF = reset_orientation(exif_block(1))


def picture(depth=8, **other):
    levels = 2**depth - 1
    pixels = scene(dtype=np.uint8 if depth == 8 else np.uint16).astype(np.float32) / np.float32(levels)
    return Picture(pixels, depth=depth, icc=srgb_profile(), exif=EXIF, xmp=xmp_packet(1), **other)


def alpha(depth):
    levels = 2**depth - 1
    return scene(channels=1, dtype=np.uint8 if depth == 8 else np.uint16).astype(np.float32) / np.float32(levels)


def foreign_read(path):
    """(H, W[, C]) integers as other libraries read them."""
    if path.suffix == ".tif":
        return tifffile.imread(path)
    if path.suffix == ".png" and path.read_bytes()[24] == 16:
        return imagecodecs.png_decode(path.read_bytes())
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_lossless_formats_give_every_number_back(tmp_path, depth, with_alpha, suffix):
    path = tmp_path / f"a{suffix}"
    given = picture(depth, alpha=alpha(depth) if with_alpha else None)
    write_picture(path, given)
    samples = foreign_read(path)
    kept = 8 if suffix == ".webp" else depth
    planes = np.dstack([given.pixels, *([given.alpha] if with_alpha else [])])
    np.testing.assert_array_equal(samples, np.rint(planes * np.float32(2**kept - 1)))
    assert samples.dtype == {8: np.uint8, 16: np.uint16}[kept]
    with Image.open(path) as image:
        exif = image.getexif()
        assert image.info["icc_profile"] == srgb_profile()
        assert exif[0x010F] == "Maker"
        assert exif.get_ifd(0x8769)[0x8827] == 400
        assert exif.get_ifd(0x8769)[0x927C] == b"maker note"
        assert exif.get_ifd(0x8825)[2] == (48, 12, 30)
        assert image.info["xmp"] == xmp_packet(1)
    again = read_picture(path)
    np.testing.assert_array_equal(np.rint(again.pixels * (2**kept - 1)), samples[..., :3])
    assert again.depth == kept
    assert again.exif is not None


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_gray_stays_gray(tmp_path, depth, suffix, with_alpha):
    path = tmp_path / f"a{suffix}"
    gray = alpha(depth)
    given = Picture(np.repeat(gray[..., None], 3, 2), depth, alpha=gray.copy() if with_alpha else None, grayscale=True)
    write_picture(path, given)
    samples = foreign_read(path)
    expected = np.rint(gray * (2**depth - 1))
    np.testing.assert_array_equal(samples, np.dstack([expected, expected]) if with_alpha else expected)
    assert read_picture(path).grayscale


def test_gray_of_a_profile_of_its_own_looks_the_same_as_webp(tmp_path):
    from test_space import gray_profile

    light = np.repeat(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1), 3, 2)
    linear = gray_profile(b"curv" + bytes(8))
    write_picture(tmp_path / "a.webp", Picture(light, grayscale=True, icc=linear))
    found = read_picture(tmp_path / "a.webp")
    assert found.icc is None
    coded = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    np.testing.assert_allclose(found.pixels, coded, atol=0.01)


def test_jpeg_is_quality_95_without_chroma_subsampling(tmp_path):
    given = picture()
    write_picture(tmp_path / "a.jpg", given)
    Image.fromarray(scene()).save(tmp_path / "b.jpg", quality=95, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as ours, Image.open(tmp_path / "b.jpg") as pillows:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(pillows))
        assert ours.info["icc_profile"] == srgb_profile()
        assert ours.info["exif"] == EXIF
        assert ours.info["xmp"] == xmp_packet(1)


def test_jpeg_has_no_alpha_and_shows_white_below(tmp_path):
    given = Picture(np.zeros((16, 16, 3), np.float32), alpha=np.repeat(np.float32([[0, 1]]), 8, 1).repeat(16, 0))
    write_picture(tmp_path / "a.jpg", given)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getpixel((2, 8)) == (255, 255, 255)
        assert image.getpixel((13, 8)) == (0, 0, 0)


@pytest.mark.parametrize("with_alpha", [False, True])
def test_floats_stay_as_they_are_in_a_tiff_and_have_16_bits_in_a_png(tmp_path, with_alpha):
    pixels = scene(dtype=np.float32) * np.float32(1.5) - np.float32(0.2)
    given = Picture(pixels, 32, alpha=alpha(16) if with_alpha else None, exif=EXIF)
    write_picture(tmp_path / "a.tif", given)
    stored = tifffile.imread(tmp_path / "a.tif")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, np.dstack([pixels, given.alpha]) if with_alpha else pixels)
    again = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(again.pixels, pixels)
    assert again.depth == 32
    write_picture(tmp_path / "a.png", given)
    np.testing.assert_array_equal(foreign_read(tmp_path / "a.png")[..., :3], np.rint(np.clip(pixels, 0, 1) * 65535))


def test_exif_too_large_for_a_jpeg_is_left_out(tmp_path):
    given = Picture(picture().pixels, exif=EXIF + b"\0" * 70000)
    write_picture(tmp_path / "a.jpg", given)
    write_picture(tmp_path / "a.png", given)
    assert read_picture(tmp_path / "a.jpg").exif is None
    assert len(read_picture(tmp_path / "a.png").exif) > 70000


@pytest.mark.parametrize("depth", [8, 16])
def test_values_outside_the_range_are_clipped(tmp_path, depth):
    given = Picture(np.float32([[[-1, 0.5, 2]]]), depth)
    write_picture(tmp_path / "a.tif", given)
    top = 2**depth - 1
    assert foreign_read(tmp_path / "a.tif").tolist() == [[[0, round(top / 2), top]]]


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "turned.jpg", "rgb16.tif", "rgb16.png", "gray.png"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".PNG"])
def test_every_way_from_file_to_file(samples, tmp_path, name, suffix):
    given = read_picture(samples / name)
    write_picture(tmp_path / f"a{suffix}", given)
    again = read_picture(tmp_path / f"a{suffix}")
    assert again.pixels.shape == given.pixels.shape
    np.testing.assert_allclose(again.pixels, given.pixels, atol=0.15 if "jp" in suffix else 1 / 500)


def test_an_original_is_never_overwritten_unasked(samples, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes((samples / "rgb.png").read_bytes())
    given = read_picture(path)
    before = path.read_bytes()
    with pytest.raises(PictureError, match=r"a\.png is the original itself"):
        write_picture(path, given)
    (tmp_path / "b.png").write_bytes(b"mine")
    with pytest.raises(PictureError, match=r"b\.png is there already"):
        write_picture(tmp_path / "b.png", given)
    assert (path.read_bytes(), (tmp_path / "b.png").read_bytes()) == (before, b"mine")
    write_picture(path, given.with_pixels(1 - given.pixels), force=True)
    np.testing.assert_allclose(read_picture(path).pixels, 1 - given.pixels, atol=1e-6)


def test_a_link_to_the_original_is_the_original(samples, tmp_path):
    (tmp_path / "link.png").symlink_to(samples / "rgb.png")
    with pytest.raises(PictureError, match="the original itself"):
        write_picture(tmp_path / "link.png", read_picture(samples / "rgb.png"))


@pytest.mark.parametrize(
    ("name", "pixels", "reason"),
    [
        ("a.gif", np.zeros((4, 4, 3), np.float32), r"'\.gif'; wanted one of \.png"),
        ("a", np.zeros((4, 4, 3), np.float32), "''"),
        ("a.png", np.full((4, 4, 3), np.nan, np.float32), "no numbers"),
        ("a.webp", np.zeros((1, 17000, 3), np.float32), "Cannot write"),
        ("a.jpg", np.zeros((1, 70000, 3), np.float32), "Cannot write"),
    ],
)
def test_what_cannot_be_written_is_a_sentence_and_leaves_nothing(tmp_path, name, pixels, reason):
    with pytest.raises(PictureError, match=reason):
        write_picture(tmp_path / name, Picture(pixels))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_to_is_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PictureError, match="Permission denied"):
        write_picture(tmp_path / "a.png", picture())


def test_a_file_in_the_place_of_a_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(PictureError, match="Cannot write"):
        write_picture(tmp_path / "file" / "a.png", picture())


def test_a_broken_exif_does_not_stop_a_tiff(tmp_path):
    for depth in (8, 16):
        given = Picture(picture(depth).pixels, depth, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x99" * 40)
        write_picture(tmp_path / f"{depth}.tif", given)
        np.testing.assert_allclose(read_picture(tmp_path / f"{depth}.tif").pixels, given.pixels, atol=1e-6)
