"""Records and pictures as one self-contained HTML page that asks nothing of any other place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dirnet.errors import PictureError
from dirnet.judge.records import folder_of
from dirnet.report.gather import Measured, gather, plain
from dirnet.report.pictures import LABELS, Example, read_examples
from dirnet.report.plots import DASHES, Series, curves, look
from dirnet.report.render import write_page
from dirnet.report.sentences import listed, sentences
from dirnet.report.tables import INPUT, Block, Metric, arrange

VERSIONS = ("dirnet", "torch")


def write_report(records: Sequence[Path], out: Path, *, title: str = "dirnet report") -> None:
    """Write the page on these record files to `out`, whole or not at all; the same input gives the same bytes.

    The pictures of records.jsonl are looked for in records.pictures/; the page says in a sentence what is missing.
    Raises DirnetError where there are no records, a file holds none or cannot be read, or `out` cannot be written.
    """
    measured = gather(records)
    blocks = arrange(measured)
    labels = dict.fromkeys([INPUT, *(row.label for block in blocks for row in block.rows)])
    numbers = {label: number for number, label in enumerate(labels)}
    examples, remarks = _examples(records)
    write_page(
        "page.html",
        out,
        title=title,
        facts=_facts(measured),
        blocks=[(block, sentences(block), _curves(block, numbers)) for block in blocks],
        legend=[(label, look(number), DASHES[number % len(DASHES)]) for label, number in numbers.items()],
        several=len(numbers) > 2,
        examples=examples,
        represented=any(example.representations for example in examples),
        remarks=remarks,
        commands=_distinct(one.record.context.get("command") for one in measured),
        context=_context(measured),
        draws=list(dict.fromkeys(_draw(one) for one in measured)),
        of_pictures={
            "psnr": Metric("psnr", "PSNR", "dB", 2, True),
            "ap": Metric("ap", "AP of the picture", "", 3, True),
            "mask_ap": Metric("mask_ap", "mask AP of the picture", "", 3, True),
        },
        labels=LABELS,
        recognised=any(block.task in ("detect", "segment") for block in blocks),
    )


def _facts(measured: Sequence[Measured]) -> list[tuple[str, str]]:
    """What was measured, as far as the records say it."""
    records = [one.record for one in measured]
    facts = {
        "Model": _distinct(record.model for record in records if record.model != INPUT),
        "Task": _distinct(record.task for record in records),
        "Tone": _distinct(record.tone for record in records),
        "Data": _distinct(record.context.get("data") for record in records),
        "Pictures": [listed([record.n for record in records])],
        "Seed": [listed([record.seed for record in records])],
        "Versions": _distinct(
            {name: record.context[name] for name in VERSIONS if name in record.context} for record in records
        ),
    }
    return [(name, ", ".join(values)) for name, values in facts.items() if values]


def _context(measured: Sequence[Measured]) -> list[tuple[str, list[str]]]:
    """Everything else that the records say about how they came to be."""
    shown = {"command", "data", *VERSIONS}
    names = dict.fromkeys(name for one in measured for name in one.record.context if name not in shown)
    return [(str(name), _distinct(one.record.context.get(name) for one in measured)) for name in names]


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(plain(value) for value in values if value not in (None, "", [], {})))


def _draw(one: Measured) -> tuple[str, str, int, int, int, str]:
    record = one.record
    return record.task, record.suite, record.severity, record.n, record.seed, record.params_hash


def _examples(paths: Sequence[Path]) -> tuple[list[Example], list[str]]:
    """The pictures of all files, the same scene of several models side by side, and why some files have none."""
    scenes: dict[tuple[str, str, str], list[Example]] = {}
    remarks = []
    for folder in {path.resolve(): folder_of(path, "pictures") for path in paths}.values():
        try:
            for example in read_examples(folder):
                scenes.setdefault((example.suite, example.severity, example.name), []).append(example)
        except PictureError as error:
            remarks.append(str(error))
    return [example for scene in scenes.values() for example in scene], remarks


def _curves(block: Block, numbers: dict[str, int]) -> list[tuple[Metric, Markup]]:
    """A plot for each metric that was measured at two severities or more."""
    plots = []
    for column, metric in enumerate(block.metrics):
        lines: dict[int, dict[int, float]] = {}
        for row in block.rows:
            cell = row.cells[column]
            for number, value in ((numbers[row.label], cell and cell.after), (0, cell and cell.before)):
                if value is not None:
                    lines.setdefault(number, {}).setdefault(row.severity, value)
        series = [Series(number, sorted(points.items())) for number, points in sorted(lines.items())]
        if len({severity for points in lines.values() for severity in points}) > 1:
            plots.append((metric, Markup(curves(series))))
    return plots
