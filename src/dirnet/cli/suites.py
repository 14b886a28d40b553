"""`dirnet suites`: what each suite spoils, and how strongly."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def suites(as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """The suites: their faults, the range of each at severities 1 to 5, and the hash by which they are known."""
    import json
    import sys

    facts = _facts()
    if as_json:
        print(json.dumps(facts, indent=2))
    elif sys.stdout.isatty():
        _show(facts)
    else:
        print("\n\n".join(_plain(suite) for suite in facts))


def _facts() -> list[dict[str, Any]]:
    from dirnet.isp.faults import FAULTS
    from dirnet.suites.draw import suite_hash
    from dirnet.suites.suites import SUITES

    return [
        {
            "name": suite.name,
            "version": suite.version,
            "sentence": suite.sentence,
            "pick": suite.pick,
            "sha256": suite_hash(suite.name),
            "faults": [
                {"name": name, "sentence": FAULTS[name].sentence, "unit": FAULTS[name].unit, "ranges": ranges}
                for name, ranges in suite.faults.items()
            ],
        }
        for suite in SUITES.values()
    ]


def _plain(suite: dict[str, Any]) -> str:
    """One line for each fault, its columns between tabs."""
    faults = [
        "\t".join((fault["name"], *_ranges(fault, ".."), fault["unit"], fault["sentence"])) for fault in suite["faults"]
    ]
    return "\n".join((*_head(suite), *faults))


def _show(facts: list[dict[str, Any]]) -> None:
    """Tables that fit into 80 columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for suite in facts:
        title, *others = _head(suite)
        console.print(Text(title, style="bold"))
        console.print(Text("\n".join(others), style="dim"))
        if suite["faults"]:
            table = Table("fault", "1", "2", "3", "4", "5", show_lines=True)
            for fault in suite["faults"]:
                unit = "" if fault["unit"] == "none" else f", {fault['unit']}"
                name = Text.assemble((fault["name"], "bold"), unit, "\n", fault["sentence"])
                table.add_row(name, *_ranges(fault, "\n"))
            console.print(table)
        console.print()


def _head(suite: dict[str, Any]) -> tuple[str, str, str]:
    return (
        f"{suite['name']}, version {suite['version']}: {suite['sentence']}",
        f"faults in a picture: {_picked(suite)}",
        f"sha256: {suite['sha256']}",
    )


def _picked(suite: dict[str, Any]) -> str:
    total = len(suite["faults"])
    if not total:
        return "none"
    if suite["pick"] is None:
        return f"all {total}"
    least, most = suite["pick"]
    return f"{least} of {total}" if least == most else f"{least} to {most} of {total}"


def _ranges(fault: dict[str, Any], between: str) -> list[str]:
    """From and to at severities 1 to 5; nothing for a fault that has no strength."""
    return ["" if fault["unit"] == "none" else f"{low:g}{between}{high:g}" for low, high in fault["ranges"]]
