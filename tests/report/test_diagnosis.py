from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from dirnet.judge.diagnose import REPRESENTATIONS, UNTRAINED, Diagnosis, Retrieval, metric_id
from dirnet.judge.records import Record
from dirnet.report.diagnosis import write_diagnosis

SCENES = [f"kodim{number:02d}.webp" for number in range(5)]
SETTINGS = {"gamma": 0.4, "exposure": 0.2}


def record(metric: str, model: str, value: float, **changed: object) -> Record:
    given = {
        "metric": metric, "value": value, "unit": "nats" if metric == "mi_nats" else "",
        "higher_is_better": not metric.startswith("probe"), "model": model, "task": "diagnose", "suite": "seen",
        "severity": 3, "n": 5, "seed": 0, "params_hash": "0", "pictures": SCENES,
        "values": [value + step for step in (-0.02, -0.01, 0.0, 0.01, 0.02)],
        "context": {"dirnet": "0.1.0", "command": "dirnet diagnose <x>"},
    }  # fmt: skip
    return Record(**given | changed)  # type: ignore[arg-type]


def diagnosis(suite: str = "seen", severity: int = 3, *, settings: bool = True) -> Diagnosis:
    records = []
    for model, better in ((UNTRAINED, 0.0), ("small", 0.2)):
        ends = {"low": {"value": 1.0 + better, "n": 5}, "high": {"value": 1.5 + better, "n": 5}}
        records.append(record("mi_nats", model, 1.25 + better, values=[], by={"interval": ends}))
        for kind in REPRESENTATIONS:
            records.append(record(metric_id("patch_r1", kind), model, 0.5 + better))
            for metric in ("probe_r2", "probe_r2_within") if settings else ():
                by = {"setting": {name: {"value": r2 - better, "n": 5} for name, r2 in SETTINGS.items()}}
                records.append(record(metric_id(metric, kind), model, 0.3 - better, by=by))
    pooled = {(model, kind): torch.randn(5, 4, 8) for model in (UNTRAINED, "small") for kind in REPRESENTATIONS}
    crop = torch.rand(3, 32, 32)
    found = {UNTRAINED: (torch.rand(3, 32, 32), False), "small": (crop, True)}
    return Diagnosis(suite, severity, "small", SCENES, records, pooled, [Retrieval(SCENES[0], crop, crop, found)])


class Page(HTMLParser):
    """Every element with its attributes, the visible text, and whether the elements nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in {"meta", "link", "img", "br"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["style"], ["script"]):
            self.text += data


@pytest.fixture
def page(tmp_path: Path) -> Page:
    write_diagnosis([diagnosis(), diagnosis("clean", 0, settings=False)], tmp_path / "report.html")
    return Page(tmp_path / "report.html")


def test_figures_stand_beside_the_untrained_ones_with_their_margin(page: Page) -> None:
    words = " ".join(page.text.split())
    assert "0.500 → 0.700 ▲ +0.200 +0.200 to +0.200" in words
    assert "0.300 → 0.100 ▲ \N{MINUS SIGN}0.200" in words  # less told is better
    assert "finds 70% (untrained: 50%) of the places again" in words
    assert "1.45 (untrained: 1.25) nats between two views, the trained one 1.20 to 1.70" in words
    assert "gamma 0.40 → 0.20" in words


def test_points_and_searches_are_shown(page: Page) -> None:
    images = [given for tag, given in page.elements if tag == "img"]
    assert len(images) == 2 * 4
    assert all(given["src"].startswith("data:image/png;base64,") and given["alt"] for given in images)
    assert "untrained: wrong" in page.text
    assert "small: right" in page.text
    dots = re.findall(r"M[\d.]+ [\d.]+h0", page.source)
    assert len(dots) == 3 * 2 * 5 * (3 + 3 + 1)  # three clouds, coloured twice; clean pictures once


def test_it_asks_nothing_of_any_other_place_and_escapes(page: Page, tmp_path: Path) -> None:
    addresses = [value for _, given in page.elements for name, value in given.items() if name in ("src", "href")]
    assert all(value.startswith(("data:", "#")) for value in addresses)
    assert "dirnet diagnose <x>" in page.text
    ids = {given["id"] for _, given in page.elements if "id" in given}
    assert {value[1:] for value in addresses if value.startswith("#")} <= ids
    torch.manual_seed(0)
    first = tmp_path / "a.html"
    one = diagnosis()
    write_diagnosis([one], first)
    write_diagnosis([one], tmp_path / "b.html")
    assert first.read_bytes() == (tmp_path / "b.html").read_bytes()
