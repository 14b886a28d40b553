"""Which patches to compare, and how much each kind of negative counts."""

from __future__ import annotations

from typing import NamedTuple

import torch

# A cell of a half-resolution representation is two pixels wide.
NEAR_CELLS = (4, 16)  # a hard negative of the same picture is 8 to 32 pixels away


class Places(NamedTuple):
    """rows, columns (B, P): cells of a representation, the same for all views of a scene."""

    rows: torch.Tensor
    columns: torch.Tensor


def pick_places(
    scenes: int, per_scene: int, height: int, width: int, generator: torch.Generator, hard: float = 1 / 3
) -> Places:
    """P = per_scene cells of each scene's (height, width) map, the share `hard` (at most 1/2) near another."""
    near = int(hard * per_scene)
    anywhere = per_scene - near
    size = torch.tensor([height, width])
    spot = (torch.rand(scenes, anywhere, 2, generator=generator) * size).long()
    angle = torch.rand(scenes, near, generator=generator) * 2 * torch.pi
    low, high = NEAR_CELLS
    radius = low + (high - low) * torch.rand(scenes, near, generator=generator)
    step = (torch.stack((angle.sin(), angle.cos()), -1) * radius[..., None]).round().long()
    there = spot[:, :near] + step
    there = torch.where((there < 0) | (there >= size), spot[:, :near] - step, there)  # the other way, where that is out
    neighbour = there.clamp(min=torch.zeros(2, dtype=torch.long), max=size - 1)
    rows, columns = torch.cat((spot, neighbour), 1).unbind(-1)
    return Places(rows, columns)


def gather_places(features: torch.Tensor, places: Places) -> torch.Tensor:
    """Features (B, d, h, w) at places (B, P) -> (B P, d), scene by scene."""
    scene = torch.arange(len(features), device=features.device)[:, None]
    return features[scene, :, places.rows, places.columns].flatten(0, 1)


def negative_weights(per_scene: int, groups: torch.Tensor) -> torch.Tensor:
    """(N, N), N = B per_scene: a third each to another scene, to another scene with the same degradation, and to
    another place of the same picture; a kind that does not occur leaves its share to the others.

    groups (B,) int: scenes of one number were spoiled in the same way.
    """
    scene = torch.arange(len(groups), device=groups.device).repeat_interleave(per_scene)
    same_scene = scene[:, None] == scene
    alike = groups[scene][:, None] == groups[scene]
    itself = torch.eye(len(scene), dtype=torch.bool, device=groups.device)
    kinds = (~alike, alike & ~same_scene, same_scene & ~itself)
    present = [kind / kind.sum() for kind in kinds if kind.any()]
    return torch.stack(present).mean(0)
