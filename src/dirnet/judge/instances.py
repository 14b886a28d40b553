"""Masks of instances laid over a picture, each in the colour of the object that it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dirnet.judge.boxes import SURE, WRONG
from dirnet.judge.coco import Row
from dirnet.judge.masks import decode, overlaps

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (70, 140, 255), (45, 205, 110), (250, 215, 60), (180, 110, 255), (40, 215, 230), (255, 130, 205), (165, 230, 60),
)  # fmt: skip
COVER = 0.45  # how much of a picture its masks hide
ROOM = 6  # times the area of its name a mask must have to bear it


def draw_masks(
    picture: torch.Tensor, rows: Sequence[Row], truth: Sequence[Row], names: Mapping[int, str]
) -> torch.Tensor:
    """The picture (3, H, W), 0..1, with the rows' masks, those of a score below `SURE` left out; large ones are named.

    Each annotated object has a colour, and a mask that of the object of its category with which its IoU is highest, and
    half or more; orange where there is none.
    """
    from PIL import Image, ImageDraw

    objects = [(row, COLOURS[number % len(COLOURS)]) for number, row in enumerate(truth) if row["segmentation"]]
    shown = [row for row in rows if row["segmentation"] and row.get("score", 1.0) >= SURE]
    shares = overlaps([row["segmentation"] for row in shown], [row["segmentation"] for row, _ in objects])
    found = [(decode(row["segmentation"]), _colour(row, objects, share), names.get(row["category_id"], ""))
             for row, share in zip(shown, shares, strict=True)]  # fmt: skip
    found.sort(key=lambda one: one[0].sum(), reverse=True)  # what is small lies on top
    pixels = (picture * 255).round().permute(1, 2, 0).numpy()
    width = max(1, round(max(pixels.shape) / 320))
    for mask, colour, _ in found:
        pixels[mask] += COVER * (np.array(colour, np.float32) - pixels[mask])
        pixels[_edge(mask, width)] = colour
    image = Image.fromarray(pixels.round().astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for mask, colour, name in found:
        if name and mask.any():
            _write(pen, name, mask, colour, width)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def _colour(row: Row, objects: Sequence[tuple[Row, Colour]], shares: np.ndarray) -> Colour:
    """That of the object that a mask matches; shares: its IoU with each."""
    own = [(share, colour) for (one, colour), share in zip(objects, shares, strict=True)
           if one["category_id"] == row["category_id"] and share >= 0.5]  # fmt: skip
    return max(own, default=(0, WRONG))[1]


def _write(pen: Any, name: str, mask: np.ndarray, colour: Colour, width: int) -> None:
    """A name in the middle of its mask, if there is room."""
    middle = tuple(np.median(mask.nonzero(), 1)[::-1])
    font = {"anchor": "mm", "font_size": max(10, 6 * width)}
    x0, y0, x1, y1 = pen.textbbox(middle, name, **font)
    if ROOM * (x1 - x0) * (y1 - y0) <= mask.sum():
        pen.rectangle((x0 - 2 * width, y0 - width, x1 + 2 * width, y1 + width), fill=colour)
        pen.text(middle, name, fill=(0, 0, 0), **font)


def _edge(mask: np.ndarray, width: int) -> np.ndarray:
    """Those pixels of a mask that lie within `width` of what is not of it, or of the picture's border."""
    inner = mask
    for _ in range(width):
        around = np.pad(inner, 1)
        inner = inner & around[2:, 1:-1] & around[:-2, 1:-1] & around[1:-1, 2:] & around[1:-1, :-2]
    return mask & ~inner
