"""Photographs for training: decoded once, cropped by step number, so that a resumed run sees what it must."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from dirnet.devices import usable_cores
from dirnet.errors import DirnetError, TrainingError
from dirnet.learn.grain import without_grain
from dirnet.learn.leaves import dead_leaves
from dirnet.nets.tone import SHEET_WINDOW, contact_sheet
from dirnet.pictures.folders import gather
from dirnet.pictures.read import read_picture

CACHE_BYTES = 4 << 30
ROOM = 32  # pixels by which the crops of one scene may lie apart
SCALES = (1.0, 1.0, 0.75, 0.5)  # a smaller copy is a sharper, cleaner photograph
LARGEST = 3.0  # a larger one is as soft as what a camera of many pixels gives


@dataclass(frozen=True)
class Scenes:
    """A step's photographs: pictures (B, 3, S, S), crops or contact sheets, and a name for each, new at every step."""

    pictures: torch.Tensor
    names: list[str]

    def to(self, device: torch.device) -> Scenes:
        """The same on another device."""
        return Scenes(self.pictures.to(device), self.names)


class Photographs:
    """All photographs below some folders, as 8-bit sRGB in memory (up to `CACHE_BYTES`; the rest is read again).

    smallest: shorter sides are left out. cleaned: without their own grain (`learn.grain`), .2 s each on one core.
    Raises TrainingError where nothing is left.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        smallest: int,
        *,
        cleaned: bool = False,
        on_read: Callable[[int, int], None] | None = None,
    ) -> None:
        self.paths: list[Path] = []
        self.left_out = 0
        self._cleaned = cleaned
        self._cache: dict[int, torch.Tensor] = {}
        self._bytes = 0
        inputs = gather(folders).inputs
        paths = [item.path for item in inputs]
        with ThreadPoolExecutor(usable_cores()) as pool:
            for number, (path, photograph) in enumerate(zip(paths, pool.map(self._try, paths), strict=True), 1):
                self._take(path, photograph, smallest)
                if on_read:
                    on_read(number, len(inputs))
        if not self.paths:
            raise TrainingError(
                "No photograph to train on",
                got=f"{self.left_out} files in {', '.join(str(folder) for folder in folders)}",
                wanted=f"pictures of at least {smallest} pixels a side",
            )

    def __len__(self) -> int:
        return len(self.paths)

    def photograph(self, index: int) -> torch.Tensor:
        """(3, H, W) uint8."""
        return self._cache[index] if index in self._cache else self._read(self.paths[index])

    def hash(self) -> str:
        """sha256 over the names and sizes of the photographs."""
        lines = sorted(f"{path.name} {path.stat().st_size}" for path in self.paths)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def crops(
        self,
        n: int,
        size: int,
        key: str,
        scales: Sequence[float] = SCALES,
        enlarged: float = 0.0,
        leaves: float = 0.0,
    ) -> Scenes:
        """n random crops of `size` pixels, turned, mirrored and scaled by one of `scales`; a function of key alone.

        enlarged: the share of them that are scaled by 1 to `LARGEST` instead; leaves: the share of scenes that are none
        of a photograph but dead leaves.
        """

        def take(photograph: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            if leaves and torch.rand(1, generator=generator) < leaves:
                return dead_leaves(size, generator)
            return _crop(photograph, size, scales, enlarged, generator)

        return self._draw(n, key, take)

    def sheets(self, n: int, key: str) -> Scenes:
        """The contact sheets of random parts of n photographs; a function of key alone."""
        return self._draw(n, key, _sheet)

    def _draw(self, n: int, key: str, take: Callable[[torch.Tensor, torch.Generator], torch.Tensor]) -> Scenes:
        generator = torch.Generator().manual_seed(seed_of(key))
        indices = torch.randint(len(self), (n,), generator=generator).tolist()
        pictures = [take(self.photograph(index), generator) for index in indices]
        return Scenes(torch.stack(pictures), [f"{key}/{i}" for i in range(n)])

    def _read(self, path: Path) -> torch.Tensor:
        photograph = decode_photograph(path)
        return without_grain(photograph) if self._cleaned else photograph

    def _try(self, path: Path) -> torch.Tensor | DirnetError:
        try:
            return self._read(path)
        except DirnetError as error:
            return error

    def _take(self, path: Path, photograph: torch.Tensor | DirnetError, smallest: int) -> None:
        if isinstance(photograph, DirnetError) or min(photograph.shape[1:]) < smallest:
            self.left_out += 1
            return
        if self._bytes + photograph.numel() <= CACHE_BYTES:
            self._cache[len(self.paths)] = photograph
            self._bytes += photograph.numel()
        self.paths.append(path)


def seed_of(key: str) -> int:
    """A seed for what is drawn under that name."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7])


def decode_photograph(path: Path) -> torch.Tensor:
    """A picture as (3, H, W) uint8, sRGB. DirnetError where it cannot be read."""
    return (read_picture(path).to_tensor()[0] * 255).round().to(torch.uint8)


def _crop(
    photograph: torch.Tensor, size: int, scales: Sequence[float], enlarged: float, generator: torch.Generator
) -> torch.Tensor:
    h, w = photograph.shape[1:]
    pick = torch.rand(5, generator=generator).tolist()
    window = size
    if pick[0] < enlarged:
        scale = LARGEST ** (pick[0] / enlarged)
    else:
        scale = scales[int((pick[0] - enlarged) / (1 - enlarged) * len(scales))]
    fitting = round(size / scale)
    if fitting <= min(h, w):
        window = fitting
    top, left = int(pick[1] * (h - window + 1)), int(pick[2] * (w - window + 1))
    crop = photograph[:, top : top + window, left : left + window].float() / 255
    if window != size:
        crop = F.interpolate(crop[None], (size, size), mode="bicubic", antialias=True)[0].clamp(0, 1)
    crop = crop.rot90(int(pick[3] * 4), (1, 2))
    return (crop.flip(2) if pick[4] < 0.5 else crop).contiguous()


def _sheet(photograph: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The contact sheet of a random part of a photograph, each side between half of it and the whole."""
    pick = torch.rand(5, generator=generator).tolist()
    for axis, (share, place) in enumerate((pick[0:2], pick[2:4]), 1):
        side = photograph.shape[axis]
        part = max(2 * SHEET_WINDOW, int(side * (1 + share) / 2))
        photograph = photograph.narrow(axis, int(place * (side - part + 1)), part)
    photograph = photograph.flip(2) if pick[4] < 0.5 else photograph
    return contact_sheet(photograph[None])[0].float() / 255
