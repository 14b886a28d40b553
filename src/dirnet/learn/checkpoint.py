"""Where a run stands: everything needed to go on as if it had never stopped, in one safetensors file (no pickle)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dirnet.errors import TrainingError
from dirnet.files import replacing


@dataclass(frozen=True)
class Position:
    """stage and step to do next; seconds of training so far."""

    stage: str
    step: int
    seconds: float


def save_checkpoint(
    path: Path, position: Position, parts: dict[str, dict[str, torch.Tensor]], optimizer: torch.optim.Optimizer
) -> None:
    """Write parts (name -> state dict) and the optimizer's state; the old file stays until the new one is whole."""
    tensors = {f"{part}/{key}": value for part, state in parts.items() for key, value in state.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as beside:
        save_file(tensors, beside, metadata={"position": json.dumps(asdict(position))})


def read_position(path: Path) -> Position:
    """Where the checkpoint stands."""
    try:
        with safe_open(path, framework="pt") as file:
            return Position(**json.loads(file.metadata()["position"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"Cannot read the checkpoint {path}", got=str(error), cure="Delete it to begin the run again."
        ) from error


def load_parts(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Part name -> state dict, as they were handed to `save_checkpoint`; the optimizer's under "optimizer"."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            part, _, key = name.partition("/")
            parts.setdefault(part, {})[key] = file.get_tensor(name)
    return parts


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, torch.Tensor]) -> None:
    """Put the optimizer's saved state back."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for name, value in state.items():
        index, _, key = name.partition("/")
        whole["state"].setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(whole)
