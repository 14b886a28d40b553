"""`dirnet info`: what is installed, what it can use, and which weights are here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_OPTIONAL = (
    "rawpy", "tifffile", "imagecodecs", "faster-coco-eval", "onnx", "onnx2torch", "scikit-image", "tensorboard",
)  # fmt: skip


def info(as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """Versions, devices, optional parts and shipped weights."""
    facts = _facts()
    if as_json:
        import json

        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, item in value.items():
                print(f"  {key}: {item}")
        else:
            print(f"{name}: {value}")


def _facts() -> dict[str, Any]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from dirnet import __version__
    from dirnet.devices import import_torchvision, pick_device, training_precision
    from dirnet.errors import DirnetError
    from dirnet.nets.weights import load, shipped_weights

    optional = {}
    for name in _OPTIONAL:
        try:
            optional[name] = version(name)
        except PackageNotFoundError:
            optional[name] = "not installed"
    try:
        optional["torchvision"] = import_torchvision().__version__
    except DirnetError as error:
        optional["torchvision"] = str(error)
    device = pick_device()
    return {
        "dirnet": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device.type,
        "training precision": {"bf16": "bf16", "no": "float32"}[training_precision(device)],
        "optional": optional,
        "weights": {name: _describe(load(name).card) for name in shipped_weights()},
    }


def _describe(card: dict[str, Any]) -> str:
    return f"trained on {card.get('suite')}, {card.get('photographs')} photographs, {card.get('seconds')} s"
