"""What every task offers to joint refinement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from dirnet.nets.model import DiR, Representation


@dataclass(frozen=True)
class Batch:
    """N spoiled crops with what they were, all (N, 3, S, S) sRGB.

    degraded: as the camera gave them; clean: as they were before it; ideal: clean, but in the camera's tone; shown:
    what the networks are given, degraded or that with a part hidden.
    """

    degraded: torch.Tensor
    clean: torch.Tensor
    ideal: torch.Tensor
    shown: torch.Tensor


class TaskLoss(NamedTuple):
    """losses: what to minimise, by name; representation: of the pictures that the task saw.

    ideal: (N, 3, S, S), those pictures without any degradation but for their tone; the reference r* that r+ is aligned
    to is the reference encoder's view of it.
    """

    losses: dict[str, torch.Tensor]
    representation: Representation
    ideal: torch.Tensor


class Task(Protocol):
    """A use of r+. `loss` runs the model on a batch and says how far it is from what the task wants."""

    name: str

    def loss(self, model: DiR, batch: Batch) -> TaskLoss:
        """The task's losses on a batch, and the representation they were computed from."""
        ...
