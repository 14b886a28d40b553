"""Detections: what a detector answers, in the pixels of the picture it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from dirnet.devices import import_torchvision
from dirnet.errors import UsageError
from dirnet.tasks.inputs import letterbox_size, prepare
from dirnet.tasks.spec import Spec
from dirnet.tasks.taps import demand_finite

LEAST_SCORE = 1e-3
OVERLAP = 0.65  # IoU beyond which the lesser of two boxes of one class goes
MOST = 300  # boxes a picture
STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Detections:
    """What was found in one picture, best first.

    boxes: (N, 4) x0, y0, x1, y1 in pixels of the picture; scores: (N,) 0..1; labels: (N,) category ids of the data set;
    masks: (N, H, W) bool, or None where the detector gives none.
    """

    boxes: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.scores)


@torch.no_grad()
def detect(network: nn.Module, spec: Spec, pictures: Sequence[torch.Tensor]) -> list[Detections]:
    """Show a detector, attached to or not, pictures (3, H, W), sRGB 0..1, of any sizes.

    DirnetError where what it gives is not finite, UsageError where it is no detector.
    """
    output = network(prepare(pictures, spec))
    demand_finite(output)
    return decode(output, [(picture.shape[1], picture.shape[2]) for picture in pictures], spec)


def decode(output: Any, sizes: Sequence[tuple[int, int]], spec: Spec) -> list[Detections]:
    """A detector's raw answer for pictures of these (height, width); UsageError where it is none or misfits."""
    if spec.output == "yolox":
        found = [_from_yolox(raw, size, spec) for raw, size in zip(output, sizes, strict=True)]
    elif spec.output == "torchvision-detection":
        found = [_from_torchvision(answer, size, spec) for answer, size in zip(output, sizes, strict=True)]
    else:
        raise UsageError(
            "The network is no detector whose answer is known", got=f"output {spec.output!r}",
            wanted='"torchvision-detection" or "yolox"',
        )  # fmt: skip
    if spec.category_ids is None:
        return found
    ids = torch.tensor(spec.category_ids)
    if any(len(each) and int(each.labels.max()) >= len(ids) for each in found):
        raise UsageError(
            "The network has more labels than its spec has category_ids",
            got=f"label {max(int(each.labels.max()) for each in found if len(each))}",
            wanted=f"labels under {len(ids)}; 0, where it is the background (two stages, SSD), has one as well",
        )
    return [replace(each, labels=ids.to(each.labels.device)[each.labels]) for each in found]


def _from_torchvision(answer: Any, size: tuple[int, int], spec: Spec) -> Detections:
    if not isinstance(answer, dict) or not {"boxes", "scores", "labels"} <= answer.keys():
        raise UsageError(
            "The network's answer is not that of a torchvision detector", got=type(answer).__name__,
            wanted="boxes, scores and labels of each picture",
        )  # fmt: skip
    masks = answer.get("masks")
    if masks is not None:
        wanted = (len(answer["scores"]), 1, *size)
        if masks.shape != wanted:
            raise UsageError(
                "The network's masks are not those of what it found in the picture",
                got=str(tuple(masks.shape)), wanted=str(wanted),
            )  # fmt: skip
        masks = masks[:, 0] > 0.5
    boxes = answer["boxes"]
    if spec.size and spec.fit in ("letterbox", "resize"):
        ratio = letterbox_size(size, spec)[2]
        down, across = (ratio, ratio) if spec.fit == "letterbox" else (spec.size[0] / size[0], spec.size[1] / size[1])
        boxes = boxes / boxes.new_tensor((across, down) * 2)
        boxes = boxes.clamp(min=0).minimum(boxes.new_tensor((size[1], size[0]) * 2))
    return Detections(boxes, answer["scores"], answer["labels"], masks)


def _from_yolox(raw: torch.Tensor, size: tuple[int, int], spec: Spec) -> Detections:
    """Rows (n, 5 + classes) of x, y, log w, log h in cells, objectness and class scores, as detections.

    Rows are cells of the strides 8, 16, 32, each row by row; the best class of a row counts; NMS is by class.
    """
    if spec.size is None or spec.fit != "letterbox":
        raise UsageError(
            "Of a YOLOX it must be known how pictures were laid", got=f"fit {spec.fit!r}, size {spec.size}",
            wanted='fit "letterbox" and a size',
        )  # fmt: skip
    if raw.ndim != 2:
        raise UsageError("The network's answer is not that of a YOLOX", got=f"numbers of shape {tuple(raw.shape)}")
    cells, strides = _grid(spec.size, raw)
    classes = raw.shape[1] - 5
    if len(cells) != len(raw) or classes != len(spec.category_ids or range(classes)):
        raise UsageError(
            "The network's answer is not that of a YOLOX of its spec", got=f"{len(raw)} rows of {raw.shape[1]}",
            wanted=f"{len(cells)} rows of 5 and the classes of category_ids",
        )  # fmt: skip
    centres, halves = (raw[:, :2] + cells) * strides, raw[:, 2:4].exp() * strides / 2
    boxes = torch.cat((centres - halves, centres + halves), 1) / letterbox_size(size, spec)[2]
    scores, labels = (raw[:, 4:5] * raw[:, 5:]).max(1)
    likely = scores > LEAST_SCORE
    boxes, scores, labels = boxes[likely], scores[likely], labels[likely]
    kept = import_torchvision().ops.batched_nms(boxes, scores, labels, OVERLAP)[:MOST]
    limits = boxes.new_tensor((size[1], size[0]) * 2)
    return Detections(boxes[kept].clamp(min=0).minimum(limits), scores[kept], labels[kept])


def _grid(size: tuple[int, int], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(x, y) of every cell of every stride, and that stride: (n, 2) and (n, 1)."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = (torch.arange(side // stride, device=like.device) for side in size)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        cells.append(torch.stack((x, y), -1).flatten(0, 1))
        strides.append(torch.full((y.numel(), 1), stride, device=like.device))
    return torch.cat(cells).to(like.dtype), torch.cat(strides).to(like.dtype)
