"""How far the refined representation is from the reference."""

from __future__ import annotations

import torch


def alignment(refined: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of r+ and r* (B, c, h, w), and of their channels' means and standard deviations.

    No gradient flows into the reference.
    """
    reference = reference.detach()
    means = (refined.mean((2, 3)) - reference.mean((2, 3))).abs().mean()
    spreads = (refined.std((2, 3)) - reference.std((2, 3))).abs().mean()
    return (refined - reference).abs().mean() + means + spreads
