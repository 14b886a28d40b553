from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dirnet.errors import DirnetError
from dirnet.judge.records import Record, folder_of, read_records, write_records

SHORT = Record(
    metric="psnr", value=24.23, unit="dB", higher_is_better=True, model="input", task="restore",
    suite="clean", severity=0, n=1, seed=0, params_hash="abc",
)  # fmt: skip
FULL = replace(
    SHORT, model="tiny-proof", suite="seen", severity=3, n=2, tone="repair", values=[24.0, 24.46],
    pictures=["a/ü.png", 'line\u2028"quote".jpg'], by={"demosaic": {"bilinear": {"value": 24.0, "n": 1}}},
    context={"card": {"steps": 7}, "data": ["photos"]},
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    write_records(path, [SHORT, FULL])
    return path


def test_what_is_written_is_read_again(file: Path) -> None:
    assert read_records(file) == [SHORT, FULL]
    assert [json.loads(line)["model"] for line in file.read_text().splitlines()] == ["input", "tiny-proof"]


def test_no_records_make_an_empty_file(tmp_path: Path) -> None:
    write_records(tmp_path / "none.jsonl", [])
    assert read_records(tmp_path / "none.jsonl") == []


def test_empty_lines_and_unknown_keys_are_passed_over_and_defaults_filled_in(tmp_path: Path) -> None:
    given = {key: value for key, value in asdict(SHORT).items() if key not in ("tone", "values", "context", "by")}
    path = tmp_path / "old.jsonl"
    path.write_text("\n" + json.dumps({**given, "new": 1}) + "\n  \n")
    assert read_records(path) == [SHORT]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_not_written_and_what_was_there_stays(file: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_records(file, [SHORT, replace(SHORT, value=value)])
    assert read_records(file) == [SHORT, FULL]
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name", ["metric", "value", "params_hash", "seed"])
def test_a_missing_key_is_named_with_its_line(file: Path, name: str) -> None:
    lines = file.read_text().splitlines()
    lines[1] = json.dumps({key: value for key, value in asdict(FULL).items() if key != name})
    file.write_text("\n".join(lines))
    with pytest.raises(DirnetError, match=f"line 2 is no record; wanted the keys {name} as well"):
        read_records(file)


@pytest.mark.parametrize("line", ["{", "metric: psnr", '{"metric": "psnr"', "\0"])
def test_what_is_not_json_is_shown_with_its_line(file: Path, line: str) -> None:
    with file.open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises(DirnetError, match=r"line 3 is not JSON; got .*; wanted one record a line"):
        read_records(file)


@pytest.mark.parametrize("line", ["null", "[1, 2]", "3", '"psnr"'])
def test_json_that_is_no_record_is_a_sentence(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(DirnetError, match="line 1 is no record"):
        read_records(tmp_path / "a.jsonl")


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.jsonl", tmp_path, tmp_path / "binary"):
        with pytest.raises(DirnetError, match="Cannot read the records"):
            read_records(path)


@pytest.mark.parametrize(("name", "folder"), [("a.jsonl", "a.pictures"), ("a-0.5", "a-0.5.pictures")])
def test_the_folder_that_goes_with_a_file_is_no_other_files(tmp_path: Path, name: str, folder: str) -> None:
    assert folder_of(tmp_path / name, "pictures") == tmp_path / folder
