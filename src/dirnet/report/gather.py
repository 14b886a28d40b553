"""The records of several files in one list, every field checked to be of its kind."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dirnet.errors import DirnetError, UsageError
from dirnet.judge.records import Record, read_records

_TEXTS = ("metric", "unit", "model", "task", "suite", "params_hash", "tone")


@dataclass(frozen=True)
class Measured:
    """A record and the short name of the file it stands in."""

    record: Record
    source: str


def gather(paths: Sequence[Path]) -> list[Measured]:
    """Every record of these files, each file once; DirnetError where a file is empty or a field of the wrong kind."""
    paths = list({path.resolve(): path for path in paths}.values())
    if not paths:
        raise UsageError(
            "No records to report on", cure="Name at least one file that dirnet evaluate --out has written."
        )
    sources = [path.stem for path in paths]
    if len(set(sources)) < len(sources):
        sources = [f"{path.resolve().parent.name}/{path.stem}" for path in paths]
    measured = []
    for path, source in zip(paths, sources, strict=True):
        records = read_records(path)
        if not records:
            raise DirnetError(f"{path} holds no records", cure="Measure again with dirnet evaluate --out.")
        measured += [Measured(_checked(record, path), source) for record in records]
    return measured


def plain(value: object) -> str:
    """A value of a record's context as one line of text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return value if isinstance(value, str) else json.dumps(value)


def _checked(record: Record, path: Path) -> Record:
    """The record with every field of its kind; what JSON cannot say (NaN) may stand there as null."""
    try:
        return replace(
            record,
            **{name: str(getattr(record, name)) for name in _TEXTS},
            **{name: int(getattr(record, name)) for name in ("severity", "n", "seed")},
            value=_number(record.value),
            values=[_number(value) for value in record.values],
            redrawn=[_number(value) for value in record.redrawn],
            pictures=[str(picture) for picture in record.pictures],
            by={
                str(name): {
                    str(kind): {"value": _number(part["value"]), "n": int(part["n"])} for kind, part in kinds.items()
                }
                for name, kinds in record.by.items()
            },
            context=dict(record.context),
        )
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise DirnetError(f"{path} holds a record with a field of the wrong kind", got=str(error)) from error


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
