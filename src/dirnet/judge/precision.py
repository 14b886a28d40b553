"""Average precision: of all pictures, of any of them, and as it would be had other pictures been drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from dirnet.judge.coco import Annotations, Row
from dirnet.judge.masks import encode_box, import_faster_coco_eval

Kind = Literal["bbox", "segm"]  # COCO's names for boxes and masks
FIGURES = ("ap", "ap50", "ap75")


class Matches:
    """Detections of all pictures of a data set, matched with what is annotated, by faster-coco-eval.

    rows: of a COCO results file; kind: their boxes or their masks. An object without a mask can then be neither found
    nor missed: it counts as a crowd that fills its box.
    """

    def __init__(self, annotations: Annotations, rows: Iterable[Row], kind: Kind = "bbox") -> None:
        library = import_faster_coco_eval()
        truth, answers = annotations.table, [dict(row) for row in rows]
        if kind == "segm":
            sizes = {row["id"]: (row["height"], row["width"]) for row in truth["images"]}
            truth = truth | {"annotations": [_with_mask(row, sizes[row["image_id"]]) for row in truth["annotations"]]}
            answers = [row for row in answers if "segmentation" in row]
        coco = library.COCO({key: [dict(row) for row in part] for key, part in truth.items()})
        judge = library.COCOeval_faster(
            coco, coco.loadRes(answers), kind, print_function=lambda *_: None, separate_eval=True,
            rle_iou_max_workers=1,
        )  # fmt: skip
        judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], judge.params.areaRngLbl[:1]
        judge.params.maxDets = judge.params.maxDets[-1:]
        judge.evaluate()
        self.pictures = len(judge.params.imgIds)
        self._judge, self._by_category = judge, list(_chunks(judge._evalImgs_cpp, self.pictures))

    def figures(self, pictures: Sequence[int] | np.ndarray | None = None) -> dict[str, float]:
        """AP over IoU .50 to .95, at .50 and at .75, of all pictures or of some, by their number in the order of ids.

        A picture may be among them several times. NaN where nothing is annotated.
        """
        chosen = range(self.pictures) if pictures is None else pictures
        self._judge._evalImgs_cpp = [matched[number] for matched in self._by_category for number in chosen]
        self._judge._paramsEval.imgIds = list(range(len(chosen)))
        self._judge.accumulate()
        precision = self._judge.eval["precision"]  # (IoU, recall, category, 1, 1); -1 where nothing is annotated
        return {
            name: float(part[part > -1].mean()) if (part > -1).any() else math.nan
            for name, part in zip(FIGURES, (precision, precision[0], precision[5]), strict=True)
        }


def average_precision(annotations: Annotations, rows: Iterable[Row], kind: Kind = "bbox") -> dict[str, float]:
    """AP over IoU .50 to .95, at .50 and at .75 (`ap`, `ap50`, `ap75`), of boxes or masks, by faster-coco-eval.

    NaN where nothing is annotated. Every picture of the annotations counts.
    """
    return Matches(annotations, rows, kind).figures()


def _with_mask(row: Row, size: tuple[int, int]) -> Row:
    return row if row["segmentation"] else row | {"segmentation": encode_box(row["bbox"], size), "iscrowd": 1}


def _chunks(whole: list[object], length: int) -> Iterable[list[object]]:
    return (whole[start : start + length] for start in range(0, len(whole), length))
