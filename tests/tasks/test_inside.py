from __future__ import annotations

import torch
from torch import nn

from dirnet.nets.encoder import DiRNet
from dirnet.tasks.inputs import place
from dirnet.tasks.inside import Inside, _lay
from dirnet.tasks.spec import Spec


def test_r0_lies_where_the_picture_lies() -> None:
    baselines = [torch.full((2, 10, 20), 1.0), torch.full((2, 16, 16), 2.0)]
    laid = _lay(baselines, [(0.0, 0.0, 0.5, 1.0), (0.25, 0.5, 1.0, 0.75)], (8, 12))
    assert laid.shape == (2, 2, 8, 12)
    expected = torch.zeros(2, 8, 12)
    expected[0, :4], expected[1, 2:, 6:9] = 1, 2
    assert torch.equal(laid[:, 0], expected)


def test_r0_lies_in_at_least_one_cell() -> None:
    laid = _lay([torch.ones(2, 4, 4)], [(0.97, 0.0, 0.99, 0.01)], (4, 1))
    assert laid[0, 0].tolist() == [[0], [0], [0], [1]]


def test_r0_is_resampled_by_area() -> None:
    baseline = torch.rand(1, 8, 12)
    laid = _lay([baseline], [(0.0, 0.0, 1.0, 1.0)], (4, 3))
    assert torch.allclose(laid, torch.nn.functional.avg_pool2d(baseline[None], (2, 4)))


def test_padding_says_nothing_to_r0() -> None:
    spec = Spec("other", fit="letterbox", size=(32, 64), fill=0.25)
    wide = torch.full((3, 32, 64), 0.25)
    wide[:, :, :40] = torch.rand(3, 32, 40)
    inside = Inside(DiRNet(8, (1, 1, 1)), ["0"], [[3]])
    network, seen = nn.Sequential(nn.Identity()), []
    inside.aligners[0][0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))  # type: ignore[index]
    with inside.aligning(network, [place(wide, spec)]):
        network(wide[None])
    alone = inside.baseline(wide[None, :, :, :40])
    assert torch.equal(seen[0][..., 40:], torch.zeros(1, 8, 32, 24))
    assert torch.allclose(seen[0][..., :40], alone.repeat_interleave(2, 2).repeat_interleave(2, 3))
