"""The floors of the house: import-linter's contracts hold, and would notice if they did not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package to build crooked walls in."""
    shutil.copytree(HOUSE / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOUSE / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(house: Path) -> tuple[int, str]:
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", linter, "--no-cache"],
        cwd=house, env={**os.environ, "PYTHONPATH": str(house / "src"), "COLUMNS": "200"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_every_arrow_goes_down(house: Path) -> None:
    code, report = lint_imports(house)
    assert code == 0, report


@pytest.mark.parametrize(
    ("room", "line", "arrow"),
    [
        ("isp/tone.py", "import dirnet.cli", "dirnet.isp.tone -> dirnet.cli"),
        ("isp/tone.py", "import dirnet.learn", "dirnet.isp.tone -> dirnet.learn"),
        ("isp/tone.py", "def later():\n    import dirnet.pictures.read", "dirnet.isp.tone -> dirnet.pictures.read"),
        ("suites/views.py", "import PIL.Image", "dirnet.suites.views -> PIL"),
    ],
)
def test_an_arrow_that_goes_up_is_caught(house: Path, room: str, line: str, arrow: str) -> None:
    with (house / "src" / "dirnet" / room).open("a") as source:
        source.write(f"\n\n{line}\n")
    code, report = lint_imports(house)
    assert code != 0
    assert arrow in report
