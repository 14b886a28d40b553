"""Files come into being whole or not at all: write beside, then rename."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on a clean exit it takes the place of `path` in one step.

    On any exception, Ctrl-C included, the temporary file is removed and `path` stays as it was.
    The temporary name keeps the suffix of `path`, since writers choose their format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(8)}{path.suffix}")
    beside.touch(exist_ok=False)
    mode = beside.stat().st_mode
    try:
        yield beside
        beside.chmod(mode)  # a writer may have put a file for its owner alone there, as safetensors does
        with beside.open("rb+") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
