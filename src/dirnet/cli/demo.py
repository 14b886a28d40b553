"""`dirnet demo`: the main job, on the photographs that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dirnet.cli.common import progress, say

SEVERITIES = (1, 3, 5)


def demo(out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("demo")) -> None:
    """Photograph four scenes with a bad camera, restore them, and write a report. Prints where it is."""
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
    write_report([log], page, title="dirnet demo")
    for suite, severity in rows[:-1]:
        before, after = (r.value for r in records if (r.metric, r.suite, r.severity) == ("psnr", suite, severity))
        say(f"{suite}, severity {severity}: {before:.2f} -> {after:.2f} dB ({after - before:+.2f})")
    say(f"Weights {loaded.name}. Open the report in a browser:")
    print(page.resolve())
