from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dirnet.judge.coco import Annotations, Row, read_annotations, write_results
from dirnet.judge.masks import Code, decode, encode, encode_box
from dirnet.judge.precision import Kind, Matches, average_precision
from dirnet.judge.statistics import redrawn_interval, redraws

library = pytest.importorskip("faster_coco_eval")

BOX = [5.0, 5.0, 20.0, 20.0]
SIZE = (40, 60)
COCO = Path(__file__).parents[3] / "shared" / "data" / "coco_dev"


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


def part_of_box(pixels: int) -> Code:
    """The first so many of the box's 400 pixels, column by column."""
    mask = decode(encode_box(BOX, SIZE))
    mask.T[mask.T.nonzero()[0][pixels:], mask.T.nonzero()[1][pixels:]] = False
    return encode(mask)


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


@pytest.mark.parametrize(("pixels", "thresholds"), [(0, 0), (190, 0), (210, 1), (290, 5), (350, 8), (400, 10)])
def test_a_mask_scores_at_the_overlaps_that_it_reaches(pixels: int, thresholds: int) -> None:
    truth = data(1, [annotation(0, 1, segmentation=part_of_box(400))])
    rows = [answer(0) | {"segmentation": part_of_box(pixels)}]
    figures = average_precision(truth, rows, "segm")
    assert figures["ap"] == pytest.approx(thresholds / 10)
    assert figures["ap50"] == (thresholds > 0)
    assert average_precision(truth, rows)["ap"] == 1


def test_an_empty_mask_is_a_wrong_one() -> None:
    """It is the surer of two: at every recall the precision is 1/2."""
    truth = data(1, [annotation(0, 1, segmentation=part_of_box(400))])
    rows = [answer(0, score) | {"segmentation": part_of_box(pixels)} for score, pixels in ((0.9, 0), (0.8, 400))]
    assert average_precision(truth, rows, "segm")["ap"] == pytest.approx(1 / 2)


def test_over_redrawn_pictures_masks_are_the_closed_form_too() -> None:
    truth = data(7, [annotation(i, i + 1, segmentation=part_of_box(400)) for i in range(7)])
    rows = [answer(i, 0.5 + i / 20) | {"segmentation": part_of_box(290)} for i in range(3)]
    matches = Matches(truth, rows, "segm")
    for drawn in redraws(7, resamples=40):
        expected = closed_form(int((drawn < 3).sum()), 7)
        assert matches.figures(drawn) == pytest.approx({"ap": expected / 2, "ap50": expected, "ap75": 0})


@pytest.mark.parametrize("crowd", [{"iscrowd": 1, "segmentation": part_of_box(400)}, {"segmentation": None}])
def test_what_lies_in_a_crowd_or_on_an_object_without_a_mask_is_neither_right_nor_wrong(crowd: Row) -> None:
    """Two that are surer than the right one would halve its precision and more: in a box of 20 by 20, and beside it."""
    whole = {"segmentation": encode_box([35, 10, 20, 20], SIZE)}
    truth = data(1, [annotation(0, 1, **crowd), annotation(0, 2, [35, 10, 20, 20], **whole)])
    right, inside = answer(0, 0.5) | whole, answer(0, 0.9) | {"segmentation": part_of_box(60)}
    beside = answer(0, 0.8) | {"segmentation": encode_box([10, 26, 9, 9], SIZE)}
    assert average_precision(truth, [right, inside, inside], "segm")["ap"] == 1
    assert average_precision(truth, [right, inside, beside], "segm")["ap"] == pytest.approx(1 / 2)


def figures_of_the_library(file: Path, results: Path, kind: Kind) -> dict[str, float]:
    """What someone gets who gives the two files to faster-coco-eval."""
    coco = library.COCO(file)
    judge = library.COCOeval_faster(coco, coco.loadRes(results), kind, print_function=lambda *_: None)
    judge.run()
    return dict(zip(("ap", "ap50", "ap75"), judge.stats, strict=False))


@pytest.mark.skipif(not COCO.is_dir(), reason="the pictures of COCO are not in ../shared")
def test_of_a_whole_data_set_it_is_what_the_library_makes_of_the_files(tmp_path: Path) -> None:
    """Each object is found a few pixels off, some not at all, and some where there are none; crowds as they come."""
    random, file = np.random.default_rng(2), COCO / "instances.json"
    truth = read_annotations(file, COCO / "images")
    assert not truth.notes
    rows = []
    for row in truth.table["annotations"]:
        if random.random() < 0.8:
            mask = np.roll(decode(row["segmentation"]), random.integers(-4, 5, 2), (0, 1))
            x, y, w, h = row["bbox"]
            found = {"bbox": [x + random.normal(0, 3), y, w, h], "score": random.random(), "segmentation": encode(mask)}
            wrong = {"category_id": 1} if random.random() < 0.2 else {}
            rows.append({key: row[key] for key in ("image_id", "category_id")} | found | wrong)
    write_results(tmp_path / "found.json", rows)
    for kind in ("bbox", "segm"):
        ours = average_precision(truth, json.loads((tmp_path / "found.json").read_text()), kind)
        assert 0.1 < ours["ap"] < 0.9
        assert ours == pytest.approx(figures_of_the_library(file, tmp_path / "found.json", kind), abs=1e-12)
