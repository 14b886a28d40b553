"""Alignment: the pilot, corrected by what the baseline knows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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


class FeatureAligner(nn.Module):
    """The same inside a network that is not ours: r+ = p + spread ((s - 1) q + m + G(r0, q)).

    q is the pilot p in units of its own mean and spread, since such maps have any scale. They may be wide, so G is a
    bottleneck (He et al., CVPR 2016): only its `INNER` channels look beside a cell. Starts at zero as well: r+ = p
    exactly.
    """

    INNER = 24

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        both, inner = width + channels, self.INNER
        self.local = nn.Sequential(nn.Conv2d(both, inner, 1), blocks(inner, 1), zero(nn.Conv2d(inner, channels, 1)))
        self.moments = nn.Sequential(nn.Linear(2 * both, inner), nn.GELU(), zero(nn.Linear(inner, 2 * channels)))

    def forward(self, baseline: torch.Tensor, pilot: torch.Tensor) -> torch.Tensor:
        """Baseline (B, c, h, w), pilot (B, channels, h, w) of any float -> r+ as the pilot; down to maps of 1 x 1."""
        h, w = pilot.shape[2:]
        given = pilot.to(baseline.dtype)
        statistics = channel_statistics(torch.cat((baseline, given), 1))
        mean, spread = statistics.unflatten(1, (2, -1))[:, :, -self.channels :, None, None].unbind(1)
        scale, shift = (Aligner.BOUND * torch.tanh(self.moments(statistics)))[:, :, None, None].chunk(2, 1)
        normal = (given - mean) / spread
        mirrored = (0, max(0, 2 - w), 0, max(0, 2 - h))  # a side of one cell has nothing to mirror
        local = self.local(F.pad(torch.cat((baseline, normal), 1), mirrored, mode="replicate"))[..., :h, :w]
        return pilot + (spread * (scale * normal + shift + local)).to(pilot.dtype)
