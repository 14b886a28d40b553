"""Photon transfer: a camera's own noise from pairs of flat frames (J. Janesick, Photon Transfer, SPIE 2007)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from dirnet.errors import UsageError
from dirnet.isp.sensor_data import Mosaic

CLIPPED_SHARE = 1e-3  # cutting more than that off a normal distribution costs over 1 % of its variance
_SHOOT = "Shoot a lit, blurred wall or a white screen: two frames at each of several exposure times, one ISO."


@dataclass(frozen=True)
class Point:
    """One colour plane of one pair of frames: mean and variance of its samples in 0..1, and the variance's error."""

    frames: tuple[int, int]
    plane: str
    mean: float
    variance: float
    error: float


@dataclass(frozen=True)
class NoiseLine:
    """variance = shot_noise * x + read_noise at x in 0..1, with standard errors; S and O of a DNG's NoiseProfile."""

    shot_noise: float
    read_noise: float
    shot_noise_error: float
    read_noise_error: float


@dataclass(frozen=True)
class Calibration:
    """camera; noise of all planes together; planes: of each (R, Gr, Gb, B) by itself; the points; what was left out."""

    camera: str
    noise: NoiseLine
    planes: dict[str, NoiseLine]
    points: list[Point]
    left_out: list[str]


def calibrate(flats: Iterable[Mosaic]) -> Calibration:
    """Noise of the camera that took these frames of an even surface, each exposure twice, one after the other.

    Half the variance of a pair's difference is free of what does not change: dust, uneven light, unequal pixels. Over
    two exposures or more it makes a line, fitted by weighted least squares. read_noise holds all that does not grow
    with light: banding and rounding too. Raises UsageError for frames that do not belong together or tell nothing.
    """
    points, left_out, first = [], [], None
    for number, (one, other) in enumerate(_pairs(flats)):
        first = first or one
        frames = (2 * number + 1, 2 * number + 2)
        for flat, index in zip((one, other), frames, strict=True):
            _check_alike(first, flat, index)
        for measured in _measure(one, other, frames):
            (points if isinstance(measured, Point) else left_out).append(measured)
    if first is None:
        raise UsageError("Nothing to calibrate from", got="no frames", wanted="flat RAW frames", cure=_SHOOT)
    if not points:
        raise UsageError("No frame can be used", got=left_out[0], wanted="levels between black and white", cure=_SHOOT)
    _check_levels(points)
    planes = {}
    for plane in _planes(first.cfa):
        own = [point for point in points if point.plane == plane]
        if len(own) > 1 and _levels_differ(own):
            planes[plane] = _fit(own)
        else:
            left_out.append(f"{plane} has no line of its own: only one level of it can be used")
    return Calibration(first.camera, _seen(_fit(points)), planes, points, left_out)


def _pairs(flats: Iterable[Mosaic]) -> Iterator[tuple[Mosaic, Mosaic]]:
    """One after the other, so that two frames at a time are in memory."""
    waiting = iter(flats)
    for number, one in enumerate(waiting):
        other = next(waiting, None)
        if other is None:
            got = f"an odd number, {2 * number + 1}"
            raise UsageError("Frames come in pairs", got=got, wanted="two of each exposure", cure=_SHOOT)
        yield one, other


def _check_alike(first: Mosaic, flat: Mosaic, number: int) -> None:
    for what, wanted, got in (
        ("camera", first.camera, flat.camera),
        ("size", _size(first), _size(flat)),
        ("pattern", first.cfa, flat.cfa),
        ("black and white level", _levels(first), _levels(flat)),
    ):
        if got != wanted:
            raise UsageError(f"Frame {number} has another {what} than the first", got=got, wanted=wanted)
    if min(flat.samples.shape) < 2:
        raise UsageError(f"Frame {number} is too small", got=_size(flat), wanted="at least 2 x 2 px")


def _size(flat: Mosaic) -> str:
    return f"{flat.samples.shape[1]} x {flat.samples.shape[0]} px"


def _levels(flat: Mosaic) -> str:
    return f"{flat.black_level:g} and {flat.white_level:g}"


def _planes(cfa: str) -> dict[str, tuple[int, int]]:
    """Name and place in the 2 x 2 cell of each colour plane; Gr is the green that shares rows with red."""
    red_row = cfa.index("R") // 2
    names = [("Gr" if i // 2 == red_row else "Gb") if colour == "G" else colour for i, colour in enumerate(cfa)]
    return {name: divmod(i, 2) for i, name in enumerate(names)}


def _measure(one: Mosaic, other: Mosaic, frames: tuple[int, int]) -> Iterator[Point | str]:
    """A point for each plane, or the sentence that says why there is none."""
    black = -one.black_level / (one.white_level - one.black_level)
    for plane, (y, x) in _planes(one.cfa).items():
        a, b = (flat.samples[y::2, x::2].cpu().double().flatten() for flat in (one, other))
        name = f"Frames {frames[0]} and {frames[1]}, {plane}"
        whole = (torch.minimum(a, b) > black) & (torch.maximum(a, b) < 1)
        if not whole.double().mean() >= 1 - CLIPPED_SHARE:
            yield f"{name}: {1 - float(whole.double().mean()):.1%} of the samples are clipped"
            continue
        a, b = a[whole], b[whole]
        difference, mean = a - b, float((a + b).mean() / 2)
        if abs(float(difference.mean())) > 0.1 * abs(mean) + 1e-3:
            raise UsageError(
                f"Frames {frames[0]} and {frames[1]} are not of one exposure",
                got=f"means {float(a.mean()):.4f} and {float(b.mean()):.4f}",
                wanted="two frames of each exposure, one after the other",
            )
        squares = (difference - difference.mean()).square() / 2
        if not len(squares) > 1 or not float(squares.std()) > 0:
            yield f"{name}: there is no noise, as in the same frame twice"
            continue
        n = len(squares)
        yield Point(frames, plane, mean, float(squares.sum()) / (n - 1), float(squares.std()) / n**0.5)


def _levels_differ(points: Sequence[Point]) -> bool:
    brightest, darkest = (choose(point.mean for point in points) for choose in (max, min))
    return brightest - max(darkest, 0) > 0.2 * brightest


def _check_levels(points: Sequence[Point]) -> None:
    """Some plane must have been seen at two levels; that colours differ from each other is not enough."""
    if not any(_levels_differ([p for p in points if p.plane == plane]) for plane in {p.plane for p in points}):
        raise UsageError(
            "All frames that can be used have the same light",
            got=f"mean {points[0].mean:.4f}",
            wanted="two exposures or more, the brightest at least twice the darkest",
            cure=_SHOOT,
        )


def _fit(points: Sequence[Point]) -> NoiseLine:
    """Weighted least squares; errors grow where the points lie off the line by more than their own."""
    mean, variance, error = torch.tensor([(p.mean, p.variance, p.error) for p in points], dtype=torch.float64).unbind(1)
    design = torch.stack([mean, torch.ones_like(mean)], 1) / error[:, None]
    covariance = torch.linalg.inv(design.T @ design)
    shot, read = (covariance @ design.T @ (variance / error)).tolist()
    if read < 0:  # less than nothing: the best line that starts at 0
        shot, read = float((mean * variance / error**2).sum() / (mean / error).square().sum()), 0.0
    misfit = float(((variance - shot * mean - read) / error).square().sum()) / max(len(points) - 2, 1)
    errors = covariance.diagonal().sqrt() * max(misfit, 1) ** 0.5
    return NoiseLine(shot, read, *errors.tolist())


def _seen(line: NoiseLine) -> NoiseLine:
    if not line.shot_noise > 3 * line.shot_noise_error:
        raise UsageError(
            "Noise does not grow with light in these frames",
            got=f"{line.shot_noise:.3g} with a standard error of {line.shot_noise_error:.2g}",
            wanted="RAW that no denoising has touched, with brighter and darker frames",
            cure=_SHOOT,
        )
    return line
