"""COCO: annotations in, results out."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dirnet.errors import DirnetError
from dirnet.files import replacing
from dirnet.judge.masks import Code, encode, import_faster_coco_eval, is_number, read_mask
from dirnet.pictures.exif import ORIENTATION
from dirnet.tasks.detect import Detections

Row = dict[str, Any]


@dataclass(frozen=True)
class Annotations:
    """What of a data set can be used: pictures by id, a table in COCO's form; notes: a sentence for all that cannot."""

    pictures: dict[int, Path]
    table: dict[str, list[Row]]
    notes: list[str]


def read_annotations(file: Path, images: Path, *, masks: bool = True) -> Annotations:
    """Read a COCO annotation file whose pictures lie in the folder `images`, with masks (as `masks.Code`) or without.

    What cannot be used is left out, and `notes` says of each piece what and why; an object without a mask keeps its
    box. DirnetError where the file is no such table, or no picture is left.
    """
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        parts = {key: [dict(row) for row in table[key]] for key in ("images", "annotations", "categories")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DirnetError(
            f"{file} holds no COCO annotations", got=str(error) or type(error).__name__,
            wanted="JSON with images, annotations and categories",
        ) from error  # fmt: skip
    if masks:
        import_faster_coco_eval()  # without it no mask could be read, and none would be to blame
    notes: list[str] = []
    kept = _pictures(parts["images"], images, notes)
    if not kept:
        raise DirnetError(f"None of the pictures of {file} can be used", got="; ".join(notes[:3]) or "no images")
    categories = {row["id"]: row for row in parts["categories"] if _is_id(row.get("id"))}
    annotations = []
    for number, row in enumerate(parts["annotations"], 1):
        reason = _reason_against(row, kept, categories)
        if reason:
            notes.append(f"Annotation {row.get('id', number)} is left out: {reason}.")
        else:
            # Numbered anew: an id of 0, or one given twice, would be lost in the matching.
            mask = _mask(row, number, kept[row["image_id"]], notes) if masks else None
            annotations.append(_cleaned(row, number, mask))
    return Annotations(
        {key: images / row["file_name"] for key, row in kept.items()},
        {"images": list(kept.values()), "annotations": annotations, "categories": list(categories.values())},
        notes,
    )


def only(annotations: Annotations, images: Collection[int]) -> Annotations:
    """The annotations of these images, by id."""
    table = annotations.table | {
        "images": [row for row in annotations.table["images"] if row["id"] in images],
        "annotations": [row for row in annotations.table["annotations"] if row["image_id"] in images],
    }
    return Annotations({key: path for key, path in annotations.pictures.items() if key in images}, table, [])


def result_rows(image_id: int, found: Detections) -> list[Row]:
    """Detections of one picture as rows of a COCO results file; a mask, where there are, as its code."""
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
            row["segmentation"] = encode(mask)
    return rows


def write_results(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as a COCO results file."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(list(rows)), encoding="utf-8")


def _pictures(rows: list[Row], folder: Path, notes: list[str]) -> dict[int, Row]:
    """The rows of images that can be used, by id."""
    found: dict[int, Row] = {}
    taken: set[str] = set()
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
        elif name in taken:
            reason = f"its file {name} is another's"
        elif _may_be_turned(folder / name):
            reason = f"{name} is turned by its EXIF, and which way it was annotated is not known"
        else:
            found[key] = row
            taken.add(name)
            continue
        notes.append(f"Image {key} is left out: {reason}.")
    return found


def _is_file_in(folder: Path, name: str) -> bool:
    """Whether the name leads to a file without leaving the folder; the file may be a link to elsewhere."""
    try:
        inside = Path(os.path.normpath(folder / name)).is_relative_to(os.path.normpath(folder))
        return inside and (folder / name).is_file()
    except (OSError, ValueError):  # a name that is none
        return False


def _may_be_turned(path: Path) -> bool:
    """Whether a picture is seen otherwise than it is stored, and its size does not tell which of them is meant."""
    try:
        with Image.open(path) as image:
            turn, square = image.getexif().get(ORIENTATION, 1), image.width == image.height
    except Exception:  # no picture, or a broken note about it: told where it is read
        return False
    return turn in (2, 3, 4) or (square and turn in (5, 6, 7, 8))


def _reason_against(row: Row, images: dict[int, Row], categories: dict[int, Row]) -> str:
    box = row.get("bbox")
    if not _is_id(row.get("image_id")) or row["image_id"] not in images:
        return f"there is no image {row.get('image_id')}"
    if not _is_id(row.get("category_id")) or row["category_id"] not in categories:
        return f"there is no category {row.get('category_id')}"
    if not (isinstance(box, list) and len(box) == 4 and all(is_number(side) for side in box)):
        return f"its box is {box}, not x, y, width and height"
    if box[2] <= 0 or box[3] <= 0:
        return f"its box is empty, {box[2]} by {box[3]}"
    return ""


def _cleaned(row: Row, number: int, mask: Code | None) -> Row:
    """An annotation with all that the matching reads; crowds stay crowds."""
    area = row.get("area")
    return {
        "id": number,
        "image_id": row["image_id"],
        "category_id": row["category_id"],
        "bbox": row["bbox"],
        "area": area if is_number(area) and area >= 0 else row["bbox"][2] * row["bbox"][3],
        "iscrowd": int(bool(row.get("iscrowd", 0))),
        "segmentation": mask,
    }


def _mask(row: Row, number: int, image: Row, notes: list[str]) -> Code | None:
    try:
        if not row.get("segmentation"):
            raise DirnetError("it has no mask")
        return read_mask(row["segmentation"], (image["height"], image["width"]))
    except DirnetError as error:
        notes.append(f"Annotation {row.get('id', number)} is kept for its box alone: {error}")
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
