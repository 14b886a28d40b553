"""`dirnet restore` as a photographer meets it: folders of everything, in and out."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rawpy
import tifffile
from click.testing import Result
from PIL import Image
from sample_files import ADOBE_RGB, GAMMA, exif_block, make_samples, matrix_profile, mosaic, scene, xmp_packet
from typer.testing import CliRunner

from dirnet.cli.app import app
from dirnet.nets.model import DiR
from dirnet.nets.weights import save_weights
from dirnet.pictures import write
from dirnet.pictures.dng import write_dng
from dirnet.pictures.exif import parse_exif
from dirnet.pictures.folders import gather, output_paths
from dirnet.pictures.picture import Picture
from dirnet.pictures.read import read_picture


@pytest.fixture(autouse=True)
def _one_thread_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dirnet.devices.use_all_cores", lambda: None)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, "tiny", DiR("tiny").state_dict(), {"recipe": "none"})
    return path


def restore(*words: object) -> Result:
    return CliRunner().invoke(app, ["restore", "--device", "cpu", *map(str, words)])


def last_line(result: Result) -> str:
    return result.output.strip().splitlines()[-1]


def phone_picture(path: Path, turn: int) -> None:
    """As a phone writes it: turned by a note in EXIF and XMP, in Display P3."""
    image = Image.fromarray(scene(30 + turn, 42))
    image.save(path, quality=90, exif=exif_block(turn), xmp=xmp_packet(turn), icc_profile=matrix_profile())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty pictures of every kind, one of them broken, and two files that are none."""
    home = tmp_path_factory.mktemp("mixed")
    make_samples(home)  # 33
    (home / "phone.jpg").mkdir()  # a folder, whatever its name says
    for turn in range(1, 9):
        phone_picture(home / "phone.jpg" / f"IMG_{turn}.jpg", turn)
    for name in ("one.jpg", "One.png", "one.webp"):  # of one stem
        Image.fromarray(scene(20, 25)).save(home / "phone.jpg" / name)
    deep = home / "scans" / "2026"
    deep.mkdir(parents=True)
    tags = [(700, 1, len(xmp_packet()), xmp_packet(), True), (274, 3, 1, 6, True), (271, 2, 0, "Scanner", True)]
    wide = {"photometric": "rgb", "iccprofile": matrix_profile(ADOBE_RGB, GAMMA), "extratags": tags}
    tifffile.imwrite(deep / "wide16.tif", scene(dtype=np.uint16), **wide)
    tifffile.imwrite(deep / "wide_float.tiff", scene(dtype=np.float32) * 1.5 - 0.2, **wide)
    with_alpha = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(deep / "alpha_float.tif", scene(channels=4, dtype=np.float32), **with_alpha)
    tifffile.imwrite(deep / "gray16.tif", scene(channels=1, dtype=np.uint16), photometric="minisblack")
    write_dng(deep / "turned.dng", mosaic(height=24, width=36, orientation=6))
    (deep / "broken.jpg").write_bytes((home / "rgb.jpg").read_bytes()[:700])
    (home / "notes.txt").write_text("no picture")
    (home / ".hidden.jpg").write_bytes(b"")
    return home


def test_a_folder_of_fifty_gives_forty_nine_with_all_they_carry(mixed: Path, untrained: Path, tmp_path: Path) -> None:
    """With untrained weights every number must come back, whatever lies between: profiles, depth, tiles, turning."""
    done = restore(mixed, "--out", tmp_path, "--weights", untrained)
    assert done.exit_code == 1
    assert last_line(done) == "49 done, 1 skipped, 1 failed"
    assert [line for line in done.output.splitlines() if "broken.jpg" in line] == [
        line for line in done.output.splitlines() if line.startswith("failed: ")
    ]
    inputs = gather([mixed]).inputs
    assert len(inputs) == 50
    outputs = output_paths(inputs, tmp_path, lambda path: ".tif" if path.suffix in (".tif", ".tiff") else ".png")
    pairs = {given.path: output for given, output in zip(inputs, outputs, strict=True) if given.path.stem != "broken"}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(pairs.values())
    for source, output in pairs.items():
        was, now = read_picture(source), read_picture(output)
        scale = {8: 255, 16: 65535, 32: 1}[was.depth]
        assert now.depth == was.depth, source
        quantised = np.rint(was.pixels * scale) if scale > 1 else was.pixels
        np.testing.assert_array_equal(np.rint(now.pixels * scale) if scale > 1 else now.pixels, quantised, str(source))
        assert (was.alpha is None) == (now.alpha is None), source
        if was.alpha is not None and now.alpha is not None:
            np.testing.assert_allclose(now.alpha, was.alpha, atol=1e-7)
        assert (now.grayscale, now.icc, now.xmp) == (was.grayscale, was.icc, was.xmp), source
        assert _facts(now.exif) == _facts(was.exif), source
    again = restore(mixed, "--out", tmp_path, "--weights", untrained)
    assert again.exit_code == 1
    assert last_line(again) == "0 done, 50 skipped, 1 failed"


def _facts(exif: bytes | None) -> dict[int, Any]:
    return parse_exif(exif) if exif else {}


def test_other_programs_see_what_was_carried_over(mixed: Path, untrained: Path, tmp_path: Path) -> None:
    scans = mixed / "scans" / "2026"
    files = [mixed / "phone.jpg" / "IMG_6.jpg", scans / "wide16.tif", scans / "wide_float.tiff", mixed / "rgb16.png"]
    done = restore(*files, "--out", tmp_path, "--weights", untrained)
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "IMG_6.png") as phone:
        assert phone.size == (36, 42)  # upright
        assert phone.getexif().get(274) == 1
        assert phone.getexif().get_ifd(0x8769)[0x8827] == 400
        assert phone.info["icc_profile"] == matrix_profile()
        assert phone.info["xmp"] == xmp_packet(1)
    with tifffile.TiffFile(tmp_path / "wide16.tif") as wide:
        tags = wide.pages[0].tags
        np.testing.assert_array_equal(wide.asarray(), np.rot90(scene(dtype=np.uint16), -1))
        assert (tags[271].value, tags[700].value) == ("Scanner", xmp_packet(1))
        assert tags[34675].value == matrix_profile(ADOBE_RGB, GAMMA)
        assert 274 not in tags
    floats = tifffile.imread(tmp_path / "wide_float.tif")
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, np.rot90(scene(dtype=np.float32) * np.float32(1.5) - np.float32(0.2), -1))
    assert imagecodecs.png_decode((tmp_path / "rgb16.png").read_bytes()).dtype == np.uint16


@pytest.mark.parametrize(
    ("kind", "suffix", "depth"),
    [("png", ".png", 16), ("tiff", ".tif", 16), ("jpeg", ".jpg", 8), ("webp", ".webp", 8)],
)
def test_raw_becomes_what_is_asked_for(
    mixed: Path, untrained: Path, tmp_path: Path, kind: str, suffix: str, depth: int
) -> None:
    source = mixed / "scans" / "2026" / "turned.dng"
    assert restore(source, "--out", tmp_path, "--weights", untrained, "--format", kind).exit_code == 0
    was, now = read_picture(source), read_picture(tmp_path / f"turned{suffix}")
    assert (now.depth, now.pixels.shape) == (depth, (36, 24, 3))
    assert np.abs(now.pixels - was.pixels).mean() < (0.03 if kind == "jpeg" else 1 / 500)


def test_raw_becomes_a_dng_of_light(mixed: Path, untrained: Path, tmp_path: Path) -> None:
    source = mixed / "scans" / "2026" / "turned.dng"
    assert restore(source, "--out", tmp_path, "--weights", untrained, "--format", "dng").exit_code == 0
    with rawpy.imread(str(tmp_path / "turned.dng")) as raw:
        assert raw.raw_type == rawpy.RawType.Stack
        assert raw.sizes[:2] == (36, 24)


def test_strength_0_is_the_picture_and_1_is_not(folder: Path, tmp_path: Path) -> None:
    original = read_picture(folder / "one.png").pixels
    for strength, same in ((0, True), (1, False)):
        out = tmp_path / str(strength)
        assert restore(folder / "one.png", "--out", out, "--tone", "repair", "--strength", strength).exit_code == 0
        assert np.array_equal(read_picture(out / "one.png").pixels, original) == same
    assert restore(folder / "one.png", "--out", tmp_path, "--strength", 1.5).exit_code == 2


def test_compare_shows_before_and_after(folder: Path, tmp_path: Path) -> None:
    words = (folder / "one.png", "--out", tmp_path, "--compare")
    assert restore(*words).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"one.png", "one.compare.jpg"}
    both = read_picture(tmp_path / "one.compare.jpg").pixels
    assert both.shape == (60 + 28, 2 * 75 + 4, 3)
    assert np.abs(both[28:, :75] - read_picture(folder / "one.png").pixels).mean() < 0.01
    assert np.abs(both[28:, -75:] - read_picture(tmp_path / "one.png").pixels).mean() < 0.01
    (tmp_path / "one.png").unlink()  # as if interrupted in between
    assert last_line(restore(*words)) == "1 done, 0 skipped, 0 failed"


def huge_png() -> bytes:
    head = struct.pack(">2L5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + head, b"IDAT" + zlib.compress(b""), b"IEND"]
    parts = (struct.pack(">L", len(c) - 4) + c + struct.pack(">L", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_each_hostile_file_gets_a_sentence_and_the_others_are_done(
    folder: Path, untrained: Path, tmp_path: Path
) -> None:
    home, whole = tmp_path / "in", (folder / "one.jpg").read_bytes()
    hostile = {
        "huge.png": huge_png(),
        "nothing.jpg": b"",
        "cut.jpg": whole[:900],
        "text.tif": b"II*\0 is all that it has of a TIFF",
        "html.dng": b"<html>404 not found</html>",
        "locked.png": (folder / "one.png").read_bytes(),
    }
    home.mkdir()
    for name, content in hostile.items():
        (home / name).write_bytes(content)
    (home / "good.jpg").write_bytes(whole)
    (home / "folder.png").mkdir()
    if os.geteuid() == 0:  # root may read everything
        (home / "locked.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    else:
        (home / "locked.png").chmod(0)
    done = restore(home, "--out", tmp_path / "out", "--weights", untrained)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert last_line(done) == "1 done, 0 skipped, 6 failed"
    failures = [line for line in done.output.splitlines() if line.startswith("failed: ")]
    assert len(failures) == len(hostile)
    for name in hostile:
        assert sum(name in line for line in failures) == 1
    assert "huge.png is too large" in done.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_an_interruption_leaves_nothing_half_written_and_the_rest_can_be_done_later(
    folder: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (folder, "--out", tmp_path, "--weights", untrained)
    whole, times = write._WRITERS[".png"], []

    def interrupted(path: Path, picture: Picture) -> None:
        whole(path, picture)
        times.append(path)
        if len(times) == 2:
            path.write_bytes(path.read_bytes()[:100])
            raise KeyboardInterrupt

    monkeypatch.setitem(write._WRITERS, ".png", interrupted)
    assert restore(*words).exit_code != 0
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    assert last_line(restore(*words)) == "2 done, 2 skipped, 1 failed"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


def test_weights_that_are_an_attachment_are_named_as_one(tmp_path: Path) -> None:
    Image.fromarray(scene(32, 40)).save(tmp_path / "a.png")
    found = restore(tmp_path / "a.png", "--out", tmp_path / "out", "--weights", "yolox-nano-proof")
    assert found.exit_code == 0
    assert "yolox-nano-proof mends pictures for a network, not for the eye" in found.output
    again = restore(tmp_path / "a.png", "--out", tmp_path / "other", "--weights", "tiny-proof")
    assert "for the eye" not in again.output
