from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dirnet.errors import TrainingError
from dirnet.learn import annotated
from dirnet.learn.annotated import AnnotatedPhotographs
from dirnet.learn.stages import Labelled

pytest.importorskip("faster_coco_eval")

SIDE = (60, 80)  # height, width
SQUARE = (20, 15, 24, 30)  # x, y, width, height


def polygon(x: float, y: float, w: float, h: float) -> list[list[float]]:
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


@pytest.fixture
def table() -> dict[str, list[dict[str, Any]]]:
    """One picture, black but for a red square that is annotated, a crowd, and an object without a mask."""
    row = {"image_id": 1, "category_id": 7, "bbox": list(SQUARE), "segmentation": polygon(*SQUARE)}
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": SIDE[0], "width": SIDE[1]}],
        "annotations": [
            row | {"id": 1},
            row | {"id": 2, "iscrowd": 1},
            row | {"id": 3, "segmentation": []},
        ],
        "categories": [{"id": 7, "name": "square"}],
    }


def read(folder: Path, table: dict[str, list[dict[str, Any]]], size: tuple[int, int] = SIDE) -> AnnotatedPhotographs:
    picture = np.zeros((*size, 3), np.uint8)
    x, y, w, h = SQUARE
    picture[y : y + h, x : x + w, 0] = 255
    Image.fromarray(picture).save(folder / "a.png")
    (folder / "all.json").write_text(json.dumps(table))
    return AnnotatedPhotographs(folder / "all.json", folder)


def test_boxes_and_masks_follow_the_crop_and_the_mirror(tmp_path: Path, table: dict[str, Any]) -> None:
    drawn = read(tmp_path, table).draw(24, "key")
    assert len({tuple(picture.shape) for picture in drawn.pictures}) > 4
    whole = 0
    for picture, target in zip(drawn.pictures, drawn.targets, strict=True):
        assert picture.shape[1] >= 0.6 * SIDE[0] - 1
        assert len(target["labels"]) == len(target["boxes"]) == len(target["masks"]) <= 1
        for box, mask in zip(target["boxes"].int().tolist(), target["masks"], strict=True):
            assert torch.equal(mask.bool(), picture[0] > 0.5)
            x0, y0, x1, y1 = box
            assert mask[y0:y1, x0:x1].all()
            assert int(mask.sum()) == (x1 - x0) * (y1 - y0)
            whole += int(mask.sum()) == SQUARE[2] * SQUARE[3]
        assert target["labels"].tolist() == [7] * len(target["labels"])
    assert whole > 4


def test_what_is_hardly_in_the_crop_is_not_in_it(
    tmp_path: Path, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read(tmp_path, table)
    monkeypatch.setattr(annotated, "LEAST_SHARE", 0.3)
    drawn = found.draw(60, "key")
    area = SQUARE[2] * SQUARE[3]
    for picture, target in zip(drawn.pictures, drawn.targets, strict=True):
        assert bool((picture[0] > 0.5).sum() > 0.2 * area) == bool(len(target["labels"]))
    assert not all(len(target["labels"]) for target in drawn.targets)


def test_a_draw_is_a_function_of_its_key(tmp_path: Path, table: dict[str, Any]) -> None:
    found = read(tmp_path, table)
    first, again, other = (found.draw(3, key) for key in ("a", "a", "b"))
    assert isinstance(first, Labelled)
    assert all(torch.equal(a, b) for a, b in zip(first.pictures, again.pictures, strict=True))
    assert [p.shape for p in first.pictures] != [p.shape for p in other.pictures]
    assert first.names == ["a/0", "a/1", "a/2"]


def test_what_cannot_be_used_is_named_and_nothing_at_all_is_an_error(tmp_path: Path, table: dict[str, Any]) -> None:
    table["images"].append({"id": 2, "file_name": "b.png", "height": 9, "width": 9})
    found = read(tmp_path, table)
    assert len(found) == 1
    assert any("b.png" in note for note in found.notes)
    assert any("has no mask" in note for note in found.notes)
    with pytest.raises(TrainingError, match="another size"):
        read(tmp_path, table, size=(60, 81))
    with pytest.raises(TrainingError, match="No photograph with masks"):
        read(tmp_path, table | {"annotations": table["annotations"][1:]})


def test_the_hash_is_of_the_annotations(tmp_path: Path, table: dict[str, Any]) -> None:
    before = read(tmp_path, table).hash()
    table["annotations"][0]["bbox"] = [20, 15, 24, 29]
    assert read(tmp_path, table).hash() != before
