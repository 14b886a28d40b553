"""The Bayer mosaic and back: bilinear and Malvar demosaicing with edges that keep the pattern's phase."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F

from dirnet.isp.sensor_data import CFA_PATTERNS

DEMOSAICS = ("none", "bilinear", "malvar")

_CROSS = ((0, 1, 0), (1, 0, 1), (0, 1, 0))
_BILINEAR = {
    "green": [[v / 4 for v in row] for row in _CROSS],
    "row": [[0, 0, 0], [0.5, 0, 0.5], [0, 0, 0]],
    "column": [[0, 0.5, 0], [0, 0, 0], [0, 0.5, 0]],
    "diagonal": [[0.25, 0, 0.25], [0, 0, 0], [0.25, 0, 0.25]],
}
# H. Malvar, L. He, R. Cutler, High-quality linear interpolation for demosaicing of Bayer-patterned color images,
# ICASSP 2004, figure 2; in eighths.
_MALVAR_ROW = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
_MALVAR = {
    "green": [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]],
    "row": _MALVAR_ROW,
    "column": [list(column) for column in zip(*_MALVAR_ROW, strict=True)],
    "diagonal": [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]],
}


def mosaic(image: torch.Tensor, cfa: str) -> torch.Tensor:
    """Keep one colour a pixel: image (B, 3, H, W) -> samples (B, 1, H, W). cfa: one of `CFA_PATTERNS`."""
    samples = image[:, 1:2].clone()  # every pattern has green on one diagonal
    for colour in (0, 2):
        y, x = divmod(cfa.index("RGB"[colour]), 2)
        samples[:, 0, y::2, x::2] = image[:, colour, y::2, x::2]
    return samples


def gain_mosaic(samples: torch.Tensor, gains: torch.Tensor, cfa: str) -> torch.Tensor:
    """Multiply each sample by the gain of its colour: samples (B, 1, H, W) of even size, gains (B, 3)."""
    b, _, h, w = samples.shape
    cell = gains[:, ["RGB".index(c) for c in cfa]].view(b, 1, 1, 2, 1, 2)
    return (samples.view(b, 1, h // 2, 2, w // 2, 2) * cell).view(b, 1, h, w)


def demosaic(samples: torch.Tensor, cfa: str, method: str) -> torch.Tensor:
    """Fill in the two colours that each pixel lacks: samples (B, 1, H, W) -> image (B, 3, H, W), not clipped.

    method: "bilinear" or "malvar". Edges are mirrored about the outer pixel, which keeps the colours' phase; a side
    of a single pixel is repeated. Done on the four phase planes, where both filters are one 3x3 convolution.
    """
    h, w = samples.shape[-2:]
    padded = _mirror(samples, 2, 2 + h % 2, 2, 2 + w % 2)
    planes = F.pixel_unshuffle(padded, 2)
    kernels = _phase_kernels(cfa, method).to(planes)
    # One sample at a time: convolutions choose their order of summing by the batch, and a sample must not depend on it.
    filled = torch.cat([F.conv2d(sample, kernels) for sample in planes.split(1)])
    return F.pixel_shuffle(filled, 2)[..., :h, :w]


def _mirror(image: torch.Tensor, top: int, bottom: int, left: int, right: int) -> torch.Tensor:
    """Pad by reflection about the outer pixel, in as many steps as a small side needs."""
    h, w = image.shape[-2:]
    rows = _mirrored_indices(h, top, bottom).to(image.device)
    columns = _mirrored_indices(w, left, right).to(image.device)
    return image[..., rows, :][..., columns]


def _mirrored_indices(n: int, before: int, after: int) -> torch.Tensor:
    if n == 1:
        return torch.zeros(before + 1 + after, dtype=torch.long)
    index = torch.arange(-before, n + after).remainder(2 * n - 2)
    return torch.minimum(index, 2 * n - 2 - index)


@cache
def _phase_kernels(cfa: str, method: str) -> torch.Tensor:
    """(12, 4, 3, 3) float64: from the 4 phase planes to 3 colours x 4 phases, as `pixel_shuffle` orders them."""
    if cfa not in CFA_PATTERNS:
        raise ValueError(f"cfa: got {cfa!r}; wanted one of {', '.join(CFA_PATTERNS)}")
    kernels, divisor = {"bilinear": (_BILINEAR, 1), "malvar": (_MALVAR, 8)}[method]
    weight = torch.zeros(12, 4, 3, 3, dtype=torch.float64)
    for colour in range(3):
        for phase in range(4):
            y, x = divmod(phase, 2)
            taps = _taps(cfa, "RGB"[colour], y, x, kernels, divisor)
            for (dy, dx), value in taps.items():
                # A neighbour at (y + dy, x + dx) is on plane (row parity, column parity), some cells away.
                source = (y + dy) % 2 * 2 + (x + dx) % 2
                weight[colour * 4 + phase, source, 1 + (y + dy) // 2, 1 + (x + dx) // 2] += value
    return weight


def _taps(cfa: str, colour: str, y: int, x: int, kernels: dict, divisor: float) -> dict[tuple[int, int], float]:
    """The full-resolution filter for one colour at one phase, as {(dy, dx): weight}."""
    here = cfa[y * 2 + x]
    if here == colour:
        return {(0, 0): 1.0}
    if colour == "G":
        kind = "green"
    elif here == "G":
        kind = "row" if colour == cfa[y * 2 + (1 - x)] else "column"
    else:
        kind = "diagonal"
    kernel = kernels[kind]
    centre = len(kernel) // 2
    return {
        (i - centre, j - centre): value / divisor
        for i, row in enumerate(kernel)
        for j, value in enumerate(row)
        if value
    }
