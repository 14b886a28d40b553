"""Mosaic -> DNG that LibRaw reads back bit for bit; a finished picture -> linear DNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import IFDRational

from dirnet.errors import PictureError
from dirnet.files import replacing
from dirnet.isp.color import SRGB_TO_XYZ
from dirnet.isp.sensor_data import Mosaic
from dirnet.isp.tone import srgb_decode
from dirnet.pictures.codecs import failures_as, photo_library
from dirnet.pictures.picture import Picture, check_free
from dirnet.pictures.tiff import write_tiff

MIN_SIDE = 22  # LibRaw refuses smaller ones
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL, _DOUBLE = 1, 2, 3, 4, 5, 10, 12
_MILLIONTHS = 1_000_000
_CFA_PHOTOMETRIC, _LINEAR_PHOTOMETRIC = 32803, 34892
_D65 = 21


def write_dng(path: Path, mosaic: Mosaic, *, white_level: int = 16383, force: bool = False) -> None:
    """Write the samples as uncompressed uint16, DN = round(black + x (white - black)), clipped to 0..white.

    The black level is the mosaic's, scaled to `white_level` (pass the mosaic's own to keep its numbers). Raises
    PictureError for samples that are no numbers, sides under 22 px, and a file that is there, unless `force`.
    """
    if path.suffix.lower() != ".dng":
        raise PictureError(f"Cannot write {path}", got=repr(path.suffix), wanted="the suffix .dng")
    check_free(path, force=force)
    samples = mosaic.samples.detach().cpu().float().numpy()
    black = round(mosaic.black_level * white_level / mosaic.white_level)
    if min(samples.shape) < MIN_SIDE:
        raise PictureError(
            f"Cannot write {path}",
            got=f"{samples.shape[1]} x {samples.shape[0]} px",
            wanted=f"at least {MIN_SIDE} a side",
        )
    if not np.isfinite(samples).all():
        raise PictureError(f"Cannot write {path}", got="samples that are no numbers (NaN or infinity)")
    if not 0 <= black < white_level <= 65535:
        raise PictureError(
            f"Cannot write {path}", got=f"black {black}, white {white_level}", wanted="0 to 65535, rising"
        )
    levels = samples * np.float32(white_level - black)
    levels += black
    numbers = np.clip(np.rint(levels, out=levels), 0, white_level, out=levels).astype(np.uint16)
    tifffile = photo_library("tifffile")
    with failures_as(f"Cannot write {path}"), replacing(path) as beside:
        tifffile.imwrite(
            beside,
            numbers,
            byteorder="<",
            photometric=_CFA_PHOTOMETRIC,
            subfiletype=0,
            extratags=[
                (code, kind, count, value, True) for code, kind, count, value in _tags(mosaic, black, white_level)
            ],
            metadata=None,
            software="dirnet",
        )


def write_linear_dng(path: Path, picture: Picture, notes: dict[int, Any]) -> None:
    """Write a picture as light, 16 bits of linear sRGB, for programs that develop DNGs; what sRGB has not is clipped.

    Alpha has no place there. `notes`: tags of the main directory, as of `write_tiff`.
    """
    light = srgb_decode(picture.to_tensor())
    samples = (light[0].permute(1, 2, 0).numpy() * np.float32(65535)).round().astype(np.uint16)
    matrix = np.linalg.inv(SRGB_TO_XYZ)
    linear = {
        262: _LINEAR_PHOTOMETRIC,
        50706: bytes((1, 4, 0, 0)),  # DNGVersion
        50707: bytes((1, 1, 0, 0)),  # DNGBackwardVersion
        50708: "dirnet",  # UniqueCameraModel
        50717: (65535,) * 3,  # WhiteLevel
        50721: tuple(
            IFDRational(round(float(value) * _MILLIONTHS), _MILLIONTHS) for value in matrix.flat
        ),  # ColorMatrix1
        50728: (IFDRational(1),) * 3,  # AsShotNeutral
        50778: _D65,  # CalibrationIlluminant1
    }
    write_tiff(path, samples, None, notes | linear, compressed=False)


def _tags(mosaic: Mosaic, black: int, white: int) -> list[tuple[int, int, int, Any]]:
    """DNG 1.4 tags: code, TIFF type, count, value."""
    camera = mosaic.camera.encode("ascii", "replace").decode() or "dirnet"
    neutral = 1 / mosaic.white_balance.double().cpu().numpy()
    daylight = neutral if mosaic.daylight is None else 1 / mosaic.daylight.double().cpu().numpy()
    tags: list[tuple[int, int, int, Any]] = [
        (271, _ASCII, 0, camera),
        (272, _ASCII, 0, camera),
        (274, _SHORT, 1, mosaic.orientation),
        (33421, _SHORT, 2, (2, 2)),  # CFARepeatPatternDim
        (33422, _BYTE, 4, bytes("RGB".index(colour) for colour in mosaic.cfa)),  # CFAPattern
        (50706, _BYTE, 4, (1, 4, 0, 0)),  # DNGVersion
        (50707, _BYTE, 4, (1, 1, 0, 0)),  # DNGBackwardVersion
        (50708, _ASCII, 0, camera),  # UniqueCameraModel
        (50710, _BYTE, 3, (0, 1, 2)),  # CFAPlaneColor
        (50711, _SHORT, 1, 1),  # CFALayout
        (50713, _SHORT, 2, (2, 2)),  # BlackLevelRepeatDim
        (50714, _RATIONAL, 4, (black, 1) * 4),  # BlackLevel
        (50717, _LONG, 1, white),  # WhiteLevel
        (50721, _SRATIONAL, 9, _ratios(_xyz_to_camera(mosaic, daylight))),  # ColorMatrix1
        (50727, _RATIONAL, 3, (1, 1) * 3),  # AnalogBalance
        (50728, _RATIONAL, 3, _ratios(neutral)),  # AsShotNeutral
        (50730, _SRATIONAL, 1, (0, 1)),  # BaselineExposure
        (50778, _SHORT, 1, _D65),  # CalibrationIlluminant1
    ]
    if mosaic.noise_profile is not None:
        tags.append((51041, _DOUBLE, 6, mosaic.noise_profile * 3))  # NoiseProfile
    return tags


def _xyz_to_camera(mosaic: Mosaic, daylight: np.ndarray) -> np.ndarray:
    """ColorMatrix1: undo the CCM, then the gains for daylight (those as shot where it is not known).

    LibRaw's CCM is inverse(rows of (ColorMatrix1 @ sRGB to XYZ), each divided by its sum), which takes the neutral
    out again and gives back `mosaic.ccm`.
    """
    srgb_to_balanced = np.linalg.inv(mosaic.ccm.double().cpu().numpy())
    return daylight[:, None] * srgb_to_balanced @ np.linalg.inv(SRGB_TO_XYZ)


def _ratios(values: np.ndarray) -> list[int]:
    return [part for value in values.flat for part in (round(float(value) * _MILLIONTHS), _MILLIONTHS)]
