"""The suites: which faults at which strength, for severities 1 to 5. Data files; adding a suite is adding one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from dirnet.errors import UsageError

SEVERITIES = (1, 2, 3, 4, 5)
Range = tuple[float, float]

# As a person meets them: from harmless to everything at once.
_ORDER = ("clean", "seen", "unseen-severity", "unseen-val", "unseen-test", "compound", "everyday", "wide")


@dataclass(frozen=True)
class Suite:
    """faults: name of each fault -> its range at severities 1..5, in the fault's own unit (`dirnet.isp.faults`).

    pick: how many of the faults are drawn for a picture, least and most; None = all of them.
    """

    name: str
    version: int
    sentence: str
    faults: Mapping[str, tuple[Range, ...]]
    pick: tuple[int, int] | None = None


def _load(file: Traversable) -> Suite:
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    faults = {name: tuple((low, high) for low, high in ranges) for name, ranges in table.get("faults", {}).items()}
    pick = tuple(table["pick"]) if "pick" in table else None
    return Suite(table["name"], table["version"], table["sentence"], faults, pick)


_FROZEN = files("dirnet.suites") / "frozen"
SUITES = {name: _load(_FROZEN / f"{name}.toml") for name in _ORDER}


def suite_named(name: str) -> Suite:
    """The suite of that name; UsageError names those there are."""
    if name not in SUITES:
        raise UsageError("Unknown suite", got=repr(name), wanted=f"one of {', '.join(SUITES)}")
    return SUITES[name]
