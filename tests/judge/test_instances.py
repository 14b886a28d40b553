from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dirnet.judge.boxes import WRONG
from dirnet.judge.coco import Row
from dirnet.judge.instances import COLOURS, COVER, draw_masks
from dirnet.judge.masks import encode

pytest.importorskip("faster_coco_eval")

GREY = torch.full((3, 80, 90), 128 / 255)
PLACES = [(slice(10, 50), slice(10, 50)), (slice(20, 60), slice(55, 85))]


def row(place: tuple[slice, slice] = PLACES[0], category: int = 1, **changes: Any) -> Row:
    mask = np.zeros((80, 90), bool)
    mask[place] = True
    rows, columns = place
    box = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
    return {"segmentation": encode(mask), "category_id": category, "bbox": box, **changes}


TRUTH = [row(), row(PLACES[1], 2)]


def at(picture: torch.Tensor, y: int, x: int) -> list[int]:
    return (picture[:, y, x] * 255).round().int().tolist()


def over_grey(colour: tuple[int, ...]) -> list[int]:
    return [round(128 + COVER * (value - 128)) for value in colour]


def test_each_object_has_a_colour_an_outline_and_lets_the_picture_through() -> None:
    drawn = draw_masks(GREY, TRUTH, TRUTH, {})
    for (rows, columns), colour in zip(PLACES, COLOURS, strict=False):
        assert at(drawn, rows.stop - 10, columns.stop - 10) == over_grey(colour)
        assert at(drawn, rows.stop - 1, columns.stop - 1) == at(drawn, rows.stop - 10, columns.stop - 1) == list(colour)
        assert at(drawn, rows.stop, columns.stop - 10) == [128] * 3
    assert GREY.unique().tolist() == [GREY[0, 0, 0].item()]  # the picture handed over is left alone


@pytest.mark.parametrize(
    ("found", "colour"),
    [
        (row(), COLOURS[0]), (row(PLACES[1], 2), COLOURS[1]), (row((slice(10, 50), slice(30, 50))), COLOURS[0]),
        (row((slice(10, 50), slice(31, 50))), WRONG), (row(category=2), WRONG), (row(PLACES[1]), WRONG),
    ],
)  # fmt: skip
def test_what_is_found_has_the_colour_of_what_it_matches(found: Row, colour: tuple[int, ...]) -> None:
    drawn = draw_masks(GREY, [found | {"score": 0.8}], TRUTH, {})
    assert at(drawn, 45, int(found["bbox"][0]) + 16) == over_grey(colour)
    assert torch.equal(draw_masks(GREY, [found | {"score": 0.2}], TRUTH, {}), GREY)


def test_of_two_objects_that_match_it_has_the_colour_of_the_nearer() -> None:
    truth = [row((slice(10, 50), slice(10, 40))), row((slice(10, 50), slice(12, 50)))]
    assert at(draw_masks(GREY, [row()], truth, {}), 45, 26) == over_grey(COLOURS[1])


def test_what_is_small_lies_on_what_is_large() -> None:
    small = row((slice(20, 30), slice(20, 30)), 2)
    for order in ([small, row()], [row(), small]):
        drawn = draw_masks(GREY, order, order, {})
        colour = COLOURS[order.index(small)]
        assert at(drawn, 20, 25) == list(colour)


def test_what_has_no_mask_or_an_empty_one_leaves_the_picture_as_it_is() -> None:
    empty = row() | {"segmentation": encode(np.zeros((80, 90), bool)), "bbox": [0, 0, 0, 0], "score": 0.9}
    assert torch.equal(draw_masks(GREY, [row() | {"segmentation": None}], TRUTH, {}), GREY)
    assert torch.equal(draw_masks(GREY, [], [], {}), GREY)
    assert torch.equal(draw_masks(GREY, [empty], TRUTH, {}), GREY)


def test_a_name_stands_in_the_middle_of_what_is_large_enough() -> None:
    named = draw_masks(GREY, TRUTH, TRUTH, {1: "it", 2: "a name that is too long for it"})
    field = (named[:, 26:33, 26:34] * 255).flatten(1).T
    assert list(COLOURS[0]) in field.round().int().tolist()
    assert over_grey(COLOURS[0]) not in field.round().int().tolist()
    assert field.sum(1).min() < 64  # black, but for the smoothing of its edges
    plain = draw_masks(GREY, TRUTH, TRUTH, {})
    assert torch.equal(named[..., 52:], plain[..., 52:])
