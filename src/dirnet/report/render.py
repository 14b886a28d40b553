"""A template and its values as one file, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dirnet.errors import DirnetError
from dirnet.files import replacing


def write_page(template: str, out: Path, **values: Any) -> None:
    """Render a template of this room to `out`; the same values give the same bytes. DirnetError where it cannot be."""
    environment = Environment(
        loader=PackageLoader("dirnet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template(template).render(**values)
    try:
        with replacing(out) as beside:
            beside.write_bytes(html.encode("utf-8", "replace"))
    except OSError as error:
        raise DirnetError(f"Cannot write the report {out}", got=str(error)) from error
