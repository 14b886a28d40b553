"""Several processes on one step: what is whose share, and what all must see together.

Every process draws the whole step and photographs its share of the scenes; what concerns the whole batch is computed
everywhere, of all shares. One process alone has the whole for its share and gathers nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch.autograd.function import once_differentiable

from dirnet.errors import TrainingError
from dirnet.learn.recipe import Recipe


def join(device: torch.device) -> bool:
    """Join the processes launched with this one; whether this is the main one, which alone writes and speaks."""
    return PartialState(cpu=device.type == "cpu").is_main_process


def leave() -> None:
    """Take leave of the other processes, where there are any."""
    if count() > 1:
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(rows: int) -> slice:
    """Which of so many rows are this process's."""
    own = rows // count()
    first = own * dist.get_rank() if count() > 1 else 0
    return slice(first, first + own)


def gather(part: torch.Tensor) -> torch.Tensor:
    """The rows (N, ...) of all processes, in order, from the N / processes that each has; with gradients."""
    return _Gather.apply(part) if count() > 1 else part  # pyright: ignore[reportReturnType]


def mean(figures: torch.Tensor) -> torch.Tensor:
    """Mean over processes of the figures (n,) of each; without gradients."""
    return gather(figures.detach()[None]).mean(0)


def main_says(so: bool) -> bool:
    """What the main process says, for all."""
    return bool(gather(torch.tensor([so]))[0])


def check_shares(recipe: Recipe) -> None:
    """TrainingError where a step does not divide into equal shares, of whole pairs of scenes."""
    scenes, processes = recipe.batch // recipe.views, count()
    if processes > 1 and recipe.meta:
        raise TrainingError(
            "A virtual step is taken by one process alone", got=f"{processes} processes, and meta {recipe.meta}",
            cure="Launch one process, or --set meta=0.",
        )  # fmt: skip
    if processes > 1 and (scenes % (2 * processes) or recipe.sheets % processes):
        raise TrainingError(
            f"A step does not divide among {processes} processes",
            got=f"batch {recipe.batch} of {recipe.views} views, which is {scenes} scenes, and {recipe.sheets} sheets",
            wanted=f"a batch that is a multiple of {2 * processes * recipe.views}, sheets a multiple of {processes}",
            cure="Launch fewer processes, or --set batch and sheets.",
        )


class _Gather(torch.autograd.Function):
    """DistributedDataParallel takes the mean of gradients over processes, so what is minimised is the mean of losses.

    Therefore a part is given the sum of what the losses of all processes ask of it. The mean is right for both kinds of
    loss: one of gathered rows is the same everywhere; one that is a mean over equal shares becomes the mean over all.
    """

    @staticmethod
    def forward(ctx: Any, part: torch.Tensor) -> torch.Tensor:
        sent = part.to(PartialState().device).contiguous()  # NCCL carries nothing that lies on the CPU
        parts = [torch.empty_like(sent) for _ in range(count())]
        dist.all_gather(parts, sent)
        return torch.cat(parts).to(part.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[share(len(total))]
