from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from dirnet.report.scatter import hues, principal, scatter


def dots(svg: str) -> dict[str, list[tuple[float, float]]]:
    """Where the points of each colour stand."""
    return {
        path.attrib["stroke"]: [(float(x), float(y)) for x, y in re.findall(r"M(\S+) (\S+?)h0", path.attrib["d"])]
        for path in ElementTree.fromstring(svg).iter("path")
    }


def test_points_stand_where_their_numbers_put_them() -> None:
    placed = dots(scatter(np.array([[0.0, 0.0], [1.0, 2.0], [0.5, 1.0]]), ["red", "var(--series-1)", "red"]))
    (left, bottom), (middle_x, middle_y) = placed["red"]
    ((right, top),) = placed["var(--series-1)"]
    assert left < right
    assert top < bottom
    assert (middle_x, middle_y) == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.11)


def test_points_that_are_all_the_same_are_still_drawn() -> None:
    assert len(dots(scatter(np.ones((3, 2)), ["red"] * 3))["red"]) == 3


def test_the_main_plane_of_flat_points_holds_all_there_is() -> None:
    random = np.random.default_rng(0)
    flat = random.normal(size=(200, 2)) @ random.normal(size=(2, 9))
    plane, share = principal(flat)
    assert plane.shape == (200, 2)
    assert share == pytest.approx(1)
    _, spread = principal(random.normal(size=(5000, 10)))
    assert spread == pytest.approx(0.2, abs=0.03)
    same, nothing = principal(np.ones((4, 3)))
    assert np.isfinite(same).all()
    assert nothing == 0


def test_hues_are_different() -> None:
    assert len(set(hues(24))) == 24
