from __future__ import annotations

import json

import pytest

from dirnet.cli import suites as module
from dirnet.cli.suites import suites
from dirnet.isp.faults import FAULTS
from dirnet.suites.draw import suite_hash
from dirnet.suites.suites import SUITES


def test_json_has_all_that_the_tables_have(capsys: pytest.CaptureFixture[str]) -> None:
    suites(as_json=True)
    told = {suite["name"]: suite for suite in json.loads(capsys.readouterr().out)}
    assert list(told) == list(SUITES)
    for name, suite in SUITES.items():
        one = told[name]
        assert (one["version"], one["sentence"]) == (suite.version, suite.sentence)
        assert one["pick"] == (None if suite.pick is None else list(suite.pick))
        assert one["sha256"] == suite_hash(name)
        assert [fault["name"] for fault in one["faults"]] == list(suite.faults)
        for fault in one["faults"]:
            known = FAULTS[fault["name"]]
            assert (fault["sentence"], fault["unit"]) == (known.sentence, known.unit)
            assert fault["ranges"] == [list(between) for between in suite.faults[fault["name"]]]


def test_off_a_terminal_every_fault_is_a_line_with_its_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    suites()
    told = capsys.readouterr().out
    assert "\x1b" not in told
    for suite in SUITES.values():
        assert f"{suite.name}, version {suite.version}: {suite.sentence}" in told
    lines = [line.split("\t") for line in told.splitlines() if "\t" in line]
    assert len(lines) == sum(len(suite.faults) for suite in SUITES.values())
    assert {len(line) for line in lines} == {8}
    assert ["jpeg", "90..95", "80..90", "60..80", "40..60", "25..40", "quality", FAULTS["jpeg"].sentence] in lines


def test_on_a_terminal_the_tables_fit_into_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    module._show(module._facts())
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    for name in {name for suite in SUITES.values() for name in suite.faults}:
        assert name in told
    assert "…" not in told


@pytest.mark.parametrize(
    ("pick", "words"), [(None, "all 3"), ((2, 3), "2 to 3 of 3"), ((2, 2), "2 of 3")], ids=["all", "some", "two"]
)
def test_how_many_faults_a_picture_has_is_said(pick: tuple[int, int] | None, words: str) -> None:
    assert module._picked({"faults": [{}, {}, {}], "pick": pick}) == words
    assert module._picked({"faults": [], "pick": pick}) == "none"
