from __future__ import annotations

import pytest
import torch

from dirnet.learn.masking import CELL, mask

NAMES = [f"0/refinement/{step}/{scene}" for step in range(20) for scene in range(10)]


def hidden_cells(pictures: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """Which cells of each picture were changed, (N, h, w)."""
    changed = (pictures != masked).any(1)
    return changed.unflatten(2, (-1, CELL)).unflatten(1, (-1, CELL)).any(4).any(2)


def test_hidden_cells_are_whole_in_the_mean_colour_and_others_are_untouched() -> None:
    pictures = torch.rand(4, 3, 16, 24)
    masked = mask(pictures, NAMES[:4], 0.5)
    hidden = hidden_cells(pictures, masked).repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)
    assert 0 < hidden.sum() < hidden.numel() / 2
    for picture, found, where in zip(pictures, masked, hidden, strict=True):
        torch.testing.assert_close(found[:, where], picture.mean((1, 2))[:, None].expand(-1, int(where.sum())))
        assert torch.equal(found[:, ~where], picture[:, ~where])


@pytest.mark.parametrize("largest", [0.3, 1.0])
def test_the_share_is_drawn_evenly_up_to_the_largest(largest: float) -> None:
    """Mean and spread of an even draw, within four standard errors; cells themselves are drawn too, some 1,000 each."""
    pictures = torch.rand(len(NAMES), 3, 64, 64)
    shares = hidden_cells(pictures, mask(pictures, NAMES, largest)).float().mean((1, 2)) / largest
    assert float(shares.mean()) == pytest.approx(1 / 2, abs=4 * (1 / 12 / len(NAMES)) ** 0.5)
    assert float(shares.var()) == pytest.approx(1 / 12, abs=4 * (1 / 180 / len(NAMES)) ** 0.5 + 1 / 500)
    assert shares.max() <= 1 + 4 * ((1 / largest - 1 + 1e-9) / 1024) ** 0.5


def test_a_draw_depends_on_the_name_alone() -> None:
    pictures = torch.rand(4, 3, 16, 16)
    whole = mask(pictures, NAMES[:4], 0.6)
    torch.rand(7)
    assert torch.equal(mask(pictures[2:], NAMES[2:4], 0.6), whole[2:])
    assert not torch.equal(mask(pictures, NAMES[4:8], 0.6), whole)
