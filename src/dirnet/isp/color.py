"""Colour: camera RGB and linear sRGB, white balance gains, colour correction matrices (CCM)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from dirnet.isp.profiles import load_profile

# Linear sRGB -> CIE XYZ (D65), IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


@cache
def _xyz_to_camera() -> np.ndarray:
    return np.array(load_profile("brooks")["xyz_to_camera"])


def number_of_cameras() -> int:
    """How many measured colour matrices there are to mix."""
    return len(_xyz_to_camera())


def camera_ccm(weights: Sequence[float]) -> np.ndarray:
    """(3, 3) white-balanced camera RGB -> linear sRGB of a mixture of measured cameras (Brooks et al., 2019).

    weights: one non-negative number a camera; they are normalised to sum 1. White stays white: each row sums to 1.
    """
    share = np.asarray(weights, dtype=float)
    xyz_to_camera = np.tensordot(share / share.sum(), _xyz_to_camera(), axes=1)
    srgb_to_camera = xyz_to_camera @ SRGB_TO_XYZ
    srgb_to_camera /= srgb_to_camera.sum(axis=1, keepdims=True)
    return np.linalg.inv(srgb_to_camera)


def apply_matrix(image: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Multiply every pixel's colour by a matrix: image (B, 3, H, W), matrix (B, 3, 3) -> (B, 3, H, W).

    Sums are written out, so that a picture's result does not depend on the batch it is in.
    """
    red, green, blue = (channel.unsqueeze(1) for channel in image.unbind(1))
    weight = matrix[:, :, :, None, None]
    return red * weight[:, :, 0] + green * weight[:, :, 1] + blue * weight[:, :, 2]


def apply_gains(image: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Multiply each colour by its gain: image (B, 3, H, W), gains (B, 3)."""
    return image * gains[:, :, None, None]
