"""One RAW exposure as the sensor gives it. Plain data: no files, no learning."""

from __future__ import annotations

from dataclasses import dataclass

import torch

CFA_PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")


@dataclass(frozen=True)
class Mosaic:
    """RAW samples behind a Bayer colour filter array, with all that is needed to develop them.

    samples: (H, W) float, linear; 0 is the black level and 1 the white level (noise may fall below 0).
    cfa: one of `CFA_PATTERNS`, the colours of the top left 2x2 cell, row by row.
    black_level, white_level: in DN (digital numbers of the file); samples = (DN - black) / (white - black).
    white_balance: (3,) gains for R, G, B with G = 1 (the file's "as shot").
    ccm: (3, 3) white-balanced camera RGB -> linear sRGB, each row summing to 1.
    daylight: (3,) gains with G = 1 that would be right in daylight (D65), or None where that is not known.
    noise_profile: (S, O) with variance = S x + O on samples 0..1, or None where it is unknown.
    orientation: how the camera was held, as in EXIF (1..8); samples are not turned.
    """

    samples: torch.Tensor
    cfa: str
    black_level: float
    white_level: float
    white_balance: torch.Tensor
    ccm: torch.Tensor
    noise_profile: tuple[float, float] | None = None
    camera: str = ""
    orientation: int = 1
    daylight: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.samples.ndim != 2:
            raise ValueError(f"samples: got shape {tuple(self.samples.shape)}; wanted (H, W)")
        if self.cfa not in CFA_PATTERNS:
            raise ValueError(f"cfa: got {self.cfa!r}; wanted one of {', '.join(CFA_PATTERNS)}")
        if not self.white_level > self.black_level:
            raise ValueError(
                f"levels: got black {self.black_level}, white {self.white_level}; wanted white above black"
            )
