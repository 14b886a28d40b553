"""The pictures beside the figures: what is there, what the bare network finds, what it finds with DiR."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from dirnet.judge.coco import Annotations, Row
from dirnet.judge.evaluate import degraded_pairs
from dirnet.judge.precision import Matches
from dirnet.judge.showcase import CANDIDATES, Showcase, chosen
from dirnet.pictures.folders import Input

SURE = 0.3  # the least score of a box that is drawn
RIGHT, WRONG = (40, 200, 110), (255, 110, 30)

Draw = Callable[[torch.Tensor, Sequence[Row], Sequence[Row], Mapping[int, str]], torch.Tensor]


def show(
    showcase: Showcase,
    annotations: Annotations,
    inputs: Sequence[Input],
    found: Mapping[str, Sequence[Row]],
    matches: Mapping[str, Matches],
    draw: Draw,
    *,
    suite: str,
    severity: int,
    seed: int,
) -> None:
    """Give to the showcase, for each attachment, the pictures whose own AP gained most, least and in between.

    found, matches: by model, the bare network first; inputs: by id; draw: as `draw_boxes`. Pictures without objects
    have no AP.
    """
    ids = sorted(annotations.pictures)
    bare, *others = found
    candidates = range(min(CANDIDATES, len(ids)))
    own = {model: [round(matches[model].figures([number])["ap"], 3) for number in candidates] for model in found}
    objects = [row for row in annotations.table["annotations"] if not row["iscrowd"]]
    names = {row["id"]: str(row.get("name", row["id"])) for row in annotations.table["categories"]}
    for model in others:
        gains = [(own[model][number] - own[bare][number], inputs[number].relative.as_posix(), number)
                 for number in candidates if not math.isnan(own[bare][number])]  # fmt: skip
        for rank, _ in chosen(len(gains)):
            _, name, number = sorted(gains)[rank]
            (pair,) = degraded_pairs([inputs[number]], suite, severity, seed)
            truth = [row for row in objects if row["image_id"] == ids[number]]
            seen = {key: [row for row in found[key] if row["image_id"] == ids[number]] for key in (bare, model)}
            showcase.offer(
                name, draw(pair.clean, truth, truth, names), draw(pair.degraded, seen[bare], truth, names),
                draw(pair.degraded, seen[model], truth, names), {showcase.metric: own[bare][number]},
                {showcase.metric: own[model][number]}, pair.settings, {},
            )  # fmt: skip
        showcase.close(suite, severity, model)


def draw_boxes(
    picture: torch.Tensor, rows: Sequence[Row], truth: Sequence[Row], names: Mapping[int, str]
) -> torch.Tensor:
    """The picture (3, H, W), 0..1, with the rows' boxes, those of a score below `SURE` left out.

    Green where an object of that category is annotated, with an IoU of half or more; orange elsewhere.
    """
    from PIL import Image, ImageDraw

    pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 250))
    for row in sorted(rows, key=lambda row: row.get("score", 1.0)):
        if row.get("score", 1.0) < SURE:
            continue
        x, y, w, h = row["bbox"]
        right = any(row["category_id"] == one["category_id"] and overlap(row["bbox"], one["bbox"]) >= 0.5
                    for one in truth)  # fmt: skip
        colour = RIGHT if right else WRONG
        pen.rectangle((x, y, x + w, y + h), outline=colour, width=width)
        corner, text, size = (x + 2 * width, y + width), names.get(row["category_id"], ""), max(10, 6 * width)
        pen.rectangle((x, y, *pen.textbbox(corner, text, font_size=size)[2:]), fill=colour)
        pen.text(corner, text, fill=(0, 0, 0), font_size=size)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    across, down = (max(0.0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    return across * down / (a[2] * a[3] + b[2] * b[3] - across * down) if across * down else 0.0
