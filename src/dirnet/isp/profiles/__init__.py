"""Measured cameras as data: one JSON file each, with its source and licence. Adding a camera is adding a file."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def load_profile(name: str) -> dict[str, Any]:
    """The measured figures of one camera or set of cameras, as they stand in `profiles/NAME.json`."""
    return json.loads((files("dirnet.isp.profiles") / f"{name}.json").read_text(encoding="utf-8"))
