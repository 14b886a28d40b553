from __future__ import annotations

import pytest
import torch
from torch import nn

from dirnet.nets.encoder import DiRNet


@pytest.fixture
def net() -> DiRNet:
    """A small one whose global path is not zero any more."""
    net = DiRNet(8, (1, 1, 1))
    with torch.no_grad():
        for parameter in net.film.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net.eval()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 40), (64, 16)])
def test_half_the_size_and_statistics_of_the_deepest_level(net: DiRNet, height: int, width: int) -> None:
    baseline, statistics = net(torch.rand(2, 3, height, width))
    assert baseline.shape == (2, 8, height // 2, width // 2)
    assert statistics.shape == (2, 6 * 8)


def test_its_own_statistics_handed_back_change_nothing(net: DiRNet) -> None:
    image = torch.rand(2, 3, 32, 32)
    baseline, statistics = net(image)
    again, same = net(image, statistics)
    assert torch.equal(baseline, again)
    assert same is statistics


def test_other_statistics_change_every_cell(net: DiRNet) -> None:
    image = torch.rand(1, 3, 32, 32)
    baseline, statistics = net(image)
    other, _ = net(image, statistics + 1)
    assert ((baseline - other).abs() > 0).all()


def test_it_sees_what_is_global(net: DiRNet) -> None:
    """A change in one far corner reaches a cell through the statistics alone."""
    image = torch.rand(1, 3, 16, 512)
    changed = image.clone()
    changed[..., :16] = 0
    baseline, statistics = net(image)
    assert ((net(changed)[0] - baseline)[..., -8:].abs() > 1e-6).any()
    assert torch.equal(net(changed, statistics)[0][..., -8:], net(image, statistics)[0][..., -8:])


def test_untrained_it_has_no_global_path() -> None:
    net = DiRNet(8, (1, 1, 1))
    image = torch.rand(1, 3, 32, 32)
    baseline, statistics = net(image)
    assert torch.equal(net(image, statistics + 1)[0], baseline)


def by_place(net: DiRNet) -> tuple[float, float]:
    """How far r0 of a constant picture departs from its own 8-pixel pattern: inside, and in the two outermost cells.

    In units of the spread of r0 over a picture of noise.
    """
    baseline, _ = net(torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 96, 80))
    unit = net(torch.rand(1, 3, 96, 80))[0].std((0, 2, 3))[:, None, None]
    departure = (baseline[0] - baseline[0, :, 20:24, 20:24].repeat(1, 12, 10)).abs() / unit
    inside = departure[:, 2:-2, 2:-2].clone()
    departure[:, 2:-2, 2:-2] = 0
    return float(inside.max().detach()), float(departure.max().detach())


def test_a_constant_picture_does_not_tell_where_a_cell_lies(net: DiRNet) -> None:
    """Mirrored edges hide it but for a trace in the two outermost cells; zeros show it from afar."""
    inside, outermost = by_place(net)
    assert inside < 1e-4
    assert outermost < 0.1
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "zeros"
    inside, outermost = by_place(net)
    assert inside > 0.05
    assert outermost > 0.5


def test_moving_the_picture_by_8_pixels_moves_the_representation(net: DiRNet) -> None:
    image = torch.rand(1, 3, 16, 320)
    _, statistics = net(image)
    moved, _ = net(image[..., 8:], statistics)
    whole, _ = net(image, statistics)
    torch.testing.assert_close(moved[..., 60:-60], whole[..., 64:-60], atol=1e-5, rtol=0)
