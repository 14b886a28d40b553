"""Beyond the edges of a picture: mirrored about the outer pixel, which keeps the phase of a colour filter array."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def mirror(image: torch.Tensor, top: int, bottom: int, left: int, right: int) -> torch.Tensor:
    """Pad image (B, C, H, W) by reflection, as often as a small side needs; a side of a single pixel is repeated."""
    h, w = image.shape[-2:]
    if max(top, bottom) < h and max(left, right) < w:
        return F.pad(image, (left, right, top, bottom), mode="reflect")
    rows = _mirrored_indices(h, top, bottom).to(image.device)
    columns = _mirrored_indices(w, left, right).to(image.device)
    return image[..., rows, :][..., columns]


def _mirrored_indices(n: int, before: int, after: int) -> torch.Tensor:
    if n == 1:
        return torch.zeros(before + 1 + after, dtype=torch.long)
    index = torch.arange(-before, n + after).remainder(2 * n - 2)
    return torch.minimum(index, 2 * n - 2 - index)
