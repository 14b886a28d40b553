"""What a block of figures says, in words: losses as plainly as wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dirnet.report.tables import INPUT, Block, Cell, Row

UNSPOILED = "clean"  # the suite that does nothing; the input is perfect there, and how near one stays is the figure


@dataclass(frozen=True)
class Sentence:
    """Escaped text and its verdict: `gain`, `loss`, `same`, or empty where nothing was compared."""

    text: Markup
    verdict: str


def sentences(block: Block) -> list[Sentence]:
    """One sentence a model: its first metric that has a difference, averaged over the severities."""
    rows: dict[str, list[Row]] = {}
    for row in block.rows:
        rows.setdefault(row.label, []).append(row)
    models = {label: lines for label, lines in rows.items() if label != INPUT} or rows
    return [_sentence(block, label, lines) for label, lines in models.items()]


def listed(numbers: Sequence[int]) -> str:
    """1, 2, 3 and 5 as `1 to 3 and 5`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = []
    for run in runs:
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _sentence(block: Block, label: str, rows: list[Row]) -> Sentence:
    for column in range(len(block.metrics)):
        compared = [(row, cell) for row in rows if (cell := row.cells[column]) and cell.change is not None]
        if compared:
            return _comparison(block, label, compared)
    row, cell = next((row, cell) for row in rows for cell in row.cells if cell)
    value = cell.metric.show(cell.before if cell.after is None else cell.after)
    text = Markup("On <b>{}</b>{}, <code>{}</code> has {} {}{} over {}, with nothing to compare it with.").format(
        block.suite, _where([row]), label, cell.metric.name, value, _unit(cell), _pictures([row])
    )
    return Sentence(text, "")


def _comparison(block: Block, label: str, compared: list[tuple[Row, Cell]]) -> Sentence:
    rows, cells = [row for row, _ in compared], [cell for _, cell in compared]
    metric = cells[0].metric
    before = sum(cell.before or 0.0 for cell in cells) / len(cells)
    after = sum(cell.after or 0.0 for cell in cells) / len(cells)
    if block.suite == UNSPOILED and block.task == "restore":
        text = Markup("On <b>{}</b> nothing was spoiled: <code>{}</code> gives the pictures back at {} {}{} over {}.")
        figure = metric.show(after), _unit(cells[0])
        return Sentence(text.format(block.suite, label, metric.name, *figure, _pictures(rows)), "")
    mean = Cell(metric, before, after, cells[0].interval if len(cells) == 1 else None)
    change = mean.change or 0.0
    verb = "raises" if change > 0 else "lowers"
    if mean.verdict == "same":
        body = Markup("leaves {} at {}{}").format(metric.name, metric.show(before), _unit(mean))
    else:
        body = Markup('{} {} from {} to {}{} <span class="{}">({})</span>').format(
            verb,
            metric.name,
            metric.show(before),
            metric.show(after),
            _unit(mean),
            mean.verdict,
            metric.show_change(change),
        )
    text = Markup("On <b>{}</b>{}, <code>{}</code> {}{} over {}").format(
        block.suite, _where(rows), label, body, " on average" if len(rows) > 1 else "", _pictures(rows)
    )
    if mean.verdict == "loss":
        text += ": a loss"
    return Sentence(text + "." + _caveats(compared, mean), mean.verdict)


def _caveats(compared: list[tuple[Row, Cell]], mean: Cell) -> str:
    """Which severities say otherwise, and which differences may be chance."""
    several = len({row.severity for row, _ in compared}) > 1
    chance = [row.severity for row, cell in compared if cell.unsure]
    said = ""
    for verdict, verb in (("loss", "loses"), ("gain", "gains")):
        against = [row.severity for row, cell in compared if cell.verdict == verdict]
        if several and against and verdict != mean.verdict:
            said += f" It {verb} at {_severities(against)}."
    if chance and several:
        said += (
            f" At {_severities(chance)} the difference may be chance: its 95\N{NO-BREAK SPACE}% interval includes zero."
        )
    elif chance:
        said += " This may be chance: the 95\N{NO-BREAK SPACE}% interval of the difference includes zero."
    elif mean.interval:
        low, high = map(mean.metric.show_change, mean.interval)
        said += f" The 95\N{NO-BREAK SPACE}% interval of the difference is {low} to {high}."
    return said


def _severities(numbers: Sequence[int]) -> str:
    return f"severit{'y' if len(set(numbers)) == 1 else 'ies'} {listed(numbers)}"


def _where(rows: list[Row]) -> str:
    numbers = [row.severity for row in rows]
    return f", {_severities(numbers)}" if any(numbers) else ""


def _pictures(rows: list[Row]) -> str:
    fewest, most = min(row.n for row in rows), max(row.n for row in rows)
    count = str(most) if fewest == most else f"{fewest} to {most}"
    return f"{count} picture{'' if most == 1 else 's'}{' each' if len(rows) > 1 else ''}"


def _unit(cell: Cell) -> str:
    return f"\N{NO-BREAK SPACE}{cell.metric.unit}" if cell.metric.unit else ""
