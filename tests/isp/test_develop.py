from dataclasses import replace

import colour
import numpy as np
import pytest
import torch

from dirnet.errors import UsageError
from dirnet.isp.camera import degrade, expose
from dirnet.isp.color import SRGB_TO_XYZ, camera_ccm
from dirnet.isp.develop import as_shot, balance_for, develop
from dirnet.isp.mosaic import DEMOSAICS, mosaic
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic
from dirnet.isp.tone import srgb_encode

CCM = torch.tensor(camera_ccm([1, 0, 0, 0])).float()
GAINS = torch.tensor([2.2, 1.0, 1.6])


def photograph(scene: torch.Tensor, **settings: object) -> tuple[Mosaic, torch.Tensor]:
    """A RAW that is faultless but for its camera, and the same scene by a camera with the settings."""
    right = {"ccm": CCM.tolist(), "ccm_used": CCM.tolist(), "white_balance": GAINS.tolist(), "cfa": "GBRG"}
    raw = expose(scene, ISPParams.from_settings([right]))
    return raw, degrade(scene, ISPParams.from_settings([right | {"demosaic": "malvar"} | settings]))


def spoilt(raw: Mosaic, **settings: object) -> torch.Tensor:
    return develop(raw, ISPParams.from_settings([as_shot(raw) | settings]))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"demosaic": "bilinear"},
        {"demosaic": "nearest"},
        {"demosaic": "edge_aware"},
        {"vignetting": 0.6},
        {"colour_shading": [0.2, 0.0, -0.1]},
        {"iso_gain": 0.5},
        {"green_imbalance": 0.05},
        {"shot_noise": 1e-3, "read_noise": 1e-5, "noise_seed": 5},
        {"bit_depth": 6},
        {"black_level_error": 0.02},
        {"white_balance_ratio": [0.8, 1.0, 1.2]},
        {"exposure": 0.5},
        {"ccm_used": camera_ccm([0, 0, 1, 0]).tolist()},
        {"gamma_ratio": 1.3},
        {"s_curve": 0.5},
        {"saturation": 0.4},
        {"sharpening": 1.0},
        {"jpeg_quality": 50},
    ],
    ids=lambda settings: next(iter(settings), "as shot"),
)
@pytest.mark.parametrize("size", [(48, 64), (47, 61)])
def test_settings_on_a_raw_are_those_of_the_camera(coffee: torch.Tensor, settings: dict, size: tuple[int, int]) -> None:
    """A scene without clipping: to develop its RAW with a fault is to photograph it with the fault."""
    scene = 0.05 + 0.6 * coffee[..., 200 : 200 + size[0], 300 : 300 + size[1]]
    raw, expected = photograph(scene, **settings)
    torch.testing.assert_close(spoilt(raw, **settings), expected, atol=2e-5, rtol=0)


def test_a_shaken_raw_is_near_a_shaken_scene(coffee: torch.Tensor) -> None:
    """The lens lies before the mosaic, which has to be guessed away first."""
    scene = 0.05 + 0.6 * coffee[..., 200:264, 300:380]
    raw, shaken = photograph(scene, motion_blur=5.0, motion_angle=0.4)
    found = spoilt(raw, motion_blur=5.0, motion_angle=0.4)
    assert (found - shaken).abs().mean() < 0.5 * (develop(raw) - shaken).abs().mean()


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
@pytest.mark.parametrize("gains", [(2.2, 1.0, 1.6), (0.8, 1.0, 3.0)])
@pytest.mark.parametrize(("exposure", "light"), [(1.0, 1.0), (2.0, 1.0), (0.25, 0.25)])
def test_what_is_blown_out_stays_neutral(cfa: str, gains: tuple, exposure: float, light: float) -> None:
    raw = Mosaic(torch.ones(9, 11), cfa, 0.0, 1023.0, torch.tensor(gains), CCM)
    white = spoilt(raw, exposure=exposure)
    torch.testing.assert_close(white, srgb_encode(torch.tensor(light)).expand_as(white), atol=2e-6, rtol=0)


@pytest.mark.parametrize("kelvin", [2500, 4000, 6500, 9000])
def test_a_card_is_grey_in_the_light_that_was_named(kelvin: int) -> None:
    x, y = colour.CCT_to_xy(kelvin, method="Kang 2002")
    light = np.linalg.inv(SRGB_TO_XYZ) @ [x / y, 1, (1 - x - y) / y]
    daylight = torch.tensor([2.4, 1.0, 1.4])
    seen = 0.2 * (torch.linalg.inv(CCM) @ torch.tensor(light).float()) / daylight
    card = mosaic(seen[None, :, None, None].expand(1, 3, 8, 8), "RGGB")[0, 0]
    raw = Mosaic(card, "RGGB", 0.0, 1023.0, torch.ones(3), CCM, daylight=daylight)
    grey = develop(replace(raw, white_balance=balance_for(raw, kelvin)))
    assert grey.amax() - grey.amin() < 0.01
    assert develop(raw).amax() - develop(raw).amin() > 0.05


def test_a_sensor_that_is_not_known_has_no_colour_temperature() -> None:
    raw = Mosaic(torch.ones(4, 4), "RGGB", 0.0, 1023.0, GAINS, CCM, camera="Box 1")
    with pytest.raises(UsageError, match=r"Box 1.*Give the gains"):
        balance_for(raw, 5000)


def test_settings_without_demosaicing_are_refused() -> None:
    raw = Mosaic(torch.ones(4, 4), "RGGB", 0.0, 1023.0, GAINS, CCM)
    with pytest.raises(UsageError, match=f"wanted one of {', '.join(DEMOSAICS[1:])}"):
        develop(raw, ISPParams.from_settings([clean_settings()]))


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3)])
def test_small_ones_too(size: tuple[int, int]) -> None:
    raw = Mosaic(torch.rand(size), "GRBG", 64.0, 1023.0, GAINS, CCM)
    assert develop(raw).shape == (1, 3, *size)
    assert develop(raw).isfinite().all()
