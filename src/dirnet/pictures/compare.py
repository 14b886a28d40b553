"""Before and after, side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dirnet.pictures.picture import Picture

SIDE = 4000
_DIVIDER, _BAR, _TEXT = 4, 28, 18  # pixels


def middle(picture: Picture) -> Picture:
    """A copy of a picture; of a larger one its middle, `SIDE` px: noise and blocks can only be judged unscaled."""
    rows, columns = (
        slice(max(side - SIDE, 0) // 2, max(side - SIDE, 0) // 2 + SIDE) for side in picture.pixels.shape[:2]
    )
    alpha = None if picture.alpha is None else picture.alpha[rows, columns].copy()
    return replace(picture, pixels=picture.pixels[rows, columns].copy(), alpha=alpha)


def side_by_side(before: Picture, after: Picture) -> Picture:
    """Two pictures of one size, each below its label, with a thin divider between; without EXIF and XMP."""
    halves = [
        np.vstack((_label(text, picture.pixels.shape[1]), picture.on_white().pixels))
        for text, picture in (("before", before), ("after", after))
    ]
    divider = np.ones((len(halves[0]), _DIVIDER, 3), np.float32)
    return Picture(np.hstack((halves[0], divider, halves[1])), grayscale=before.grayscale, icc=before.icc)


def _label(text: str, width: int) -> np.ndarray:
    """(28, width, 3): white on black."""
    bar = Image.new("RGB", (width, _BAR))
    ImageDraw.Draw(bar).text((_BAR - _TEXT, _BAR // 2), text, "white", ImageFont.load_default(_TEXT), anchor="lm")
    return np.asarray(bar, np.float32) / 255
