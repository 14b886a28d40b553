from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dirnet.nets.blocks import ResidualBlock, blocks, channel_statistics, conv3x3, pad_to_multiple, zero


def mirrored(image: torch.Tensor) -> torch.Tensor:
    return F.pad(image, (1, 1, 1, 1), mode="reflect")


def test_a_convolution_sees_mirrored_edges() -> None:
    x, layer = torch.randn(2, 3, 6, 5), conv3x3(3, 4)
    torch.testing.assert_close(layer(x), F.conv2d(mirrored(x), layer.weight, layer.bias))


def test_a_constant_picture_does_not_tell_where_it_ends() -> None:
    flat = blocks(4, 2)(torch.rand(1, 4, 1, 1).expand(1, 4, 8, 6))
    torch.testing.assert_close(flat, flat[..., :1, :1].expand_as(flat))


def test_a_residual_block_is_its_formula() -> None:
    x, block = torch.randn(2, 4, 7, 8), ResidualBlock(4)
    inner = F.gelu(F.conv2d(mirrored(x), block.first.weight, block.first.bias))
    expected = x + F.conv2d(mirrored(inner), block.second.weight, block.second.bias)
    torch.testing.assert_close(block(x), expected)
    zero(block.second)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 1), nn.Linear(3, 5), nn.Linear(3, 5, bias=False)])
def test_a_zeroed_layer_gives_nothing(layer: nn.Conv2d | nn.Linear) -> None:
    x = torch.randn(2, 3, 1, 1) if isinstance(layer, nn.Conv2d) else torch.randn(2, 3)
    assert not zero(layer)(x).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channel_statistics_are_mean_and_population_deviation_in_float32(dtype: torch.dtype) -> None:
    features = (torch.randn(2, 3, 9, 7) * 2 + 5).to(dtype)
    mean, spread = channel_statistics(features).unflatten(1, (2, 3)).unbind(1)
    assert mean.dtype is torch.float32
    torch.testing.assert_close(mean, features.float().mean((2, 3)))
    torch.testing.assert_close(spread, features.float().std((2, 3), correction=0), atol=1e-5, rtol=1e-5)


def test_statistics_of_a_far_away_constant_are_finite_and_have_gradients() -> None:
    features = torch.full((1, 2, 4, 4), 1000.0, requires_grad=True)
    statistics = channel_statistics(features)
    torch.testing.assert_close(statistics, torch.tensor([[1000.0, 1000.0, 1e-3, 1e-3]]))
    statistics.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("height", [1, 2, 7, 8, 9, 15, 16, 17, 24, 33])
@pytest.mark.parametrize("width", [1, 8, 9, 21, 40])
def test_padding_goes_to_multiples_of_8_at_the_bottom_and_right(height: int, width: int) -> None:
    image = torch.rand(1, 3, height, width)
    padded = pad_to_multiple(image)
    for side, wide in ((height, padded.shape[2]), (width, padded.shape[3])):
        assert wide % 8 == 0
        assert wide == max(16, side + -side % 8)
    assert torch.equal(padded[..., :height, :width], image)


def test_padding_is_mirrored_and_repeated_where_a_side_is_too_short() -> None:
    image = torch.rand(1, 3, 7, 13)  # 9 rows are missing, and there are 6 to mirror; 3 columns are missing
    wide = F.pad(image, (0, 3, 0, 0), mode="reflect")
    assert torch.equal(pad_to_multiple(image), F.pad(wide, (0, 0, 0, 9), mode="replicate"))
    fits = torch.rand(1, 3, 16, 24)
    assert torch.equal(pad_to_multiple(fits), fits)
