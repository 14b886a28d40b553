from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dirnet.judge.coco import Annotations, Row
from dirnet.judge.precision import Matches, average_precision
from dirnet.judge.statistics import redrawn_interval, redraws

pytest.importorskip("faster_coco_eval")

BOX = [5.0, 5.0, 20.0, 20.0]


def data(pictures: int, annotations: list[Row]) -> Annotations:
    images: list[Row] = [{"id": 10 + i, "file_name": f"{i}.png", "height": 40, "width": 60} for i in range(pictures)]
    categories: list[Row] = [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}]
    table = {"images": images, "annotations": annotations, "categories": categories}
    return Annotations({row["id"]: Path(row["file_name"]) for row in images}, table, [])


def one_each(pictures: int) -> Annotations:
    return data(pictures, [annotation(i, i + 1) for i in range(pictures)])


def annotation(picture: int, key: int, box: list[float] = BOX, **changes: Any) -> Row:
    row = {"id": key, "image_id": 10 + picture, "category_id": 3, "bbox": box, "area": box[2] * box[3]}
    return row | {"iscrowd": 0, "segmentation": []} | changes


def answer(picture: int, score: float = 0.9, box: list[float] = BOX, category: int = 3) -> Row:
    return {"image_id": 10 + picture, "category_id": category, "bbox": box, "score": score}


def closed_form(hits: int, pictures: int) -> float:
    """AP where one object a picture is found in `hits` of them and nothing else is: 101 recalls, precision 1 or 0."""
    return (math.floor(100 * hits / pictures) + 1) / 101 if hits else 0.0


@pytest.mark.parametrize("hits", [0, 1, 3, 7])
def test_over_redrawn_pictures_it_is_the_closed_form(hits: int) -> None:
    matches = Matches(one_each(7), [answer(i, 0.5 + i / 20) for i in range(hits)])
    for drawn in redraws(7, resamples=40):
        figures = matches.figures(drawn)
        assert figures["ap"] == figures["ap50"] == pytest.approx(closed_form(int((drawn < hits).sum()), 7))


def test_the_interval_is_that_of_the_binomial() -> None:
    """With half of the pictures hit, the hits of a redraw are binomial; another detector finds nothing."""
    stats = pytest.importorskip("scipy.stats")
    matches = Matches(one_each(41), [answer(i) for i in range(20)])
    found = [matches.figures(drawn)["ap"] for drawn in redraws(41, resamples=400)]
    ends = [closed_form(int(stats.binom.ppf(share, 41, 20 / 41)), 41) for share in (0.025, 0.975)]
    assert redrawn_interval(found, [0.0] * 400) == pytest.approx(ends, abs=2.01 / 41)


def test_a_redraw_is_the_data_set_with_its_pictures_copied() -> None:
    random = np.random.default_rng(4)
    truth: list[Row] = []
    rows: list[Row] = []
    for picture in range(6):
        for _ in range(picture):  # the first has no object
            box = [*random.uniform(0, 30, 2), *random.uniform(8, 20, 2)]
            changes = {"category_id": int(random.choice([3, 9])), "iscrowd": int(random.random() < 0.2)}
            truth.append(annotation(picture, len(truth) + 1, box, **changes))
            near = [side + random.normal(0, 1) for side in box]
            rows.append(answer(picture, random.random(), near, changes["category_id"]))
        rows.append(answer(picture, random.random() / 2, [1.0, 1.0, 30.0, 10.0], 9))
    drawn = [5, 0, 3, 5, 2, 3]
    copied = [annotation(new, 0, row["bbox"], category_id=row["category_id"], iscrowd=row["iscrowd"])
              for new, old in enumerate(drawn) for row in truth if row["image_id"] == 10 + old]  # fmt: skip
    copied = [row | {"id": number} for number, row in enumerate(copied, 1)]
    seen = [
        row | {"image_id": 10 + new} for new, old in enumerate(drawn) for row in rows if row["image_id"] == 10 + old
    ]
    expected = average_precision(data(6, copied), seen)
    assert 0.05 < expected["ap"] < 0.95
    assert Matches(data(6, truth), rows).figures(drawn) == pytest.approx(expected)


def test_all_pictures_are_meant_where_none_are_named_and_nothing_is_kept_of_a_redraw() -> None:
    matches = Matches(one_each(4), [answer(0), answer(1)])
    whole = matches.figures()
    assert matches.figures([0])["ap"] == 1
    assert matches.figures([3])["ap"] == 0
    assert matches.figures() == whole == matches.figures(range(4))


def test_pictures_in_which_nothing_is_annotated_have_no_figure() -> None:
    matches = Matches(data(2, [annotation(1, 1)]), [answer(0, 0.5), answer(1)])
    assert math.isnan(matches.figures([0, 0])["ap"])
    assert matches.figures([0, 1])["ap"] == 1
