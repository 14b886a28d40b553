"""What commands share: progress on stderr, closing lines, options that mean the same everywhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dirnet.errors import EXIT_DONE, EXIT_SOME_FAILED, UsageError

if TYPE_CHECKING:
    from dirnet.pictures.folders import Gathered, Tally


class ToneChoice(StrEnum):
    """What becomes of exposure and colour."""

    keep = "keep"
    repair = "repair"


class DeviceChoice(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="A file, several, or folders.", show_default=False)]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for the results.", show_default=False)]
Device = Annotated[DeviceChoice, typer.Option("--device", help="Where to compute.")]
Weights = Annotated[
    str | None, typer.Option("--weights", help="Shipped name, file, or hub id.", show_default="the best")
]
Force = Annotated[bool, typer.Option("--force", help="Write over results that are there.")]
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
Seed = Annotated[int, typer.Option("--seed", help="Of everything random.")]


def say(text: str) -> None:
    """One line to stderr: for the person, not for the pipe."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr with the time left, on a terminal only; gives the function that moves it on by one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def gather_inputs(paths: list[Path], out: Path) -> Gathered:
    """The inputs below paths, but for what lies in a folder of results inside them. UsageError where there are none."""
    from dirnet.pictures.folders import Gathered, gather

    gathered = gather(paths)
    home = out.resolve()
    given = {path.resolve() for path in paths}
    inside = any(path in given for path in home.parents)
    found = ((item, item.path.resolve()) for item in gathered.inputs)
    inputs = [item for item, path in found if not inside or path in given or home not in path.parents]
    if not inputs:
        raise UsageError("Nothing to do", got=", ".join(map(str, paths)), wanted="at least one picture")
    return Gathered(inputs, gathered.skipped)


def close(tally: Tally) -> None:
    """Name what failed, say the closing line, and end with the right exit code."""
    for path, reason in tally.failed:
        say(f"failed: {reason}" if str(path) in reason else f"failed: {path}: {reason}")
    say(tally.sentence())
    raise typer.Exit(EXIT_SOME_FAILED if tally.failed else EXIT_DONE)


def check_file(out: Path) -> None:
    """UsageError where no file can be written at `out`; said before the work and not after it."""
    if out.is_dir() or not out.name:
        raise UsageError(f"{out} is a folder", wanted="the name of a file to write")


def rows(suites: str, severities: str) -> list[tuple[str, int]]:
    """What "a,b" and "1,3" ask to be measured: suites and severities, each pair once."""
    return [(suite, level) for suite in dict.fromkeys(suites.split(",")) for level in _levels(suite, severities)]


def _levels(suite: str, severities: str) -> list[int]:
    """Severities to measure a suite at; a suite without faults is measured once, as severity 0."""
    from dirnet.suites.suites import SEVERITIES, suite_named

    if not suite_named(suite).faults:
        return [0]
    try:
        found = [int(text) for text in severities.split(",")]
    except ValueError:
        found = []
    if not found or not set(found) <= set(SEVERITIES):
        raise UsageError("Cannot read --severities", got=repr(severities), wanted="some of 1,2,3,4,5")
    return list(dict.fromkeys(found))


def seconds(text: str) -> float:
    """Seconds of "90", "90s", "8m" or "1.5h"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match:
        raise UsageError("Cannot read the time", got=repr(text), wanted="a number with s, m or h, as in 8m")
    return float(match[1]) * _UNITS[match[2]]


def command() -> str:
    """The command as typed, with folders by their last name only: a record tells nothing of the machine's paths."""
    return " ".join(["dirnet", *(Path(word).name if "/" in word else word for word in sys.argv[1:])])
