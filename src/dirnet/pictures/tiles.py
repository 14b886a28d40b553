"""A picture of any size through a function of bounded reach, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dirnet.errors import UsageError

GRID = 8  # tiles begin on multiples of it, so that networks which fold pixels into channels keep their phase


def apply_tiled(
    function: Callable[[torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    tile: int,
    margin: int,
    into: torch.Tensor | None = None,
) -> torch.Tensor:
    """`function` of `image` (1, C, H, W), computed on tiles of `tile` px that see `margin` px more on inner sides.

    `function` maps (1, C, h, w) to (1, D, h, w). The result is that of the whole image if it reaches no further than
    `margin`. Both lengths are rounded up to multiples of 8. The result is written to `into`, which may be `image`
    itself; where there is none, to a new tensor on the device `function` answers on.
    """
    if image.ndim != 4 or image.shape[0] != 1 or not image.numel():
        raise ValueError(f"image: got shape {tuple(image.shape)}; wanted (1, C, H, W)")
    if tile < 1 or margin < 0:
        raise UsageError(
            "Tiles make no sense", got=f"tile {tile}, margin {margin}", wanted="tile above 0, margin 0 or more"
        )
    tile, margin = -(-tile // GRID) * GRID, -(-margin // GRID) * GRID
    height, width = image.shape[2:]
    output, above = into, image[:, :, :0]  # above, beside: what was there before a result took its place
    for top in range(0, height, tile):
        bottom, before = min(top + tile, height), above.shape[2]
        kept, beside = [], image.new_empty(1, image.shape[1], before + min(bottom + margin, height) - top, 0)
        for left in range(0, width, tile):
            right, aside = min(left + tile, width), beside.shape[3]
            columns = slice(left, right + margin)
            ahead = torch.cat((above[..., columns], image[:, :, top : bottom + margin, columns]), 2)
            seen = torch.cat((beside, ahead), 3)
            answer = function(seen)
            if answer.shape[2:] != seen.shape[2:]:
                raise ValueError(
                    f"function: got {tuple(answer.shape)} for {tuple(seen.shape)}; wanted the same height and width"
                )
            if output is None:
                output = answer.new_empty(1, answer.shape[1], height, width)
            rows, core = slice(before, before + bottom - top), slice(aside, aside + right - left)
            kept.append(seen[:, :, max(rows.stop - margin, 0) : rows.stop, core].clone())
            beside = seen[..., max(core.stop - margin, 0) : core.stop].clone()
            output[:, :, top:bottom, left:right] = answer[:, :, rows, core]
        above = torch.cat(kept, 3)
    assert output is not None
    return output
