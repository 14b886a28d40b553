from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dirnet.errors import DirnetError, UsageError
from dirnet.judge.records import Record, read_records
from dirnet.report.gather import gather, plain


def test_every_record_of_every_file_is_there_and_each_file_once(records: Path) -> None:
    other = records.with_name("other.jsonl")
    other.write_text(records.read_text())
    gathered = gather([records, other, records.parent / "." / records.name])
    assert [one.record for one in gathered] == read_records(records) * 2
    assert [one.source for one in gathered] == ["records"] * 12 + ["other"] * 12


def test_files_of_one_name_are_told_apart_by_their_folders(records: Path) -> None:
    again = records.parent / "later" / records.name
    again.parent.mkdir()
    again.write_text(records.read_text())
    assert gather([records, again])[-1].source == "later/records"


def test_no_file_and_an_empty_file_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No records to report on"):
        gather([])
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n")
    with pytest.raises(DirnetError, match="holds no records"):
        gather([empty])


@pytest.mark.parametrize(
    "changed",
    [
        {"value": "high"},
        {"value": [1]},
        {"value": 10**400},
        {"severity": "hard"},
        {"n": None},
        {"seed": 1e400},
        {"values": 3},
        {"values": [{}]},
        {"pictures": None},
        {"by": {"demosaic": 3}},
        {"by": {"demosaic": {"malvar": {"n": 3}}}},
        {"by": [1]},
        {"context": "here"},
    ],
)
def test_a_field_of_the_wrong_kind_is_a_sentence(
    tmp_path: Path, record: Callable[..., Record], changed: dict[str, Any]
) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(asdict(record()) | changed))
    with pytest.raises(DirnetError, match="field of the wrong kind"):
        gather([path])


def test_null_and_nan_are_no_number(tmp_path: Path, record: Callable[..., Record]) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(asdict(record()) | {"value": None, "values": [1, None, math.nan]}))
    read = gather([path])[0].record
    assert math.isnan(read.value)
    assert [math.isnan(value) for value in read.values] == [False, True, True]


def test_context_becomes_one_line() -> None:
    assert plain({"torch": "2.6", "cuda": None, "gpus": [1, 2.5, True]}) == "torch 2.6, cuda null, gpus 1, 2.5, true"
