from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from dirnet.report.plots import COLOURS, Series, curves, look

LINES = [Series(0, [(1, 28.0), (2, 26.0), (5, 22.0)]), Series(1, [(1, 28.5), (2, 27.5), (5, 25.0)])]


def drawn(svg: str) -> list[list[tuple[float, float]]]:
    """Where the markers of each series stand, in the units of the picture."""
    points: dict[str, list[tuple[float, float]]] = {}
    for use in ElementTree.fromstring(svg).iter("use"):
        points.setdefault(use.attrib["href"], []).append((float(use.attrib["x"]), float(use.attrib["y"])))
    return list(points.values())


def test_the_points_stand_where_the_figures_put_them() -> None:
    before, after = drawn(curves(LINES))
    across = (before[2][0] - before[0][0]) / 4
    assert before[1][0] - before[0][0] == pytest.approx(across)
    per_unit = (before[2][1] - before[0][1]) / 6
    assert before[1][1] - before[0][1] == pytest.approx(2 * per_unit)
    assert before[0][1] - after[0][1] == pytest.approx(0.5 * per_unit)


def test_it_is_a_bare_element_that_takes_its_colours_from_the_page() -> None:
    svg = curves(LINES)
    assert svg.startswith("<svg viewBox=")
    assert {"var(--series-0)", "var(--series-1)", "var(--soft)", "var(--line)"} <= set(re.findall(r"var\([^)]*\)", svg))
    assert not re.search(r"#[0-9a-f]{6}\b|http|<style|<metadata|font-family", svg)
    words = [text.text for text in ElementTree.fromstring(svg).iter("text")]
    assert {"1", "2", "5", "severity"} <= set(words)


def test_the_same_points_give_the_same_bytes_and_others_other_names() -> None:
    assert curves(LINES) == curves(LINES)
    other = curves([Series(0, [(1, 1.0), (2, 2.0)])])
    assert not set(re.findall(r'id="([^"]+)"', other)) & set(re.findall(r'id="([^"]+)"', curves(LINES)))


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    curves(LINES)
    assert dict(matplotlib.rcParams) == before


def test_figures_that_cannot_be_drawn_are_left_out() -> None:
    odd = [Series(0, [(1, math.nan), (2, math.inf), (3, 1e308)]), Series(1, [(1, 2.0), (2, 2.0), (3, -math.inf)])]
    assert [len(points) for points in drawn(curves(odd))] == [2]
    assert "<svg" in curves(odd[:1])


def test_only_the_input_has_the_colour_of_the_input() -> None:
    assert [look(number) for number in range(COLOURS + 2)] == [*range(COLOURS), 1, 2]
