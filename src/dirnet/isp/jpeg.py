"""The arithmetic of JPEG as libjpeg does it, for one picture, in strips of rows that fit into a processor's cache.

The recipe is libjpeg-turbo's: colours of jccolor.c and jdcolor.c, chroma filters of jcsample.c and jdsample.c
("fancy" upsampling, a triangle), the accurate integer transform of jfdctint.c and jidctint.c ("islow"), rounding of
jcdctmgr.c. Its integers are whole floats here: colours and chroma stay within 2^24, which float32 holds, the transform
within 2^53, which float64 holds. So sums are exact in any order, and a floor gives the very integer of the C code.
Between the two colour conversions samples are centred: 0 stands for 128. Decoded, they fit eight bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F

_FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}  # rows and columns of the picture to one of chroma
SUBSAMPLINGS = tuple(_FACTORS)

# ITU-T T.81, annex K.
_LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)  # fmt: skip
# jfdctint.c as a matrix, in units of 2^-13; the inverse transform is its transpose.
_DCT = (
    (8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363),
    (10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703),
    (9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633),
    (8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437),
    (4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433),
    (2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260),
)
# Red, green, blue and a constant, in units of 2^-16.
_TO_YCC = (
    (19595, 38470, 7471, 32768 - (128 << 16)),
    (-11059, -21709, 32768, 32767),
    (32768, -27439, -5329, 32767),
)
_RED_OF_CR, _BLUE_OF_CB, _GREEN_OF_CB, _GREEN_OF_CR = 91881, 116130, -22554, -46802
_STRIP = 1 << 17  # pixels


def roundtrip(
    image: torch.Tensor, quality: int, subsampling: str, *, exact: bool, cropped: tuple[int, int] = (0, 0)
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Code and decode image (3, H, W) sRGB 0..1: one strip of rows after the other, (3, rows, W) whole numbers.

    They are the decoded picture once clamped to 0..255, and image may then be written to. exact: every pixel as
    libjpeg-turbo has it; otherwise the transform is done in float32 and without the roundings between its passes.
    cropped: how many rows above and columns on the left, under 16, were coded too and then cut off; they repeat the
    first row and column. For use under `torch.no_grad`.
    """
    top, left = cropped
    h, w = image.shape[-2] + top, image.shape[-1] + left
    down, across = _FACTORS[subsampling]
    dtype = torch.float64 if exact else torch.float32
    luma_steps, chroma_steps = _steps(quality, dtype, image.device)
    luma = image.new_empty(1, h, w, dtype=torch.int8)
    chroma = image.new_empty(2, -(-h // down), -(-w // across), dtype=torch.int8)
    height = max(16, _STRIP // w // 16 * 16)
    strips = [slice(start, min(h, start + height)) for start in range(0, h, height)]
    for rows in strips:
        pixels = image[:, max(0, rows.start - top) : rows.stop - top]
        if top or left:
            pixels = F.pad(pixels, (left, 0, max(0, top - rows.start), 0), mode="replicate")
        ycc = _to_ycc((pixels.clamp(0, 1) * 255).round_().float())
        _code_planes(ycc[:1], luma_steps, luma[:, rows], exact)
        small = slice(rows.start // down, -(-rows.stop // down))
        _code_planes(_downsample(ycc[1:], down, across), chroma_steps, chroma[:, small], exact)
    for rows in strips:
        cb, cr = _upsample(chroma, rows, down, across)[..., :w]
        rgb = _to_rgb(luma[0, rows].float(), cb, cr)
        yield slice(max(0, rows.start - top), rows.stop - top), rgb[:, max(0, top - rows.start) :, left:]


def pull_back(gradient: torch.Tensor, subsampling: str, *, cropped: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """From the gradient (3, H, W) of what `roundtrip` gives to that of its image, roundings passed straight through.

    The transform and its inverse then cancel, and so do the colours' conversions; what is left is that chroma is
    averaged and interpolated.
    """
    if any(cropped):
        top, left = cropped
        whole = pull_back(F.pad(gradient, (left, 0, top, 0)), subsampling)
        whole[:, top] += whole[:, :top].sum(1)  # what was cropped repeated the first row and column
        whole[..., left] += whole[..., :left].sum(2)
        return whole[:, top:, left:]
    down, across = _FACTORS[subsampling]
    if across == 1:
        return gradient
    h, w = gradient.shape[-2:]
    to_rgb = gradient.new_tensor([[0, _GREEN_OF_CB, _BLUE_OF_CB], [_RED_OF_CR, _GREEN_OF_CR, 0]]) / 65536
    to_chroma = gradient.new_tensor([row[:3] for row in _TO_YCC[1:]]) / 65536
    of_chroma = torch.einsum("kc,chw->khw", to_rgb, gradient)
    whole = F.pad(of_chroma, (0, w % 2, 0, h % down))
    small = _gather(whole, 2, triangle=w > 4) / 2
    if down == 2:
        small = _gather(small, 1, triangle=w > 4) / 2
    for row in range(down):
        whole[:, row::down, ::2] = small
        whole[:, row::down, 1::2] = small
    if w % 2:
        whole[..., -2] += whole[..., -1]  # an odd side was repeated
    if h % down:
        whole[:, -2] += whole[:, -1]
    return gradient + torch.einsum("kc,khw->chw", to_chroma, whole[:, :h, :w] - of_chroma)


def _gather(gradient: torch.Tensor, dim: int, *, triangle: bool) -> torch.Tensor:
    """The adjoint of upsampling by two along rows (dim 1) or columns (2): by the triangle filter or by repetition."""
    even, odd = gradient.unflatten(dim, (-1, 2)).unbind(dim + 1)
    if not triangle:
        return even + odd
    n = even.shape[dim]
    gathered = 3 * (even + odd)
    gathered.narrow(dim, 0, 1).add_(even.narrow(dim, 0, 1))
    gathered.narrow(dim, 0, n - 1).add_(even.narrow(dim, 1, n - 1))
    gathered.narrow(dim, 1, n - 1).add_(odd.narrow(dim, 0, n - 1))
    gathered.narrow(dim, n - 1, 1).add_(odd.narrow(dim, n - 1, 1))
    return gathered.div_(4)


def _to_ycc(pixels: torch.Tensor) -> torch.Tensor:
    """Whole numbers 0..255 to centred luma, blue and red difference, (3, H, W)."""
    ycc = pixels.new_empty(pixels.shape)
    red, green, blue = pixels
    for plane, (of_red, of_green, of_blue, constant) in zip(ycc, _TO_YCC, strict=True):
        torch.mul(red, of_red / 65536, out=plane)
        plane.add_(green, alpha=of_green / 65536).add_(blue, alpha=of_blue / 65536).add_(constant / 65536)
    return ycc.floor_()


def _to_rgb(luma: torch.Tensor, cb: torch.Tensor, cr: torch.Tensor) -> torch.Tensor:
    """Centred planes (H, W) to (3, H, W), whole numbers; chroma is summed before luma, or sums would pass 2^24."""
    luma = luma + 128.5
    rgb = luma.new_empty(3, *luma.shape)
    torch.add(luma, cr, alpha=_RED_OF_CR / 65536, out=rgb[0])
    torch.mul(cb, _GREEN_OF_CB / 65536, out=rgb[1]).add_(cr, alpha=_GREEN_OF_CR / 65536).add_(luma)
    torch.add(luma, cb, alpha=_BLUE_OF_CB / 65536, out=rgb[2])
    return rgb.floor_()


def _downsample(chroma: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """Mean of down x across samples, (2, H, W); halves go down and up in turn along a row, edges are repeated."""
    if across == 1:
        return chroma
    chroma = _extend(chroma, down, 16)
    sums = chroma[..., ::2] + chroma[..., 1::2]
    bias = torch.arange(sums.shape[-1], device=sums.device).remainder(2).to(sums.dtype)
    if down == 1:
        return ((sums + bias) / 2).floor_()
    return ((sums[:, ::2] + sums[:, 1::2] + (bias + 1)) / 4).floor_()


def _upsample(chroma: torch.Tensor, rows: slice, down: int, across: int) -> torch.Tensor:
    """Chroma (2, H, W) of some rows of the picture by the triangle filter; edges are repeated.

    A plane of one or two columns is repeated, as libjpeg does.
    """
    if across == 1:
        return chroma[:, rows].float()
    first, last = rows.start // down, -(-rows.stop // down)
    above, below = int(first > 0), int(last < chroma.shape[1])
    chroma = chroma[:, first - above : last + below].float()
    chroma = F.pad(chroma, (1, 1, 1 - above, 1 - below), mode="replicate")
    if chroma.shape[-1] <= 4:
        return chroma[:, 1:-1, 1:-1].repeat_interleave(down, 1).repeat_interleave(2, 2)[:, : rows.stop - rows.start]
    tall = chroma[:, 1:-1]
    if down == 2:
        tall = torch.stack((3 * tall + chroma[:, :-2], 3 * tall + chroma[:, 2:]), 2).flatten(1, 2)
    total, bias_even, bias_odd = (16, 8, 7) if down == 2 else (4, 1, 2)
    near = 3 * tall[..., 1:-1]
    wide = near.new_empty(*near.shape, 2)
    wide[..., 0] = near + tall[..., :-2] + bias_even
    wide[..., 1] = near + tall[..., 2:] + bias_odd
    return wide.flatten(2)[:, : rows.stop - rows.start].div_(total).floor_()


def _code_planes(planes: torch.Tensor, steps: torch.Tensor, decoded: torch.Tensor, exact: bool) -> None:
    """Transform, quantise by steps (8, 8) and back: centred planes (N, H, W), of which as much as decoded holds."""
    planes = _extend(planes, 8, 8).to(steps.dtype)
    step = steps.repeat(1, planes.shape[-1] // 8)
    first, second, last = (_dct(bits, steps.dtype, steps.device) for bits in (11, 15, 18))
    coefficients = _along_columns(_along_rows(planes, first, exact), second, exact)  # eight times the true ones
    blocks = coefficients.view(-1, *step.shape)
    # Halves go away from zero: the stretch moves them past the middle, and no other quotient is that near to it.
    blocks.mul_((1 + 2.0**-20) / (8 * step)).round_().mul_(step)
    restored = _along_rows(_along_columns(coefficients, first.T, exact), last.T, True)
    decoded.copy_(restored[:, : decoded.shape[1], : decoded.shape[2]].clamp_(-128, 127))


def _along_rows(planes: torch.Tensor, matrix: torch.Tensor, floor: bool) -> torch.Tensor:
    """Every row of every block times an 8 x 8 matrix; floor: to the next whole number, halves up."""
    product = (planes.view(-1, 8) @ matrix.T).view(planes.shape)
    return product.add_(0.5).floor_() if floor else product


def _along_columns(planes: torch.Tensor, matrix: torch.Tensor, floor: bool) -> torch.Tensor:
    """Every column of every block times an 8 x 8 matrix; floor: to the next whole number, halves up."""
    product = torch.matmul(matrix, planes.view(-1, 8, planes.shape[-1])).view(planes.shape)
    return product.add_(0.5).floor_() if floor else product


@cache
def _dct(bits: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.tensor(_DCT, dtype=dtype, device=device) / (1 << bits)


@cache
def _steps(quality: int, dtype: torch.dtype, device: torch.device) -> list[torch.Tensor]:
    """Quantisation tables (8, 8) of luma and chroma by libjpeg's quality scale."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = [((torch.tensor(base) * scale + 50) // 100).clamp(1, 255) for base in (_LUMA_TABLE, _CHROMA_TABLE)]
    return [table.view(8, 8).to(device, dtype) for table in tables]


def _extend(planes: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """Repeat the last row and column up to a multiple."""
    h, w = planes.shape[-2:]
    return F.pad(planes, (0, -w % across, 0, -h % down), mode="replicate") if h % down or w % across else planes
