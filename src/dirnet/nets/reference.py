"""The degradation-free reference (DfR): a thin encoder learned on good photographs, and its decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.nets.blocks import blocks, conv3x3, isometry


class ReferenceEncoder(nn.Module):
    """Picture -> r* (of a clean one) or the pilot (of a spoiled one), at half resolution."""

    def __init__(self, width: int, reference_width: int) -> None:
        super().__init__()
        first, last = isometry(conv3x3(12, width)), isometry(conv3x3(width, reference_width))
        self.body = nn.Sequential(first, blocks(width, 1), last)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W), even sides -> (B, reference_width, H/2, W/2)."""
        return self.body(F.pixel_unshuffle(image, 2))


class ReferenceDecoder(nn.Module):
    """From the reference's space back to a picture."""

    def __init__(self, width: int, reference_width: int) -> None:
        super().__init__()
        first, last = isometry(conv3x3(reference_width, width)), isometry(conv3x3(width, 12))
        self.body = nn.Sequential(first, blocks(width, 2), last)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, reference_width, H/2, W/2) -> (B, 3, H, W), not clipped."""
        return F.pixel_shuffle(self.body(features), 2)
