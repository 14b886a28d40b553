"""A decoded photograph and all that must survive until it is written again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from dirnet.errors import PictureError
from dirnet.pictures.space import space_of

Pixels = npt.NDArray[np.float32]
STRIP = 256  # rows that are converted at a time


@dataclass(frozen=True, eq=False)
class Picture:
    """One upright photograph.

    pixels: (H, W, 3) float32, encoded as in the file: sRGB, or the space that `icc` describes. 0..1; those of a float
    TIFF are as they are, beyond 0 and 1 too.
    depth: bits a channel of the source: 8, 16, or 32 for floats; what is written has as many, if the format holds them.
    alpha: (H, W) float32, 0..1, straight, or None.
    grayscale: the source had one channel, repeated in `pixels`; it is written as one channel again.
    icc, exif, xmp: blocks of the source; `exif` begins with `Exif\\0\\0`; the orientation in both notes is 1.
    source: the file it was read from, which is never overwritten unasked.
    """

    pixels: Pixels
    depth: int = 8
    alpha: Pixels | None = None
    grayscale: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    source: Path | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels: got shape {self.pixels.shape}; wanted (H, W, 3)")
        if self.depth not in (8, 16, 32):
            raise ValueError(f"depth: got {self.depth}; wanted 8, 16 or 32")
        if self.alpha is not None and self.alpha.shape != self.pixels.shape[:2]:
            raise ValueError(f"alpha: got shape {self.alpha.shape}; wanted {self.pixels.shape[:2]}")

    def with_pixels(self, pixels: npt.NDArray[np.floating]) -> Picture:
        """The same picture with other pixels, (H, W, 3)."""
        return replace(self, pixels=np.ascontiguousarray(pixels, dtype=np.float32))

    def in_srgb(self) -> Picture:
        """The same picture as sRGB, not clipped, without its profile; itself where it is that or has none we know."""
        space = space_of(self.icc)
        if space is None:
            return self
        pixels = np.empty_like(self.pixels)
        for top in range(0, len(pixels), STRIP):
            rows = torch.from_numpy(self.pixels[top : top + STRIP]).permute(2, 0, 1)[None]
            pixels[top : top + STRIP] = space.to_srgb(rows)[0].permute(1, 2, 0).numpy()
        return replace(self, pixels=pixels, icc=None)

    def to_tensor(self) -> torch.Tensor:
        """The picture as sRGB: a (1, 3, H, W) float32 tensor of its own memory, clipped to 0..1."""
        return self.in_srgb()._planes().clamp_(0, 1)

    def _planes(self) -> torch.Tensor:
        """The pixels as they are, (1, 3, H, W), copied."""
        return torch.from_numpy(self.pixels.transpose(2, 0, 1)[None].copy())

    def on_white(self) -> Picture:
        """The same picture laid on white, without alpha."""
        if self.alpha is None:
            return self
        alpha = self.alpha[..., None]
        return replace(self.with_pixels(self.pixels * alpha + 1 - alpha), alpha=None)

    def with_tensor(self, tensor: torch.Tensor) -> Picture:
        """The same picture with the pixels of a (1, 3, H, W) tensor on any device, of the picture's own space."""
        if tensor.ndim != 4 or tensor.shape[:2] != (1, 3):
            raise ValueError(f"tensor: got shape {tuple(tensor.shape)}; wanted (1, 3, H, W)")
        return self.with_pixels(tensor.detach()[0].permute(1, 2, 0).float().cpu().numpy())


def check_free(path: Path, source: Path | None = None, *, force: bool = False) -> None:
    """Raise a PictureError if there is a file at `path`, unless `force`."""
    if path.exists() and not force:
        original = source is not None and source.exists() and path.samefile(source)
        what = f"{path} is the original itself" if original else f"{path} is there already"
        raise PictureError(what, cure="Write elsewhere, or force it.")
