"""Pictures on their way into a network of any conventions, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from dirnet.errors import UsageError
from dirnet.tasks.spec import Spec

_OVERSHOOT = 0.25  # what resizing may leave outside 0..1
_SAME = 1e-3  # of white: a quarter of a step of 8 bits


class Placed(NamedTuple):
    """A picture (3, h, w), RGB 0..1, cut from its padding, and where it lies: (top, left) in a frame of (H, W)."""

    picture: torch.Tensor
    corner: tuple[int, int]
    frame: tuple[int, int]


def prepare(pictures: Sequence[torch.Tensor], spec: Spec) -> torch.Tensor | list[torch.Tensor]:
    """Pictures (3, H, W), sRGB 0..1, as the network wants them: a batch (B, 3, H, W), or a list where fit is "own"."""
    fitted = [_to_spec(_fit(picture, spec), spec) for picture in pictures]
    if spec.fit == "own":
        return fitted
    if len({picture.shape for picture in fitted}) > 1:
        raise UsageError(
            "Pictures of different sizes make no batch",
            cure='Give the spec a fit: "letterbox" or "resize", and a size.',
        )
    return torch.stack(fitted)


def scale(pictures: torch.Tensor, spec: Spec) -> torch.Tensor:
    """Pictures (N, 3, H, W) at the size in which the network is shown them, without padding."""
    if spec.fit == "resize":
        assert spec.size is not None
        return F.interpolate(pictures, spec.size, mode="bilinear", antialias=True)
    if spec.fit == "letterbox":
        return F.interpolate(
            pictures, letterbox_size((pictures.shape[2], pictures.shape[3]), spec)[:2], mode="bilinear"
        )
    return pictures


def letterbox_size(size: tuple[int, int], spec: Spec) -> tuple[int, int, float]:
    """Height and width of a picture of that size in its letterbox, and the ratio by which it was scaled."""
    assert spec.size is not None
    ratio = min(spec.size[0] / size[0], spec.size[1] / size[1])
    return max(1, int(size[0] * ratio)), max(1, int(size[1] * ratio)), ratio


def place(network_input: torch.Tensor, spec: Spec) -> Placed:
    """One picture of a network's input (3, H, W), as RGB 0..1 without the padding of its letterbox.

    UsageError where the values are not those of the spec.
    """
    mean, std = _column(spec.mean, network_input), _column(spec.std, network_input)
    picture = _flip((network_input * std + mean) / spec.white, spec)
    low, high = (float(value) for value in picture.detach().aminmax())
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):
        raise UsageError(
            "The pictures are not what the network's spec says",
            got=f"values from {low:.3g} to {high:.3g} where black is 0 and white is 1",
            cure="Give a spec: a torchvision name, a SPEC.toml or a dirnet.tasks.spec.Spec.",
        )
    frame = (picture.shape[1], picture.shape[2])
    rows, columns = _inside(picture, spec)
    return Placed(picture[:, rows, columns], (rows.start, columns.start), frame)


def add_change(network_input: torch.Tensor, change: torch.Tensor, placed: Placed, spec: Spec) -> torch.Tensor:
    """A network's input (3, H, W), changed where the picture lies by (3, h, w) of RGB 0..1; padding stays padding."""
    (top, left), (height, width), (h, w) = placed.corner, placed.frame, change.shape[1:]
    change = _flip(change, spec) * spec.white / _column(spec.std, change)
    return network_input + F.pad(change, (left, width - left - w, top, height - top - h)).to(network_input.dtype)


def together(function: Callable[[torch.Tensor], torch.Tensor], pictures: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """A function of batches, for pictures (3, H, W) that may differ in size: as one batch where they do not."""
    if len({picture.shape for picture in pictures}) == 1:
        return list(function(torch.stack(list(pictures))))
    return [function(picture[None])[0] for picture in pictures]


def _fit(picture: torch.Tensor, spec: Spec) -> torch.Tensor:
    fitted = scale(picture[None], spec)[0]
    if spec.fit != "letterbox":
        return fitted
    assert spec.size is not None
    assert spec.fill is not None
    h, w = fitted.shape[1:]
    return F.pad(fitted, (0, spec.size[1] - w, 0, spec.size[0] - h), value=spec.fill / spec.white)


def _to_spec(picture: torch.Tensor, spec: Spec) -> torch.Tensor:
    return (_flip(picture, spec) * spec.white - _column(spec.mean, picture)) / _column(spec.std, picture)


def _inside(picture: torch.Tensor, spec: Spec) -> tuple[slice, slice]:
    """The rows and columns that a letterbox has not padded; all, where there is no picture to be seen."""
    height, width = picture.shape[1:]
    if spec.fill is not None:
        seen = ((picture - spec.fill / spec.white).abs() > _SAME).any(0)
        rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
        if len(rows):
            return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return slice(0, height), slice(0, width)


def _flip(picture: torch.Tensor, spec: Spec) -> torch.Tensor:
    return picture.flip(0) if spec.colours == "BGR" else picture


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
