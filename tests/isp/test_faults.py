from __future__ import annotations

import copy
import math
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from dirnet.isp.camera import degrade
from dirnet.isp.color import camera_ccm
from dirnet.isp.faults import FAULTS
from dirnet.isp.params import ISPParams, clean_settings

# What each fault changes, and three ranges of its own unit from weak to strong (none: it is there or not).
CHANGES = {
    "vignetting": {"vignetting"},
    "colour_shading": {"colour_shading"},
    "motion_blur": {"motion_blur", "motion_angle"},
    "wrong_iso": {"iso_gain"},
    "green_imbalance": {"green_imbalance", "demosaic"},
    "sensor_noise": {"shot_noise", "read_noise"},
    "low_light_noise": {
        "shot_noise", "tukey_scale", "tukey_shape", "row_noise", "colour_bias", "bit_depth",
    },
    "defect_pixels": {"defect_pixels", "demosaic"},
    "low_bit_depth": {"bit_depth"},
    "wrong_black_level": {"black_level_error"},
    "wrong_white_balance": {"white_balance_ratio"},
    "wrong_temperature": {"white_balance_ratio"},
    "wrong_exposure": {"exposure"},
    "demosaicing": {"demosaic"},
    "edge_aware_demosaicing": {"demosaic"},
    "nearest_demosaicing": {"demosaic"},
    "wrong_ccm": {"ccm_used"},
    "wrong_illuminant": {"ccm_used"},
    "wrong_gamma": {"gamma_ratio"},
    "s_curve": {"s_curve"},
    "local_contrast": {"local_contrast"},
    "wrong_saturation": {"saturation"},
    "colour_smear": {"chroma_smear"},
    "watercolour": {"luma_smear"},
    "halo": {"sharpening", "sharpening_radius"},
    "low_resolution": {"resize"},
    "jpeg": {"jpeg_quality", "jpeg_subsampling"},
    "double_jpeg": {"first_jpeg_quality", "first_jpeg_shift", "jpeg_quality", "jpeg_subsampling"},
    "webp": {"webp_quality"},
}  # fmt: skip
USUAL = ((0.005, 0.01), (0.1, 0.12), (0.5, 0.6))
STRENGTHS = {
    "motion_blur": ((1, 1.2), (4, 5), (12, 15)),
    "sensor_noise": ((1e-4, 3e-4), (2e-3, 4e-3), (3e-2, 5e-2)),
    "low_light_noise": ((0.1, 0.2), (4, 6), (80, 100)),
    "defect_pixels": ((1e-4, 2e-4), (5e-3, 6e-3), (0.1, 0.2)),
    "low_bit_depth": ((8, 8), (5, 5), (3, 3)),
    "wrong_black_level": ((1e-3, 2e-3), (0.02, 0.03), (0.2, 0.3)),
    "wrong_temperature": ((1, 2), (15, 20), (60, 70)),
    "local_contrast": ((0.01, 0.02), (0.2, 0.3), (1, 2)),
    "low_resolution": ((0.05, 0.1), (0.5, 0.6), (3, 4)),
    "jpeg": ((90, 95), (40, 50), (8, 12)),
    "double_jpeg": ((90, 95), (40, 50), (8, 12)),
    "webp": ((90, 95), (30, 40), (1, 3)),
}
FIXED = ("demosaicing", "edge_aware_demosaicing", "nearest_demosaicing")


def spoil(name: str, low: float, high: float, times: int = 1, seed: int = 0) -> list[dict[str, Any]]:
    random, rows = Random(seed), []
    for _ in range(times):
        rows.append(copy.deepcopy(clean_settings()))
        FAULTS[name].spoil(rows[-1], low, high, random)
    return rows


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_says_what_a_person_sees_and_changes_its_own_settings_alone(name: str) -> None:
    fault = FAULTS[name]
    assert fault.name == name
    assert fault.sentence[0].isupper()
    assert fault.sentence.endswith(".")
    assert fault.unit
    clean, changed = clean_settings(), set()
    for row in spoil(name, *STRENGTHS.get(name, USUAL)[2], times=40):
        assert row.keys() == clean.keys()
        changed |= {key for key in clean if row[key] != clean[key]}
    assert changed == CHANGES[name]


def test_there_are_faults_enough_to_choose_from() -> None:
    assert FAULTS.keys() == CHANGES.keys()
    assert len(FAULTS) >= 16


@pytest.mark.parametrize(
    "name",
    ["wrong_gamma", "wrong_white_balance", "wrong_exposure", "wrong_ccm", "wrong_saturation", "wrong_illuminant"],
)
def test_a_range_of_nothing_does_nothing(name: str) -> None:
    assert spoil(name, 0, 0) == [clean_settings()]


# Medians and 16-84 % of the read noise variance by the released code of Brooks et al., 2019.
@pytest.mark.parametrize(
    ("shot", "median", "low", "high"),
    [
        (0.0001, 6.326352e-09, 4.8779e-09, 8.2048e-09),
        (0.001, 9.575322e-07, 7.3831e-07, 1.2419e-06),
        (0.005, 3.198217e-05, 2.4660e-05, 4.1479e-05),
        (0.012, 2.156595e-04, 1.6628e-04, 2.7970e-04),
    ],
)
def test_read_noise_follows_the_line_of_brooks(shot: float, median: float, low: float, high: float) -> None:
    n = 4000
    read = np.log([row["read_noise"] for row in spoil("sensor_noise", shot, shot, times=n)])
    for quantile, expected in ((0.5, median), (stats.norm.cdf(-1), low), (stats.norm.cdf(1), high)):
        density = stats.norm.pdf(stats.norm.ppf(quantile)) / 0.26
        standard_error = math.sqrt(quantile * (1 - quantile) / n) / density
        assert abs(np.quantile(read, quantile) - math.log(expected)) < 3 * standard_error
    assert stats.kstest((read - math.log(median)) / 0.26, "norm").pvalue > 0.001


def test_shot_noise_is_even_in_its_logarithm() -> None:
    shot = np.log([row["shot_noise"] for row in spoil("sensor_noise", 1e-4, 1.2e-2, times=2000)])
    low, high = math.log(1e-4), math.log(1.2e-2)
    assert stats.kstest((shot - low) / (high - low), "uniform").pvalue > 0.001


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("wrong_gamma", lambda row: [math.log(row["gamma_ratio"])]),
        ("wrong_white_balance", lambda row: [math.log(row["white_balance_ratio"][c]) for c in (0, 2)]),
        ("wrong_exposure", lambda row: [math.log2(row["exposure"])]),
    ],
)
def test_what_is_off_is_off_either_way_and_evenly_so(name: str, read: Any) -> None:
    n = 2000
    off = np.array([read(row) for row in spoil(name, 0.1, 0.15, times=n)])
    assert stats.kstest((abs(off.ravel()) - 0.1) / 0.05, "uniform").pvalue > 0.001
    assert (abs((off > 0).mean(0) - 0.5) < 3 * 0.5 / math.sqrt(n)).all()
    if off.shape[1] == 2:
        assert abs(np.corrcoef(off.T)[0, 1]) < 4 / math.sqrt(n)  # red and blue each by itself


def test_jpeg_takes_every_quality_of_its_range_and_two_chroma_layouts_half_and_half() -> None:
    rows = spoil("jpeg", 25, 40, times=1000)
    assert {row["jpeg_quality"] for row in rows} == set(range(25, 41))
    share = np.mean([row["jpeg_subsampling"] == "4:2:0" for row in rows])
    assert {row["jpeg_subsampling"] for row in rows} == {"4:2:0", "4:4:4"}
    assert abs(share - 0.5) < 3 * 0.5 / math.sqrt(1000)


def test_demosaicing_is_a_third_each() -> None:
    found = [row["demosaic"] for row in spoil("demosaicing", 0, 0, times=1500)]
    for method in ("none", "bilinear", "malvar"):
        assert abs(found.count(method) / 1500 - 1 / 3) < 3 * math.sqrt(2 / 9 / 1500)


def test_a_wrong_ccm_lies_between_the_right_one_and_another_cameras() -> None:
    others = [camera_ccm(row) for row in np.eye(4).tolist()]
    right = np.array(clean_settings()["ccm"])
    found = set()
    for row in spoil("wrong_ccm", 1, 1, times=60):
        (index,) = [i for i, other in enumerate(others) if np.allclose(row["ccm_used"], other, atol=1e-12)]
        found.add(index)
    assert found == {0, 1, 2, 3}
    for row in spoil("wrong_ccm", 0.2, 0.3, times=60):
        used = np.array(row["ccm_used"])
        np.testing.assert_allclose(used.sum(1), 1, atol=1e-12)
        shares = [np.sum((used - right) * (other - right)) / np.sum((other - right) ** 2) for other in others]
        (share,) = [
            s for s, other in zip(shares, others, strict=True) if np.allclose(used - right, s * (other - right))
        ]
        assert 0.2 <= share <= 0.3


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in FIXED])  # which have no strength
def test_a_stronger_fault_does_more_harm(astronaut: torch.Tensor, name: str) -> None:
    scene = astronaut[..., 80:144, 180:244].expand(24, -1, -1, -1)
    harm = [
        float((degrade(scene, ISPParams.from_settings(spoil(name, *between, times=24))) - scene).pow(2).mean())
        for between in STRENGTHS.get(name, USUAL)
    ]
    assert harm[0] < harm[1] < harm[2]


@pytest.mark.parametrize("name", FIXED)
def test_guessing_colours_does_harm(astronaut: torch.Tensor, name: str) -> None:
    scene = astronaut[..., 80:144, 180:244].expand(12, -1, -1, -1)
    assert (degrade(scene, ISPParams.from_settings(spoil(name, 0, 0, times=12))) - scene).abs().max() > 0.05


@pytest.mark.parametrize("name", ["green_imbalance", "defect_pixels"])
def test_faults_of_single_sites_choose_a_mosaic_but_keep_one_that_is_there(name: str) -> None:
    assert {row["demosaic"] for row in spoil(name, 0.1, 0.2, times=4)} == {"malvar"}
    settings = clean_settings() | {"demosaic": "edge_aware"}
    FAULTS[name].spoil(settings, 0.1, 0.2, Random(0))
    assert settings["demosaic"] == "edge_aware"


def test_faults_compose(astronaut: torch.Tensor) -> None:
    """All at once, in the order of a camera: each leaves what the others set, but for colours guessed otherwise."""
    settings, random = clean_settings(), Random(3)
    for name, fault in FAULTS.items():
        fault.spoil(settings, *STRENGTHS.get(name, USUAL)[1], random)
    changed = {key for key, value in clean_settings().items() if settings[key] != value}
    # The last word on the kind of chroma, and on how strong normal noise is, may be that of a clean camera.
    assert set().union(*CHANGES.values()) - {"jpeg_subsampling", "read_noise"} <= changed
    spoiled = degrade(astronaut[..., :96, :96], ISPParams.from_settings([settings]))
    assert spoiled.isfinite().all()
    assert spoiled.min() >= 0
    assert spoiled.max() <= 1


def test_signs_mean_what_the_sentences_say(astronaut: torch.Tensor) -> None:
    def brightness(**change: Any) -> float:
        return float(degrade(astronaut, ISPParams.from_settings([{**clean_settings(), **change}])).mean())

    assert brightness(gamma_ratio=1.1) < brightness() < brightness(gamma_ratio=0.9)
    assert brightness(exposure=0.9) < brightness() < brightness(exposure=1.1)
    assert brightness(iso_gain=0.9) < brightness() < brightness(iso_gain=1.1)
    assert brightness(black_level_error=0.02) < brightness()
