"""DiR inside a network: the maps it computes on a spoiled picture, corrected by r0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.errors import UsageError
from dirnet.nets.aligner import FeatureAligner
from dirnet.nets.blocks import pad_to_multiple
from dirnet.nets.encoder import DiRNet
from dirnet.tasks.inputs import Placed, together
from dirnet.tasks.spec import resizes_itself
from dirnet.tasks.taps import replaced

Box = tuple[float, float, float, float]  # top, left, bottom, right, as shares of the frame
Widths = Sequence[Sequence[int]]


class Inside(nn.Module):
    """DiRNet, and an aligner for each map of each named part of a network. Untrained, no map is changed.

    The pilot is what the frozen network computes there, the reference what it computes there of the clean picture.
    widths: channels of each map, part by part.
    """

    def __init__(self, encoder: DiRNet, at: Sequence[str], widths: Widths) -> None:
        super().__init__()
        self.at, self.widths = tuple(at), tuple(tuple(part) for part in widths)
        self.encoder = encoder
        width = encoder.stem.out_channels
        self.aligners = nn.ModuleList(
            nn.ModuleList(FeatureAligner(width, channels) for channels in part) for part in self.widths
        )

    @contextmanager
    def aligning(self, network: nn.Module, pictures: Sequence[Placed]) -> Iterator[list[torch.Tensor]]:
        """While it lasts, the network sees these pictures with its maps corrected. Gives r0 of each, (c, h, w)."""
        baselines = together(self.baseline, [placed.picture.float() for placed in pictures])
        boxes = [_box(placed) for placed in pictures]
        queues = {name: iter(part) for name, part in zip(self.at, self.aligners, strict=True)}  # type: ignore[arg-type]

        def relocate(module: nn.Module, args: object, output: Any) -> None:
            boxes[:] = _boxes_of_image_list(output)

        def align(name: str, maps: list[torch.Tensor]) -> list[torch.Tensor]:
            return [self._align(name, next(queues[name], None), pilot, baselines, boxes) for pilot in maps]

        with ExitStack() as stack:
            if resizes_itself(network):
                stack.enter_context(network.transform.register_forward_hook(relocate))  # type: ignore[union-attr]
            stack.enter_context(replaced(network, self.at, align))
            yield baselines

    def baseline(self, image: torch.Tensor) -> torch.Tensor:
        """r0 of pictures (B, 3, H, W) of any size: (B, c, ceil(H/2), ceil(W/2))."""
        h, w = image.shape[2:]
        padded = pad_to_multiple(image).contiguous(memory_format=torch.channels_last)
        return self.encoder(padded)[0][..., : -(-h // 2), : -(-w // 2)]

    def _align(
        self, name: str, aligner: Any, pilot: torch.Tensor, baselines: list[torch.Tensor], boxes: list[Box]
    ) -> torch.Tensor:
        if aligner is None or aligner.channels != pilot.shape[1] or len(pilot) != len(baselines):
            raise UsageError(
                f"{name} gives other maps than when it was attached to",
                got=f"{tuple(pilot.shape)} for {len(baselines)} pictures",
                wanted="the same maps at every call, one for each picture",
            )
        laid = _lay(baselines, boxes, (pilot.shape[2], pilot.shape[3]))
        return aligner(laid, pilot)


def _lay(baselines: list[torch.Tensor], boxes: list[Box], size: tuple[int, int]) -> torch.Tensor:
    """r0 of every picture where the picture lies in a map of `size`, and 0 beside it: (B, c, *size)."""
    height, width = size
    laid = []
    for baseline, (top, left, bottom, right) in zip(baselines, boxes, strict=True):
        first, last = _cells(top, bottom, height)
        begin, end = _cells(left, right, width)
        inside = F.interpolate(baseline[None], (last - first, end - begin), mode="area")
        laid.append(F.pad(inside, (begin, width - end, first, height - last)))
    return torch.cat(laid)


def _cells(start: float, stop: float, count: int) -> tuple[int, int]:
    """The cells, of `count`, that an interval of 0..1 lies in: at least one."""
    first = min(round(start * count), count - 1)
    return first, max(round(stop * count), first + 1)


def _box(placed: Placed) -> Box:
    (top, left), (height, width), (h, w) = placed.corner, placed.frame, placed.picture.shape[1:]
    return top / height, left / width, (top + h) / height, (left + w) / width


def _boxes_of_image_list(output: Any) -> list[Box]:
    """Where torchvision's transform laid the pictures in the batch it made of them: in the top left corner."""
    images = output[0]
    height, width = images.tensors.shape[-2:]
    return [(0.0, 0.0, h / height, w / width) for h, w in images.image_sizes]
