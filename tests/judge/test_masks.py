from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dirnet.errors import DirnetError
from dirnet.judge.masks import FARTHEST, _runs, decode, encode, encode_box, overlaps, read_mask

library = pytest.importorskip("faster_coco_eval")
rle = library.mask

SIZE = (40, 60)
SQUARE = [5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0]


def square() -> np.ndarray:
    found = np.zeros(SIZE, bool)
    found[5:25, 5:25] = True
    return found


def blots(shape: tuple[int, int], share: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def runs_of(mask: np.ndarray) -> list[int]:
    """Down the columns, those of what is not of it first."""
    flat = mask.flatten("F").astype(np.int8)
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


@pytest.mark.parametrize(
    "given",
    [
        [SQUARE],
        [[5, 5, 15, 5, 15, 25, 5, 25], [15, 5, 25, 5, 25, 25, 15, 25]],
        {"size": list(SIZE), "counts": runs_of(square())},
        {"size": [float(side) for side in SIZE], "counts": runs_of(square())},
        encode(square()),
    ],
)
def test_every_form_becomes_the_same_code(given: Any) -> None:
    code = read_mask(given, SIZE)
    assert code == encode(square())
    assert isinstance(code["counts"], str)
    assert (decode(code) == square()).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 60), (300, 200)])
def test_a_code_is_that_of_the_oracle_and_comes_back(shape: tuple[int, int]) -> None:
    for mask in (blots(shape), ~blots(shape), np.ones(shape, bool)):
        code = encode(mask)
        assert code["counts"].encode() == rle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
        assert code["size"] == list(shape)
        assert (decode(code) == mask).all()
        assert _runs(code["counts"]) == runs_of(mask)
        if mask.any():
            assert read_mask(code, shape) == read_mask({"size": list(shape), "counts": runs_of(mask)}, shape) == code


def test_polygons_are_filled_as_the_oracle_fills_them() -> None:
    random = np.random.default_rng(1)
    coco = library.COCO({"images": [{"id": 1, "height": 40, "width": 60}], "annotations": [], "categories": []})
    for _ in range(20):
        polygons = [random.uniform(-10, 70, 2 * random.integers(3, 9)).tolist() for _ in range(random.integers(1, 4))]
        expected = coco.annToMask({"image_id": 1, "segmentation": polygons})
        assert (decode(read_mask(polygons, SIZE)) == expected).all()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (7, "its mask is broken; got int; wanted polygons or run lengths"),
        ([[]], r"a polygon of its mask is broken; got \[\]; wanted x and y of three corners or more"),
        ([[5, 5, 25, 5]], "a polygon of its mask is broken"),
        ([[5, 5, 25, 5, 25]], "a polygon of its mask is broken"),
        ([[5, 5, 25, 5, 25, 25, 9]], "a polygon of its mask is broken"),
        ([SQUARE, []], "a polygon of its mask is broken"),
        ([[5, 5, 25, 5, 25, "x"]], "a polygon of its mask is broken"),
        ([[5, 5, 25, 5, 25, 10**400]], "a polygon of its mask is broken"),
        ([[5, 5, 25, 5, 25, float("nan")]], "a polygon of its mask is broken"),
        (["word"], "a polygon of its mask is broken"),
        (SQUARE, "a polygon of its mask is broken; got 5.0"),
        ([[0, 0, FARTHEST, 0, 9, 9]], "a polygon of its mask is too long or too far away"),
        ([[1e14, 0, 1e14, 9, 1e14, 5]], "a polygon of its mask is too long or too far away"),
        ([[5, 5, 5, 5, 5, 5]], "its mask is empty"),
        ([[-9, -9, -5, -9, -5, -5]], "its mask is empty"),
        ({"size": [40, 60], "counts": [2400]}, "its mask is empty"),
        ({"size": [60, 40], "counts": [2300, 100]}, r"its mask is of another size; got \[60, 40\]; wanted \[40, 60\]"),
        ({"size": 40, "counts": [2300, 100]}, "its mask is of another size; got 40"),
        ({"counts": [2300, 100]}, "its mask is of another size; got None"),
        ({"size": [40, 60]}, "the run lengths of its mask are broken"),
        ({"size": [40, 60], "counts": [5, 5]}, "the run lengths of its mask are broken"),
        ({"size": [40, 60], "counts": [2500, -100]}, "the run lengths of its mask are broken"),
        ({"size": [40, 60], "counts": [2300.0, 100]}, "the run lengths of its mask are broken"),
        ({"size": [40, 60], "counts": ""}, "the run lengths of its mask are broken"),
        ({"size": [40, 60], "counts": "\x00\x7f"}, "the run lengths of its mask are broken"),
        ({"size": [40, 60], "counts": "ooooooooooooo"}, "the run lengths of its mask are broken"),
        ({"size": [40, 60], "counts": encode(square())["counts"] + "99"}, "the run lengths of its mask are broken"),
    ],
)
def test_what_is_no_mask_is_a_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(DirnetError, match=sentence):
        read_mask(given, SIZE)


def test_a_picture_beyond_what_can_be_counted_is_a_sentence() -> None:
    with pytest.raises(DirnetError, match="too large for a mask; got 65536x65536"):
        read_mask([SQUARE], (65536, 65536))


def test_a_box_is_filled_as_far_as_it_lies_in_the_picture() -> None:
    y, x = np.mgrid[:40, :60]
    for box in ([5, 5, 20, 20], [-8, 30.5, 20, 1e9], [50.5, -3, 0.2, 9], [70, 5, 10, 10], [-9, -9, 3, 3]):
        inside = (x + 1 > box[0]) & (x < box[0] + box[2]) & (y + 1 > box[1]) & (y < box[1] + box[3])
        assert (decode(encode_box(box, SIZE)) == inside).all()


def test_overlap_is_intersection_over_union() -> None:
    found = [blots(SIZE, 0.4, seed) for seed in range(3)]
    truth = [*found[:1], np.zeros(SIZE, bool)]
    expected = [[(a & b).sum() / max(1, (a | b).sum()) for b in truth] for a in found]
    assert overlaps([encode(a) for a in found], [encode(b) for b in truth]) == pytest.approx(np.array(expected))
    assert overlaps([], [encode(found[0])]).shape == (0, 1)
    assert overlaps([encode(found[0])], []).shape == (1, 0)
