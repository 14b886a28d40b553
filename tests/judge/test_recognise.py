from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dirnet.errors import UsageError
from dirnet.judge.coco import Annotations, read_annotations
from dirnet.judge.masks import decode
from dirnet.judge.recognise import measure, robustness
from dirnet.judge.records import Record, read_records, write_records
from dirnet.judge.showcase import Showcase
from dirnet.judge.statistics import redraws
from dirnet.pictures.read import read_picture
from dirnet.tasks.attach import attach
from dirnet.tasks.detect import detect
from dirnet.tasks.spec import Spec, spec_of

pytest.importorskip("faster_coco_eval")

SPEC = Spec("torchvision-detection", fit="own")
BOXES = [[8, 6, 20, 16], [12, 10, 24, 20], [5, 9, 30, 12], [20, 4, 16, 24]]


class FindsRed(nn.Module):
    """Says where the reddest part is, as a box and, if it is to, a mask, and remembers what it was shown."""

    def __init__(self, label: int = 1, *, masks: bool = False) -> None:
        super().__init__()
        self.label, self.masks, self.seen = label, masks, []

    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        self.seen += pictures
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        redness = picture[0] - picture[1:].mean(0)
        mask = redness >= redness.max() / 2
        rows, columns = mask.nonzero().unbind(1)
        box = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
        return {
            "boxes": torch.tensor([box]).float(),
            "scores": redness.max()[None].clamp(0, 1),
            "labels": torch.tensor([self.label]),
        } | ({"masks": mask[None, None].float()} if self.masks else {})


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """Four pictures with a red thing each, a rectangle less its top right quarter, and one without any."""
    folder = tmp_path_factory.mktemp("red")
    table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "red"}]}
    for number, box in enumerate([*BOXES, None], 1):
        pixels = np.full((40, 56, 3), 90, np.uint8)
        if box:
            x, y, w, h = box
            pixels[y : y + h, x : x + w] = (210, 40, 40)
            pixels[y : y + h // 2, x + w // 2 : x + w] = 90
            middle = (x + w // 2, y, x + w // 2, y + h // 2)
            outline = [x, y, *middle, x + w, y + h // 2, x + w, y + h, x, y + h]
            row = {"id": number, "image_id": number, "category_id": 1, "bbox": box, "segmentation": [outline]}
            table["annotations"].append(row)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        table["images"].append({"id": number, "file_name": f"{number}.png", "height": 40, "width": 56})
    (folder / "all.json").write_text(json.dumps(table))
    return read_annotations(folder / "all.json", folder)


def measured(red: Annotations, folder: Path, **changes: Any) -> list[Record]:
    given: dict[str, Any] = {
        "detectors": {"input": FindsRed()},
        "task": "detect",
        "suite": "seen",
        "severity": 3,
        "seed": 0,
    }
    given |= changes
    given["detectors"] = {name: partial(detect, network, SPEC) for name, network in given["detectors"].items()}
    return measure(red, context={}, folder=folder, **given)


def test_what_is_found_in_clean_pictures_is_right(red: Annotations, tmp_path: Path) -> None:
    precision, at_half = measured(red, tmp_path, suite="clean", severity=0)
    assert (precision.metric, at_half.metric) == ("ap", "ap50")
    assert precision.value == at_half.value == 1  # what is found in the picture without any has the least score
    assert precision.pictures == [f"{number}.png" for number in range(1, 6)]
    assert precision.n == 5
    rows = json.loads((tmp_path / "clean-0-input.json").read_text())
    boxes = {row["image_id"]: row["bbox"] for row in rows}
    assert [boxes[number] for number in range(1, 5)] == BOXES


def test_all_networks_are_shown_the_same_pictures_of_eight_bits(red: Annotations, tmp_path: Path) -> None:
    bare, other = FindsRed(), FindsRed()
    records = measured(red, tmp_path, detectors={"input": bare, "other": other, "tiny": attach(bare, spec=SPEC)})
    assert [record.model for record in records] == ["input"] * 2 + ["other"] * 2 + ["tiny"] * 2
    assert all(torch.equal(a, b) for a, b in zip(bare.seen[::2], other.seen, strict=True))
    assert torch.equal(other.seen[0] * 255, (other.seen[0] * 255).round())
    figures = [(record.value, record.redrawn, record.params_hash) for record in records]
    assert figures[:2] == figures[2:4] == figures[4:]  # before training, nothing changes


def test_a_picture_is_spoiled_by_its_name_and_not_by_its_place(red: Annotations, tmp_path: Path) -> None:
    all_of_them, turned = FindsRed(), FindsRed()
    measured(red, tmp_path, detectors={"input": all_of_them})
    numbers = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}
    images = [row | {"id": numbers[row["id"]]} for row in red.table["images"]]
    annotations = [row | {"image_id": numbers[row["image_id"]]} for row in red.table["annotations"]]
    table = red.table | {"images": images, "annotations": annotations}
    renamed = replace(red, pictures={numbers[key]: path for key, path in red.pictures.items()}, table=table)
    measured(renamed, tmp_path, detectors={"input": turned})
    assert all(torch.equal(a, b) for a, b in zip(all_of_them.seen, turned.seen[::-1], strict=True))
    measured(red, tmp_path, detectors={"input": turned}, seed=1)
    assert not torch.equal(turned.seen[-1], all_of_them.seen[-1])


def test_records_hold_a_figure_for_each_redraw(red: Annotations, tmp_path: Path) -> None:
    records = measured(red, tmp_path)
    write_records(tmp_path / "records.jsonl", records)
    assert read_records(tmp_path / "records.jsonl") == records
    assert all(len(record.redrawn) == len(redraws(5)) for record in records)
    assert all(0 <= value <= 1 for record in records for value in record.redrawn)


def test_a_network_of_other_categories_is_a_sentence(red: Annotations, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of a category of the annotations; got labels such as 7"):
        measured(red, tmp_path, detectors={"input": FindsRed(7)})


def test_masks_are_measured_beside_boxes_and_written_with_them(red: Annotations, tmp_path: Path) -> None:
    detectors = {"input": FindsRed(masks=True)}
    records = measured(red, tmp_path, detectors=detectors, task="segment", suite="clean", severity=0)
    assert [record.metric for record in records] == ["mask_ap", "mask_ap50", "ap", "ap50"]
    assert {(record.task, record.value, len(record.redrawn)) for record in records} == {("segment", 1.0, 200)}
    rows = json.loads((tmp_path / "clean-0-input.json").read_text())
    assert [row["segmentation"] for row in rows[:4]] == [row["segmentation"] for row in red.table["annotations"]]
    boxes = measured(red, tmp_path, detectors=detectors, suite="clean", severity=0)
    assert [record.redrawn for record in boxes] == [record.redrawn for record in records[2:]]
    assert "segmentation" not in (tmp_path / "clean-0-input.json").read_text()


def test_a_mask_that_is_a_box_is_worse_than_the_box(red: Annotations, tmp_path: Path) -> None:
    """Three quarters of it: IoU .75, which six of the ten thresholds allow."""

    class FillsBoxes(FindsRed):
        def _find(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
            found = super()._find(picture)
            x0, y0, x1, y1 = found["boxes"][0].int().tolist()
            masks = torch.zeros(1, 1, *picture.shape[1:])
            masks[..., y0:y1, x0:x1] = 0.6
            return found | {"masks": masks}

    given = {"detectors": {"input": FillsBoxes()}, "task": "segment", "suite": "clean", "severity": 0}
    values = {record.metric: record.value for record in measured(red, tmp_path, **given)}
    assert values == pytest.approx({"mask_ap": 0.6, "mask_ap50": 1, "ap": 1, "ap50": 1})


def test_a_network_without_masks_is_a_sentence(red: Annotations, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gives no masks; got boxes.*Measure its boxes with --task detect\.$"):
        measured(red, tmp_path, task="segment")


def test_an_untrained_mask_rcnn_goes_all_the_way(red: Annotations, tmp_path: Path) -> None:
    """What it finds is written as it was found; DiR attached to it, and untrained, changes nothing."""
    torchvision = pytest.importorskip("torchvision")
    detection, pool = torchvision.models.detection, torchvision.ops.MultiScaleRoIAlign
    torch.manual_seed(0)
    backbone: Any = nn.Sequential(nn.Conv2d(3, 16, 3, 16, 1), nn.ReLU())
    backbone.out_channels = 16
    network = detection.MaskRCNN(
        backbone, num_classes=2, min_size=40, max_size=56, box_score_thresh=0.0, box_detections_per_img=5,
        rpn_anchor_generator=detection.anchor_utils.AnchorGenerator(((16, 32),), ((1.0,),)),
        box_roi_pool=pool(["0"], 7, 0), mask_roi_pool=pool(["0"], 14, 0),
    ).eval()  # fmt: skip
    spec = spec_of(network, None)
    detectors = {"input": partial(detect, network, spec), "tiny": partial(detect, attach(network, spec=spec), spec)}
    showcase = Showcase(tmp_path / "pictures", metric="mask_ap")
    given: dict[str, Any] = {"task": "segment", "suite": "clean", "severity": 0, "seed": 0, "context": {}}
    records = measure(red, detectors, folder=tmp_path, showcase=showcase, **given)
    assert [record.redrawn for record in records[:4]] == [record.redrawn for record in records[4:]]
    assert all(0 <= record.value <= 1 for record in records)
    (seen,) = detect(network, spec, [read_picture(red.pictures[1]).to_tensor()[0]])
    rows = [row for row in json.loads((tmp_path / "clean-0-tiny.json").read_text()) if row["image_id"] == 1]
    assert len(rows) == len(seen) == 5
    assert seen.masks is not None
    assert all((decode(row["segmentation"]) == mask.numpy()).all() for row, mask in zip(rows, seen.masks, strict=True))


def precision(model: str, suite: str, severity: int, value: float, **changes: Any) -> Record:
    common: dict[str, Any] = {"unit": "", "higher_is_better": True, "task": "detect", "n": 9, "seed": 0, "tone": ""}
    given = common | {"metric": "ap", "params_hash": f"{suite}{severity}", "redrawn": [value, value / 2]} | changes
    return Record(value=value, model=model, suite=suite, severity=severity, **given)


def test_robustness_is_the_mean_over_all_spoilings_and_its_share_of_the_clean() -> None:
    rows = [("clean", 0, 0.4), ("seen", 3, 0.3), ("seen", 5, 0.1), ("unseen-val", 3, 0.2), ("unseen-val", 5, 0.2)]
    records = [precision("input", *row) for row in rows] + [precision("tiny", *row[:2], 2 * row[2]) for row in rows]
    found = {(record.model, record.metric): record for record in robustness(records)}
    assert list(found) == [("input", "mpc"), ("input", "rpc"), ("tiny", "mpc"), ("tiny", "rpc")]
    assert found["input", "mpc"].value == pytest.approx(0.2)
    assert found["input", "rpc"].value == pytest.approx(0.5)
    assert found["tiny", "mpc"].value == pytest.approx(0.4)
    assert found["tiny", "rpc"].value == pytest.approx(0.5)
    mean = found["input", "mpc"]
    assert mean.redrawn == pytest.approx([0.2, 0.1])
    assert found["input", "rpc"].redrawn == pytest.approx([0.5, 0.5])
    assert (mean.suite, mean.severity) == ("seen+unseen-val", 0)
    assert mean.by["suite"]["unseen-val"] == {"value": pytest.approx(0.2), "n": 9}
    assert mean.params_hash == found["tiny", "mpc"].params_hash


def test_where_masks_are_measured_robustness_is_theirs() -> None:
    rows = [("clean", 0, 0.4), ("seen", 3, 0.3)]
    masks = [precision("input", *row, metric="mask_ap", task="segment") for row in rows]
    boxes = [precision("input", *row[:2], 2 * row[2] - 0.1, task="segment") for row in rows]
    found = robustness([*boxes, *masks])
    assert [(record.metric, record.task, record.value) for record in found] == [
        ("mpc", "segment", pytest.approx(0.3)), ("rpc", "segment", pytest.approx(0.75)),
    ]  # fmt: skip


def test_without_clean_pictures_or_a_clean_figure_there_is_no_share() -> None:
    assert [record.metric for record in robustness([precision("input", "seen", 3, 0.3)])] == ["mpc"]
    spoiled = precision("input", "seen", 3, 0.3)
    assert [record.metric for record in robustness([precision("input", "clean", 0, 0.0), spoiled])] == ["mpc"]
    assert robustness([precision("input", "clean", 0, 0.4)]) == []
    (mean, share) = robustness([precision("input", "clean", 0, 0.4, redrawn=[]), spoiled])
    assert mean.redrawn
    assert share.redrawn == []
