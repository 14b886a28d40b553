"""The settings of one exposure: what light there was, what the camera is, and what the ISP was told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from dirnet.errors import UsageError
from dirnet.isp.codec import SUBSAMPLINGS
from dirnet.isp.color import camera_ccm, number_of_cameras
from dirnet.isp.mosaic import DEMOSAICS
from dirnet.isp.sensor_data import CFA_PATTERNS

_CHOICES = {"demosaic": DEMOSAICS, "cfa": CFA_PATTERNS, "jpeg_subsampling": SUBSAMPLINGS}
_WHOLE = ("noise_seed", "bit_depth", "first_jpeg_quality", "first_jpeg_shift", "jpeg_quality", "webp_quality")
_TONE = (
    "ccm", "white_balance", "iso_gain", "black_level", "black_level_error", "white_balance_ratio", "exposure",
    "ccm_used", "gamma_ratio", "s_curve", "saturation",
)  # fmt: skip


@dataclass(frozen=True)
class ISPParams:
    """Settings of B exposures, one row each; tensors of shape (B, ...), float32 unless said otherwise.

    The camera and the light (what `unprocess` undoes and `render` does again):
    ccm (B, 3, 3): white-balanced camera RGB -> linear sRGB; white_balance (B, 3): gains for R, G, B.

    The lens:
    vignetting: squared tangent of the angle at which light meets the corners; colour_shading (B, 3): by how much more
    of each colour the corners have; motion_blur: length of the shake in pixels; motion_angle: its direction, radians.

    The exposure:
    iso_gain: analogue gain against the right one; green_imbalance: by how much the second green is stronger;
    shot_noise, read_noise: variance = shot * x + read at x in 0..1; tukey_scale, tukey_shape: long-tailed read noise
    (Tukey lambda); row_noise: standard deviation of banding; colour_bias (B, 4): offset of each site of the 2 x 2 cell;
    defect_pixels: share of sites that are stuck; black_level: pedestal as a share of the range; bit_depth (int): of
    the converter, 0 = without steps; cfa (int): index in `CFA_PATTERNS`; noise_seed (32 bits).

    What the ISP makes of it:
    black_level_error: how far too much is subtracted; white_balance_ratio (B, 3): gains used over the right ones;
    exposure: digital gain after white balance; demosaic (int): index in `DEMOSAICS`, 0 = a three-colour sensor;
    ccm_used (B, 3, 3); gamma_ratio: gamma used over the right one, above 1 is darker;
    luma_smear, chroma_smear: strength of the camera's own denoising, 0..1; s_curve: share of smoothstep in the tone
    curve, -1..1; local_contrast: share of the local difference that is added; saturation: distance from grey over the
    right one; sharpening, sharpening_radius: share of the unsharp mask that is added, its standard deviation in pixels;
    resize: size to which the picture is scaled down, and up again, over its own.

    The file:
    first_jpeg_quality (int), first_jpeg_shift (B, 2, int): an earlier JPEG on a grid shifted down and right, 0 = none;
    jpeg_quality (int): 0 = not coded; jpeg_subsampling (int): index in `SUBSAMPLINGS`; webp_quality (int): 0 = none.
    """

    ccm: torch.Tensor
    white_balance: torch.Tensor
    vignetting: torch.Tensor
    colour_shading: torch.Tensor
    motion_blur: torch.Tensor
    motion_angle: torch.Tensor
    iso_gain: torch.Tensor
    green_imbalance: torch.Tensor
    shot_noise: torch.Tensor
    read_noise: torch.Tensor
    tukey_scale: torch.Tensor
    tukey_shape: torch.Tensor
    row_noise: torch.Tensor
    colour_bias: torch.Tensor
    defect_pixels: torch.Tensor
    black_level: torch.Tensor
    bit_depth: torch.Tensor
    cfa: torch.Tensor
    noise_seed: torch.Tensor
    black_level_error: torch.Tensor
    white_balance_ratio: torch.Tensor
    exposure: torch.Tensor
    demosaic: torch.Tensor
    ccm_used: torch.Tensor
    gamma_ratio: torch.Tensor
    luma_smear: torch.Tensor
    chroma_smear: torch.Tensor
    s_curve: torch.Tensor
    local_contrast: torch.Tensor
    saturation: torch.Tensor
    sharpening: torch.Tensor
    sharpening_radius: torch.Tensor
    resize: torch.Tensor
    first_jpeg_quality: torch.Tensor
    first_jpeg_shift: torch.Tensor
    jpeg_quality: torch.Tensor
    jpeg_subsampling: torch.Tensor
    webp_quality: torch.Tensor

    @classmethod
    def from_settings(cls, settings: Sequence[Mapping[str, Any]]) -> ISPParams:
        """Stack B plain dicts, as `clean_settings` and `to_settings` give them.

        What a row leaves out is as in a clean one. Raises UsageError for a setting or a choice that does not exist.
        """
        clean = clean_settings()
        if unknown := sorted({name for row in settings for name in row} - set(clean)):
            raise UsageError(f"Unknown settings {', '.join(unknown)}", wanted=f"some of {', '.join(clean)}")
        columns = {}
        for field in fields(cls):
            values = [row.get(field.name, clean[field.name]) for row in settings]
            if field.name in _CHOICES:
                values = [_choice(field.name, value) for value in values]
            whole = field.name in _CHOICES or field.name in _WHOLE
            columns[field.name] = torch.tensor(values, dtype=torch.int64 if whole else torch.float32)
        return cls(**columns)

    @classmethod
    def clean(cls, n: int = 1) -> ISPParams:
        """B = n exposures by a perfect camera: rendering gives the photograph back."""
        return cls.from_settings([clean_settings()] * n)

    def to_settings(self) -> list[dict[str, Any]]:
        """One plain dict a sample: numbers, lists and names, fit for JSON; `from_settings` gives the same back."""
        columns = {}
        for field in fields(self):
            values = getattr(self, field.name).tolist()
            if field.name in _CHOICES:
                values = [_CHOICES[field.name][value] for value in values]
            columns[field.name] = values
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_json(self) -> str:
        """Canonical JSON: one list of B settings, keys sorted, no spaces."""
        return json.dumps(self.to_settings(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ISPParams:
        """The inverse of `to_json`, exact to the last bit."""
        return cls.from_settings(json.loads(text))

    def hash(self) -> str:
        """sha256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.exposure)

    def __getitem__(self, rows: torch.Tensor | slice | list[int]) -> ISPParams:
        """The settings of some samples; rows as a tensor is indexed."""
        return ISPParams(**{name: value[rows] for name, value in self._columns()})

    def tone_only(self) -> ISPParams:
        """The same exposures with all off that does not change tone and colour of the picture as a whole."""
        clean = ISPParams.clean(len(self)).to(self.exposure.device)
        return replace(clean, **{name: getattr(self, name) for name in _TONE})

    def to(self, device: torch.device | str) -> ISPParams:
        """The same settings on another device."""
        return ISPParams(**{name: value.to(device) for name, value in self._columns()})

    def _columns(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


@cache
def _clean_ccm() -> np.ndarray:
    return camera_ccm([1] * number_of_cameras())


def _choice(name: str, value: str) -> int:
    if value not in _CHOICES[name]:
        raise UsageError(f"Unknown {name}", got=repr(value), wanted=f"one of {', '.join(_CHOICES[name])}")
    return _CHOICES[name].index(value)


def clean_settings() -> dict[str, Any]:
    """A perfect camera in daylight, as a plain dict: every fault off, three-colour sensor, no noise, no JPEG."""
    return {
        "ccm": _clean_ccm().tolist(),
        "white_balance": [2.7, 1.25, 2.1],
        "vignetting": 0.0,
        "colour_shading": [0.0, 0.0, 0.0],
        "motion_blur": 0.0,
        "motion_angle": 0.0,
        "iso_gain": 1.0,
        "green_imbalance": 0.0,
        "shot_noise": 0.0,
        "read_noise": 0.0,
        "tukey_scale": 0.0,
        "tukey_shape": 0.0,
        "row_noise": 0.0,
        "colour_bias": [0.0, 0.0, 0.0, 0.0],
        "defect_pixels": 0.0,
        "black_level": 0.0625,
        "bit_depth": 0,
        "cfa": "RGGB",
        "noise_seed": 0,
        "black_level_error": 0.0,
        "white_balance_ratio": [1.0, 1.0, 1.0],
        "exposure": 1.0,
        "demosaic": "none",
        "ccm_used": _clean_ccm().tolist(),
        "gamma_ratio": 1.0,
        "luma_smear": 0.0,
        "chroma_smear": 0.0,
        "s_curve": 0.0,
        "local_contrast": 0.0,
        "saturation": 1.0,
        "sharpening": 0.0,
        "sharpening_radius": 1.0,
        "resize": 1.0,
        "first_jpeg_quality": 0,
        "first_jpeg_shift": [0, 0],
        "jpeg_quality": 0,
        "jpeg_subsampling": "4:2:0",
        "webp_quality": 0,
    }
