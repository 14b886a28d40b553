"""The Bayer mosaic and back: four ways of demosaicing, with edges that keep the pattern's phase."""

from __future__ import annotations

from functools import cache, partial

import torch
import torch.nn.functional as F

from dirnet.isp.cells import mix_neighbours, pattern
from dirnet.isp.edges import mirror
from dirnet.isp.sensor_data import CFA_PATTERNS

DEMOSAICS = ("none", "bilinear", "malvar", "nearest", "edge_aware")
# From how many rows away samples have a say in a pixel; even, for whole cells.
DEMOSAIC_REACH = {"none": 0, "bilinear": 2, "malvar": 2, "nearest": 2, "edge_aware": 6}

# A missing colour as a weighted sum of what `cells.mix_neighbours` mixes: the sample itself, those beside it, those
# above and below, on the diagonals and, for Malvar, two steps away in the row and in the column. In quarters.
_BILINEAR = {"green": (0, 1, 1, 0), "row": (0, 2, 0, 0), "column": (0, 0, 2, 0), "diagonal": (0, 0, 0, 1)}
# H. Malvar, L. He, R. Cutler, High-quality linear interpolation for demosaicing of Bayer-patterned color images,
# ICASSP 2004, figure 2; in eighths.
_MALVAR = {
    "green": (4, 2, 2, 0, -1, -1),
    "row": (5, 4, 0, -1, -1, 0.5),
    "column": (5, 0, 4, -1, 0.5, -1),
    "diagonal": (6, 0, 0, 2, -1.5, -1.5),
}

# Which bits of a site's number change from a sample to its neighbours, plane by plane.
_NEAR, _FAR = (0, 1, 2, 3), (0, 1, 2, 3, 0, 0)
# How much a flat picture's colours may be taken to change over 5 x 5 sites, squared.
_FLAT = 1e-3


def mosaic(image: torch.Tensor, cfa: str) -> torch.Tensor:
    """Keep one colour a pixel: image (B, 3, H, W) -> samples (B, 1, H, W). cfa: one of `CFA_PATTERNS`."""
    samples = image[:, 1:2].clone()  # every pattern has green on one diagonal
    for colour in (0, 2):
        y, x = divmod(cfa.index("RGB"[colour]), 2)
        samples[:, 0, y::2, x::2] = image[:, colour, y::2, x::2]
    return samples


def gain_mosaic(samples: torch.Tensor, gains: torch.Tensor, cfa: str) -> torch.Tensor:
    """Multiply each sample by the gain of its colour: samples (B, 1, H, W) of even size, gains (B, 3)."""
    return _gain_sites(samples, gains[:, ["RGB".index(colour) for colour in cfa]])


def imbalance_greens(samples: torch.Tensor, ratio: torch.Tensor, cfa: str) -> torch.Tensor:
    """The second green of each cell, in raster order, times 1 + ratio (B,); samples (B, 1, H, W) of even size."""
    second = ratio.new_tensor([site == cfa.rindex("G") for site in range(4)])
    return _gain_sites(samples, 1 + ratio[:, None] * second)


def demosaic(samples: torch.Tensor, cfa: str, method: str) -> torch.Tensor:
    """Fill in the two colours that each pixel lacks: samples (B, 1, H, W) -> image (B, 3, H, W), not clipped.

    method: one of `DEMOSAICS` but "none". "nearest" takes the sample of that colour in the same 2 x 2 cell, of two
    greens the one in the same row; "edge_aware": see `_along_edges`. Edges are mirrored about the outer pixel, which
    keeps the colours' phase; a side of a single pixel is repeated.
    """
    if cfa not in CFA_PATTERNS:
        raise ValueError(f"cfa: got {cfa!r}; wanted one of {', '.join(CFA_PATTERNS)}")
    (h, w), reach = samples.shape[-2:], DEMOSAIC_REACH[method]
    padded = mirror(samples, reach, reach + h % 2, reach, reach + w % 2)
    fill = {"nearest": _nearest, "edge_aware": _along_edges}.get(method, partial(_linear, method=method))
    return torch.cat([fill(sample, cfa) for sample in padded.split(1)])[..., :h, :w]


@cache
def taps(cfa: str, method: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A linear method ("bilinear" or "malvar") as weights of the P = 4 or 6 planes of `cells.mix_neighbours`.

    The weights (P, 3, 4) in the three colours at each site of the cell, and the colour (P, 4) of each plane's samples.
    """
    kinds, whole, steps = {"bilinear": (_BILINEAR, 4, _NEAR), "malvar": (_MALVAR, 8, _FAR)}[method]
    weights = [[_weights(cfa, colour, site, kinds, whole) for site in range(4)] for colour in "RGB"]
    colours = [["RGB".index(cfa[site ^ step]) for site in range(4)] for step in steps]
    return torch.tensor(weights).movedim(2, 0) / whole, torch.tensor(colours)


def _weights(cfa: str, colour: str, site: int, kinds: dict[str, tuple[float, ...]], whole: int) -> tuple[float, ...]:
    if cfa[site] == colour:
        return (whole, *(0 for _ in kinds["green"][1:]))
    if colour == "G":
        return kinds["green"]
    if cfa[site] != "G":
        return kinds["diagonal"]
    return kinds["row" if cfa[site ^ 1] == colour else "column"]


def _linear(padded: torch.Tensor, cfa: str, method: str) -> torch.Tensor:
    return mix_neighbours(padded, pattern(taps(cfa, method)[0].to(padded), padded.shape[-1]))


def _nearest(padded: torch.Tensor, cfa: str) -> torch.Tensor:
    samples = _at(padded, 2)
    h, w = samples.shape[-2:]
    cells = samples.reshape(h // 2, 2, w // 2, 2)
    red, blue = (cells[:, y, None, :, x, None] for y, x in (divmod(cfa.index(colour), 2) for colour in "RB"))
    column = cfa.index("G")  # in the first row of a cell
    green = torch.stack((cells[:, 0, :, column], cells[:, 1, :, 1 - column]), 1)[..., None]
    return torch.stack([colour.expand_as(cells) for colour in (red, green, blue)]).view(1, 3, h, w)


def _along_edges(padded: torch.Tensor, cfa: str) -> torch.Tensor:
    """Along edges and not across them: samples (1, 1, H + 12, W + 12) -> image (1, 3, H, W).

    After I. Pekkucuksen, Y. Altunbasak, Gradient based threshold free color filter array interpolation, ICIP 2010: the
    difference between green and the other colour is estimated at every site along the row and along the column; the two
    are blended by the inverse squares of how much they change nearby. Missing greens are the samples plus that
    difference; missing reds and blues are green less theirs, filled in bilinearly.
    """
    green = padded.new_tensor([[colour == "G" for colour in cfa]])
    lines = [(_gain_sites(_difference(padded, *step), 2 * green - 1), step) for step in ((0, 1), (1, 0))]
    row, column = (_at(line, 3) / 2 + (_at(line, 3, -dy, -dx) + _at(line, 3, dy, dx)) / 4 for line, (dy, dx) in lines)
    in_row, in_column = (
        _box((_at(line, 1, dy, dx) - _at(line, 1, -dy, -dx)).abs()).square() + _FLAT for line, (dy, dx) in lines
    )
    difference = torch.lerp(column, row, in_column / (in_row + in_column))
    weights = taps(cfa, "bilinear")[0].to(padded) * padded.new_tensor([1, 0, 1])[:, None]
    around = F.pad(difference, (1, 1, 1, 1))  # which bilinear filters do not reach
    filled = mix_neighbours(around, pattern(weights, around.shape[-1]))
    return _at(padded, 6) + (_gain_sites(_at(difference, 1), 1 - green) - filled)


def _difference(padded: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    """Each sample less what its neighbours on a line say of the other colour there (Hamilton, Adams); margin 2."""
    near = _at(padded, 2, -dy, -dx) + _at(padded, 2, dy, dx)
    far = _at(padded, 2, -2 * dy, -2 * dx) + _at(padded, 2, 2 * dy, 2 * dx)
    return (_at(padded, 2) - near) / 2 + far / 4


def _box(image: torch.Tensor) -> torch.Tensor:
    """Sums of 5 x 5 pixels; margin 2."""
    for dim in (-2, -1):
        n = image.shape[dim] - 4
        pairs = image.narrow(dim, 0, n + 3) + image.narrow(dim, 1, n + 3)
        image = pairs.narrow(dim, 0, n) + pairs.narrow(dim, 2, n) + image.narrow(dim, 4, n)
    return image


def _at(image: torch.Tensor, margin: int, dy: int = 0, dx: int = 0) -> torch.Tensor:
    """What is inside a margin, shifted by (dy, dx)."""
    h, w = image.shape[-2] - 2 * margin, image.shape[-1] - 2 * margin
    return image[..., margin + dy : margin + dy + h, margin + dx : margin + dx + w]


def _gain_sites(samples: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Samples (B, 1, H, W) of even size times gains (B or 1, 4) of the sites of the 2 x 2 cell."""
    b, _, h, w = samples.shape
    rows = pattern(gains[:, None], w)
    return (samples.reshape(b, 1, h // 2, 2 * w) * rows).view(b, 1, h, w)
