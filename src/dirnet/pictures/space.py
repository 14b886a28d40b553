"""The colours of a picture with a profile of its own: to sRGB and back, and nothing is clipped on the way."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import torch

Curve = tuple[np.ndarray, np.ndarray]  # knots: coded value, linear light; straight between them

# Linear sRGB -> CIE XYZ (D50), columns as in every sRGB profile (ICC.1:2022, chromatic adaptation by Bradford).
_SRGB_TO_XYZ = np.array(
    [[0.43606567, 0.38514709, 0.14306641], [0.22248840, 0.71687317, 0.06060791], [0.01391602, 0.09707642, 0.71409607]]
)
_KNOTS = np.linspace(0, 1, 4097)
_BEYOND = 64.0  # so far a curve goes on straight below 0 and above 1
_LEAST_SLOPE = 0.01
_PARAMETERS = (1, 3, 4, 5, 7)  # of each kind of parametric curve


@dataclass(frozen=True, eq=False)
class Space:
    """RGB of three curves and a matrix (3, 3): linear RGB -> linear sRGB. Without gradients."""

    curves: tuple[Curve, Curve, Curve]
    matrix: np.ndarray

    def to_srgb(self, image: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, H, W) of this space -> sRGB; colours that sRGB has not lie below 0 or above 1."""
        linear = [np.interp(plane, *curve) for plane, curve in zip(_planes(image), self.curves, strict=True)]
        return _stack([_encode(plane, _SRGB) for plane in _mixed(self.matrix, linear)], image)

    def from_srgb(self, image: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_srgb`."""
        linear = _mixed(np.linalg.inv(self.matrix), [np.interp(plane, *_SRGB) for plane in _planes(image)])
        return _stack([_encode(plane, curve) for plane, curve in zip(linear, self.curves, strict=True)], image)


def space_of(icc: bytes | None) -> Space | None:
    """The space that an ICC profile describes by curves and a matrix, or by one curve of gray.

    None where that is sRGB, or where the profile does otherwise.
    """
    try:
        icc = icc or b""
        tags = _tags(icc)
        if icc[16:20] == b"GRAY":
            gray = _curve(tags[b"kTRC"])
            space = Space((gray, gray, gray), np.eye(3))
            return None if _is_srgb(space) else space
        columns = np.array([struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T / 65536
        red, green, blue = (_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        space = Space((red, green, blue), np.linalg.solve(_SRGB_TO_XYZ, columns))
        np.linalg.inv(space.matrix)
    except (KeyError, struct.error, ValueError, ArithmeticError, np.linalg.LinAlgError):
        return None
    return None if _is_srgb(space) else space


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">L", icc, 128)
    entries = (struct.unpack_from(">4sLL", icc, 132 + 12 * index) for index in range(min(count, 100)))
    return {name: icc[start : start + size] for name, start, size in entries}


def _curve(tag: bytes) -> Curve:
    """A tone curve of a profile, tabled ("curv") or parametric ("para"). ValueError where it does not rise."""
    x = _KNOTS
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        if kind >= len(_PARAMETERS):
            raise ValueError("unknown curve")
        given = [number / 65536 for number in struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)]
        gamma, a, b = given[:3] if kind else (given[0], 1.0, 0.0)
        slope, start = given[3:5] if kind > 2 else (0.0, -b / a)
        above, below = given[5:] if kind == 4 else given[3:] * 2 if kind == 2 else (0.0, 0.0)
        with np.errstate(all="ignore"):
            y = np.where(x >= start, np.maximum(a * x + b, 0) ** gamma + above, slope * x + below)
    else:
        (count,) = struct.unpack_from(">L", tag, 8)
        table = np.array(struct.unpack_from(f">{count}H", tag, 12))
        if count < 2:
            y = x ** (table[0] / 256 if count else 1.0)
        else:
            y = np.interp(x, np.linspace(0, 1, count), table / 65535)
    if not np.isfinite(y).all() or (np.diff(y) < 0).any() or y[-1] <= y[0]:
        raise ValueError("no rising curve")
    return _extended(y)


def _extended(y: np.ndarray) -> Curve:
    first, last = (max(float(step) / (_KNOTS[1] - _KNOTS[0]), _LEAST_SLOPE) for step in (y[1] - y[0], y[-1] - y[-2]))
    ends = y[0] - _BEYOND * first, y[-1] + _BEYOND * last
    return np.concatenate(([-_BEYOND], _KNOTS, [1 + _BEYOND])), np.concatenate((ends[:1], y, ends[1:]))


_SRGB = _extended(np.where(_KNOTS > 0.04045, ((_KNOTS + 0.055) / 1.055) ** 2.4, _KNOTS / 12.92))


def _is_srgb(space: Space) -> bool:
    alike = all(np.abs(curve[1] - _SRGB[1])[1:-1].max() < 0.005 for curve in space.curves)
    return alike and bool(np.abs(space.matrix - np.eye(3)).max() < 0.01)


def _encode(linear: np.ndarray, curve: Curve) -> np.ndarray:
    coded, light = curve
    return np.interp(linear, light, coded)


def _mixed(matrix: np.ndarray, planes: list[np.ndarray]) -> list[np.ndarray]:
    red, green, blue = planes
    return [red * row[0] + green * row[1] + blue * row[2] for row in matrix]


def _planes(image: torch.Tensor) -> list[np.ndarray]:
    return [plane.detach().cpu().numpy() for plane in image.unbind(1)]


def _stack(planes: list[np.ndarray], like: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.from_numpy(plane) for plane in planes], 1).to(like)
