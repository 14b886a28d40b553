"""Other people's codecs: loaded when used, their failures put into sentences."""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from dirnet.errors import DirnetError, PictureError

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it prints to stderr about each odd tag
_PILLOW = threading.RLock()


def photo_library(name: str) -> Any:
    """The module `name` of the extra `photo`: rawpy, tifffile, imagecodecs. Raises PictureError where it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PictureError(f"This needs {name}, which is not installed", cure="Install dirnet-isp[photo].") from error


@contextlib.contextmanager
def failures_as(what: str) -> Iterator[None]:
    """Turn whatever a codec raises over a broken file into a PictureError that begins with `what`.

    Everything is caught, since decoders fed with broken files raise nearly everything; a DirnetError passes as it is.
    """
    try:
        yield
    except DirnetError:
        raise
    except Exception as error:
        raise PictureError(what, got=_reason(error)) from error


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings over odd files. Warning filters belong to the process: one thread at a time."""
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else next(iter(error.args), "")
    if isinstance(error, UnicodeError):
        said = str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return (text.strip().splitlines() or [type(error).__name__])[0]
