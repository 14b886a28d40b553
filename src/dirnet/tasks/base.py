"""What every task offers to joint refinement."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch


class Batch(NamedTuple):
    """N spoiled crops with what they were, all (N, 3, S, S) sRGB.

    degraded: as the camera gave them; clean: as they were before it; ideal: clean, but in the camera's tone; shown:
    what the networks are given, degraded or that with a part hidden.
    """

    degraded: torch.Tensor
    clean: torch.Tensor
    ideal: torch.Tensor
    shown: torch.Tensor


class TaskLoss(NamedTuple):
    """losses: what to minimise, by name; of the pictures that the task saw, (N, 3, H, W), what the model made.

    baseline, refined: r0 and r+; refined is None where r+ is no view of a picture. degraded, ideal: those pictures,
    padded as for the model: as they are, and without any degradation but for their tone. The reference r* that r+ is
    aligned to is the reference encoder's view of the ideal.
    """

    losses: dict[str, torch.Tensor]
    baseline: torch.Tensor
    refined: torch.Tensor | None
    degraded: torch.Tensor
    ideal: torch.Tensor


class Task(Protocol):
    """A use of r+. `loss` runs the model on a batch and says how far it is from what the task wants.

    about: what the card of weights trained for it says of it.
    """

    name: str
    about: dict[str, Any]

    def loss(self, model: Any, batch: Batch) -> TaskLoss:
        """The task's losses on a batch, for a DiR, or whatever else is attached to a network."""
        ...
