"""`dirnet evaluate --task detect` and `segment`: a network of the user's own, bare and with DiR attached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dirnet.cli.common import check_file, close, command, progress, rows, say
from dirnet.errors import DirnetError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from dirnet.judge.coco import Annotations
    from dirnet.judge.recognise import Recognition
    from dirnet.judge.records import Record
    from dirnet.pictures.folders import Input, Tally
    from dirnet.tasks.spec import Spec

CLEAN = "clean"
NOTES = 10  # on annotations, that are said; of more, their number


def evaluate_recognition(
    out: Path,
    network: str | None,
    images: Path | None,
    annotations: Path | None,
    attached: Sequence[str],
    *,
    task: Recognition,
    suites: str,
    severities: str,
    seed: int,
    device: str,
) -> None:
    """Measure average precision; write OUT, OUT.detections/ and OUT.pictures/. UsageError for what makes no sense."""
    needed = {"--network": network, "--images": images, "--annotations": annotations}
    missing = [option for option, value in needed.items() if value is None]
    if network is None or images is None or annotations is None:
        raise UsageError(
            f"--task {task} needs a network, pictures and annotations", got=f"no {' and no '.join(missing)}"
        )
    if not images.is_dir():
        raise UsageError(f"{images} is no folder", wanted="the folder that the annotations' file names are in")
    names = suites.split(",")
    names = names if CLEAN in names else [CLEAN, *names]
    asked = rows(",".join(names), severities)
    import torch

    from dirnet import __version__
    from dirnet.devices import pick_device, use_all_cores
    from dirnet.judge import recognise as judge
    from dirnet.judge.coco import read_annotations
    from dirnet.judge.records import folder_of, write_records
    from dirnet.judge.showcase import Showcase
    from dirnet.suites.suites import suite_named
    from dirnet.tasks.detect import detect
    from dirnet.tasks.networks import load_network

    use_all_cores()
    check_file(out)
    place = pick_device(device)
    truth = read_annotations(annotations, images, masks=task == "segment")
    bare, spec = load_network(network)
    bare.to(place)
    added = _attached(bare, spec, attached)
    _say_notes(truth.notes)
    truth, tally = _readable(truth, task)
    networks = {judge.BARE: bare, **{name: each for name, (each, _) in added.items()}}
    detectors = {name: partial(detect, each, spec) for name, each in networks.items()}
    context: dict[str, Any] = {
        "dirnet": __version__, "torch": torch.__version__, "network": Path(network).name,
        "attached": {name: sha256 for name, (_, sha256) in added.items()}, "data": [images.name],
        "annotations_sha256": hashlib.sha256(annotations.read_bytes()).hexdigest(), "command": command(),
    }  # fmt: skip
    folder = folder_of(out, "detections")
    folder.mkdir(parents=True, exist_ok=True)
    showcase = Showcase(folder_of(out, "pictures"), metric=judge.PRECISION[task])
    records: list[Record] = []
    try:
        for suite, severity in asked:
            with progress(f"{suite} {severity or ''}".strip(), len(truth.pictures)) as advance:
                found = judge.measure(
                    truth, detectors, task=task, suite=suite, severity=severity, seed=seed, folder=folder,
                    showcase=showcase, context=context | {"suite_version": suite_named(suite).version}, device=place,
                    on_picture=advance,
                )  # fmt: skip
            _tell(found)
            records += found
        means = judge.robustness(records)
        _tell(means)
        records += means
    finally:  # what was measured before an interruption is kept
        if records:
            write_records(out, records)
            showcase.finish()
    say(f"{len(records)} records in {out}, the detections in {folder}")
    close(tally)


def _attached(network: nn.Module, spec: Spec, sources: Sequence[str]) -> dict[str, tuple[nn.Module, str]]:
    """The network with each of these attached, by the name of the weights, and the weights' SHA-256."""
    from dirnet.judge.recognise import BARE
    from dirnet.nets.weights import read_weights
    from dirnet.tasks.attach import attach

    found: dict[str, tuple[nn.Module, str]] = {}
    for source in sources:
        stored = read_weights(source)
        if stored.name in (BARE, *found):
            raise UsageError("Two of the networks have one name", got=stored.name, cure="Rename one of the files.")
        found[stored.name] = (attach(network, source, spec=spec).eval(), stored.sha256)
    return found


def _readable(annotations: Annotations, task: Recognition) -> tuple[Annotations, Tally]:
    """The annotations of the pictures that can be read and are of the size they should be; the others failed."""
    from dirnet.judge.coco import only
    from dirnet.judge.recognise import inputs_of
    from dirnet.pictures.folders import for_each
    from dirnet.pictures.read import read_picture

    images = {row["id"]: row for row in annotations.table["images"]}
    ids = {path: key for key, path in annotations.pictures.items()}
    whole = set()

    def check(item: Input) -> None:
        row, pixels = images[ids[item.path]], read_picture(item.path).pixels
        if pixels.shape[:2] != (row["height"], row["width"]):
            raise DirnetError(
                f"{item.path} is not of the size that is annotated", got=f"{pixels.shape[1]}x{pixels.shape[0]}",
                wanted=f"{row['width']}x{row['height']}",
            )  # fmt: skip
        whole.add(row["id"])

    tally = for_each(inputs_of(annotations), check)
    left = only(annotations, whole)
    objects = [row for row in left.table["annotations"] if not row["iscrowd"]]
    if not objects:
        reasons = [reason for _, reason in tally.failed][:3]
        raise DirnetError("No object is annotated in the pictures that can be used", got="; ".join(reasons))
    if task == "segment" and not any(row["segmentation"] for row in objects):
        raise DirnetError(
            "No object has a mask in the pictures that can be used", got=f"{len(objects)} boxes alone",
            cure="Measure boxes with --task detect.",
        )  # fmt: skip
    return left, tally


def _say_notes(notes: Sequence[str]) -> None:
    for note in notes[:NOTES]:
        say(note)
    if len(notes) > NOTES:
        say(f"{len(notes) - NOTES} more pieces of the annotations are not used as they stand.")


def _tell(records: Sequence[Record]) -> None:
    """A line for each figure: that of the bare network, and with each attachment."""
    for metric, suite, severity in dict.fromkeys((r.metric, r.suite, r.severity) for r in records):
        before, *others = [r for r in records if (r.metric, r.suite, r.severity) == (metric, suite, severity)]
        name = " ".join(filter(None, (suite, str(severity or ""), metric)))
        told = [f"{r.value:.3f} with {r.model} ({r.value - before.value:+.3f})" for r in others]
        say(" -> ".join([f"{name}: {before.value:.3f}", ", ".join(told)] if told else [f"{name}: {before.value:.3f}"]))
