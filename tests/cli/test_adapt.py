from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from dirnet.nets.weights import load

QUICK = [word for setting in ("adaptation_steps=2", "crop=48", "batch=4", "places=6") for word in ("--set", setting)]


def dirnet(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dirnet", "adapt", *QUICK, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A small picture, a smaller one that is too small, and a broken one."""
    folder = tmp_path / "camera"
    folder.mkdir()
    with Image.open(Path(str(files("dirnet") / "samples" / "coffee.jpg"))) as image:
        image.crop((0, 0, 128, 96)).save(folder / "one.png")
        image.crop((0, 0, 32, 32)).save(folder / "small.png")
    (folder / "broken.png").write_bytes(b"broken")
    return folder


def test_new_weights_beside_the_old_and_what_became_of_the_known(pictures: Path, tmp_path: Path) -> None:
    done = dirnet("--data", pictures, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "run" / "weights.safetensors")
    assert "1 pictures, 2 left out" in done.stderr
    assert "through `seen`" in done.stderr
    assert load(done.stdout.strip()).card["began_from"] == load().sha256


def test_no_picture_large_enough_is_a_sentence(pictures: Path, tmp_path: Path) -> None:
    (pictures / "one.png").unlink()
    done = dirnet("--data", pictures, "--out", tmp_path / "run")
    assert done.returncode != 0
    assert "No photograph to train on" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
