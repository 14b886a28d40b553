"""Alignment: the pilot, corrected by what the baseline knows."""

from __future__ import annotations

import torch
from torch import nn

from dirnet.nets.blocks import blocks, channel_statistics, conv3x3, zero


class Aligner(nn.Module):
    """r+ = p + ((s - 1) (p - mean p) + m + G(r0, p)).

    s - 1 and m come from the channel statistics of both (statistical alignment) and are bounded by `BOUND`, in units
    of the pilot's own spread; G is a few residual blocks on [r0, p]. Every last layer starts at zero: r+ = p exactly.
    """

    BOUND = 0.5

    def __init__(self, width: int, reference_width: int) -> None:
        super().__init__()
        both = width + reference_width
        self.local = nn.Sequential(conv3x3(both, both), blocks(both, 1), zero(conv3x3(both, reference_width)))
        self.moments = nn.Sequential(nn.Linear(2 * both, both), nn.GELU(), zero(nn.Linear(both, 2 * reference_width)))

    def forward(
        self, baseline: torch.Tensor, pilot: torch.Tensor, statistics: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Baseline (B, c, h, w), pilot (B, c_ref, h, w) -> r+ (B, c_ref, h, w), and the statistics it went by.

        statistics (B, 2 (c + c_ref)): of the whole picture, where this is a tile of it.
        """
        if statistics is None:
            statistics = channel_statistics(torch.cat((baseline, pilot), 1))
        mean, spread = statistics.unflatten(1, (2, -1))[:, :, -pilot.shape[1] :].unbind(1)
        scale, shift = (self.BOUND * torch.tanh(self.moments(statistics))).chunk(2, 1)
        statistical = scale[:, :, None, None] * (pilot - mean[:, :, None, None]) + (shift * spread)[:, :, None, None]
        return pilot + (statistical + self.local(torch.cat((baseline, pilot), 1))), statistics
