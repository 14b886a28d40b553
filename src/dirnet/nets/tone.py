"""Tone: the global part of a repair as explicit numbers, so that it can be kept, repaired or shown."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from dirnet.isp.params import ISPParams
from dirnet.isp.tone import srgb_decode, srgb_encode
from dirnet.nets.blocks import zero

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


class ToneHead(nn.Module):
    """Looks at a contact sheet of a picture and gives its `Tone`.

    It sees the sheet's `statistics` alone. Colours say how wrong the tone is; grain and block edges say how spoiled the
    picture is, and so how far a guess may go: a good picture is to be left alone.
    """

    # The bound of each number: log gains, log gamma, black, log saturation.
    _BOUNDS = (1.0, 1.0, 1.0, 0.7, 0.1, 0.7)

    def __init__(self, width: int = 96, dropout: float = 0.3) -> None:
        super().__init__()
        self.standardise = Standardise(STATISTICS)
        self.numbers = nn.Sequential(
            nn.Linear(STATISTICS, width), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout),
            zero(nn.Linear(width, len(self._BOUNDS))),
        )  # fmt: skip

    def forward(self, sheet: torch.Tensor) -> Tone:
        """Contact sheets (B, 3, 128, 128), as `contact_sheet` makes them of degraded pictures -> their Tone."""
        bounds = torch.tensor(self._BOUNDS, device=sheet.device)
        seen = self.standardise(statistics(sheet.detach().float()))
        numbers = bounds * torch.tanh(self.numbers(seen).float() / bounds)
        return Tone(numbers[:, :3], numbers[:, 3], numbers[:, 4], numbers[:, 5])


class Standardise(nn.Module):
    """Columns (B, N) brought to mean 0 and spread 1 by running figures, which follow the data while it learns."""

    _MOMENTUM = 0.02
    _LIMIT = 6.0
    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(columns))

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, N) within +-6; in training a batch of two or more moves the running figures."""
        if self.training and len(table) > 1:
            self.mean.lerp_(table.mean(0), self._MOMENTUM)
            self.spread.lerp_((table - self.mean).square().mean(0).sqrt(), self._MOMENTUM)
        return ((table - self.mean) / (self.spread + 1e-3)).clamp(-self._LIMIT, self._LIMIT)


_QUANTILES = (
    0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5,
    0.65, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0,
)  # fmt: skip
_SHADES = (0.0, 0.15, 0.35, 0.6, 0.85, 1.01)
STATISTICS = 5 * len(_QUANTILES) + 6 + 5 + 9 + 6 + 4 * (len(_SHADES) - 1) + 1


def statistics(sheet: torch.Tensor) -> torch.Tensor:
    """Contact sheets (B, 3, 128, 128) -> (B, STATISTICS): what tells a wrong tone, and how spoiled a picture is.

    Quantiles of each colour and of the least and greatest; shares cut at black and white; mean light and its colour;
    covariance of the colours; size of the diagonal detail in 2 x 2 cells, by shade; edges at JPEG blocks over others.
    """
    some = sheet[..., ::2, ::2]  # enough for quantiles, and sorting is slow
    colours = torch.cat((some, some.amin(1, True), some.amax(1, True)), 1).flatten(2)
    ordered = colours.sort(2).values
    quantiles = ordered[:, :, [round(q * (ordered.shape[2] - 1)) for q in _QUANTILES]]
    cut = torch.cat(((sheet >= 0.999).float().mean((2, 3)), (sheet <= 0.001).float().mean((2, 3))), 1)
    light = srgb_decode(sheet).mean((2, 3)).clamp(min=0) + 1e-3
    colour = (light[:, ::2] / light[:, 1:2]).log()
    centred = (sheet - sheet.mean((2, 3), keepdim=True)).flatten(2)
    covariance = centred @ centred.transpose(1, 2) / centred.shape[2]

    cells = sheet.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    detail = cells[:, :, :, 0, :, 0] - cells[:, :, :, 0, :, 1] - cells[:, :, :, 1, :, 0] + cells[:, :, :, 1, :, 1]
    detail, brightness = detail.abs().flatten(2), cells.mean((1, 3, 5)).flatten(1)
    grain = [(detail.mean(2) + 1e-3).log(), (detail.median(2).values + 1e-3).log()]
    for darkest, brightest in pairwise(_SHADES):
        inside = ((brightness >= darkest) & (brightness < brightest)).float()[:, None]
        grain += [((detail * inside).sum(2) / (inside.sum(2) + 20) + 1e-3).log(), inside.mean(2)]
    windows = sheet.unflatten(3, (-1, SHEET_WINDOW))
    block_edge = (windows[..., 7] - windows[..., 8]).abs().mean((1, 2, 3))
    other_edge = (windows[..., 5] - windows[..., 6]).abs().mean((1, 2, 3))
    edges = (block_edge / (other_edge + 1e-3))[:, None]
    return torch.cat((quantiles.flatten(1), cut, light.log(), colour, covariance.flatten(1), *grain, edges), 1)


SHEET_WINDOWS = 8
SHEET_WINDOW = 16


def contact_sheet(image: torch.Tensor) -> torch.Tensor:
    """8 x 8 windows of 16 x 16 pixels, evenly spread over (B, C, H, W): (B, C, 128, 128); H and W at least 16.

    Windows are at full resolution, so that grain and blocks stay what they are; they start on multiples of 16, where
    the blocks of a JPEG of halved chroma do, and overlap where a side is short.
    """
    for axis in (2, 3):
        last = (image.shape[axis] - SHEET_WINDOW) / (SHEET_WINDOWS - 1)
        starts = torch.tensor([int(last * i) // SHEET_WINDOW * SHEET_WINDOW for i in range(SHEET_WINDOWS)])
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
