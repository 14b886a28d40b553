"""Records as a person reads them: one block a suite, a row a severity and model, a cell a metric.

A figure that occurs twice is shown once; a model that was measured twice with different results is shown twice, under
the names of its files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from dirnet.judge.records import Record
from dirnet.judge.statistics import paired_interval, redrawn_interval
from dirnet.report.gather import Measured, plain

INPUT = "input"
_MINUS, _NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
METRICS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "psnr_tone": "PSNR, tone fitted",
    "ssim_tone": "SSIM, tone fitted",
    "similarity": "CKA with reference, pilot → refined",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "mask_ap": "Mask AP",
    "mask_ap50": "Mask AP50",
    "mpc": "mPC",
    "rpc": "rPC",
}
OF_SEGMENTS = METRICS | {"ap": "Box AP", "ap50": "Box AP50", "mpc": "Mask mPC", "rpc": "Mask rPC"}


@dataclass(frozen=True)
class Metric:
    """A column: its name, unit, the decimals its figures need, and which way is up."""

    id: str
    name: str
    unit: str
    digits: int
    higher_is_better: bool

    def show(self, value: float | None) -> str:
        """The figure as text; a dash where there is none."""
        if value is None or math.isnan(value):
            return _NONE
        size = abs(value)
        text = "∞" if math.isinf(size) else f"{size:.{self.digits}f}" if size < 1e6 else f"{size:.3g}"
        return f"{_MINUS}{text}" if value < 0 and text.strip("0.") else text

    def show_change(self, value: float) -> str:
        """The difference as text, always with its sign; ±0 where nothing is left after rounding."""
        text = self.show(abs(value))
        return f"±{text}" if not text.strip("0.") else f"{_MINUS}{text}" if value < 0 else f"+{text}"


@dataclass(frozen=True)
class Cell:
    """The input's figure, the model's, and the 95 % interval of model - input, as far as they were measured."""

    metric: Metric
    before: float | None
    after: float | None
    interval: tuple[float, float] | None = None

    @property
    def change(self) -> float | None:
        """Model - input, or None where one of them is missing or not finite."""
        if self.before is None or self.after is None:
            return None
        change = self.after - self.before
        return change if math.isfinite(change) else None

    @property
    def verdict(self) -> str:
        """`gain`, `loss` or `same` (nothing left after rounding); empty where there is no difference to judge."""
        if self.change is None:
            return ""
        if self.metric.show_change(self.change).startswith("±"):
            return "same"
        return "gain" if (self.change > 0) == self.metric.higher_is_better else "loss"

    @property
    def unsure(self) -> bool:
        """Whether the interval includes zero, so that the difference may be chance."""
        return self.interval is not None and self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Row:
    """One line of a table; `kind` is empty outside a breakdown, and a cell is None where nothing was measured."""

    severity: int
    label: str
    n: int
    cells: list[Cell | None]
    kind: str = ""


@dataclass(frozen=True)
class Block:
    """All that was measured in one suite under one tone, seed and data; `by` holds the rows of each breakdown."""

    task: str
    suite: str
    tone: str
    seed: int
    data: str
    metrics: list[Metric]
    rows: list[Row]
    by: dict[str, list[Row]]


def arrange(measured: Sequence[Measured]) -> list[Block]:
    """Blocks in the order in which they were measured."""
    groups: dict[tuple[str, str, str, int, str], list[Measured]] = {}
    for one in measured:
        record = one.record
        key = (record.task, record.suite, record.tone, record.seed, plain(record.context.get("data", "")))
        groups.setdefault(key, []).append(one)
    return [_block(key, group) for key, group in groups.items()]


_Line = dict[str, Record]  # the records of one row, by metric
_Key = tuple[int, int, str, str, str, int]  # severity, n, params_hash, model, source, occurrence


def _block(key: tuple[str, str, str, int, str], group: list[Measured]) -> Block:
    columns: dict[str, list[Record]] = {}
    for one in group:
        columns.setdefault(one.record.metric, []).append(one.record)
    metrics = [_metric(records) for records in columns.values()]
    lines, twice = _lines(group)
    rows: list[Row] = []
    by: dict[str, list[Row]] = {}
    for (severity, n, _, model, source, _), before, after in _paired(lines):
        label = f"{model} ({source})" if model in twice else model
        rows.append(Row(severity, label, n, [_cell(metric, before, after) for metric in metrics]))
        records = [*after.values(), *before.values()]
        kinds = dict.fromkeys((name, kind) for record in records for name in record.by for kind in record.by[name])
        for name, kind in kinds:
            size = next(int(record.by[name][kind]["n"]) for record in records if kind in record.by.get(name, {}))
            cells = [_cell_of_kind(metric, before, after, name, kind) for metric in metrics]
            by.setdefault(name, []).append(Row(severity, label, size, cells, kind))
    return Block(*key, metrics, rows, {name: _together(parts) for name, parts in by.items()})


def _together(parts: list[Row]) -> list[Row]:
    """The rows of a breakdown by severity, then kind: one kind of all models stands together."""
    kinds = list(dict.fromkeys(row.kind for row in parts))
    return sorted(parts, key=lambda row: (row.severity, kinds.index(row.kind)))


def _metric(records: list[Record]) -> Metric:
    first = records[0]
    small = all(abs(record.value) <= 1 for record in records if math.isfinite(record.value))
    digits = 4 if small and first.unit != "dB" else 2
    name = (OF_SEGMENTS if first.task == "segment" else METRICS).get(first.metric, first.metric)
    return Metric(first.metric, name, first.unit, digits, first.higher_is_better)


def _lines(group: list[Measured]) -> tuple[dict[_Key, _Line], set[str]]:
    """The distinct figures, a line a (severity, n, draw, model, file); and the models whose files disagree."""
    lines: dict[_Key, _Line] = {}
    figures: dict[tuple[int, int, str, str, str], dict[str, str]] = {}
    for one in group:
        record = one.record
        known = figures.setdefault((record.severity, record.n, record.params_hash, record.model, record.metric), {})
        figure = repr((record.value, record.values, record.by))
        if figure in known:
            continue
        known[figure] = one.source
        for occurrence in count():
            key = (record.severity, record.n, record.params_hash, record.model, one.source, occurrence)
            line = lines.setdefault(key, {})
            if record.metric not in line:
                line[record.metric] = record
                break
    twice = {key[3] for key, known in figures.items() if len(set(known.values())) > 1}
    return lines, twice - {INPUT}


def _paired(lines: dict[_Key, _Line]) -> list[tuple[_Key, _Line, _Line]]:
    """(key, input, model) by severity; an input of the same file is preferred, one that no model took stands alone."""
    inputs = {key: line for key, line in lines.items() if key[3] == INPUT}
    taken: set[int] = set()
    paired = []
    for key, after in lines.items():
        if key[3] == INPUT:
            continue
        before: _Line = {}
        for other in sorted((other for other in inputs if other[:3] == key[:3]), key=lambda other: other[4] != key[4]):
            before = {name: record for name, record in inputs[other].items() if name in after} | before
        taken |= set(map(id, before.values()))
        paired.append((key, before, after))
    for key, line in inputs.items():
        alone = {name: record for name, record in line.items() if id(record) not in taken}
        paired += [(key, alone, {})] if alone else []
    return sorted(paired, key=lambda pair: pair[0][0])


def _cell(metric: Metric, before: _Line, after: _Line) -> Cell | None:
    was, now = before.get(metric.id), after.get(metric.id)
    if was is None or now is None:
        return Cell(metric, was and was.value, now and now.value) if was or now else None
    return Cell(metric, was.value, now.value, _interval(was, now))


def _interval(was: Record, now: Record) -> tuple[float, float] | None:
    """Of the difference, where both were measured on the same pictures."""
    if was.pictures != now.pictures:
        return None
    for a, b, interval in ((now.values, was.values, paired_interval), (now.redrawn, was.redrawn, redrawn_interval)):
        if len(a) == len(b) > 1 and _sound(*a, *b):
            return interval(a, b)
    return None


def _cell_of_kind(metric: Metric, before: _Line, after: _Line, name: str, kind: str) -> Cell | None:
    was, now = (
        line[metric.id].by.get(name, {}).get(kind, {}).get("value") if metric.id in line else None
        for line in (before, after)
    )
    return None if was is None and now is None else Cell(metric, was, now)


def _sound(*values: float) -> bool:
    """Whether these are numbers, finite, and of a size that can be added up."""
    return all(abs(value) < 1e100 for value in values)
