"""JPEG as libjpeg computes it, with gradients: bit-exact in float64, quick in float32.

The arithmetic is libjpeg's "islow" (accurate integer) transform with triangle ("fancy") chroma upsampling, written as
matrix products. In float64 every product is exact, so floors give the very integers of the C code; each floor or
rounding passes gradients straight through.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")

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


def jpeg(image: torch.Tensor, quality: torch.Tensor, subsampling: torch.Tensor, *, exact: bool = True) -> torch.Tensor:
    """Code and decode as JPEG: image (B, 3, H, W) sRGB 0..1 -> the same shape, multiples of 1/255.

    quality (B,) int 1..100 per sample, 0 leaves the sample as it is; subsampling (B,) int, index in `SUBSAMPLINGS`.
    exact: the very pixels of libjpeg-turbo (float64). Otherwise float32 without the inner roundings, about 46 dB from
    them. Gradients pass straight through every rounding.
    """
    coded = image.clone()
    for kind in torch.unique(subsampling[quality > 0]).tolist():
        chosen = torch.nonzero((quality > 0) & (subsampling == kind)).squeeze(1)
        pixels = _round(image[chosen].clamp(0, 1) * 255).to(torch.float64 if exact else torch.float32)
        decoded = _Coder(SUBSAMPLINGS[kind], exact).roundtrip(pixels, quality[chosen])
        coded = coded.index_copy(0, chosen, (decoded / 255).to(image.dtype))
    return coded


class _Coder:
    """One chroma layout and one way of rounding."""

    def __init__(self, subsampling: str, exact: bool) -> None:
        self.half_width = subsampling != "4:4:4"
        self.half_height = subsampling == "4:2:0"
        self.exact = exact

    def roundtrip(self, pixels: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        h, w = pixels.shape[-2:]
        luma, *chroma = self._to_ycc(pixels)
        luma_steps, chroma_steps = _steps(quality, luma)
        luma = self._code_plane(luma, luma_steps)
        red_blue = [self._upsample(self._code_plane(self._downsample(c), chroma_steps), h, w) for c in chroma]
        return self._to_rgb(luma, *red_blue)

    def _floor(self, value: torch.Tensor, divisor: int, bias: float) -> torch.Tensor:
        """floor((value + bias) / divisor) where exact; the plain quotient otherwise."""
        if not self.exact:
            return value / divisor
        quotient = (value + bias) / divisor
        return _straight_through(quotient, quotient.floor())

    def _to_ycc(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        r, g, b = pixels.unbind(1)
        centre = 128 << 16
        planes = [
            self._floor(19595 * r + 38470 * g + 7471 * b, 1 << 16, 32768),
            self._floor(-11059 * r - 21709 * g + 32768 * b + centre, 1 << 16, 32767),
            self._floor(32768 * r - 27439 * g - 5329 * b + centre, 1 << 16, 32767),
        ]
        return planes if self.exact else [_round(plane) for plane in planes]

    def _to_rgb(self, y: torch.Tensor, cb: torch.Tensor, cr: torch.Tensor) -> torch.Tensor:
        if not self.exact:
            y, cb, cr = _round(y), _round(cb), _round(cr)
        cb, cr = cb - 128, cr - 128
        red = y + self._floor(91881 * cr, 1 << 16, 32768)
        green = y + self._floor(-22554 * cb - 46802 * cr, 1 << 16, 32768)
        blue = y + self._floor(116130 * cb, 1 << 16, 32768)
        return _round(torch.stack((red, green, blue), 1).clamp(0, 255))

    def _downsample(self, plane: torch.Tensor) -> torch.Tensor:
        if not self.half_width:
            return plane
        plane = _extend(plane, 2 if self.half_height else 1, 16)
        pairs = plane[..., ::2] + plane[..., 1::2]
        bias = torch.arange(pairs.shape[-1], device=plane.device).remainder(2).to(plane)
        if not self.half_height:
            return self._floor(pairs + bias * self.exact, 2, 0)
        return self._floor(pairs[..., ::2, :] + pairs[..., 1::2, :] + (bias + 1) * self.exact, 4, 0)

    def _upsample(self, plane: torch.Tensor, h: int, w: int) -> torch.Tensor:
        """Triangle filter from the chroma plane to (H, W); plain repetition where libjpeg falls back to it."""
        if not self.half_width:
            return plane[..., :h, :w]
        plane = plane[..., : (h + 1) // 2 if self.half_height else h, : (w + 1) // 2]
        if plane.shape[-1] <= 2:
            plane = plane.repeat_interleave(2, -1)
            return (plane.repeat_interleave(2, -2) if self.half_height else plane)[..., :h, :w]
        if self.half_height:
            above = torch.cat((plane[..., :1, :], plane[..., :-1, :]), -2)
            below = torch.cat((plane[..., 1:, :], plane[..., -1:, :]), -2)
            plane = torch.stack((3 * plane + above, 3 * plane + below), -2).flatten(-3, -2)
        divisor, even_bias, odd_bias = (16, 8, 7) if self.half_height else (4, 1, 2)
        left = torch.cat((plane[..., :1], plane[..., :-1]), -1)
        right = torch.cat((plane[..., 1:], plane[..., -1:]), -1)
        even = self._floor(3 * plane + left, divisor, even_bias)
        odd = self._floor(3 * plane + right, divisor, odd_bias)
        return torch.stack((even, odd), -1).flatten(-2)[..., :h, :w]

    def _code_plane(self, plane: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """Transform, quantise and back: plane (B, H, W) 0..255, steps (B, 8, 8); any size."""
        h, w = plane.shape[-2:]
        dct = _dct_matrix(plane.dtype, plane.device)
        centred = _extend(plane, 8, 8) - 128
        coefficients = self._columns(self._rows(centred, dct, 11), dct, 15)  # eight times the true ones
        b, height, width = coefficients.shape
        coefficients = coefficients.view(b, height // 8, 8, width // 8, 8)
        step = steps[:, None, :, None, :]
        levels = coefficients / (8 * step)
        if self.exact:
            half = (4 * step).floor()
            integers = ((coefficients.abs() + half) / (8 * step)).floor() * coefficients.sign()
            levels = _straight_through(levels, integers)
        else:
            levels = _round(levels)
        restored = (levels * step).view(b, height, width)
        restored = self._rows(self._columns(restored, dct.T, 11), dct.T, 18)
        return (restored[..., :h, :w] + 128).clamp(0, 255)

    def _rows(self, plane: torch.Tensor, matrix: torch.Tensor, bits: int) -> torch.Tensor:
        """The 8-point transform along every row's blocks, divided by 2^bits."""
        product = plane.reshape(-1, 8) @ matrix.T
        return self._floor(product.view(plane.shape), 1 << bits, 1 << (bits - 1))

    def _columns(self, plane: torch.Tensor, matrix: torch.Tensor, bits: int) -> torch.Tensor:
        """The 8-point transform along every column's blocks, divided by 2^bits."""
        b, h, w = plane.shape
        product = torch.matmul(matrix, plane.reshape(b, h // 8, 8, w))
        return self._floor(product.view(b, h, w), 1 << bits, 1 << (bits - 1))


@cache
def _dct_matrix(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.tensor(_DCT, dtype=dtype, device=device)


def _steps(quality: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantisation tables (B, 8, 8) of luma and chroma by libjpeg's quality scale."""
    quality = quality.to(torch.int64)
    scale = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None]
    tables = []
    for base in (_LUMA_TABLE, _CHROMA_TABLE):
        table = (torch.tensor(base, device=quality.device) * scale + 50) // 100
        tables.append(table.clamp(1, 255).view(-1, 8, 8).to(like))
    return tables[0], tables[1]


def _round(value: torch.Tensor) -> torch.Tensor:
    return _straight_through(value, value.round())


def _straight_through(value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """The rounded value with the gradient of the unrounded one."""
    return value + (rounded - value).detach() if value.requires_grad else rounded


def _extend(plane: torch.Tensor, row_multiple: int, column_multiple: int) -> torch.Tensor:
    """Repeat the last row and column up to a multiple."""
    h, w = plane.shape[-2:]
    padding = (0, -w % column_multiple, 0, -h % row_multiple)
    return F.pad(plane.unsqueeze(1), padding, mode="replicate").squeeze(1) if any(padding) else plane
