"""Recognition, measured: each picture spoiled once, shown to the bare network and to each that DiR is attached to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dirnet.errors import UsageError
from dirnet.isp.params import ISPParams
from dirnet.judge.boxes import draw_boxes, show
from dirnet.judge.coco import Annotations, Row, result_rows, write_results
from dirnet.judge.evaluate import degraded_pairs
from dirnet.judge.instances import draw_masks
from dirnet.judge.precision import Kind, Matches
from dirnet.judge.records import Record
from dirnet.judge.showcase import Showcase
from dirnet.judge.statistics import redraws
from dirnet.pictures.folders import Input
from dirnet.tasks.detect import Detections

Detector = Callable[[Sequence[torch.Tensor]], list[Detections]]  # of pictures (3, H, W), sRGB 0..1
Recognition = Literal["detect", "segment"]

BARE = "input"  # what records call the network without DiR
MEASURED = ("ap", "ap50")
KINDS: dict[Recognition, dict[Kind, str]] = {  # what is matched, and how its figures' names begin
    "detect": {"bbox": ""},
    "segment": {"segm": "mask_", "bbox": ""},
}
PRECISION = {"detect": "ap", "segment": "mask_ap"}  # what a task is about: the figure of its robustness and pictures


def inputs_of(annotations: Annotations) -> list[Input]:
    """The pictures, by id, under the names that the annotations give them."""
    names = {row["id"]: Path(row["file_name"]) for row in annotations.table["images"]}
    return [Input(annotations.pictures[key], names[key]) for key in sorted(annotations.pictures)]


def measure(
    annotations: Annotations,
    detectors: Mapping[str, Detector],
    *,
    task: Recognition,
    suite: str,
    severity: int,
    seed: int,
    context: dict[str, Any],
    folder: Path,
    showcase: Showcase | None = None,
    device: torch.device | None = None,
    on_picture: Callable[[], object] = lambda: None,
) -> list[Record]:
    """AP and AP50 of each detector, by name (`BARE` first), on pictures spoiled by a suite's camera; of masks too.

    A picture's spoiling depends on its name, suite, severity and seed alone; it is of 8 bits, and the same for all.
    All detections are written to `folder` as COCO results; showcase gathers pictures to show. UsageError where the
    detections are of no category that is annotated, or have no masks and are to be segments.
    """
    found: dict[str, list[Row]] = {name: [] for name in detectors}
    inputs, settings = inputs_of(annotations), []
    pairs = degraded_pairs(inputs, suite, severity, seed)
    for image_id, pair in zip(sorted(annotations.pictures), pairs, strict=True):
        for name, detector in detectors.items():
            (seen,) = detector([pair.degraded.to(device)])
            found[name] += result_rows(image_id, _as_wanted(seen, task))
        settings.append(pair.settings)
        on_picture()
    common: dict[str, Any] = {
        "unit": "", "higher_is_better": True, "task": task, "suite": suite, "severity": severity,
        "n": len(inputs), "seed": seed, "params_hash": ISPParams.from_settings(settings).hash(), "tone": "",
        "pictures": [item.relative.as_posix() for item in inputs], "context": context,
    }  # fmt: skip
    records, matched = [], {}
    for name, rows in found.items():
        _check_categories(annotations, rows)
        write_results(folder / f"{results_name(suite, severity, name)}.json", rows)
        for kind, prefix in KINDS[task].items():
            matches = Matches(annotations, rows, kind)
            matched.setdefault(name, matches)
            figures = matches.figures()
            redrawn = [matches.figures(pictures) for pictures in redraws(matches.pictures)]
            for metric in MEASURED:
                over = _finite([one[metric] for one in redrawn])
                row = Record(metric=prefix + metric, value=figures[metric], model=name, redrawn=over, **common)
                records.append(row)
    if showcase:
        draw = draw_masks if task == "segment" else draw_boxes
        show(showcase, annotations, inputs, found, matched, draw, suite=suite, severity=severity, seed=seed)
    return records


def results_name(suite: str, severity: int, model: str) -> str:
    """The stem of the file of COCO results that a row's detections are in."""
    return f"{suite}-{severity}-{model.replace('/', '-')}"


def robustness(records: Sequence[Record]) -> list[Record]:
    """Mean AP under all spoilings (`mpc`), and the share of the clean AP that it is (`rpc`), for each model.

    After Michaelis et al. (2019), arXiv:1907.07484; here every suite and severity has the same weight. AP is that of
    masks where the task is to segment. The clean AP is the model's own; where it is 0, or was not measured, there is
    no share.
    """
    precisions = [record for record in records if record.metric == PRECISION[record.task]]
    found = []
    for model in dict.fromkeys(record.model for record in precisions):
        own = [record for record in precisions if record.model == model]
        spoiled = [record for record in own if record.severity]
        if not spoiled:
            continue
        mean = _mean_precision(spoiled)
        found.append(mean)
        clean = next((record for record in own if not record.severity), None)
        if clean and clean.value:
            over = [a / b if b else math.nan for a, b in zip(mean.redrawn, clean.redrawn, strict=False)]
            share = mean.value / clean.value
            found.append(replace(mean, metric="rpc", value=share, redrawn=_finite(over), by={}))
    return found


def _mean_precision(spoiled: Sequence[Record]) -> Record:
    suites = list(dict.fromkeys(record.suite for record in spoiled))
    by_suite = {suite: [record.value for record in spoiled if record.suite == suite] for suite in suites}
    kinds = {suite: {"value": float(np.mean(values)), "n": spoiled[0].n} for suite, values in by_suite.items()}
    whole = all(record.redrawn for record in spoiled)
    return replace(
        spoiled[0],
        metric="mpc",
        value=float(np.mean([record.value for record in spoiled])),
        suite="+".join(suites),
        severity=0,
        params_hash=hashlib.sha256("".join(record.params_hash for record in spoiled).encode()).hexdigest(),
        redrawn=np.mean([record.redrawn for record in spoiled], axis=0).tolist() if whole else [],
        by={"suite": kinds} if len(suites) > 1 else {},
    )


def _as_wanted(seen: Detections, task: Recognition) -> Detections:
    """With masks where they are measured, and without where they are not."""
    if task == "detect":
        return replace(seen, masks=None)
    if seen.masks is None:
        raise UsageError(
            "The network gives no masks", got="boxes, scores and labels alone",
            wanted="masks as well, as torchvision's Mask R-CNN gives them",
            cure="Measure its boxes with --task detect.",
        )  # fmt: skip
    return seen


def _check_categories(annotations: Annotations, rows: Sequence[Row]) -> None:
    known = {row["id"]: row.get("name") for row in annotations.table["categories"]}
    seen = {row["category_id"] for row in rows}
    if seen and not seen & set(known):
        raise UsageError(
            "Nothing that the network finds is of a category of the annotations",
            got=f"labels such as {min(seen)}", wanted=f"some of {', '.join(map(str, sorted(known)[:8]))}",
            cure="Give a SPEC.toml with category_ids, the id of each label.",
        )  # fmt: skip


def _finite(values: list[float]) -> list[float]:
    """The values; none where one is missing, as of a redraw in which nothing is annotated."""
    return values if all(map(math.isfinite, values)) else []
