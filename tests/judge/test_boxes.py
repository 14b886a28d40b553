from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dirnet.judge.boxes import RIGHT, WRONG, draw_boxes, overlap, show
from dirnet.judge.coco import Annotations, Row
from dirnet.judge.precision import Matches
from dirnet.judge.recognise import inputs_of
from dirnet.judge.showcase import Showcase

pytest.importorskip("faster_coco_eval")


def colours(picture: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in (picture * 255).round().int().flatten(1).T.tolist()}


@pytest.mark.parametrize(
    ("box", "category", "colour"),
    [
        ([10, 10, 40, 40], 1, RIGHT), ([10, 10, 40, 20], 1, RIGHT), ([10, 10, 40, 19], 1, WRONG),
        ([10, 10, 40, 40], 2, WRONG),
    ],
)  # fmt: skip
def test_a_box_is_green_where_such_an_object_is_and_orange_elsewhere(
    box: list[int], category: int, colour: tuple[int, ...]
) -> None:
    grey, truth = torch.full((3, 80, 90), 0.5), [{"bbox": [10, 10, 40, 40], "category_id": 1}]
    drawn = draw_boxes(grey, [{"bbox": box, "category_id": category, "score": 0.8}], truth, {})
    assert drawn.shape == grey.shape
    assert colours(drawn) == {colour, (128, 128, 128)}
    assert (drawn[:, 10, 10:51] * 255).round().int().T.tolist() == [list(colour)] * 41
    unsure = draw_boxes(grey, [{"bbox": box, "category_id": category, "score": 0.2}], truth, {})
    assert colours(unsure) == {(128, 128, 128)}


def test_overlap_is_intersection_over_union() -> None:
    torchvision = pytest.importorskip("torchvision")
    boxes = torch.rand(20, 4, generator=torch.Generator().manual_seed(0)) * 10 + 0.1
    corners = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1)
    theirs = torchvision.ops.box_iou(corners, corners)
    ours = [[overlap(a, b) for b in boxes.tolist()] for a in boxes.tolist()]
    torch.testing.assert_close(torch.tensor(ours), theirs, atol=1e-5, rtol=0)
    assert overlap([0, 0, 1, 1], [1, 0, 1, 1]) == 0


def test_the_pictures_that_gain_most_least_and_in_between_are_shown(tmp_path: Path) -> None:
    """One object a picture; the bare network is right in the second, the other in the first, third and fourth."""
    table: dict[str, list[Row]] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "it"}]}
    found: dict[str, list[Row]] = {"input": [], "other": []}
    for number in range(1, 6):
        Image.new("RGB", (40, 30), (99, 99, 99)).save(tmp_path / f"{number}.png")
        table["images"].append({"id": number, "file_name": f"{number}.png", "height": 30, "width": 40})
        row: dict[str, Any] = {"image_id": number, "category_id": 1, "bbox": [5.0, 5.0, 20.0, 20.0]}
        if number < 5:  # the last has no object, and is not shown
            table["annotations"].append(row | {"id": number, "area": 400, "iscrowd": 0, "segmentation": []})
        found["input" if number == 2 else "other"].append(row | {"score": 0.9})
    data = Annotations({row["id"]: tmp_path / row["file_name"] for row in table["images"]}, table, [])
    showcase = Showcase(tmp_path / "pictures", metric="ap")
    matches = {model: Matches(data, rows) for model, rows in found.items()}
    show(showcase, data, inputs_of(data), found, matches, draw_boxes, suite="clean", severity=0, seed=0)
    showcase.finish()
    entries = json.loads((tmp_path / "pictures" / "index.json").read_text())["pictures"]
    shown = [(entry["why"], entry["name"], entry["ap"]) for entry in entries]
    gain, loss = {"input": 0.0, "output": 1.0}, {"input": 1.0, "output": 0.0}
    assert shown == [("median gain", "3.png", gain), ("best gain", "4.png", gain), ("worst gain", "2.png", loss)]
    assert entries[0]["model"] == "other"
    bare, other = (Image.open(tmp_path / "pictures" / entries[0]["files"][view]) for view in ("degraded", "restored"))
    assert RIGHT not in [colour for _, colour in bare.getcolors(9999) or []]
    assert RIGHT in [colour for _, colour in other.getcolors(9999) or []]
