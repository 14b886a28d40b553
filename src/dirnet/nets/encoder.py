"""DiRNet: the baseline representation r0, what all spoiled views of a scene share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.nets.blocks import blocks, channel_statistics, conv3x3, zero

# The picture as DiRNet sees it: about 0, and wide. At 0..1 grain hardly bends its layers, and how strong noise is would
# be learned late (docs/training.md).
MIDDLE, STRETCH = 0.5, 4.0


class DiRNet(nn.Module):
    """A U-Net of three levels at 1/2, 1/4 and 1/8 of the picture's size, with a global path.

    The mean and standard deviation of the deepest level scale and shift that level (FiLM): wrong gamma, exposure and
    white balance are global, and a purely local network cannot see them.
    width: channels of r0; depth: residual blocks on the way down at each level (one each on the way up).
    """

    def __init__(self, width: int, depth: tuple[int, int, int]) -> None:
        super().__init__()
        w1, w2, w3 = width, 2 * width, 3 * width
        self.stem = conv3x3(12, w1)
        self.level1, self.level2, self.level3 = blocks(w1, depth[0]), blocks(w2, depth[1]), blocks(w3, depth[2])
        self.down1, self.down2 = nn.Conv2d(w1, w2, 2, 2), nn.Conv2d(w2, w3, 2, 2)
        self.film = nn.Sequential(nn.Linear(2 * w3, w3), nn.GELU(), zero(nn.Linear(w3, 2 * w3)))
        self.up2, self.up1 = nn.Conv2d(w3, 4 * w2, 1), nn.Conv2d(w2, 4 * w1, 1)
        self.merge2, self.merge1 = blocks(w2, 1), blocks(w1, 1)

    def forward(self, image: torch.Tensor, statistics: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture (B, 3, H, W), sides multiples of 8, at least 16 -> r0 (B, width, H/2, W/2), and its statistics.

        statistics (B, 6 width): of the deepest level, where the picture is a tile of a larger one; else its own.
        """
        x1 = self.level1(self.stem(STRETCH * (F.pixel_unshuffle(image, 2) - MIDDLE)))
        x2 = self.level2(self.down1(x1))
        x3 = self.level3(self.down2(x2))
        if statistics is None:
            statistics = channel_statistics(x3)
        scale, shift = self.film(statistics)[:, :, None, None].chunk(2, 1)
        x3 = x3 * (1 + scale) + shift
        x2 = self.merge2(x2 + F.pixel_shuffle(self.up2(x3), 2))
        return self.merge1(x1 + F.pixel_shuffle(self.up1(x2), 2)), statistics
