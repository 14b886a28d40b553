"""Photographs with what is in them, for a network that learns with labels; drawn by step number, like the others."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dirnet.errors import DirnetError, TrainingError
from dirnet.judge.coco import read_annotations
from dirnet.judge.masks import decode
from dirnet.learn.data import decode_photograph, seed_of

LEAST_SHARE = 0.6  # of each side of a photograph that a crop of it keeps
LEAST_SEEN = 0.2  # of a box: an object of which less is left in a crop is not in it

Target = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Labelled:
    """A step's photographs: pictures (3, H, W) each, sRGB 0..1, of any sizes; a name for each, new at every step.

    targets: what is in each, as torchvision's detectors want it: boxes (n, 4) x0, y0, x1, y1, labels (n,), the data
    set's category ids, and masks (n, H, W) uint8.
    """

    pictures: list[torch.Tensor]
    targets: list[Target]
    names: list[str]

    def to(self, device: torch.device) -> Labelled:
        """The same on another device."""
        targets = [{key: value.to(device) for key, value in target.items()} for target in self.targets]
        return Labelled([picture.to(device) for picture in self.pictures], targets, self.names)


class AnnotatedPhotographs:
    """The photographs of a COCO annotation file, decoded once. Crowds, and objects without a mask, are left out.

    notes: a sentence for all that cannot be used; categories: the ids of all that is in them. TrainingError
    where nothing is left.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        annotations = read_annotations(file, folder)
        self.notes = list(annotations.notes)
        self.left_out = 0
        self._photographs: list[torch.Tensor] = []
        self._objects: list[list[dict[str, Any]]] = []
        self._digest = hashlib.sha256(file.read_bytes()).hexdigest()
        objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in annotations.table["annotations"]:
            if row["segmentation"] and not row["iscrowd"]:
                objects[row["image_id"]].append(row)
        for key, path in annotations.pictures.items():
            kept = objects[key]
            try:
                photograph = decode_photograph(path)
                if any(tuple(row["segmentation"]["size"]) != photograph.shape[1:] for row in kept):
                    raise DirnetError(f"{path.name} is of another size than its annotations")
            except DirnetError as error:
                self.notes.append(f"{path.name} is left out: {error}")
                self.left_out += 1
                continue
            self._photographs.append(photograph)
            self._objects.append(kept)
        self.categories = {row["category_id"] for objects in self._objects for row in objects}
        if not any(self._objects):
            raise TrainingError(f"No photograph with masks to train on in {file}", got="; ".join(self.notes[:3]))

    def __len__(self) -> int:
        return len(self._photographs)

    def hash(self) -> str:
        """sha256 of the annotation file."""
        return self._digest

    def draw(self, n: int, key: str) -> Labelled:
        """n photographs, each a random crop of it, mirrored or not; a function of key alone."""
        generator = torch.Generator().manual_seed(seed_of(key))
        indices = torch.randint(len(self), (n,), generator=generator).tolist()
        drawn = [_crop(self._photographs[index], self._objects[index], generator) for index in indices]
        return Labelled(
            [picture for picture, _ in drawn], [target for _, target in drawn], [f"{key}/{i}" for i in range(n)]
        )


def _crop(
    photograph: torch.Tensor, objects: Sequence[dict[str, Any]], generator: torch.Generator
) -> tuple[torch.Tensor, Target]:
    h, w = photograph.shape[1:]
    pick = torch.rand(5, generator=generator).tolist()
    height, width = (round(side * (LEAST_SHARE + (1 - LEAST_SHARE) * pick[i])) for i, side in enumerate((h, w)))
    top, left = int(pick[2] * (h - height + 1)), int(pick[3] * (w - width + 1))
    picture = photograph[:, top : top + height, left : left + width].float() / 255
    boxes = torch.tensor([row["bbox"] for row in objects], dtype=torch.float32).reshape(-1, 4)
    area = boxes[:, 2] * boxes[:, 3]
    boxes[:, 2:] += boxes[:, :2]
    corner, limit = torch.tensor([left, top] * 2), torch.tensor([width, height] * 2)
    boxes = (boxes - corner).clamp(min=0).minimum(limit)
    sides = boxes[:, 2:] - boxes[:, :2]
    seen = (sides.prod(1) > LEAST_SEEN * area) & (sides > 1).all(1)
    kept = [row for row, is_seen in zip(objects, seen.tolist(), strict=True) if is_seen]
    masks = torch.zeros(len(kept), height, width, dtype=torch.uint8)
    for mask, row in zip(masks, kept, strict=True):
        whole = torch.from_numpy(decode(row["segmentation"]))
        mask.copy_(whole[top : top + height, left : left + width])
    boxes, labels = boxes[seen], torch.tensor([row["category_id"] for row in kept], dtype=torch.int64)
    shown = masks.flatten(1).any(1).bool()
    boxes, labels, masks = boxes[shown], labels[shown], masks[shown]
    if pick[4] < 0.5:
        picture, masks = picture.flip(2), masks.flip(2)
        boxes = torch.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), 1)
    return picture.contiguous(), {"boxes": boxes, "labels": labels, "masks": masks.contiguous()}
