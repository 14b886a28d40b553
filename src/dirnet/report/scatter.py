"""Points in a plane as SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_WIDTH, _HEIGHT, _MARGIN = 320, 240, 8


def principal(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Rows (N, d), each column in units of its spread, along their two main directions: (N, 2); the share they hold."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    centred /= np.maximum(centred.std(axis=0), 1e-9)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ axes[:2].T
    plane *= np.where((plane**3).sum(axis=0) < 0, -1, 1)  # an axis has no sign of its own
    return plane, float((values[:2] ** 2).sum() / max((values**2).sum(), 1e-30))


def scatter(points: np.ndarray, colours: Sequence[str]) -> str:
    """An <svg> element of points (N, 2), each in its CSS colour; both axes fill the picture, up is more."""
    low, high = points.min(axis=0), points.max(axis=0)
    place = (points - low) / np.where(high > low, high - low, 1)
    x = _MARGIN + place[:, 0] * (_WIDTH - 2 * _MARGIN)
    y = _HEIGHT - _MARGIN - place[:, 1] * (_HEIGHT - 2 * _MARGIN)
    groups: dict[str, list[str]] = {}
    for at_x, at_y, colour in zip(x, y, colours, strict=True):
        groups.setdefault(colour, []).append(f"M{at_x:.1f} {at_y:.1f}h0")
    paths = "".join(f'<path stroke="{colour}" d="{"".join(dots)}"/>' for colour, dots in groups.items())
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">'
        f'<g fill="none" stroke-width="5" stroke-linecap="round" stroke-opacity="0.75">{paths}</g></svg>'
    )


def hues(n: int) -> list[str]:
    """n CSS colours, as different as hues can be."""
    return [f"hsl({360 * i / n:.0f} 60% 50%)" for i in range(n)]
