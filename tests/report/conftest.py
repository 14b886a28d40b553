from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dirnet.judge.records import Record, write_records

PICTURES = [f"kodim{number:02d}" for number in range(1, 9)]


def make_record(model: str = "small", level: float = 27.0, severity: int = 3, **changed: Any) -> Record:
    """A record of eight pictures whose figures lie around `level`."""
    values = [level + step for step in (-1.5, -0.5, 0.25, 1.0, -1.0, 0.5, 0.0, 1.25)]
    given: dict[str, Any] = {
        "metric": "psnr",
        "value": level,
        "unit": "dB",
        "higher_is_better": True,
        "model": model,
        "task": "restore",
        "suite": "seen",
        "severity": severity,
        "n": 8,
        "seed": 0,
        "params_hash": f"hash{severity}",
        "values": values,
        "pictures": PICTURES,
        "by": {"demosaic": {"bilinear": {"value": level - 0.61, "n": 3}, "malvar": {"value": level + 0.37, "n": 5}}},
        "context": {
            "dirnet": "0.1.0",
            "torch": "2.6.0",
            "data": ["photographs"],
            "command": "dirnet evaluate --out records.jsonl",
            "weights": "small 9f2c41",
        },
    }
    return Record(**given | changed)


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """records.jsonl: PSNR and SSIM of input and small at severities 1 to 3."""
    path = tmp_path / "records.jsonl"
    write_records(
        path,
        [
            made
            for severity in (1, 2, 3)
            for model, gain in (("input", 0.0), ("small", severity - 1.5))
            for made in (
                make_record(model, 30.0 - 2 * severity + gain, severity),
                make_record(
                    model, 0.9 - 0.05 * severity + gain / 50, severity, metric="ssim", unit="", values=[], by={}
                ),
            )
        ],
    )
    return path


@pytest.fixture
def features() -> dict[str, np.ndarray]:
    """Four representations of 6 channels; the refined one lies near the reference."""
    random = np.random.default_rng(0)
    reference = random.normal(size=(6, 12, 16)) * np.array([4, 3, 2, 1, 0.5, 0.2])[:, None, None]
    made = {
        "baseline": random.normal(size=(5, 12, 16)),
        "pilot": reference + random.normal(size=reference.shape),
        "refined": reference + 0.1 * random.normal(size=reference.shape),
        "reference": reference,
    }
    return {name: feature.astype(np.float16) for name, feature in made.items()}


@pytest.fixture
def folder(tmp_path: Path, features: dict[str, np.ndarray]) -> Path:
    """records.pictures/ with two entries, the second without features."""
    folder = tmp_path / "records.pictures"
    folder.mkdir()
    random = np.random.default_rng(1)
    entries = []
    for name in ("kodim01", "kodim02"):
        files = {view: f"seen-3-{name}-{view}.png" for view in ("clean", "degraded", "restored")}
        for file in files.values():
            Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(folder / file)
        entries.append(
            {
                "name": name,
                "suite": "seen",
                "severity": 3,
                "model": "small",
                "why": "median gain",
                "psnr": {"input": 24.1, "output": 27.02},
                "files": files,
                "settings": {"demosaic": "malvar"},
            }
        )
    save_file(features, folder / "kodim01.safetensors")
    entries[0]["features"] = "kodim01.safetensors"
    (folder / "index.json").write_text(json.dumps({"pictures": entries}))
    return folder


@pytest.fixture
def edit_index(folder: Path) -> Callable[[Callable[[dict[str, Any]], object]], None]:
    """Change the first entry of index.json."""

    def edit(change: Callable[[dict[str, Any]], object]) -> None:
        index = json.loads((folder / "index.json").read_text())
        change(index["pictures"][0])
        (folder / "index.json").write_text(json.dumps(index))

    return edit
