"""Masks of instances as COCO has them: polygons or run lengths in, one compressed code inside and out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from dirnet.errors import DirnetError

Code = dict[str, Any]  # size: [height, width], counts: text

FARTHEST = 1_000_000  # pixels along an outline and to it: to fill it takes memory by its length
MOST = 1 << 32  # pixels of a picture: runs are counted in 32 bits


def import_faster_coco_eval() -> Any:
    """faster-coco-eval; DirnetError where it is not installed."""
    try:
        import faster_coco_eval
    except ImportError as error:
        raise DirnetError("faster-coco-eval is not installed", cure="Install dirnet-isp[detect].") from error
    return faster_coco_eval


def read_mask(given: Any, size: tuple[int, int]) -> Code:
    """An annotated mask (polygons, run lengths or their compressed code) of a picture (height, width) as that code.

    DirnetError where it is broken, of another size or empty.
    """
    rle = import_faster_coco_eval().mask
    if size[0] * size[1] >= MOST:
        raise DirnetError("its picture is too large for a mask", got=f"{size[1]}x{size[0]}")
    if isinstance(given, list):
        _check_polygons(given)
        code = rle.merge(rle.frPyObjects(given, *size))
    elif isinstance(given, dict):
        _check_runs(given, size)
        given = given | {"size": list(size)}
        code = rle.frPyObjects(given, *size) if isinstance(given["counts"], list) else given
    else:
        raise DirnetError("its mask is broken", got=type(given).__name__, wanted="polygons or run lengths")
    if not rle.area(code):
        raise DirnetError("its mask is empty")
    return _as_text(code)


def encode(mask: np.ndarray) -> Code:
    """The code of a mask (H, W) bool."""
    return _as_text(import_faster_coco_eval().mask.encode(np.asfortranarray(mask, dtype=np.uint8)))


def decode(code: Code) -> np.ndarray:
    """The mask (H, W) bool of a code."""
    return import_faster_coco_eval().mask.decode(code).astype(bool)


def encode_box(box: Sequence[float], size: tuple[int, int]) -> Code:
    """The code of a box x, y, width, height, as far as it lies in a picture (height, width)."""
    x, y, w, h = box
    filled = np.zeros(size, bool)
    filled[max(0, math.floor(y)) : max(0, math.ceil(y + h)), max(0, math.floor(x)) : max(0, math.ceil(x + w))] = True
    return encode(filled)


def overlaps(found: Sequence[Code], truth: Sequence[Code]) -> np.ndarray:
    """Intersection over union of each of the one with each of the other: (found, truth)."""
    whole = import_faster_coco_eval().mask.iou(list(found), list(truth), [0] * len(truth))
    return np.asarray(whole, dtype=np.float64).reshape(len(found), len(truth))


def is_number(value: object) -> TypeGuard[float]:
    """Whether JSON's value is a number, and one that a picture can have to do with."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15


def _as_text(code: Code) -> Code:
    counts = code["counts"]
    return {"size": list(code["size"]), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def _check_polygons(polygons: list[Any]) -> None:
    for polygon in polygons:
        numbers = isinstance(polygon, list) and all(is_number(value) for value in polygon)
        if not numbers or len(polygon) < 6 or len(polygon) % 2:
            raise DirnetError(
                "a polygon of its mask is broken", got=repr(polygon)[:60], wanted="x and y of three corners or more"
            )
        corners = np.array(polygon, dtype=np.float64).reshape(-1, 2)
        if np.abs(corners[0]).sum() + np.abs(corners - np.roll(corners, 1, 0)).sum() > FARTHEST:
            raise DirnetError("a polygon of its mask is too long or too far away", wanted=f"{FARTHEST} pixels at most")


def _check_runs(given: Code, size: tuple[int, int]) -> None:
    own, counts = given.get("size"), given.get("counts")
    if own != list(size):
        raise DirnetError("its mask is of another size", got=repr(own)[:60], wanted=f"[{size[0]}, {size[1]}]")
    runs = counts if isinstance(counts, list) else _runs(counts) if isinstance(counts, str) else []
    whole = all(isinstance(run, int) and not isinstance(run, bool) and run >= 0 for run in runs)
    if not whole or sum(runs) != size[0] * size[1]:
        raise DirnetError("the run lengths of its mask are broken")


def _runs(code: str) -> list[int]:
    """The runs of a compressed run-length code: 5 bits a character, the sixth says more follow; runs as differences.

    After pycocotools' rleFrString; [-1] for what is no such code.
    """
    runs: list[int] = []
    value = shift = 0
    for character in code:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return [-1]
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16 and 1) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs if shift == 0 and min(runs, default=-1) >= 0 else [-1]
