"""RAW file -> Mosaic: the sensor's samples and what is needed to develop them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dirnet.errors import PictureError
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic
from dirnet.pictures.codecs import failures_as, photo_library
from dirnet.pictures.deep import check_size

_FLIP_TO_EXIF = (1, 2, 4, 3, 5, 8, 6, 7)  # LibRaw's flip 0..7 -> EXIF orientation
_MODEL, _UNIQUE_MODEL, _NOISE_PROFILE = 272, 50708, 51041
_GAIN_LIMIT = 20.0


def read_raw(path: Path, *, max_pixels: int = 256_000_000) -> Mosaic:
    """Read the visible area of any Bayer RAW file that LibRaw knows; the CFA phase is that of its top left site.

    Samples are float32, (DN - black) / (white - black) with the black level of each site. Raises PictureError for a
    broken file, one of more than `max_pixels`, and sensors without a Bayer pattern.
    """
    rawpy = photo_library("rawpy")
    with failures_as(f"Cannot read {path}"), rawpy.imread(str(path)) as raw:
        check_size(path, raw.sizes.raw_width, raw.sizes.raw_height, max_pixels)
        cfa, colours = _bayer(path, raw)
        black, white = np.array(raw.black_level_per_channel, np.float32)[colours], float(raw.white_level)
        if not white > black.max():
            raise PictureError(
                f"{path} has no range", got=f"black {black.max()}, white {white}", wanted="white above black"
            )
        noise_profile, camera = _notes(path)
        return Mosaic(
            samples=torch.from_numpy(_normalise(raw.raw_image_visible, black, white)),
            cfa=cfa,
            black_level=float(black.mean()),
            white_level=white,
            white_balance=_white_balance(raw),
            ccm=_ccm(path, np.array(raw.color_matrix, np.float64)[:, :3]),
            noise_profile=noise_profile,
            camera=camera,
            orientation=_FLIP_TO_EXIF[raw.sizes.flip & 7],
        )


def _bayer(path: Path, raw: Any) -> tuple[str, np.ndarray]:
    """Name of the pattern and the (2, 2) colour indices of the top left cell of the visible area."""
    pattern = raw.raw_pattern
    if pattern is not None and pattern.shape == (2, 2) and raw.raw_image is not None:
        colours = raw.raw_colors_visible[:2, :2]
        cfa = "".join(chr(raw.color_desc[index]) for index in colours.flat)
        if cfa in CFA_PATTERNS:
            return cfa, colours
    raise PictureError(
        f"{path} comes from a sensor that is not understood",
        got="no Bayer pattern (X-Trans, Foveon, four colours or already demosaiced)",
        wanted=f"one of {', '.join(CFA_PATTERNS)}",
    )


def _normalise(visible: np.ndarray, black: np.ndarray, white: float) -> np.ndarray:
    samples = np.empty(visible.shape, np.float32)
    for row, column in np.ndindex(2, 2):
        level = black[row, column]
        samples[row::2, column::2] = (visible[row::2, column::2] - level) / (np.float32(white) - level)
    return samples


def _white_balance(raw: Any) -> torch.Tensor:
    """As shot; daylight where the file does not say (all gains equal); ones where that is not known either."""
    for gains in (raw.camera_whitebalance, raw.daylight_whitebalance):
        rgb = np.array(gains[:3], np.float64)
        if np.isfinite(rgb).all() and rgb.min() > 0 and np.ptp(rgb) > 0:
            rgb /= rgb[1]
            if rgb.min() > 1 / _GAIN_LIMIT and rgb.max() < _GAIN_LIMIT:
                return torch.tensor(rgb, dtype=torch.float32)
    return torch.ones(3)


def _ccm(path: Path, matrix: np.ndarray) -> torch.Tensor:
    if not matrix.any():  # a camera that LibRaw has no colours for
        return torch.eye(3)
    sums = matrix.sum(axis=1, keepdims=True)
    if not np.isfinite(matrix).all() or np.abs(sums).min() < 1e-3:
        raise PictureError(f"{path} has a broken colour matrix", got=str(matrix.tolist()))
    return torch.tensor(matrix / sums, dtype=torch.float32)


def _notes(path: Path) -> tuple[tuple[float, float] | None, str]:
    """Noise profile (mean over colour planes) and camera name, from the tags of a file that is built as a TIFF."""
    try:
        with photo_library("tifffile").TiffFile(path) as tiff:
            page = tiff.pages[0]
            tags = [part.tags for part in (page, *(page.pages or ()))]
            model = page.tags.get(_UNIQUE_MODEL) or page.tags.get(_MODEL)
            profiles = [found.value for part in tags if (found := part.get(_NOISE_PROFILE))]
            camera = str(model.value).strip() if model else ""
    except Exception:  # no TIFF, or one whose notes are broken: the samples were read all the same
        return None, ""
    if not profiles or len(profiles[0]) % 2:
        return None, camera
    shot, read = np.array(profiles[0], np.float64).reshape(-1, 2).mean(axis=0).tolist()
    return ((shot, read) if np.isfinite([shot, read]).all() and shot >= 0 else None), camera
