"""`dirnet report`: what was measured, as one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORDS...", help="Files of dirnet evaluate.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.", show_default=False)],
) -> None:
    """One self-contained HTML page: pictures before and after, tables, curves, representations. Prints its path."""
    from dirnet.report.page import write_report

    write_report(records, out)
    print(out)
