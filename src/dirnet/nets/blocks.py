"""The few pieces that every network here is made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

# Three levels at 1/2, 1/4, 1/8; the smallest side that can be mirrored at the deepest level is two cells.
SIZE_MULTIPLE = 8
SMALLEST_SIZE = 16


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3 convolution; edges are mirrored, since zeros would tell the network where it is."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


def zero_bias(layer: nn.Conv2d | nn.Linear) -> None:
    """The layer's bias, where it has one, set to zero."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def isometry(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer started near an isometry of the channels at its middle tap: it passes on all that it is given."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
        zero_bias(layer)
        layer.weight[:, :, 1, 1] += nn.init.orthogonal_(torch.empty(layer.weight.shape[:2]))
    return layer


def zero(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """The layer with all weights zero: what follows it starts as nothing at all."""
    nn.init.zeros_(layer.weight)
    zero_bias(layer)
    return layer


class ResidualBlock(nn.Module):
    """x + conv(GELU(conv(x))): (B, C, H, W) -> the same shape. Starts near x, so that deep stacks learn at once."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3x3(channels, channels)
        self.second = conv3x3(channels, channels)
        nn.init.kaiming_normal_(self.first.weight)
        with torch.no_grad():
            self.second.weight.mul_(0.1)
            zero_bias(self.second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.second(F.gelu(self.first(x)))


def blocks(channels: int, n: int) -> nn.Sequential:
    """n residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(n)))


def channel_statistics(features: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation of every channel: (B, C, H, W) -> (B, 2 C), in float32."""
    features = features.float()
    mean = features.mean((2, 3))
    variance = (features - mean[:, :, None, None]).square().mean((2, 3))
    return torch.cat((mean, (variance + 1e-6).sqrt()), 1)


def pad_to_multiple(image: torch.Tensor) -> torch.Tensor:
    """Pad (B, C, H, W) at the bottom and right to multiples of 8, at least 16: mirrored, repeated where too short."""
    for axis in (2, 3):
        side = image.shape[axis]
        missing = max(SMALLEST_SIZE, -(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE) - side
        if missing:
            padding = (0, 0, 0, missing) if axis == 2 else (0, missing, 0, 0)
            image = F.pad(image, padding, mode="reflect" if missing < side else "replicate")
    return image
