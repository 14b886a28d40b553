import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo
from sample_files import exif_block, mosaic, scene, srgb_profile, xmp_packet

from dirnet.errors import PictureError
from dirnet.isp.develop import develop
from dirnet.pictures.deep import tiff_tags, xmp_of_tiff
from dirnet.pictures.dng import write_dng
from dirnet.pictures.exif import exif_of_tiff
from dirnet.pictures.png import write_png
from dirnet.pictures.raw import read_raw
from dirnet.pictures.read import PICTURE_SUFFIXES, RAW_SUFFIXES, read_picture

EIGHT_BIT = [
    *("rgb.jpg", "turned.jpg", "gray.jpg", "cmyk.jpg", "line.jpg"),
    *("rgb.png", "palette.png", "gray.png", "onebit.png", "one.png"),
    *("rgb.tif", "lzw.tif", "cmyk.tif", "still.webp", "animated.gif", "rgb.bmp", "rgb.ppm", "rgb.tga", "rgb.jp2"),
]


@pytest.mark.parametrize("name", EIGHT_BIT)
def test_eight_bit_pictures_are_those_of_pillow_turned_upright(samples, name):
    picture = read_picture(samples / name)
    with Image.open(samples / name) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(np.rint(picture.pixels * 255), expected)
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.flags.c_contiguous
    assert (picture.depth, picture.alpha, picture.source) == (8, None, samples / name)
    assert picture.grayscale == (name.split(".")[0] in ("gray", "onebit"))


@pytest.mark.parametrize("name", ["alpha.png", "alpha.webp", "gray_alpha.png"])
def test_alpha_is_kept_straight(samples, name):
    picture = read_picture(samples / name)
    with Image.open(samples / name) as image:
        expected = np.asarray(image.convert("RGBA"))
    assert picture.alpha is not None
    np.testing.assert_array_equal(np.rint(picture.pixels * 255), expected[..., :3])
    np.testing.assert_array_equal(np.rint(picture.alpha * 255), expected[..., 3])
    assert picture.grayscale == (name == "gray_alpha.png")


def test_a_transparent_palette_entry_becomes_alpha(tmp_path):
    image = Image.fromarray(scene()).quantize(8)
    image.save(tmp_path / "p.png", transparency=2)
    picture = read_picture(tmp_path / "p.png")
    np.testing.assert_array_equal(picture.alpha, np.asarray(image) != 2)


@pytest.mark.parametrize("name", ["rgb16.png", "rgb16.tif", "zip16.tif", "planes16.tif", "big16.tif", "motorola16.tif"])
def test_sixteen_bits_are_all_there(samples, name):
    picture = read_picture(samples / name)
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535), scene(dtype=np.uint16))
    assert (picture.depth, picture.alpha, picture.grayscale) == (16, None, False)


@pytest.mark.parametrize("name", ["alpha16.png", "alpha16.tif"])
def test_sixteen_bit_alpha(samples, name):
    picture = read_picture(samples / name)
    expected = scene(channels=4, dtype=np.uint16)
    assert picture.alpha is not None
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535), expected[..., :3])
    np.testing.assert_array_equal(np.rint(picture.alpha * 65535), expected[..., 3])


def test_sixteen_bit_gray_png(samples):
    picture = read_picture(samples / "gray16.png")
    expected = imagecodecs.png_decode((samples / "gray16.png").read_bytes())
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535), np.repeat(expected[..., None], 3, 2))
    assert picture.grayscale


def test_sixteen_bit_gray_tiff_white_is_zero(tmp_path):
    values = scene(channels=1, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.rint(picture.pixels[..., 1] * 65535), 65535 - values.astype(int))


def test_a_float_tiff_is_as_it_is_and_a_tensor_of_it_is_clipped(samples):
    picture, stored = read_picture(samples / "float.tif"), tifffile.imread(samples / "float.tif")
    assert stored.min() < 0
    assert stored.max() > 1
    np.testing.assert_array_equal(picture.pixels, stored)
    np.testing.assert_array_equal(picture.to_tensor()[0].permute(1, 2, 0), np.clip(stored, 0, 1))
    assert picture.depth == 32


def test_premultiplied_alpha_is_undone(tmp_path):
    straight = scene(channels=4, dtype=np.uint16).astype(np.float64)
    straight[..., 3] = np.maximum(straight[..., 3], 8000)
    multiplied = straight.copy()
    multiplied[..., :3] *= straight[..., 3:] / 65535
    tifffile.imwrite(
        tmp_path / "a.tif", np.rint(multiplied).astype(np.uint16), photometric="rgb", extrasamples=["assocalpha"]
    )
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_allclose(picture.pixels * 65535, straight[..., :3], atol=0.5 * 65535 / 8000 + 0.1)


def test_nan_in_a_float_tiff_is_a_sentence(tmp_path):
    values = scene(dtype=np.float32)
    values[3, 3, 1] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    with pytest.raises(PictureError, match=r"a\.tif holds pixels that are no numbers"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "png16", "tif", "tif16", "webp"])
def test_every_orientation_is_turned_upright_and_told_no_more(tmp_path, orientation, kind):
    path = tmp_path / f"a.{kind.removesuffix('16')}"
    stored = scene(dtype=np.uint16 if "16" in kind else np.uint8)
    if kind == "tif16":
        tifffile.imwrite(path, stored, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    elif kind == "tif":
        Image.fromarray(stored).save(path, tiffinfo={274: orientation}, compression="tiff_lzw")
    elif kind == "png16":
        plain, block = imagecodecs.png_encode(stored), exif_block(orientation)[6:]
        chunk = struct.pack(">L", len(block)) + b"eXIf" + block + struct.pack(">L", zlib.crc32(b"eXIf" + block))
        path.write_bytes(plain[:33] + chunk + plain[33:])
    else:
        Image.fromarray(stored).save(
            path, exif=exif_block(orientation), **({"lossless": True} if kind == "webp" else {})
        )
    picture = read_picture(path)
    tag = Image.new("RGB", stored.shape[1::-1])
    tag.getexif()[274] = orientation
    indices = np.arange(stored.shape[0] * stored.shape[1], dtype=np.int32).reshape(stored.shape[:2])
    marked = Image.fromarray(indices)
    marked.getexif()[274] = orientation
    expected = stored.reshape(-1, 3)[np.asarray(ImageOps.exif_transpose(marked))]
    np.testing.assert_array_equal(np.rint(picture.pixels * np.iinfo(stored.dtype).max), expected)
    if picture.exif:
        parsed = Image.Exif()
        parsed.load(picture.exif)
        assert parsed.get(274, 1) == 1


def test_exif_keeps_every_byte_but_the_orientation(samples):
    with Image.open(samples / "turned.jpg") as image:
        stored = image.info["exif"]
    kept = read_picture(samples / "turned.jpg").exif
    assert kept is not None
    assert len(kept) == len(stored)
    assert [(a, b) for a, b in zip(stored, kept, strict=True) if a != b] == [(6, 1)]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif", "tif16"])
def test_xmp_keeps_every_byte_but_the_orientation(tmp_path, kind):
    path, packet = tmp_path / f"a.{kind.removesuffix('16')}", xmp_packet(6)
    if kind == "tif16":
        tag = (700, 1, len(packet), packet, True)
        tifffile.imwrite(path, scene(dtype=np.uint16), photometric="rgb", extratags=[tag])
    elif kind == "tif":
        Image.fromarray(scene()).save(path, tiffinfo={700: packet})
    elif kind == "png":
        notes = PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", packet.decode())
        Image.fromarray(scene()).save(path, pnginfo=notes)
    else:
        Image.fromarray(scene()).save(path, xmp=packet)
    assert read_picture(path).xmp == xmp_packet(1)


def test_exif_of_a_tiff_speaks_of_the_photograph_only(samples):
    parsed = Image.Exif()
    parsed.load(read_picture(samples / "rgb.tif").exif)
    assert parsed[0x010F] == "Maker"
    assert parsed.get_ifd(0x8769)[0x8827] == 400
    assert parsed.get_ifd(0x8825)[1] == "N"
    assert 273 not in parsed  # where the strips lie


def test_icc_is_kept_where_it_fits_the_channels(samples, tmp_path):
    assert read_picture(samples / "rgb.jpg").icc == srgb_profile()
    assert read_picture(samples / "rgb16.tif").icc == srgb_profile()
    Image.fromarray(scene(channels=1)).save(tmp_path / "gray.png", icc_profile=srgb_profile())
    assert read_picture(tmp_path / "gray.png").icc is None


def test_cmyk_goes_through_its_own_profile(tmp_path, monkeypatch):
    image = Image.fromarray(scene()).convert("CMYK")
    image.save(tmp_path / "a.tif", icc_profile=b"a profile of inks")
    asked = []

    def seen(inks, profile, to, intent, mode):
        asked.append((inks.mode, mode))
        return Image.fromarray(scene())

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda stream: stream.getvalue())
    monkeypatch.setattr(ImageCms, "profileToProfile", seen)
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.rint(picture.pixels * 255), scene())
    assert (asked, picture.icc) == ([("CMYK", "RGB")], None)


def test_cmyk_with_a_broken_profile_is_converted_by_pillow(tmp_path):
    image = Image.fromarray(scene()).convert("CMYK")
    image.save(tmp_path / "a.tif", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(
        np.rint(read_picture(tmp_path / "a.tif").pixels * 255), np.asarray(image.convert("RGB"))
    )


@pytest.mark.parametrize(("name", "renamed"), [("rgb.png", "a.jpg"), ("rgb.jpg", "a.dng"), ("rgb16.png", "a.bmp")])
def test_the_content_decides_on_the_kind(samples, tmp_path, name, renamed):
    (tmp_path / renamed).write_bytes((samples / name).read_bytes())
    np.testing.assert_array_equal(read_picture(tmp_path / renamed).pixels, read_picture(samples / name).pixels)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"plain text"])
@pytest.mark.parametrize("suffix", [".jpg", ".dng"])
def test_what_is_no_picture_is_a_sentence_that_names_the_file(tmp_path, content, suffix):
    (tmp_path / f"bad{suffix}").write_bytes(content)
    with pytest.raises(PictureError, match="bad"):
        read_picture(tmp_path / f"bad{suffix}")


def test_a_missing_file_and_a_folder_are_sentences(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(PictureError, match=f"Cannot read {path}; got"):
            read_picture(path)


HALVED = ["rgb.jpg", "rgb.png", "rgb16.png", "rgb16.tif", "rgb.tif", "still.webp", "raw.dng"]


@pytest.mark.parametrize("name", HALVED)
def test_half_a_file_is_refused(samples, tmp_path, name):
    whole = (samples / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match=name):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("name", ["rgb.jpg", "rgb16.png", "rgb16.tif", "alpha.webp", "raw.dng"])
@pytest.mark.parametrize("limit", [100, 719])
def test_over_large_is_refused_by_our_limit_and_pillows_is_left_alone(samples, name, limit):
    theirs = Image.MAX_IMAGE_PIXELS
    with pytest.raises(PictureError, match=rf"{name}.*{limit} pixels"):
        read_picture(samples / name, max_pixels=limit)
    assert theirs == Image.MAX_IMAGE_PIXELS


def test_a_raw_file_is_developed_and_turned(tmp_path):
    given = mosaic("GBRG", 30, 44, orientation=6)
    write_dng(tmp_path / "a.dng", given)
    picture = read_picture(tmp_path / "a.dng")
    developed = develop(read_raw(tmp_path / "a.dng"))[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(picture.pixels, np.rot90(developed, -1))
    assert (picture.pixels.shape, picture.depth, picture.grayscale) == ((44, 30, 3), 16, False)
    named_tif = tmp_path / "a.tif"
    named_tif.write_bytes((tmp_path / "a.dng").read_bytes())
    np.testing.assert_array_equal(read_picture(named_tif).pixels, picture.pixels)


def test_many_threads_may_read_at_once(samples):
    theirs = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda name: read_picture(samples / name).pixels.shape[:2], EIGHT_BIT * 5))
    assert set(read) == {(37, 53), (53, 37), (1, 1), (1, 9)}
    assert theirs == Image.MAX_IMAGE_PIXELS


def test_larger_than_pillows_limit_is_read(samples, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture(samples / "rgb.jpg").pixels.shape == (37, 53, 3)


def _codestream(samples16):
    return imagecodecs.jpeg2k_encode(samples16, level=0, codecformat="j2k")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ppm", lambda rgb: b"P6\n# a comment\n53 37\n65535\n" + rgb.astype(">u2").tobytes()),
        ("a.pgm", lambda rgb: b"P5 53 37 65535\n" + rgb[..., 0].astype(">u2").tobytes()),
        ("a.j2k", _codestream),
        ("a.jp2", lambda rgb: imagecodecs.jpeg2k_encode(rgb, level=0, codecformat="jp2")),
        ("a.avif", lambda rgb: imagecodecs.avif_encode(rgb >> 6, bitspersample=10)),
    ],
)
def test_other_deep_formats_are_refused_not_cut(tmp_path, name, content):
    (tmp_path / name).write_bytes(content(scene(dtype=np.uint16)))
    with pytest.raises(PictureError, match="more than 8 bits"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "library"), [("rgb16.png", "imagecodecs"), ("rgb16.tif", "tifffile"), ("raw.dng", "rawpy")]
)
def test_without_the_extra_a_sentence_says_what_to_install(samples, monkeypatch, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PictureError, match=rf"needs {library}.*dirnet-isp\[photo\]"):
        read_picture(samples / name)


def test_ordinary_pictures_need_no_extra(samples, monkeypatch):
    for library in ("rawpy", "tifffile", "imagecodecs"):
        monkeypatch.setitem(sys.modules, library, None)
    for name in EIGHT_BIT:
        assert read_picture(samples / name).depth == 8


def test_ten_bit_tiff_uses_its_own_white(tmp_path):
    values = scene(channels=1, dtype=np.uint16) >> 6
    tifffile.imwrite(tmp_path / "a.tif", values, bitspersample=10, photometric="minisblack")
    np.testing.assert_array_equal(np.rint(read_picture(tmp_path / "a.tif").pixels[..., 0] * 1023), values)


def test_unread_kinds_of_deep_tiff_are_sentences(tmp_path):
    tifffile.imwrite(tmp_path / "signed.tif", scene(channels=1, dtype=np.int16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "inks.tif", scene(channels=4, dtype=np.uint16), photometric="separated")
    for name, reason in (("signed", "int16"), ("inks", "photometric 5")):
        with pytest.raises(PictureError, match=reason):
            read_picture(tmp_path / f"{name}.tif")


def test_no_warning_reaches_the_user(samples, tmp_path):
    block = bytearray(exif_block(1))
    block[-40:] = b"\xff" * 40
    Image.fromarray(scene()).save(tmp_path / "a.jpg", exif=bytes(block))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        read_picture(tmp_path / "a.jpg")
    assert not heard


def test_suffixes_of_raw_and_of_pictures_are_apart():
    assert not PICTURE_SUFFIXES & RAW_SUFFIXES
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in PICTURE_SUFFIXES | RAW_SUFFIXES)


def test_a_broken_exif_does_not_lose_the_picture(tmp_path):
    stream = BytesIO()
    Image.fromarray(scene()).save(stream, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    picture = read_picture(tmp_path / "a.jpg")
    assert (picture.exif, picture.pixels.shape) == (None, (37, 53, 3))


def test_sixteen_bits_without_the_extra_are_refused_not_cut(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", [np.zeros((4, 4, 3), np.uint16)], (4, 4))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(PictureError, match=r"needs imagecodecs.*dirnet-isp\[photo\]"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("magic", [b"IIRO", b"IIRS", b"IIU\0"])
def test_notes_of_raw_files_with_a_number_of_their_own(tmp_path, magic):
    """As Olympus and Panasonic write them; here a DNG by another name."""
    write_dng(tmp_path / "a.dng", mosaic())
    whole = (tmp_path / "a.dng").read_bytes()
    (tmp_path / "a.orf").write_bytes(magic + whole[4:])
    expected, found = exif_of_tiff(tmp_path / "a.dng"), exif_of_tiff(tmp_path / "a.orf")
    assert expected
    assert found == expected
    assert dict(tiff_tags(tmp_path / "a.orf")) == dict(tiff_tags(tmp_path / "a.dng"))


@pytest.mark.parametrize("name", ["raw.cr3", "empty.raf", "text.orf"])
def test_what_is_built_otherwise_has_no_notes(tmp_path, name):
    (tmp_path / name).write_bytes(b"" if "empty" in name else b"\0\0\0\x18ftypcrx and more")
    assert exif_of_tiff(tmp_path / name) is None
    assert xmp_of_tiff(tmp_path / name) is None


def test_floats_with_premultiplied_alpha_keep_what_is_above_1(tmp_path):
    straight = np.array([[[3.0, 0.5, 0.0, 1.0], [2.0, 0.25, 1.0, 0.5], [0.0, 0.0, 0.0, 0.0]]], np.float32)
    multiplied = straight.copy()
    multiplied[..., :3] *= straight[..., 3:]
    tifffile.imwrite(tmp_path / "a.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"])
    found = read_picture(tmp_path / "a.tif")
    np.testing.assert_allclose(found.pixels, straight[..., :3])
    assert found.alpha is not None
    np.testing.assert_allclose(found.alpha, straight[..., 3])


def png_with(path, *chunks):
    """A PNG with chunks of kind and data after its header."""
    Image.fromarray(scene()).save(path)
    whole = path.read_bytes()
    parts = [struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in chunks]
    path.write_bytes(whole[:33] + b"".join(parts) + whole[33:])
    return path


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([(b"cICP", bytes([12, 13, 0, 1]))], "cICP 12, 13, 0, 1"),
        ([(b"gAMA", struct.pack(">L", 100000))], "gAMA 1;"),
    ],
)
def test_colours_told_by_number_are_refused_not_lost(tmp_path, chunks, said):
    with pytest.raises(PictureError, match=f"tells its colours by number, which would be lost; got {said}"):
        read_picture(png_with(tmp_path / "a.png", *chunks))


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">L", 100000))],
        [(b"gAMA", struct.pack(">L", 45455))],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">L", 100000))],
    ],
)
def test_numbers_that_say_srgb_are_fine(tmp_path, chunks):
    assert np.array_equal(np.rint(read_picture(png_with(tmp_path / "a.png", *chunks)).pixels * 255), scene())
