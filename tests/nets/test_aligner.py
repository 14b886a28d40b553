from __future__ import annotations

import pytest
import torch
from torch import nn

from dirnet.nets.aligner import Aligner, FeatureAligner
from dirnet.nets.blocks import channel_statistics, zero

WIDTH, REFERENCE_WIDTH = 6, 4


@pytest.fixture
def baseline() -> torch.Tensor:
    return torch.randn(2, WIDTH, 8, 10)


@pytest.fixture
def pilot() -> torch.Tensor:
    return 3 * torch.randn(2, REFERENCE_WIDTH, 8, 10) + 1


def last_linear(aligner: Aligner) -> nn.Linear:
    layer = aligner.moments[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def shaken() -> Aligner:
    aligner = Aligner(WIDTH, REFERENCE_WIDTH)
    with torch.no_grad():
        for parameter in aligner.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return aligner


def test_untrained_it_gives_exactly_the_pilot(baseline: torch.Tensor, pilot: torch.Tensor) -> None:
    refined, _ = Aligner(WIDTH, REFERENCE_WIDTH)(baseline, pilot)
    assert torch.equal(refined, pilot)


def test_it_is_its_formula(baseline: torch.Tensor, pilot: torch.Tensor) -> None:
    aligner = shaken()
    refined, _ = aligner(baseline, pilot)
    both = torch.cat((baseline, pilot), 1)
    scale, shift = (0.5 * torch.tanh(aligner.moments(channel_statistics(both)))).unflatten(1, (2, -1)).unbind(1)
    mean = pilot.mean((2, 3), keepdim=True)
    spread = pilot.std((2, 3), keepdim=True, correction=0)
    expected = pilot + scale[..., None, None] * (pilot - mean) + shift[..., None, None] * spread + aligner.local(both)
    torch.testing.assert_close(refined, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [0.3, 1e6])
def test_the_statistical_part_moves_mean_and_spread_by_bounded_amounts(
    baseline: torch.Tensor, pilot: torch.Tensor, size: float
) -> None:
    aligner = shaken()
    zero(aligner.local[-1])  # type: ignore[arg-type]
    numbers = size * torch.tensor([1.0, -1.0, 2.0, 0.0, 0.5, -2.0, 0.0, 1.0])
    with torch.no_grad():
        last = last_linear(aligner)
        zero(last)
        last.bias.copy_(numbers)
    refined, _ = aligner(baseline, pilot)
    scale, shift = (0.5 * numbers.tanh()).view(2, 1, -1)
    spread = pilot.std((2, 3), correction=0)
    torch.testing.assert_close(refined.std((2, 3), correction=0), (1 + scale) * spread)
    torch.testing.assert_close(refined.mean((2, 3)), pilot.mean((2, 3)) + shift * spread, atol=1e-5, rtol=1e-5)


def test_statistics_of_the_whole_picture_are_what_its_parts_go_by(baseline: torch.Tensor, pilot: torch.Tensor) -> None:
    aligner = shaken()
    whole, statistics = aligner(baseline, pilot)
    assert torch.equal(statistics, channel_statistics(torch.cat((baseline, pilot), 1)))
    part, same = aligner(baseline[..., :7], pilot[..., :7], statistics)
    assert same is statistics
    torch.testing.assert_close(part[..., :3], whole[..., :3])  # the last four see the cut
    alone, _ = aligner(baseline[..., :7], pilot[..., :7])
    assert (alone[..., :3] - whole[..., :3]).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (6, 9)])
def test_inside_a_network_it_starts_at_the_pilot_exactly(size: tuple[int, int]) -> None:
    aligner = FeatureAligner(4, 6)
    pilot = 50 * torch.randn(2, 6, *size)
    assert torch.equal(aligner(torch.randn(2, 4, *size), pilot), pilot)


def test_inside_a_network_the_scale_of_the_maps_does_not_matter() -> None:
    aligner = FeatureAligner(4, 6)
    nn.init.normal_(aligner.local[-1].weight, std=0.1)
    baseline, pilot = torch.randn(2, 4, 8, 8), torch.randn(2, 6, 8, 8)
    change = aligner(baseline, pilot) - pilot
    larger = aligner(baseline, 1000 * pilot + 7) - (1000 * pilot + 7)
    assert change.std() > 0.1
    assert torch.allclose(larger / 1000, change, atol=1e-3)
