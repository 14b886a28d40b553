"""Pictures of which a part is hidden: to fill it in, a network must know what pictures are like, not what noise is."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dirnet.learn.data import seed_of

CELL = 2  # pixels


def mask(pictures: torch.Tensor, names: Sequence[str], largest: float) -> torch.Tensor:
    """Pictures (N, 3, H, W), even sides, with a share of their 2 x 2 cells in the picture's mean colour.

    The share is drawn evenly between 0 and `largest`, picture by picture, as a function of its name alone. After masked
    training (H. Chen et al., Masked image training for generalizable deep image denoising, CVPR 2023).
    """
    cells = [side // CELL for side in pictures.shape[2:]]
    hidden = torch.stack([_draw(name, cells, largest) for name in names])[:, None].to(pictures.device)
    hidden = hidden.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
    return torch.where(hidden, pictures.mean((2, 3), keepdim=True), pictures)


def _draw(name: str, cells: Sequence[int], largest: float) -> torch.Tensor:
    """Which cells of a picture are hidden, (h, w)."""
    seed = seed_of(f"mask/{name}")
    generator = torch.Generator().manual_seed(seed)
    share = largest * torch.rand(1, generator=generator)
    return torch.rand(*cells, generator=generator) < share
