from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures with one stem, one below, a broken one, and a file that is no picture."""
    home = tmp_path_factory.mktemp("in")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :75]
    smooth = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], -1) * 90 + 128
    pixels = np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(home / "one.png")
    Image.fromarray(pixels[:, ::-1]).save(home / "one.jpg")
    (home / "below").mkdir()
    Image.fromarray(pixels[:41]).save(home / "below" / "two.webp", lossless=True)
    (home / "broken.png").write_bytes((home / "one.png").read_bytes()[:300])
    (home / "notes.txt").write_text("no picture")
    return home
