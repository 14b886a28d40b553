"""The critic: are two patches of representation from the same place of the same scene?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Critic(nn.Module):
    """One shared projection, then a dot product with a learned temperature and bias.

    Shared, since two separate projections never leave the start: their loss stays at ln 2 (docs/theory.md, section 5).
    Patches are means over squares of 2 and of 8 cells of a half-resolution representation: 4 and 16 pixels.
    """

    SCALES = (2, 8)

    def __init__(self, width: int, projected: int = 64) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, projected) for _ in self.SCALES)
        self.log_temperature = nn.Parameter(torch.tensor(2.0))
        self.bias = nn.Parameter(torch.tensor(-4.0))

    def patches(self, features: torch.Tensor) -> list[torch.Tensor]:
        """(B, c, h, w) -> at each scale the mean over the patch around each cell, the same shape."""
        return [F.avg_pool2d(F.pad(features, _around(scale), mode="replicate"), scale, 1) for scale in self.SCALES]

    def project(self, patches: list[torch.Tensor]) -> list[torch.Tensor]:
        """Chosen patches (N, c) of each scale -> unit vectors (N, projected)."""
        pairs = zip(self.projections, patches, strict=True)
        return [F.normalize(projection(patch).float(), dim=1) for projection, patch in pairs]

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """All pairs: unit vectors a (N, projected), b (M, projected) -> scores (N, M); positive means "the same"."""
        return self.log_temperature.exp() * (a @ b.T) + self.bias


def _around(scale: int) -> tuple[int, int, int, int]:
    before, after = (scale - 1) // 2, scale // 2
    return before, after, before, after
