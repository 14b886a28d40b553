"""COCO: annotations in, results out, average precision between them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dirnet.errors import DirnetError
from dirnet.files import replacing
from dirnet.tasks.detect import Detections

Row = dict[str, Any]
FIGURES = {"ap": "AP_all", "ap50": "AP_50", "ap75": "AP_75"}


@dataclass(frozen=True)
class Annotations:
    """What of a data set can be used: pictures by id, a table in COCO's form; notes: a sentence for all that cannot."""

    pictures: dict[int, Path]
    table: dict[str, list[Row]]
    notes: list[str]


def read_annotations(file: Path, images: Path) -> Annotations:
    """Read a COCO annotation file whose pictures lie in the folder `images`.

    What cannot be used is left out, and `notes` says of each piece what and why; a broken mask leaves its box in.
    DirnetError where the file is no such table, or no picture is left.
    """
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        parts = {key: [dict(row) for row in table[key]] for key in ("images", "annotations", "categories")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DirnetError(
            f"{file} holds no COCO annotations", got=str(error) or type(error).__name__,
            wanted="JSON with images, annotations and categories",
        ) from error  # fmt: skip
    notes: list[str] = []
    pictures = _pictures(parts["images"], images, notes)
    if not pictures:
        raise DirnetError(f"None of the pictures of {file} can be used", got="; ".join(notes[:3]) or "no images")
    categories = {row["id"]: row for row in parts["categories"] if _is_id(row.get("id"))}
    kept = {row["id"]: row for row in parts["images"] if _is_id(row.get("id")) and row["id"] in pictures}
    annotations = []
    for number, row in enumerate(parts["annotations"], 1):
        reason = _reason_against(row, kept, categories)
        if reason:
            notes.append(f"Annotation {row.get('id', number)} is left out: {reason}.")
        else:
            # Numbered anew: an id of 0, or one given twice, would be lost in the matching.
            annotations.append(_cleaned(row, number, kept[row["image_id"]], notes))
    return Annotations(
        pictures,
        {"images": list(kept.values()), "annotations": annotations, "categories": list(categories.values())},
        notes,
    )


def result_rows(image_id: int, found: Detections) -> list[Row]:
    """Detections of one picture as rows of a COCO results file; masks as RLE."""
    boxes, scores, labels = found.boxes.cpu().tolist(), found.scores.cpu().tolist(), found.labels.cpu().tolist()
    rows: list[Row] = [
        {
            "image_id": image_id,
            "category_id": label,
            "bbox": [round(x0, 2), round(y0, 2), round(x1 - x0, 2), round(y1 - y0, 2)],
            "score": round(score, 5),
        }
        for (x0, y0, x1, y1), score, label in zip(boxes, scores, labels, strict=True)
    ]
    if found.masks is not None:
        for row, mask in zip(rows, found.masks.cpu().numpy(), strict=True):
            row["segmentation"] = _encode(mask)
    return rows


def write_results(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as a COCO results file."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(list(rows)), encoding="utf-8")


def average_precision(
    annotations: Annotations, rows: Iterable[Row], kind: Literal["bbox", "segm"] = "bbox"
) -> dict[str, float]:
    """AP over IoU .50 to .95, at .50 and at .75 (`ap`, `ap50`, `ap75`), of boxes or masks, by faster-coco-eval.

    NaN where nothing is annotated. Every picture of the annotations counts.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    truth, answers = annotations.table, [dict(row) for row in rows]
    if kind == "segm":  # an object without a mask can be neither found nor missed
        truth = truth | {"annotations": [row for row in truth["annotations"] if row["segmentation"]]}
        answers = [row for row in answers if "segmentation" in row]
    if not truth["annotations"]:
        return dict.fromkeys(FIGURES, math.nan)
    if not answers:
        return dict.fromkeys(FIGURES, 0.0)
    coco = COCO({key: [dict(row) for row in part] for key, part in truth.items()})
    judge = COCOeval_faster(coco, coco.loadRes(answers), kind, print_function=lambda *_: None, rle_iou_max_workers=1)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    found = {name: float(judge.stats_as_dict[key]) for name, key in FIGURES.items()}
    return {name: value if value >= 0 else math.nan for name, value in found.items()}


def _pictures(rows: list[Row], folder: Path, notes: list[str]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for row in rows:
        key: Any = row.get("id")
        name = row.get("file_name")
        if not _is_id(key) or not isinstance(name, str) or not name:
            reason = "it has no id or no file name"
        elif key in found:
            reason = "its id is another's"
        elif not _is_file_in(folder, name):
            reason = f"there is no file {name} in {folder}"
        elif not (_is_size(row.get("height")) and _is_size(row.get("width"))):
            reason = "it has no height or width"
        else:
            found[key] = folder / name
            continue
        notes.append(f"Image {key} is left out: {reason}.")
    return found


def _is_file_in(folder: Path, name: str) -> bool:
    try:
        path = (folder / name).resolve()
        return path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name that is none
        return False


def _reason_against(row: Row, images: dict[int, Row], categories: dict[int, Row]) -> str:
    box = row.get("bbox")
    if not _is_id(row.get("image_id")) or row["image_id"] not in images:
        return f"there is no image {row.get('image_id')}"
    if not _is_id(row.get("category_id")) or row["category_id"] not in categories:
        return f"there is no category {row.get('category_id')}"
    if not (isinstance(box, list) and len(box) == 4 and all(_is_number(side) for side in box)):
        return f"its box is {box}, not x, y, width and height"
    if box[2] <= 0 or box[3] <= 0:
        return f"its box is empty, {box[2]} by {box[3]}"
    return ""


def _cleaned(row: Row, number: int, image: Row, notes: list[str]) -> Row:
    """An annotation with all that the matching reads; crowds stay crowds."""
    size, mask = (image["height"], image["width"]), row.get("segmentation")
    whole = bool(mask) and _is_mask(mask, size)
    if mask and not whole:
        notes.append(f"Annotation {row.get('id', number)} is kept without its mask, which is broken.")
    area = row.get("area")
    return {
        "id": number,
        "image_id": row["image_id"],
        "category_id": row["category_id"],
        "bbox": row["bbox"],
        "area": area if _is_number(area) else row["bbox"][2] * row["bbox"][3],
        "iscrowd": int(bool(row.get("iscrowd", 0))),
        "segmentation": mask if whole else [],
    }


def _is_mask(mask: Any, size: tuple[int, int]) -> bool:
    """Whether it is polygons of three corners or more, or a run-length code of a mask of this size."""
    if isinstance(mask, list):
        return all(
            isinstance(polygon, list)
            and len(polygon) >= 6
            and len(polygon) % 2 == 0
            and all(_is_number(value) for value in polygon)
            for polygon in mask
        )
    if not isinstance(mask, dict) or list(mask.get("size", ())) != list(size):
        return False
    counts = mask.get("counts")
    if isinstance(counts, list):
        return all(_is_id(run) and run >= 0 for run in counts) and sum(counts) == size[0] * size[1]
    return isinstance(counts, str) and sum(_runs(counts)) == size[0] * size[1]


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


def _encode(mask: np.ndarray) -> Row:
    from faster_coco_eval import mask as rle

    code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = code["counts"]
    return {"size": list(code["size"]), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
