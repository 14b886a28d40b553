"""A measured number and all that is needed to believe it: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dirnet.errors import DirnetError
from dirnet.files import replacing


@dataclass(frozen=True)
class Record:
    """One figure. `model` is "input" for the untouched picture or the bare network; `value` is the mean of `values`.

    metric: id ("psnr", "ssim", "psnr_tone", ...); unit: "dB", "" ...
    suite, severity: the spoiling (severity 0 where it means nothing); `seed` and `params_hash` pin the draw.
    tone: "keep" or "repair"; values and pictures: figure and name of each picture, in the same order.
    redrawn: of a figure that is no mean over pictures, and has no `values`: what it is over each of
    `statistics.redraws`.
    by: the same figure by kind, {"demosaic": {"bilinear": {"value": 28.1, "n": 8}, ...}}.
    context: versions, weights hash, data folders.
    """

    metric: str
    value: float
    unit: str
    higher_is_better: bool
    model: str
    task: str
    suite: str
    severity: int
    n: int
    seed: int
    params_hash: str
    tone: str = "keep"
    values: list[float] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    redrawn: list[float] = field(default_factory=list)
    by: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)


_REQUIRED = tuple(f.name for f in fields(Record))[:11]


def folder_of(records: Path, what: str) -> Path:
    """The folder of that kind that goes with a file of records: NAME.jsonl -> NAME.pictures."""
    return records.with_name(f"{records.name.removesuffix('.jsonl')}.{what}")


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one JSON object a line; the file appears whole or not at all."""
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as lines:
        for record in records:
            lines.write(json.dumps(asdict(record), allow_nan=False) + "\n")


def read_records(path: Path) -> list[Record]:
    """Read what `write_records` wrote; unknown keys are passed over, missing ones are a DirnetError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DirnetError(f"Cannot read the records {path}", got=str(error)) from error
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _parse(line: str, where: str) -> Record:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DirnetError(f"{where} is not JSON", got=repr(line[:60]), wanted="one record a line") from error
    missing = [name for name in _REQUIRED if not isinstance(given, dict) or name not in given]
    if missing:
        raise DirnetError(f"{where} is no record", wanted=f"the keys {', '.join(missing)} as well")
    return Record(**{f.name: given[f.name] for f in fields(Record) if f.name in given})
