"""dirnet: what a camera's image signal processor does to a picture, and how to see through it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dirnet.errors import DirnetError
    from dirnet.isp.camera import degrade, render, unprocess
    from dirnet.isp.develop import develop
    from dirnet.isp.params import ISPParams
    from dirnet.isp.sensor_data import Mosaic
    from dirnet.nets.model import DiR, Representation
    from dirnet.pictures.read import read_picture
    from dirnet.pictures.write import write_picture
    from dirnet.suites.draw import draw
    from dirnet.suites.suites import SUITES, Suite
    from dirnet.suites.transform import Degrade, DegradedDataset
    from dirnet.tasks.attach import attach
    from dirnet.tasks.networks import load_network
    from dirnet.tasks.restore import restore
    from dirnet.tasks.restorer import load

__version__ = "0.1.0"

# Public name -> where it lives; nothing below is imported before it is asked for (PEP 562).
_HOMES = {
    "Degrade": "suites.transform",
    "DegradedDataset": "suites.transform",
    "DiR": "nets.model",
    "DirnetError": "errors",
    "ISPParams": "isp.params",
    "Mosaic": "isp.sensor_data",
    "Representation": "nets.model",
    "SUITES": "suites.suites",
    "Suite": "suites.suites",
    "attach": "tasks.attach",
    "degrade": "isp.camera",
    "develop": "isp.develop",
    "draw": "suites.draw",
    "load": "tasks.restorer",
    "load_network": "tasks.networks",
    "read_picture": "pictures.read",
    "render": "isp.camera",
    "restore": "tasks.restore",
    "unprocess": "isp.camera",
    "write_picture": "pictures.write",
}

__all__ = [
    "SUITES",
    "Degrade",
    "DegradedDataset",
    "DiR",
    "DirnetError",
    "ISPParams",
    "Mosaic",
    "Representation",
    "Suite",
    "__version__",
    "attach",
    "degrade",
    "develop",
    "draw",
    "load",
    "load_network",
    "read_picture",
    "render",
    "restore",
    "unprocess",
    "write_picture",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"dirnet.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dirnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
