"""Networks that exist, by name or file, with their conventions."""

from __future__ import annotations

import difflib
import hashlib
import inspect
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import nn

from dirnet.devices import import_torchvision
from dirnet.errors import UsageError, WeightsError
from dirnet.files import replacing
from dirnet.tasks import segmenter
from dirnet.tasks.from_onnx import read_onnx
from dirnet.tasks.spec import Spec, read_spec, shipped, spec_named

_ABOUT = """Write a SPEC.toml beside it and give that, such as:
network = "{file}"
output = "yolox"       # torchvision-detection, yolox, classifier, other
colours = "BGR"        # RGB
white = 255            # 1
fit = "letterbox"      # own, resize, none
size = [416, 416]
fill = 114"""


def load_network(source: str) -> tuple[nn.Module, Spec]:
    """A network, frozen and in eval mode, and its conventions.

    source: a torchvision name (with torchvision's best weights, fetched once); "person-segmenter", which is shipped; an
    ONNX file that is known by its bytes; or a SPEC.toml, which says `network` (a name, or a file beside it), the
    conventions, and for a name `weights` ("none", a name such as "COCO_V1", or a .safetensors beside it) and, if it is
    torchvision's, `options` of its builder. What begins with "features." are ImageNet's MobileNetV2, to train from.
    UsageError for what is not known, DirnetError for what cannot be loaded.
    """
    path = Path(source)
    about: dict[str, Any] = {"network": source}
    if path.suffix == ".toml":
        spec, about = read_spec(path)
    elif path.is_file():
        spec = spec_named(hashlib.sha256(path.read_bytes()).hexdigest())
        if spec is None:
            raise UsageError(f"What {source} wants to be given is not known", cure=_ABOUT.format(file=path.name))
        path = Path()
    else:
        spec = spec_named(source)
        if spec is None:
            names = [name for table in shipped().values() for name in table.get("names", ())]
            near = difflib.get_close_matches(source, names, n=1, cutoff=0)[0]
            raise UsageError(
                "No such network", got=repr(source), wanted="a torchvision name, a file or a SPEC.toml",
                cure=f"The nearest name is {near}.",
            )  # fmt: skip
    network = _build(about, path.parent if path.suffix == ".toml" else Path())
    return network.requires_grad_(False).eval(), spec


def save_network(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write a network's state for a SPEC.toml to name as its weights: float16, but for what would vanish in it."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    kept = {key for key, value in tensors.items() if "running_" in key or not value.is_floating_point()}
    half = {key: value if key in kept else value.half() for key, value in tensors.items()}
    with replacing(path) as beside:
        save_file(half, beside)


def _build(about: dict[str, Any], folder: Path) -> nn.Module:
    name = about.get("network")
    if not isinstance(name, str):
        raise UsageError("The spec does not say what network it is of", cure='Add network = "...".')
    if (folder / name).is_file():
        return read_onnx(folder / name)
    if name.endswith(".onnx"):
        raise UsageError(f"No file {folder / name}")
    weights = about.get("weights", "DEFAULT")
    if not isinstance(weights, str):
        raise UsageError("The spec's weights are no name", got=repr(weights), wanted='a name, a file or "none"')
    if name == segmenter.NAME:
        return _segmenter(weights, folder)
    return _from_torchvision(name, weights, folder, about.get("options", {}))


def _segmenter(weights: str, folder: Path) -> nn.Module:
    network = segmenter.person_segmenter()
    if weights == "none":
        return network
    try:
        shipped = files("dirnet") / "zoo" / "networks" / f"{segmenter.NAME}.safetensors"
        state = load(shipped.read_bytes()) if weights == "DEFAULT" else load_file(folder / weights)
        if all(key.startswith("features.") for key in state):
            segmenter.begin_from_imagenet(network, state)
        else:
            network.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"The weights {weights} of {segmenter.NAME} cannot be loaded", got=str(error).splitlines()[-1].strip()
        ) from error
    return network


def _from_torchvision(name: str, weights: str, folder: Path, options: dict[str, Any]) -> nn.Module:
    models = import_torchvision().models
    try:
        builder = models.get_model_builder(name)
        offline = {"weights_backbone": None} if "weights_backbone" in inspect.signature(builder).parameters else {}
        file = weights.endswith(".safetensors")
        network = builder(weights=None if file or weights == "none" else weights, **offline, **options)
        if file:
            network.load_state_dict(load_file(folder / weights))
    except (SafetensorError, OSError, RuntimeError) as error:  # no connection, no such file, other shapes
        raise WeightsError(
            f"The weights {weights} of {name} cannot be loaded", got=str(error).splitlines()[-1].strip(),
            cure='Give a SPEC.toml with weights = "none" or a .safetensors file.',
        ) from error  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"torchvision cannot build {name} with weights {weights}", got=str(error)) from error
    return network
