"""`dirnet demo`: the main job, on the photographs that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dirnet.cli.common import progress, say

SEVERITIES = (1, 3, 5)
SEGMENTER, PEOPLE = "person-segmenter", "people.json"  # of the samples, outlined by hand
ATTACHED = "tiny-proof"  # which serves networks better than what serves the eye (docs/training.md)
CLOSE = 352  # pixels at which a portrait is looked at: the segmenter knows people further away


def demo(out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("demo")) -> None:
    """Photograph four scenes with a bad camera, restore them, look for people in them, and write a report.

    Prints where it is.
    """
    from importlib.resources import as_file, files

    from dirnet import __version__
    from dirnet.devices import use_all_cores
    from dirnet.judge.evaluate import degraded_pairs, measure
    from dirnet.judge.records import Record, write_records
    from dirnet.judge.showcase import Showcase
    from dirnet.nets.weights import load
    from dirnet.pictures.folders import gather
    from dirnet.report.page import write_report

    use_all_cores()
    loaded = load()
    log, page = out / "records.jsonl", out / "report.html"
    showcase = Showcase(log.with_suffix(".pictures"))
    context = {
        "dirnet": __version__,
        "weights_sha256": loaded.sha256,
        "card": loaded.card,
        "command": "dirnet demo",
        "data": ["samples"],
    }
    records: list[Record] = []
    with as_file(files("dirnet") / "samples") as samples:
        inputs = gather([samples]).inputs
        rows = [("seen", severity) for severity in SEVERITIES] + [("clean", 0)]
        with progress("photographing and restoring", len(rows) * len(inputs)) as advance:
            for suite, severity in rows:
                records += measure(
                    degraded_pairs(inputs, suite, severity, seed=0), loaded, suite=suite, severity=severity, seed=0,
                    tone="repair", context=context, showcase=showcase, on_picture=lambda _: advance(),
                )  # fmt: skip
        write_records(log, records)
        showcase.finish()
        people = _people(out / "people.jsonl", samples, context)
    write_report([log, *people], page, title="dirnet demo")
    for suite, severity in rows[:-1]:
        before, after = (r.value for r in records if (r.metric, r.suite, r.severity) == ("psnr", suite, severity))
        say(f"{suite}, severity {severity}: {before:.2f} -> {after:.2f} dB ({after - before:+.2f})")
    say(f"Weights {loaded.name}. Open the report in a browser:")
    print(page.resolve())


def _people(log: Path, samples: Path, context: dict[str, Any]) -> list[Path]:
    """The records of a segmenter on the photographs of people, bare and with DiR in front of it.

    None, and a sentence, where the libraries for it are missing.
    """
    from functools import partial

    from dirnet.errors import DirnetError
    from dirnet.judge.coco import read_annotations
    from dirnet.judge.recognise import BARE, measure
    from dirnet.judge.records import Record, write_records
    from dirnet.judge.showcase import Showcase
    from dirnet.tasks.attach import attach
    from dirnet.tasks.detect import detect
    from dirnet.tasks.networks import load_network

    records: list[Record] = []
    showcase = Showcase(log.with_suffix(".pictures"), metric="mask_ap")
    folder = log.with_suffix(".detections")
    folder.mkdir(exist_ok=True)
    context = context | {"network": SEGMENTER, "annotations": PEOPLE}
    try:
        network, spec = load_network(SEGMENTER)
        network.transform.min_size, network.transform.max_size = (CLOSE,), CLOSE  # type: ignore[union-attr]
        detectors = {BARE: partial(detect, network, spec), ATTACHED: partial(detect, attach(network, ATTACHED), spec)}
        truth = read_annotations(samples / PEOPLE, samples)
        with progress("looking for people", len(SEVERITIES) * len(truth.pictures)) as advance:
            for severity in SEVERITIES:
                records += measure(
                    truth, detectors, task="segment", suite="seen", severity=severity, seed=0, folder=folder,
                    showcase=showcase, context=context, on_picture=advance,
                )  # fmt: skip
    except DirnetError as error:
        say(f"People are not looked for: {error}")
        return []
    write_records(log, records)
    showcase.finish()
    return [log]
