"""Weights: float16 safetensors with their card; found by name, path or hub id."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as tensors
from torch import nn

from dirnet.errors import WeightsError
from dirnet.files import replacing
from dirnet.nets.model import PRESETS, DiR

DEFAULT = "small"  # the best for use that is shipped


@dataclass(frozen=True)
class Stored:
    """What a file of weights holds: name as it was asked for; sha256 of the file; state in float32, finite."""

    name: str
    sha256: str
    preset: str
    card: dict[str, Any]
    state: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Loaded:
    """A model ready for use; name as it was asked for; sha256 of the file; card: how the weights came to be."""

    model: DiR
    name: str
    sha256: str
    card: dict[str, Any]


def shipped_weights() -> list[str]:
    """Names of the weights inside the package."""
    return sorted(f.name.removesuffix(".safetensors") for f in _zoo().iterdir() if f.name.endswith(".safetensors"))


def load(source: str = DEFAULT) -> Loaded:
    """Load weights by shipped name ("tiny-proof"), by path, or from the Hugging Face hub ("owner/name").

    Raises WeightsError where there are none, or where they are broken, not ours, or not finite.
    """
    stored = read_weights(source)
    model = DiR(stored.preset)
    fill(model, stored.state, f"{source} does not fit the network {stored.preset}")
    return Loaded(model, stored.name, stored.sha256, stored.card)


def read_weights(source: str) -> Stored:
    """What stands in weights found as `load` finds them; WeightsError likewise."""
    name, data = _read(source)
    try:
        metadata = _metadata(data)
        preset, card = metadata["preset"], json.loads(metadata["card"])
        state = {key: tensor.float() for key, tensor in tensors.load(data).items()}
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{source} holds no dirnet weights", got=str(error), wanted="a file that dirnet train wrote"
        ) from error
    if preset not in PRESETS:
        raise WeightsError(
            f"{source} is for a network unknown here", got=repr(preset), wanted=f"one of {', '.join(PRESETS)}"
        )
    broken = [key for key, tensor in state.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise WeightsError(f"{source} holds values that are not finite", got=broken[0])
    return Stored(name, hashlib.sha256(data).hexdigest(), preset, card, state)


def fill(module: nn.Module, state: dict[str, torch.Tensor], misfit: str) -> None:
    """Give a module its weights and make it ready for use: frozen, in eval mode. misfit: what a WeightsError says."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(misfit, got=str(error).splitlines()[-1].strip()) from error
    module.requires_grad_(False).eval()
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def save_weights(path: Path, preset: str, state: dict[str, torch.Tensor], card: dict[str, Any]) -> None:
    """Write a model's state as float16 safetensors, its preset and card in the file's metadata."""
    half = {key: tensor.detach().cpu().to(torch.float16).contiguous() for key, tensor in state.items()}
    with replacing(path) as beside:
        tensors.save_file(half, beside, metadata={"preset": preset, "card": json.dumps(card)})


def _zoo():
    return files("dirnet") / "zoo"


def _read(source: str) -> tuple[str, bytes]:
    shipped = _zoo() / f"{source}.safetensors"
    path = Path(source)
    try:
        if "/" not in source and shipped.is_file():
            return source, shipped.read_bytes()
        if path.is_file():
            return path.stem, path.read_bytes()
        if source.count("/") == 1 and not path.suffix:
            from huggingface_hub import hf_hub_download

            return source, Path(hf_hub_download(source, "weights.safetensors")).read_bytes()
    except Exception as error:  # whatever the hub's client or the disk says, it is one sentence to the user
        raise WeightsError(
            f"Cannot read the weights {source}", got=(str(error) or type(error).__name__).splitlines()[0]
        ) from error
    raise WeightsError(
        f"No weights {source}",
        wanted=f"a shipped name ({', '.join(shipped_weights())}), a .safetensors file, or a hub id",
    )


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file: an 8-byte length, then a JSON header."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]
