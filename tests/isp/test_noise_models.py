from __future__ import annotations

import math
from random import Random
from statistics import median

import pytest
from scipy import stats

from dirnet.errors import UsageError
from dirnet.isp.noise_models import eld_noise, normal
from dirnet.isp.params import ISPParams
from dirnet.isp.profiles import load_profile

CAMERAS = load_profile("eld")["cameras"]
# Median scales in DN at the lowest and the highest gain: Tukey lambda and rows.
MEDIANS = {
    "CanonEOS5D4": ((1.099, 0.218), (16.81, 1.544)),
    "CanonEOS70D": ((2.793, 0.204), (21.15, 4.225)),
    "CanonEOS700D": ((2.875, 0.279), (34.61, 3.711)),
    "NikonD850": ((0.600, 0.112), (4.372, 0.721)),
    "SonyA7S2": ((0.590, 0.159), (4.033, 1.425)),
}


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("end", ["Kmin", "Kmax"])
def test_scales_scatter_about_the_cameras_medians(camera: str, end: str) -> None:
    random = Random(5)
    gain = CAMERAS[camera][end]
    drawn = [eld_noise(camera, gain, random) for _ in range(2000)]
    for part, name, line in zip(MEDIANS[camera][end == "Kmax"], ("tukey_scale", "row_noise"), ("G", "R"), strict=True):
        sigma = CAMERAS[camera]["Profile-1"][f"{line}_scale"]["sigma"]
        logs = [math.log(row[name] * 15583) for row in drawn]
        assert median(logs) == pytest.approx(math.log(part), abs=4 * 1.2533 * sigma / 2000**0.5 + 1e-3)
        assert stats.kstest(logs, "norm", args=(median(logs), sigma)).pvalue > 0.001
    assert {row["shot_noise"] for row in drawn} == {gain / 15583}
    assert {row["tukey_shape"] for row in drawn} == set(CAMERAS[camera]["G_shape"])


def test_offsets_go_to_the_sites_they_were_measured_at() -> None:
    """ELD packs the cell clockwise from the top left; settings have it row by row."""
    packed = CAMERAS["CanonEOS5D4"]["color_bias"]
    expected = {tuple(row[site] / 15583 for site in (0, 1, 3, 2)) for row in packed}
    random = Random(1)
    assert {tuple(eld_noise("CanonEOS5D4", 1.0, random)["colour_bias"]) for _ in range(500)} == expected


def test_what_is_drawn_is_settings_of_an_exposure_and_depends_on_the_generator_alone() -> None:
    settings = eld_noise("SonyA7S2", 2.0, Random(3))
    assert settings == eld_noise("SonyA7S2", 2.0, Random(3)) != eld_noise("SonyA7S2", 2.0, Random(4))
    assert ISPParams.from_settings([settings]).bit_depth.tolist() == [14]


@pytest.mark.parametrize(
    ("camera", "gain", "reason"),
    [("Holga", 1.0, "CanonEOS5D4"), ("SonyA7S2", 0.0, "positive"), ("SonyA7S2", math.nan, "nan")],
)
def test_nonsense_is_refused(camera: str, gain: float, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        eld_noise(camera, gain, Random(0))


def test_normal_is_normal() -> None:
    random = Random(0)
    assert stats.kstest([normal(random) for _ in range(5000)], "norm").pvalue > 0.001
