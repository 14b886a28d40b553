"""The degradation-free reference (DfR): a thin encoder learned on good photographs, and its decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.nets.blocks import blocks, conv3x3


class ReferenceEncoder(nn.Module):
    """Picture -> r* (of a clean one) or the pilot (of a spoiled one), at half resolution."""

    def __init__(self, width: int, reference_width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv3x3(12, width), blocks(width, 1), conv3x3(width, reference_width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W), even sides -> (B, reference_width, H/2, W/2)."""
        return self.body(F.pixel_unshuffle(image, 2))


class ReferenceDecoder(nn.Module):
    """From the reference's space back to a picture."""

    def __init__(self, width: int, reference_width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv3x3(reference_width, width), blocks(width, 2), conv3x3(width, 12))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, reference_width, H/2, W/2) -> (B, 3, H, W), not clipped."""
        return F.pixel_shuffle(self.body(features), 2)
