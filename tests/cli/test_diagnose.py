from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from dirnet.judge.records import read_records


def dirnet(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dirnet", "diagnose", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """The samples' middles, 64 x 64, and a file that is none."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for path in Path(str(files("dirnet") / "samples")).glob("*.jpg"):
        with Image.open(path) as image:
            left, top = image.width // 2, image.height // 2
            image.crop((left, top, left + 64, top + 64)).save(folder / f"{path.stem}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_page_and_its_records(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    words = ("--weights", "tiny-proof", "--data", photographs, "--suites", "seen", "--severities", "3", "--out", out)
    done = dirnet(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    assert done.stderr.splitlines()[-1] == "4 done, 1 skipped, 0 failed"
    records = read_records(tmp_path / "report.jsonl")
    assert {record.model for record in records} == {"tiny-proof", "untrained"}
    assert {(record.task, record.suite, record.severity, record.n) for record in records} == {
        ("diagnose", "seen", 3, 4)
    }
    assert records[0].context["data"] == ["photographs"]
    assert "tiny-proof" in out.read_text()
    page = tmp_path / "generic.html"  # the general report can show these records too
    command = [sys.executable, "-m", "dirnet", "report", tmp_path / "report.jsonl", "--out", page]
    assert subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == 0


def test_too_little_to_go_by_is_a_sentence(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert dirnet("--data", photographs, "--out", tmp_path / "report.jsonl").returncode == 2
    (photographs / "rocket.png").write_bytes(b"broken")
    done = dirnet("--data", photographs, "--out", out)
    assert done.returncode == 1
    assert "rocket.png" in done.stderr
    assert done.stderr.splitlines()[-1] == "3 done, 1 skipped, 1 failed"
    assert not out.exists()
