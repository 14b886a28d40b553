"""Tone: the global part of a repair as explicit numbers, so that it can be kept, repaired or shown."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.isp.params import ISPParams
from dirnet.isp.tone import srgb_decode, srgb_encode
from dirnet.nets.blocks import channel_statistics, conv3x3, zero

_LUMA = (0.2126, 0.7152, 0.0722)  # of linear sRGB, ITU-R BT.709


class Tone(NamedTuple):
    """What brings a picture's tone to where it should be; all zero = as it is.

    log_gains (B, 3): natural logarithm of the gain of each linear colour; log_gamma (B,): of the power of the coded
    value; black (B,): what is subtracted from linear light; log_saturation (B,): of the distance from grey.
    """

    log_gains: torch.Tensor
    log_gamma: torch.Tensor
    black: torch.Tensor
    log_saturation: torch.Tensor

    @classmethod
    def against(cls, params: ISPParams) -> Tone:
        """The tone that undoes what the settings of B exposures did to tone and colour, as near as its numbers can.

        Gamma is undone exactly; gains bring grey back to grey; saturation brings the colour matrix nearest to none.
        """
        gains = (params.white_balance_ratio * params.exposure[:, None] * params.iso_gain[:, None]).diag_embed()
        done = params.ccm_used @ gains @ torch.linalg.inv(params.ccm)  # what became of linear sRGB
        grey = done.sum(2)
        balanced = done / grey[:, :, None]
        luma = done.new_tensor(_LUMA).expand(3, 3)
        colour = balanced - luma @ balanced
        wanted = torch.eye(3, device=done.device) - luma @ balanced
        saturation = (colour * wanted).sum((1, 2)) / colour.square().sum((1, 2))
        return cls(-grey.log(), -params.gamma_ratio.log(), -params.black_level_error, saturation.clamp(min=0.1).log())

    def numbers(self) -> torch.Tensor:
        """All six side by side, (B, 6)."""
        return torch.cat((self.log_gains, *(number[:, None] for number in self[1:])), 1)

    def repair(self, image: torch.Tensor) -> torch.Tensor:
        """Picture (B, 3, H, W) sRGB -> the same with its tone mended; exactly the picture where all is zero."""
        return image + (_forward(image, self) - _forward(image, _none(self)))

    def undo(self, image: torch.Tensor) -> torch.Tensor:
        """The inverse of `repair`, but for values that were cut at black."""
        return image + (_backward(image, self) - _backward(image, _none(self)))

    def detach(self) -> Tone:
        """The same numbers without gradients."""
        return Tone(*(number.detach() for number in self))


class ToneHead(nn.Module):
    """Looks at a contact sheet of a picture and gives its `Tone`.

    A sheet holds windows from all over the picture at full resolution, so that both its colours as a whole and its
    finest texture are there: noise and JPEG blocks tell a spoiled picture from a good one, which is to be left alone.
    """

    _QUANTILES = (0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.998)
    # The bound of each number: log gains, log gamma, black, log saturation.
    _BOUNDS = (1.0, 1.0, 1.0, 0.7, 0.1, 0.7)

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.texture = conv3x3(12, width)
        self.colour = nn.Conv2d(width, 2 * width, 2, 2)
        self.window = nn.Conv2d(2 * width, 3 * width, 2, 2)
        seen = 2 * (width + 3 * width) + 3 * len(self._QUANTILES)
        self.numbers = nn.Sequential(
            nn.Linear(seen, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), zero(nn.Linear(64, len(self._BOUNDS)))
        )

    def forward(self, sheet: torch.Tensor) -> Tone:
        """Contact sheets (B, 3, 64, 64), as `contact_sheet` makes them of degraded pictures -> their Tone."""
        texture = F.gelu(self.texture(F.pixel_unshuffle(sheet, 2)))
        windows = F.gelu(self.window(F.gelu(self.colour(texture))))
        ordered = sheet.flatten(2).float().sort(2).values
        places = [round(q * (ordered.shape[2] - 1)) for q in self._QUANTILES]
        quantiles = ordered[:, :, places].flatten(1)
        seen = torch.cat((channel_statistics(texture), channel_statistics(windows), quantiles), 1)
        bounds = torch.tensor(self._BOUNDS, device=sheet.device)
        numbers = bounds * torch.tanh(self.numbers(seen).float() / bounds)
        return Tone(numbers[:, :3], numbers[:, 3], numbers[:, 4], numbers[:, 5])


SHEET_WINDOWS = 8
SHEET_WINDOW = 8


def contact_sheet(image: torch.Tensor) -> torch.Tensor:
    """8 x 8 windows of 8 x 8 pixels, evenly spread over (B, C, H, W): (B, C, 64, 64); H and W at least 8.

    Windows start on multiples of 8, where JPEG blocks do, and overlap where a side is short.
    """
    for axis in (2, 3):
        last = (image.shape[axis] - SHEET_WINDOW) / (SHEET_WINDOWS - 1)
        starts = torch.tensor([int(last * i) // 8 * 8 for i in range(SHEET_WINDOWS)])
        index = (starts[:, None] + torch.arange(SHEET_WINDOW)).flatten().to(image.device)
        image = image.index_select(axis, index)
    return image


def _none(like: Tone) -> Tone:
    return Tone(*(torch.zeros_like(number) for number in like))


def _wide(number: torch.Tensor) -> torch.Tensor:
    return number[:, None, None, None]


def _power(image: torch.Tensor, log_exponent: torch.Tensor) -> torch.Tensor:
    size = image.abs().clamp(min=1e-4).log().mul(_wide(log_exponent.exp())).exp()
    return torch.where(image < 0, -size, size)  # values below black come back as they were


def _saturate(linear: torch.Tensor, log_saturation: torch.Tensor) -> torch.Tensor:
    luma = (linear * linear.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    return luma + (linear - luma) * _wide(log_saturation.exp())


def _forward(image: torch.Tensor, tone: Tone) -> torch.Tensor:
    linear = srgb_decode(_power(image, tone.log_gamma)) - _wide(tone.black)
    return srgb_encode(_saturate(linear * tone.log_gains.exp()[:, :, None, None], tone.log_saturation))


def _backward(image: torch.Tensor, tone: Tone) -> torch.Tensor:
    linear = _saturate(srgb_decode(image), -tone.log_saturation) * (-tone.log_gains).exp()[:, :, None, None]
    return _power(srgb_encode(linear + _wide(tone.black)), -tone.log_gamma)
