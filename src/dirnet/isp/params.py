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

from dirnet.isp.codec import SUBSAMPLINGS
from dirnet.isp.color import camera_ccm, number_of_cameras
from dirnet.isp.mosaic import DEMOSAICS
from dirnet.isp.sensor_data import CFA_PATTERNS

_CHOICES = {"demosaic": DEMOSAICS, "cfa": CFA_PATTERNS, "jpeg_subsampling": SUBSAMPLINGS}
_DETAIL = ("shot_noise", "read_noise", "demosaic", "jpeg_quality")  # all of them are off at 0


@dataclass(frozen=True)
class ISPParams:
    """Settings of B exposures, one row each; tensors of shape (B, ...), float32 unless said otherwise.

    The camera and the light (what `unprocess` undoes and `render` does again):
    ccm (B, 3, 3): white-balanced camera RGB -> linear sRGB; white_balance (B, 3): gains for R, G, B.

    The exposure:
    iso_gain: analogue gain against the right one; shot_noise, read_noise: variance = shot * x + read at x in 0..1;
    black_level: pedestal as a share of the range; cfa (int): index in `CFA_PATTERNS`; noise_seed (32 bits).

    What the ISP makes of it:
    black_level_error: how far too much is subtracted; white_balance_ratio (B, 3): gains used over the right ones;
    exposure: digital gain after white balance; demosaic (int): index in `DEMOSAICS`, 0 = a three-colour sensor;
    ccm_used (B, 3, 3); gamma_ratio: gamma used over the right one, above 1 is darker;
    jpeg_quality (int): 0 = not coded; jpeg_subsampling (int): index in `SUBSAMPLINGS`.
    """

    ccm: torch.Tensor
    white_balance: torch.Tensor
    iso_gain: torch.Tensor
    shot_noise: torch.Tensor
    read_noise: torch.Tensor
    black_level: torch.Tensor
    cfa: torch.Tensor
    noise_seed: torch.Tensor
    black_level_error: torch.Tensor
    white_balance_ratio: torch.Tensor
    exposure: torch.Tensor
    demosaic: torch.Tensor
    ccm_used: torch.Tensor
    gamma_ratio: torch.Tensor
    jpeg_quality: torch.Tensor
    jpeg_subsampling: torch.Tensor

    @classmethod
    def from_settings(cls, settings: Sequence[Mapping[str, Any]]) -> ISPParams:
        """Stack B plain dicts, as `clean_settings` and `to_settings` give them."""
        columns = {}
        for field in fields(cls):
            values = [row[field.name] for row in settings]
            if field.name in _CHOICES:
                values = [_CHOICES[field.name].index(value) for value in values]
            whole = field.name in _CHOICES or field.name in ("noise_seed", "jpeg_quality")
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
        """The same exposures without noise, mosaic and JPEG: what is left changes tone and colour alone."""
        off = {name: torch.zeros_like(getattr(self, name)) for name in _DETAIL}
        return replace(self, **off)

    def to(self, device: torch.device | str) -> ISPParams:
        """The same settings on another device."""
        return ISPParams(**{name: value.to(device) for name, value in self._columns()})

    def _columns(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


@cache
def _clean_ccm() -> np.ndarray:
    return camera_ccm([1] * number_of_cameras())


def clean_settings() -> dict[str, Any]:
    """A perfect camera in daylight, as a plain dict: every fault off, three-colour sensor, no noise, no JPEG."""
    return {
        "ccm": _clean_ccm().tolist(),
        "white_balance": [2.7, 1.25, 2.1],
        "iso_gain": 1.0,
        "shot_noise": 0.0,
        "read_noise": 0.0,
        "black_level": 0.0625,
        "cfa": "RGGB",
        "noise_seed": 0,
        "black_level_error": 0.0,
        "white_balance_ratio": [1.0, 1.0, 1.0],
        "exposure": 1.0,
        "demosaic": "none",
        "ccm_used": _clean_ccm().tolist(),
        "gamma_ratio": 1.0,
        "jpeg_quality": 0,
        "jpeg_subsampling": "4:2:0",
    }
