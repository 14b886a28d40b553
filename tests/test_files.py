from __future__ import annotations

import os
from pathlib import Path

import pytest

from dirnet.files import replacing


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_new_file_takes_the_place_of_the_old_one_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_text("old")
    with replacing(path) as beside:
        beside.write_text("new")
        assert (beside.parent, beside.suffix) == (tmp_path, ".png")
        assert path.read_text() == "old"
    assert contents(tmp_path) == {"picture.png": "new"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [True, False])
def test_on_any_failure_nothing_has_changed(tmp_path: Path, failure: type[BaseException], existing: bool) -> None:
    path = tmp_path / "records.jsonl"
    if existing:
        path.write_text("old")
    before = contents(tmp_path)

    def interrupted() -> None:
        with replacing(path) as beside:
            beside.write_text("half")
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert contents(tmp_path) == before


def test_the_folders_on_the_way_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    with replacing(path) as beside:
        beside.write_text("x")
    assert path.read_text() == "x"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mode", [None, 0o600])
def test_permissions_are_those_of_an_ordinary_new_file(tmp_path: Path, mode: int | None) -> None:
    (tmp_path / "ordinary").write_text("x")
    with replacing(tmp_path / "ours") as beside:
        beside.write_text("x")
        if mode:
            beside.chmod(mode)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_the_longest_name_a_file_system_takes_is_taken(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    with replacing(path) as beside:
        beside.write_text("x")
    assert path.exists()


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert contents(tmp_path) == {"one.txt": "first"}  # the one that finished last
