"""RAW file -> Mosaic: the sensor's samples and what is needed to develop them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from dirnet.errors import PictureError
from dirnet.isp.color import SRGB_TO_XYZ
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic
from dirnet.isp.tone import srgb_encode
from dirnet.pictures.codecs import failures_as, photo_library
from dirnet.pictures.deep import check_size, xmp_of_tiff
from dirnet.pictures.exif import exif_of_tiff, reset_xmp_orientation, turn_upright
from dirnet.pictures.picture import Picture

_FLIP_TO_EXIF = (1, 2, 4, 3, 5, 8, 6, 7)  # LibRaw's flip 0..7 -> EXIF orientation
_NOTED = _MODEL, _UNIQUE_MODEL, _NOISE_PROFILE, _MATRIX = 272, 50708, 51041, 37400
_GAIN_LIMIT = 20.0


def read_raw(path: Path, *, max_pixels: int = 256_000_000) -> Mosaic:
    """Read the visible area of any Bayer RAW file that LibRaw knows; the CFA phase is that of its top left site.

    Samples are float32, (DN - black) / (white - black) with the black level of each site. White balance is as shot,
    daylight where the file does not say, ones where that is not known either. Raises PictureError for a broken file,
    one of more than `max_pixels`, and sensors without a Bayer pattern.
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
        notes, daylight = _notes(path), _gains(raw.daylight_whitebalance)
        known = [gains for gains in (_gains(raw.camera_whitebalance), daylight) if gains is not None]
        return Mosaic(
            samples=torch.from_numpy(_normalise(raw.raw_image_visible, black, white)),
            cfa=cfa,
            black_level=float(black.mean()),
            white_level=white,
            white_balance=known[0] if known else torch.ones(3),
            ccm=_ccm(path, raw, notes.matrix),
            noise_profile=notes.noise_profile,
            camera=notes.camera,
            daylight=daylight,
            orientation=_FLIP_TO_EXIF[raw.sizes.flip & 7],
        )


def read_linear(path: Path, *, max_pixels: int = 256_000_000) -> Picture | None:
    """A RAW that was demosaiced before it was written (linear DNG), as a Picture of 16 bits; None where it was not.

    White balance as shot, the file's colour matrix, the sRGB curve, and nothing more; not turned. What is brighter than
    white in one colour alone is cut at the same light in all. PictureError for a broken file, or a larger one.
    """
    rawpy = photo_library("rawpy")
    with failures_as(f"Cannot read {path}"), rawpy.imread(str(path)) as raw:
        check_size(path, raw.sizes.raw_width, raw.sizes.raw_height, max_pixels)
        if raw.raw_type != rawpy.RawType.Stack:
            return None
        black, white = np.array(raw.black_level_per_channel[:3], np.float32), np.float32(raw.white_level)
        light = torch.from_numpy((raw.raw_image_visible[..., :3] - black) / (white - black))
        gains = _gains(raw.camera_whitebalance)
        gains = torch.ones(3) if gains is None else gains / gains.min().clamp(max=1)
        light = (light * gains).clamp(0, 1) @ _ccm(path, raw, _notes(path).matrix).T
        developed = srgb_encode(light.clamp(0, 1)).permute(2, 0, 1)[None]
        return as_picture(developed, _FLIP_TO_EXIF[raw.sizes.flip & 7], path)


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
    samples = visible.astype(np.float32)
    for row, column in np.ndindex(2, 2):
        site = samples[row::2, column::2]
        site -= black[row, column]
        site /= np.float32(white) - black[row, column]
    return samples


def _gains(values: Sequence[float]) -> torch.Tensor | None:
    """White balance gains with G = 1, or None where they are unset (all equal) or make no sense."""
    rgb = np.array(values[:3], np.float64)
    if np.isfinite(rgb).all() and rgb.min() > 0 and np.ptp(rgb) > 0:
        rgb /= rgb[1]
        if rgb.min() > 1 / _GAIN_LIMIT and rgb.max() < _GAIN_LIMIT:
            return torch.tensor(rgb, dtype=torch.float32)
    return None


def _ccm(path: Path, raw: Any, noted: np.ndarray | None) -> torch.Tensor:
    """From a DNG, else as the file notes it, else by LibRaw's table of cameras; the identity where nothing is known."""
    matrix = np.array(raw.color_matrix, np.float64)[:, :3]
    if not matrix.any() and noted is not None:
        matrix = noted
    xyz_to_camera = np.array(raw.rgb_xyz_matrix, np.float64)[:3]
    if not matrix.any() and xyz_to_camera.any():
        srgb_to_camera = xyz_to_camera @ SRGB_TO_XYZ
        matrix = np.linalg.pinv(srgb_to_camera / srgb_to_camera.sum(axis=1, keepdims=True))
    if not matrix.any():
        return torch.eye(3)
    sums = matrix.sum(axis=1, keepdims=True)
    if not np.isfinite(matrix).all() or np.abs(sums).min() < 1e-3:
        raise PictureError(f"{path} has a broken colour matrix", got=str(matrix.tolist()))
    return torch.tensor(matrix / sums, dtype=torch.float32)


class _Notes(NamedTuple):
    camera: str = ""
    noise_profile: tuple[float, float] | None = None
    matrix: np.ndarray | None = None


def _notes(path: Path) -> _Notes:
    """What LibRaw does not hand on, from the tags of a file that is built as a TIFF."""
    try:
        with photo_library("tifffile").TiffFile(path) as tiff:
            page = tiff.pages[0]
            directories = [part.tags for part in (page, *(page.pages or ()))]
            found = {tag.code: tag.value for tags in reversed(directories) for tag in tags if tag.code in _NOTED}
        camera = str(found.get(_UNIQUE_MODEL) or found.get(_MODEL) or "").strip()
        return _Notes(camera, _noise_profile(found.get(_NOISE_PROFILE)), _noted_matrix(found.get(_MATRIX)))
    except Exception:  # no TIFF, or one whose notes are broken: the samples were read all the same
        return _Notes()


def _noise_profile(values: Sequence[float] | None) -> tuple[float, float] | None:
    """(S, O) of one plane or of each colour; of three, green counts twice, as it has twice the sites."""
    if values is None or len(values) not in (2, 6, 8):
        return None
    pairs = np.array(values, np.float64).reshape(-1, 2)
    if not np.isfinite(pairs).all() or pairs[:, 0].min() < 0:
        return None
    shot, read = np.average(pairs, axis=0, weights=(1, 2, 1) if len(pairs) == 3 else None).tolist()
    return shot, read


def _noted_matrix(rationals: Sequence[int] | None) -> np.ndarray | None:
    """Kodak's tag 37400: for each of R, G, B an offset and three coefficients."""
    if rationals is None or len(rationals) != 24:
        return None
    numbers = np.array(rationals, np.float64).reshape(3, 4, 2)
    return numbers[:, 1:, 0] / numbers[:, 1:, 1]


def as_picture(developed: torch.Tensor, orientation: int, path: Path) -> Picture:
    """What was developed (1, 3, H, W) from the RAW file at `path`, upright, as a Picture of 16 bits with its notes."""
    pixels = turn_upright(developed.detach()[0].permute(1, 2, 0).float().cpu().numpy(), orientation)
    xmp = reset_xmp_orientation(xmp_of_tiff(path) or b"") or None
    return Picture(np.ascontiguousarray(pixels), depth=16, exif=exif_of_tiff(path), xmp=xmp, source=path)
