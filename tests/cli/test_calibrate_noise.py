"""`dirnet calibrate-noise` on DNG files that our own camera's sensor made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from dirnet.cli.calibrate_noise import calibrate_noise
from dirnet.errors import DirnetError, PictureError, UsageError
from dirnet.isp.sensor import add_noise, digitise, noise_like
from dirnet.isp.sensor_data import Mosaic
from dirnet.pictures.dng import write_dng

SHOT, READ = 2e-3, 2e-5


@pytest.fixture(scope="module")
def flats(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two DNG files at each of five exposures; the brightest is clipped."""
    folder = tmp_path_factory.mktemp("flats")
    black, none = torch.tensor([0.0625]), torch.zeros(1)
    paths = []
    for i, level in enumerate((0.01, 0.1, 0.3, 0.6, 1.5)):
        for j in (0, 1):
            samples, seeds = torch.full((1, 1, 200, 300), level), torch.tensor([2 * i + j])
            samples = add_noise(samples, torch.tensor([SHOT]), torch.tensor([READ]), noise_like(samples, seeds))
            samples = digitise(samples, black, none, torch.tensor([0]))[0, 0]
            flat = Mosaic(samples, "GRBG", 0.0625 * 16383, 16383.0, torch.ones(3), torch.eye(3), camera="Test One")
            paths.append(folder / f"flat{i}{j}.dng")
            write_dng(paths[-1], flat)
    return paths


def test_a_cameras_noise_from_a_folder_of_dng(
    flats: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.json"
    calibrate_noise([flats[0].parent], out)
    profile = json.loads(out.read_text(encoding="utf-8"))
    assert (profile["name"], profile["camera"]) == ("mine", "Test One")
    assert profile["noise"]["shot_noise"] == pytest.approx(SHOT, rel=0.03)
    assert profile["noise"]["read_noise"] == pytest.approx(READ, rel=0.03)
    assert profile["noise"]["shot_noise_error"] < 0.02 * SHOT
    assert set(profile["planes"]) == {"R", "Gr", "Gb", "B"}
    assert len(profile["points"]) == 16
    said = capsys.readouterr()
    assert said.out.startswith("Test One, 10 frames\nshot noise S = 0.00")
    assert said.err.count("left out: Frames 9 and 10") == 4


def test_a_profile_that_is_there_is_left_unless_forced(flats: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    out.write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        calibrate_noise(flats[:4], out)
    assert out.read_text() == "mine"
    calibrate_noise(flats[:4], out, force=True)
    assert json.loads(out.read_text())["noise"]


def test_what_is_no_calibration_is_a_sentence_and_leaves_nothing(flats: list[Path], tmp_path: Path) -> None:
    jpeg, broken, out = tmp_path / "flat.jpg", tmp_path / "broken.dng", tmp_path / "out" / "mine.json"
    Image.new("RGB", (30, 30)).save(jpeg)
    broken.write_bytes(flats[0].read_bytes()[:500])
    cases: list[tuple[list[Path], type[DirnetError], str]] = [
        ([jpeg, jpeg], UsageError, "finished picture"),
        ([flats[0], broken], PictureError, "Cannot read .*broken.dng"),
        ([tmp_path / "none.dng"], UsageError, "does not exist"),
        ([flats[0], flats[0]], UsageError, "odd number, 1"),
        (flats[:3], UsageError, "odd number, 3"),
        (flats[:2], UsageError, "same light"),
        (flats[8:], UsageError, "clipped"),
    ]
    for paths, kind, reason in cases:
        with pytest.raises(kind, match=reason):
            calibrate_noise(paths, out)
    assert not out.exists()
