from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dirnet.errors import DirnetError
from dirnet.judge.records import Record, read_records, write_records
from dirnet.report.page import write_report

CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
VOID = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """Every element with its attributes, the text of each cell, and whether the elements nest."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.cells: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"style", "script"}:
            self.text += data
        if {"td", "th"} & set(self._open):
            self.cells[-1] += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [given for name, given in self.elements if name == tag and attributes.items() <= given.items()]


def report(*records: Path, **options: Any) -> Page:
    out = records[0].parent / "report.html"
    write_report(records, out, **options)
    return Page(out)


def asks_elsewhere(page: Page) -> list[str]:
    """Every address in the page that is neither data nor a place in the page itself."""
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "action", "poster", "data", "xlink:href", "formaction"}
    ]
    addresses += re.findall(r"url\(['\"]?([^)'\"]*)", page.source)
    return [address for address in addresses if not address.startswith(("data:", "#"))]


def test_every_figure_of_every_record_is_in_a_table(records: Path) -> None:
    cells = " ".join(report(records).cells)
    for record in read_records(records):
        digits = 2 if record.unit == "dB" else 4
        figures = [record.value, *(part["value"] for kinds in record.by.values() for part in kinds.values())]
        for figure in figures:
            assert f"{figure:.{digits}f}" in cells
        assert record.params_hash in cells


def test_the_page_is_whole_and_asks_nothing_of_any_other_place(records: Path, folder: Path) -> None:
    page = report(records)
    assert page.all("meta", **{"http-equiv": "Content-Security-Policy", "content": CSP})
    assert asks_elsewhere(page) == []
    assert not re.search(
        r"https?:|@import|//[a-z]", re.sub(r"data:[^\"]*|^//.*$|^\s+//.*$", "", page.source, flags=re.M)
    )
    assert {tag for tag, _ in page.elements}.isdisjoint({"iframe", "object", "embed", "form", "base"})
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_it_says_what_was_measured_and_how_to_do_it_again(records: Path) -> None:
    page = report(records, title="A title")
    assert page.all("html", lang="en")
    for said in (
        "A title",
        "small raises PSNR",
        "dirnet 0.1.0, torch 2.6.0",
        "photographs",
        "dirnet evaluate --out",
        "small 9f2c41",
    ):
        assert said in page.text


def test_each_picture_can_be_compared_by_pointer_and_by_key(records: Path, folder: Path) -> None:
    page = report(records)
    sliders = page.all("input", type="range", min="0", max="100")
    assert len(sliders) == 2
    assert all("aria-label" in slider for slider in sliders)
    views = page.all("input", type="radio", name="view-1")
    assert [view["value"] for view in views] == ["compare", "degraded", "restored", "clean"]
    assert len({view["data-key"] for view in views}) == 4
    assert ["checked" in view for view in views] == [True, False, False, False]
    images = page.all("img")
    assert len(images) == 2 * 3 + 4
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in images)
    for said in ("kodim02", "median gain", "24.10 → 27.02", "+2.92", "malvar"):
        assert said in page.text


def test_names_of_elements_are_unique_and_every_reference_has_its_target(records: Path, folder: Path) -> None:
    page = report(records)
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    wanted = re.findall(r"url\(#([^)]+)\)", page.source) + [
        attributes["href"][1:] for _, attributes in page.elements if attributes.get("href", "").startswith("#")
    ]
    assert set(wanted) <= set(names)


def test_without_pictures_it_says_so(records: Path) -> None:
    page = report(records)
    assert "there is no folder records.pictures" in page.text
    assert not page.all("img")


def test_a_missing_picture_leaves_a_sentence_and_the_other_views(records: Path, folder: Path) -> None:
    (folder / "seen-3-kodim01-degraded.png").unlink()
    page = report(records)
    assert "The degraded picture cannot be shown" in page.text
    assert [view["value"] for view in page.all("input", type="radio", name="view-1")] == ["restored", "clean"]
    assert len(page.all("input", type="range")) == 1
    for file in folder.glob("*kodim01*.png"):
        file.unlink()
    assert "The restored picture cannot be shown" in report(records).text


def test_a_picture_from_outside_the_folder_is_not_shown(
    records: Path, folder: Path, edit_index: Callable[[Callable[[dict[str, Any]], object]], None]
) -> None:
    shutil.copy(folder / "seen-3-kodim01-clean.png", folder.parent / "secret.png")
    edit_index(lambda entry: entry["files"].update(clean="../secret.png"))
    page = report(records)
    assert "leads out of the folder" in page.text
    assert len(page.all("img", src=page.all("img")[0]["src"])) == 1
    assert len(page.all("img")) == 2 * 3 + 4 - 1


HOSTILE = "</title></style><script>alert(1)</script><img src=//x onerror=alert(1)>\"'{{7*7}}$\\frac$\ud800\u202e"


def test_hostile_text_stays_text(
    records: Path, folder: Path, record: Callable[..., Record], edit_index: Callable[..., None]
) -> None:
    everywhere = dict.fromkeys(("metric", "unit", "model", "task", "suite", "params_hash", "tone"), HOSTILE)
    part = {HOSTILE: {HOSTILE: {"value": 1.0, "n": 1}}}
    context = dict.fromkeys(("data", "command", "dirnet", HOSTILE), HOSTILE)
    made = [record(**everywhere | {"severity": severity}, by=part, context=context) for severity in (1, 2)]
    records.write_text("".join(json.dumps(asdict(one)) + "\n" for one in made))
    edit_index(
        lambda entry: entry.update(
            dict.fromkeys(("name", "suite", "severity", "model", "why"), HOSTILE), settings={HOSTILE: HOSTILE}
        )
    )
    page = report(records, title=HOSTILE)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert asks_elsewhere(page) == []
    assert "{{7*7}}" in page.text
    assert page.text.count("<script>alert(1)</script>") > 10


def test_figures_that_are_not_finite_are_shown_as_such(tmp_path: Path, record: Callable[..., Record]) -> None:
    path = tmp_path / "records.jsonl"
    made = [
        record("input", 24.0, 1), record("small", 25.0, 1),
        record("input", math.inf, 2), record("small", math.nan, 2),
        record("input", 1e308, 3), record("small", -1e308, 3),
    ]  # fmt: skip
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in made))
    cells = report(path).cells
    assert "∞ → \N{EN DASH}" in cells
    assert "nan" not in " ".join(cells)
    assert "inf" not in " ".join(cells)


def test_several_files_stand_side_by_side(records: Path, folder: Path, record: Callable[..., Record]) -> None:
    other = records.with_name("tiny.jsonl")
    write_records(other, [record("input", 24.0), record("tiny", 26.25)])
    shutil.copytree(folder, records.with_name("tiny.pictures"))
    page = report(records, other, records)
    assert "Model" in page.cells
    assert {"small", "tiny"} <= set(page.cells)
    assert len(page.all("input", type="range")) == 4
    order = [label["aria-label"] for label in page.all("article") if "aria-label" in label]
    assert [label.split()[0] for label in order] == ["kodim01", "kodim01", "kodim02", "kodim02"]


def test_one_severity_makes_no_curve(tmp_path: Path, record: Callable[..., Record]) -> None:
    path = tmp_path / "records.jsonl"
    write_records(path, [record("input", 24.0), record("small", 26.0)])
    page = report(path)
    assert "no curve to draw" in page.text
    assert not page.all("figure")


def test_curves_are_drawn_for_each_metric(records: Path) -> None:
    page = report(records)
    assert len(page.all("figure", role="img")) == 2


def test_the_same_input_gives_the_same_bytes(records: Path, folder: Path) -> None:
    assert report(records).source == report(records).source


def test_a_report_that_fails_leaves_the_old_one(records: Path) -> None:
    out = records.with_name("report.html")
    out.write_text("old")
    records.write_text("")
    with pytest.raises(DirnetError, match="holds no records"):
        write_report([records], out)
    assert out.read_text() == "old"
    assert sorted(path.name for path in records.parent.iterdir()) == ["records.jsonl", "report.html"]


def test_a_place_that_cannot_be_written_is_a_sentence(records: Path) -> None:
    with pytest.raises(DirnetError, match="Cannot write the report"):
        write_report([records], records.parent)


@pytest.mark.parametrize(("task", "metric", "name"), [("detect", "ap", "AP"), ("segment", "mask_ap", "Mask AP")])
def test_recognition_is_told_in_its_own_words(tmp_path: Path, folder: Path, task: str, metric: str, name: str) -> None:
    index = json.loads((folder / "index.json").read_text())
    for entry in index["pictures"]:
        del entry["psnr"]
        entry.pop("features", None)
        entry[metric] = {"input": 0.25, "output": 0.5}
    (folder / "index.json").write_text(json.dumps(index))
    records = []
    for severity in (3, 5):
        for model, value in (("input", 0.3 / severity), ("small", 0.6 / severity)):
            over = [value * share for share in (0.9, 1.0, 1.1)]
            given = {"task": task, "unit": "", "tone": "", "suite": "seen", "severity": severity, "n": 8, "seed": 0}
            given |= {"higher_is_better": True, "params_hash": f"hash{severity}", "metric": metric, "redrawn": over}
            records.append(Record(model=model, value=value, **given))
    write_records(tmp_path / "records.jsonl", records)
    page = report(tmp_path / "records.jsonl")
    assert f"small raises {name} from 0.0800 to 0.1600 (+0.0800)" in page.text
    assert f"0.250 → 0.500 {name.replace('M', 'm')} of the picture" in page.text
    assert "degraded, with DiR" in page.text
    assert "200 resamples for average precision" in page.text
    assert ("each annotated object has a colour" in page.text) == (task == "segment")
    assert ("Boxes have a score" in page.text) == (task == "detect")
    assert len(page.all("figure", role="img")) == 1
    assert not re.search(r"\bdB\b|PSNR|tone\b", page.text)
