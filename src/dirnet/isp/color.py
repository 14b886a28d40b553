"""Colour: camera RGB and linear sRGB, white balance gains, colour correction matrices (CCM), saturation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

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
    """Multiply every pixel's colour by a matrix: image (B, 3, H, W), matrix (B, 3, 3) -> (B, 3, H, W)."""
    return _Matrix.apply(image, matrix)


class _Matrix(torch.autograd.Function):
    """Sums are written out, so that a picture's result depends on nothing but its pixels; gradients are products."""

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(image, matrix)
        red, green, blue = image.split(1, 1)
        weight = matrix[:, :, :, None, None]
        return (red * weight[:, :, 0]).addcmul_(green, weight[:, :, 1]).addcmul_(blue, weight[:, :, 2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        image, matrix = ctx.saved_tensors
        by_image = (matrix.mT @ grad.flatten(2)).view_as(image)
        by_matrix = grad.flatten(2) @ image.flatten(2).mT if ctx.needs_input_grad[1] else None
        return by_image, by_matrix


def apply_gains(image: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Multiply each colour by its gain: image (B, 3, H, W), gains (B, 3)."""
    return image * gains[:, :, None, None]


def planckian_gains(kelvin: torch.Tensor, ccm: torch.Tensor) -> torch.Tensor:
    """White balance gains (B, 3), green 1, for glowing light of kelvin (B,) in 2000..12000, relative to D65.

    ccm (B, 3, 3): white-balanced camera RGB -> linear sRGB. The colour of the light is `planckian_xy`.
    """
    x, y = planckian_xy(kelvin)
    light = torch.stack((x / y, torch.ones_like(y), (1 - x - y) / y), -1)[:, :, None, None]
    xyz_to_srgb = torch.from_numpy(np.linalg.inv(SRGB_TO_XYZ)).to(ccm)[None]
    camera = apply_matrix(apply_matrix(light, xyz_to_srgb), torch.linalg.inv(ccm))[..., 0, 0]
    return camera[:, 1:2] / camera


def planckian_xy(kelvin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """CIE 1931 chromaticity x, y, each (B,), of a black body of kelvin (B,) in 1000..15000, within 5e-4.

    M. Krystek, An algorithm to calculate correlated colour temperature, Color Research and Application 10 (1985).
    """
    t = kelvin / 1000
    u = (0.860117757 + t * (0.154118254 + t * 0.128641212)) / (1 + t * (0.842420235 + t * 0.708145163))
    v = (0.317398726 + t * (0.0422806245 + t * 0.0420481691)) / (1 + t * (-0.0289741816 + t * 0.161456053))
    return 3 * u / (2 * u - 8 * v + 4), 2 * v / (2 * u - 8 * v + 4)


def saturate(image: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Distance from grey times ratio (B,): image (B, 3, H, W) sRGB -> luma (BT.709) + ratio * (image - luma).

    0 is grey, 1 leaves colours as they are. Clipped to 0..1.
    """
    red, green, blue = image.split(1, 1)
    luma = red * 0.2126 + green * 0.7152 + blue * 0.0722
    return torch.lerp(luma, image, ratio[:, None, None, None].to(image)).clamp(0, 1)
