"""`dirnet evaluate`: how much better, on which pictures, under which spoilings."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dirnet.cli.common import (
    Device,
    DeviceChoice,
    Seed,
    ToneChoice,
    Weights,
    check_file,
    close,
    command,
    progress,
    rows,
    say,
)
from dirnet.cli.recognise import evaluate_recognition
from dirnet.errors import UsageError

if TYPE_CHECKING:
    from dirnet.judge.records import Record
    from dirnet.pictures.folders import Input, Tally


class TaskChoice(StrEnum):
    """What to measure."""

    restore = "restore"
    detect = "detect"
    segment = "segment"


def evaluate(
    out: Annotated[
        Path, typer.Option("--out", help="File for the records, one JSON object a line.", show_default=False)
    ],
    task: Annotated[TaskChoice, typer.Option(help="What to measure.")] = TaskChoice.restore,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Folder of good photographs; may be repeated.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option(help="Folder of real pairs, spoiled and clean.")] = None,
    suffixes: Annotated[str, typer.Option(help="Stem endings of the spoiled and the clean file.")] = "_real,_mean",
    network: Annotated[str | None, typer.Option(help="Detector: torchvision name, ONNX file or SPEC.toml.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the annotated pictures.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO annotations, a JSON file.")] = None,
    attach: Annotated[
        list[str] | None, typer.Option("--attach", help="Weights to attach to the detector; may be repeated.")
    ] = None,
    suites: Annotated[str, typer.Option(help="Which spoilings, with commas between.")] = "clean,seen",
    severities: Annotated[str, typer.Option(help="How strong, with commas between.")] = "1,3,5",
    seed: Seed = 0,
    weights: Weights = None,
    tone: Annotated[ToneChoice | None, typer.Option(show_default="repair with --data, keep with --pairs")] = None,
    device: Device = DeviceChoice.cpu,
) -> None:
    """Measure restoration on spoiled photographs (--data) or real pairs (--pairs); also writes OUT.pictures/.

    With --task detect: average precision of a --network on --images with --annotations, bare and with each --attach;
    with --task segment: of its masks too.
    """
    of_restore = {"--data": data, "--pairs": pairs, "--weights": weights, "--tone": tone}
    of_others = {"--network": network, "--images": images, "--annotations": annotations, "--attach": attach}
    strange = [name for name, value in (of_others if task == TaskChoice.restore else of_restore).items() if value]
    if strange:
        raise UsageError(f"--task {task.value} has no {strange[0]}")
    if task != TaskChoice.restore:
        evaluate_recognition(
            out, network, images, annotations, attach or [], task=task.value, suites=suites, severities=severities,
            seed=seed, device=device.value,
        )  # fmt: skip
        return
    if bool(data) == bool(pairs):
        raise UsageError("One of --data and --pairs", got="both" if data else "neither")
    import torch

    from dirnet import __version__
    from dirnet.devices import pick_device, use_all_cores
    from dirnet.judge import evaluate as judge
    from dirnet.judge.recognise import BARE
    from dirnet.judge.records import folder_of, write_records
    from dirnet.judge.showcase import Showcase
    from dirnet.nets.weights import DEFAULT, load
    from dirnet.suites.suites import suite_named

    use_all_cores()
    check_file(out)
    loaded = load(weights or DEFAULT)
    if loaded.name == BARE:
        raise UsageError("Weights of this name cannot be told from the input", got=BARE, cure="Rename the file.")
    loaded.model.to(pick_device(device.value))
    mode = (tone or (ToneChoice.repair if data else ToneChoice.keep)).value
    asked = rows(suites, severities) if data else []
    showcase = Showcase(folder_of(out, "pictures"))
    context: dict[str, Any] = {
        "dirnet": __version__, "torch": torch.__version__, "weights_sha256": loaded.sha256, "card": loaded.card,
        "data": [path.name for path in data or [pairs] if path], "command": command(),
    }  # fmt: skip
    records: list[Record] = []

    def measure(found: Any, n: int, suite: str, severity: int) -> None:
        with progress(f"{suite} {severity or ''}".strip(), n) as advance:
            records.extend(
                judge.measure(
                    found, loaded, suite=suite, severity=severity, seed=seed, tone=mode, context=context,
                    showcase=showcase, on_picture=lambda _: advance(),
                )
            )  # fmt: skip
        _tell(records, suite, severity)

    try:
        if pairs:
            found, tally = _whole_pairs(pairs, suffixes)
            if found:
                measure(judge.real_pairs(found), len(found), pairs.name, 0)
        else:
            inputs, tally = _whole_pictures(data or [])
            for suite, severity in asked if inputs else []:
                context = {**context, "suite_version": suite_named(suite).version}
                measure(judge.degraded_pairs(inputs, suite, severity, seed), len(inputs), suite, severity)
    finally:  # what was measured before an interruption is kept
        if records:
            write_records(out, records)
            showcase.finish()
    say(f"{len(records)} records in {out}")
    close(tally)


def _whole_pictures(folders: list[Path]) -> tuple[list[Input], Tally]:
    """The photographs that can be read; the others are failures that do not stop the rest."""
    from dirnet.pictures.folders import for_each, gather
    from dirnet.pictures.read import read_picture

    gathered, whole = gather(folders), []

    def check(item: Input) -> None:
        read_picture(item.path)
        whole.append(item)

    tally = for_each(gathered.inputs, check, skipped=gathered.skipped)
    if not gathered.inputs:
        raise UsageError("No photographs", got=", ".join(map(str, folders)))
    return whole, tally


def _whole_pairs(folder: Path, suffixes: str) -> tuple[list[tuple[str, Path, Path]], Tally]:
    """The pairs of which both pictures can be read and are of one size."""
    from dirnet.judge.evaluate import find_pairs, real_pairs
    from dirnet.pictures.folders import Input, for_each

    spoiled, comma, clean = suffixes.partition(",")
    if not comma:
        raise UsageError("Cannot read --suffixes", got=repr(suffixes), wanted="two endings, as in _real,_mean")
    found = {Path(name): (name, first, second) for name, first, second in find_pairs(folder, (spoiled, clean))}
    whole = []

    def check(item: Input) -> None:
        for _ in real_pairs([found[item.relative]]):
            whole.append(found[item.relative])

    return whole, for_each([Input(first, Path(name)) for name, first, _ in found.values()], check)


def _tell(records: list[Record], suite: str, severity: int) -> None:
    """One line for a row that was just measured: PSNR before and after."""
    from dirnet.judge.metrics import IDENTICAL

    for metric in ("psnr", "psnr_tone"):
        name = f"{suite} {severity} {metric}" if severity else f"{suite} {metric}"
        before, after = (r for r in records if (r.metric, r.suite, r.severity) == (metric, suite, severity))
        if before.value == IDENTICAL:
            say(f"{name}: {after.value:.2f} dB, of pictures with nothing wrong")
        else:
            say(f"{name}: {before.value:.2f} -> {after.value:.2f} dB ({after.value - before.value:+.2f})")
