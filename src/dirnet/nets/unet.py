"""A plain U-Net, for comparison: what stands for reference encoder, aligner and decoder where nothing is aligned."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.nets.blocks import zero


class NoReference(nn.Module):
    """A pilot that says nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W), even sides -> zeros (B, width, H/2, W/2)."""
        b, _, h, w = image.shape
        return image.new_zeros(b, self.width, h // 2, w // 2)


class NoAligner(nn.Module):
    """r+ = r0: the U-Net's features are what tasks use."""

    def moments(self, statistics: torch.Tensor) -> torch.Tensor:
        """As of an aligner that has learned nothing: zeros."""
        return torch.zeros_like(statistics)

    def forward(
        self, baseline: torch.Tensor, pilot: torch.Tensor, statistics: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Baseline (B, c, h, w) -> itself, and the statistics it went by: none, (B, 0)."""
        return baseline, baseline.new_zeros(len(baseline), 0)


class LastLayer(nn.Module):
    """The one convolution from features to the change of the picture.

    It starts at zero, so that an untrained model changes nothing, and has no bias, so that the change is what it makes
    of r+: of the pilot's zeros it makes zero. 1 x 1, as in Ronneberger et al. (MICCAI 2015).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = zero(nn.Conv2d(width, 12, 1, bias=False))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, width, H/2, W/2) -> (B, 3, H, W)."""
        return F.pixel_shuffle(self.layer(features), 2)
