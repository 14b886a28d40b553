"""`dirnet diagnose`: what a representation holds of the scene, and what it tells of the camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dirnet.cli.common import Device, DeviceChoice, Seed, Weights, close, command, progress, rows, say
from dirnet.errors import UsageError

if TYPE_CHECKING:
    from dirnet.judge.diagnose import Diagnosis
    from dirnet.pictures.folders import Input

MOST = 64  # photographs; of a longer list that many, evenly spread, to bound memory and time


def diagnose(
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Folder of good photographs, held out; may be repeated.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="The HTML page; records go beside it.", show_default=False)],
    suites: Annotated[str, typer.Option(help="Which spoilings, with commas between.")] = "seen,unseen-val",
    severities: Annotated[str, typer.Option(help="How strong, with commas between.")] = "3,5",
    seed: Seed = 0,
    weights: Weights = None,
    device: Device = DeviceChoice.cpu,
) -> None:
    """Judge the representations on photographs that were held out, beside the same network untrained: page, records."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"Cannot write a page to {out}", got=out.suffix or "no suffix", wanted=".html")
    import torch

    from dirnet import __version__
    from dirnet.devices import pick_device, use_all_cores
    from dirnet.judge import diagnose as judge
    from dirnet.judge.look import Scene, read_scene
    from dirnet.judge.records import write_records
    from dirnet.nets.weights import DEFAULT, load
    from dirnet.pictures.folders import for_each, gather
    from dirnet.report.diagnosis import write_diagnosis
    from dirnet.suites.suites import suite_named

    asked = rows(suites, severities)
    gathered = gather(data)
    use_all_cores()
    loaded = load(weights or DEFAULT)
    loaded.model.to(pick_device(device.value))
    chosen = gathered.inputs
    if len(chosen) > MOST:
        chosen = [chosen[i * len(chosen) // MOST] for i in range(MOST)]
        say(f"{MOST} of {len(gathered.inputs)} photographs are looked at, evenly spread over the list.")
    skipped = gathered.skipped + len(gathered.inputs) - len(chosen)
    scenes: list[Scene] = []

    def read(item: Input) -> None:
        scenes.append(read_scene(item, seed))

    tally = for_each(chosen, read, skipped=skipped)
    if len(scenes) < judge.FEWEST and tally.failed:
        close(tally)
    context: dict[str, Any] = {
        "dirnet": __version__, "torch": torch.__version__, "weights_sha256": loaded.sha256, "card": loaded.card,
        "data": [path.name for path in data], "command": command(),
    }  # fmt: skip
    diagnoses: list[Diagnosis] = []
    for suite, severity in asked:
        context["suite_version"] = suite_named(suite).version
        with progress(f"{suite} {severity or ''}".strip(), len(scenes)) as advance:
            diagnoses.append(
                judge.diagnose(
                    scenes, loaded, suite=suite, severity=severity, seed=seed, context=dict(context), on_scene=advance
                )
            )
        _tell(diagnoses[-1])
    records = [record for one in diagnoses for record in one.records]
    write_records(out.with_suffix(".jsonl"), records)
    write_diagnosis(diagnoses, out)
    say(f"{len(records)} records in {out.with_suffix('.jsonl')}")
    print(out)
    close(tally)


def _tell(diagnosis: Diagnosis) -> None:
    """A line for each figure that matters most: untrained -> trained."""
    row = f"{diagnosis.suite} {diagnosis.severity or ''}".strip()
    for metric in ("patch_r1", "mi_nats", "probe_r2", "probe_r2_within"):
        values = {record.model: record.value for record in diagnosis.records if record.metric == metric}
        if values:
            say(f"{row} {metric}: {values['untrained']:.3f} -> {values[diagnosis.model]:.3f}")
