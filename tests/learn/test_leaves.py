from __future__ import annotations

import statistics

import torch

from dirnet.learn.grain import own_grain
from dirnet.learn.leaves import dead_leaves


def scenes(n: int, size: int = 96) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [dead_leaves(size, generator) for _ in range(n)]


def test_a_scene_is_a_function_of_its_generator() -> None:
    first, second = (dead_leaves(40, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, dead_leaves(40, torch.Generator().manual_seed(4)))
    assert first.shape == (3, 40, 40)


def test_surfaces_are_bare() -> None:
    """In 8 bits a slope is steps: its grain is that of rounding; where much is out of focus, shapes count for some."""
    grains = [own_grain((scene * 255).round().to(torch.uint8)) for scene in scenes(40)]
    assert statistics.median(grains) < 1.5 * 12**-0.5
    assert all(0 <= float(scene.min()) <= float(scene.max()) <= 1 for scene in scenes(40))


def test_there_are_edges_in_and_out_of_focus_and_scenes_without_any() -> None:
    steepest = torch.tensor([float(scene.diff(dim=2).abs().max()) for scene in scenes(60)])
    assert (steepest > 0.2).sum() > 10  # from one pixel to the next
    assert ((steepest > 0.02) & (steepest < 0.2)).sum() > 10
    assert (steepest < 0.02).any()


def test_scenes_are_light_and_dark_and_hardly_colourful() -> None:
    means = torch.stack([scene.mean((1, 2)) for scene in scenes(100)])
    assert float(means.mean()) > 0.4
    assert float(means.mean()) < 0.6
    assert float(means.mean(1).std()) > 0.1
    assert float((means - means.mean(1, keepdim=True)).abs().mean()) < 0.1
