from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from torch import nn

from dirnet.cli.evaluate import TaskChoice, evaluate
from dirnet.cli.recognise import evaluate_recognition
from dirnet.errors import DirnetError, UsageError
from dirnet.judge.records import read_records
from dirnet.tasks.spec import Spec

pytest.importorskip("faster_coco_eval")

SHARED = Path(__file__).parents[3] / "shared"
YOLOX, COCO = SHARED / "weights" / "yolox_nano.onnx", SHARED / "data" / "coco_dev"


class FindsTheMiddle(nn.Module):
    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        box, label = torch.tensor([[10.0, 10.0, 30.0, 30.0]]), torch.tensor([2])
        return [{"boxes": box, "scores": p.mean()[None], "labels": label} for p in pictures]


class SegmentsTheMiddle(FindsTheMiddle):
    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        masks = torch.zeros(1, 1, 40, 40)
        masks[..., 10:30, 10:30] = 1
        return [found | {"masks": masks} for found in super().forward(pictures)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures of 40 x 40, a broken one, one of another size, one that is not there, and a network."""
    table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": [{"id": 2, "name": "x"}]}
    for number, name in enumerate(("a", "b", "c", "broken", "wide", "absent"), 1):
        Image.fromarray(np.full((40, 60 if name == "wide" else 40, 3), 30 * number, np.uint8)).save(
            tmp_path / f"{name}.png"
        )
        table["images"].append({"id": number, "file_name": f"{name}.png", "height": 40, "width": 40})
        table["annotations"].append({"id": number, "image_id": number, "category_id": 2, "bbox": [10, 10, 20, 20]})
    table["annotations"].append({"id": 9, "image_id": 1, "category_id": 2, "bbox": [0, 0, 0, 9]})
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "absent.png").unlink()
    (tmp_path / "all.json").write_text(json.dumps(table))
    spec = Spec("torchvision-detection", fit="own")
    monkeypatch.setattr("dirnet.tasks.networks.load_network", lambda _: (FindsTheMiddle(), spec))
    monkeypatch.setattr("dirnet.devices.use_all_cores", lambda: None)
    return tmp_path


def run(data: Path, **changes: Any) -> int:
    given: dict[str, Any] = {"network": "toy.toml", "images": data, "annotations": data / "all.json"}
    given |= {
        "task": "detect",
        "suites": "seen",
        "severities": "2,5",
        "seed": 0,
        "device": "cpu",
        "attached": [],
    } | changes
    with pytest.raises(typer.Exit) as ended:
        evaluate_recognition(data / "records.jsonl", **given)
    return ended.value.exit_code


def test_records_detections_and_sentences(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, attached=["tiny-proof"]) == 1
    said = capsys.readouterr().err
    assert "Image 6 is left out: there is no file absent.png" in said
    assert "Annotation 9 is left out: its box is empty, 0 by 9." in said
    assert "wide.png is not of the size that is annotated; got 60x40; wanted 40x40." in said
    assert "broken.png" in said
    assert said.splitlines()[-1] == "3 done, 0 skipped, 2 failed"
    assert "clean ap: 1.000 -> 1.000 with tiny-proof (+0.000)" in said
    records = read_records(data / "records.jsonl")
    rows = [(record.metric, record.model, record.suite, record.severity) for record in records]
    figures = [(metric, model) for model in ("input", "tiny-proof") for metric in ("ap", "ap50")]
    expected = [(*figure, *row) for row in (("clean", 0), ("seen", 2), ("seen", 5)) for figure in figures]
    assert rows[:-4] == expected
    assert rows[-4:] == [(metric, model, "seen", 0) for model in ("input", "tiny-proof") for metric in ("mpc", "rpc")]
    assert {(record.task, record.value, record.n) for record in records} == {("detect", 1.0, 3)}
    assert records[0].context["network"] == "toy.toml"
    assert list(records[0].context["attached"]) == ["tiny-proof"]
    results = json.loads((data / "records.detections" / "seen-5-tiny-proof.json").read_text())
    assert [row["image_id"] for row in results] == [1, 2, 3]


def test_masks_too_where_they_are_wanted(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = Spec("torchvision-detection", fit="own")
    monkeypatch.setattr("dirnet.tasks.networks.load_network", lambda _: (SegmentsTheMiddle(), spec))
    table = json.loads((data / "all.json").read_text())
    table["annotations"][1]["segmentation"] = [[10, 10, 30, 10, 30, 30, 10, 30]]
    table["annotations"][2]["segmentation"] = [[]]
    (data / "all.json").write_text(json.dumps(table))
    assert run(data, task="segment", attached=["tiny-proof"]) == 1
    said = capsys.readouterr().err
    assert "Annotation 1 is kept for its box alone: it has no mask." in said
    assert "Annotation 3 is kept for its box alone: a polygon of its mask is broken; got []" in said
    assert "clean mask_ap: 1.000 -> 1.000 with tiny-proof (+0.000)" in said
    records = read_records(data / "records.jsonl")
    assert {(record.task, record.value, record.n) for record in records} == {("segment", 1.0, 3)}
    metrics = ["mask_ap", "mask_ap50", "ap", "ap50"]
    assert [record.metric for record in records] == metrics * 6 + ["mpc", "rpc"] * 2
    shown = json.loads((data / "records.pictures" / "index.json").read_text())["pictures"]
    assert {entry["name"]: entry["mask_ap"] for entry in shown} == {"b.png": {"input": 1.0, "output": 1.0}}
    results = json.loads((data / "records.detections" / "seen-5-tiny-proof.json").read_text())
    assert all(row["segmentation"]["size"] == [40, 40] for row in results)


@pytest.mark.parametrize("missing", ["network", "images", "annotations"])
def test_what_is_missing_is_named(data: Path, missing: str) -> None:
    with pytest.raises(UsageError, match=f"--task detect needs .* got no --{missing}"):
        run(data, **{missing: None})


def test_what_makes_no_sense_is_a_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        run(data, images=data / "nowhere")
    shutil.copy(str(files("dirnet") / "zoo" / "tiny-proof.safetensors"), tmp_path)
    with pytest.raises(UsageError, match="Two of the networks have one name; got tiny-proof"):
        run(data, attached=["tiny-proof", str(tmp_path / "tiny-proof.safetensors")])
    shutil.copy(str(files("dirnet") / "zoo" / "tiny-proof.safetensors"), tmp_path / "input.safetensors")
    with pytest.raises(UsageError, match="have one name; got input"):
        run(data, attached=[str(tmp_path / "input.safetensors")])
    with pytest.raises(DirnetError, match=r"No object has a mask.*; got 3 boxes alone\. Measure boxes"):
        run(data, task="segment")
    (data / "all.json").write_text((data / "all.json").read_text().replace('"category_id": 2', '"category_id": 3'))
    with pytest.raises(DirnetError, match="No object is annotated"):
        run(data)
    of_restore, of_others = {"data": [data]}, {"network": "toy.toml"}
    for task, option in zip(TaskChoice, (of_others, of_restore, of_restore), strict=True):
        with pytest.raises(UsageError, match=f"--task {task.value} has no --{next(iter(option))}"):
            evaluate(data / "records.jsonl", task=task, **option)


@pytest.mark.skipif(not YOLOX.is_file() or not COCO.is_dir(), reason="YOLOX and its pictures are not in ../shared")
def test_a_yolox_sees_less_through_a_bad_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx2torch")
    monkeypatch.setattr("dirnet.devices.use_all_cores", lambda: None)
    table = json.loads((COCO / "instances.json").read_text())
    table["images"] = table["images"][:4]
    ids = {row["id"] for row in table["images"]}
    table["annotations"] = [row for row in table["annotations"] if row["image_id"] in ids]
    (tmp_path / "all.json").write_text(json.dumps(table))
    found = {"network": str(YOLOX), "images": COCO / "images", "severities": "5", "attached": []}
    assert run(tmp_path, **found) == 0
    values = {(r.metric, r.suite): r.value for r in read_records(tmp_path / "records.jsonl")}
    assert values["ap", "clean"] > 0.15
    assert values["ap", "seen"] < values["ap", "clean"]
    assert values["rpc", "seen"] == pytest.approx(values["ap", "seen"] / values["ap", "clean"])
