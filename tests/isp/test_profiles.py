from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from dirnet.isp.profiles import load_profile

FILES = [entry.name for entry in files("dirnet.isp.profiles").iterdir()]
NAMES = [name.removesuffix(".json") for name in FILES if name.endswith(".json")]


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_says_what_it_is_and_whose(name: str) -> None:
    profile = load_profile(name)
    assert profile["name"] == name
    assert all(profile[key] for key in ("source", "licence", "meaning"))


def test_figures_of_brooks() -> None:
    profile = load_profile("brooks")
    assert np.shape(profile["xyz_to_camera"]) == (4, 3, 3)
    assert profile["read_noise"] == {"slope": 2.18, "bias": 1.20, "sigma": 0.26}
    assert profile["white_balance"] == {"red": [1.9, 2.4], "blue": [1.5, 1.9]}
    assert profile["rgb_gain"] == {"mean": 0.8, "sigma": 0.1}


def test_figures_of_eld_are_those_of_the_source() -> None:
    """Oracle: the figures as they were read from the authors' files, laid down beside the checkout."""
    source = Path(__file__).parents[3] / "shared" / "design" / "eld_cameras.json"
    if not source.exists():
        pytest.skip("the authors' figures are not beside this checkout")
    theirs = json.loads(source.read_text(encoding="utf-8"))["cameras"]
    ours = load_profile("eld")["cameras"]
    assert list(ours) == list(theirs)
    for name, figures in ours.items():
        assert list(figures) == ["Kmin", "Kmax", "Profile-1", "G_shape", "color_bias"]
        assert figures == {key: theirs[name][key] for key in figures}


@pytest.mark.parametrize("name", ["eld", "pmn"])
def test_lines_of_noise_are_plausible(name: str) -> None:
    """Measured scales rise with the gain, in all cameras, by less than it does and hardly scattered."""
    for camera in load_profile(name)["cameras"].values():
        lines = camera.get("Profile-1") or {key: camera[key] for key in ("tukey_scale", "row_noise", "read_noise")}
        for line in lines.values():
            assert 0.4 < line["slope"] < 1
            assert 0 < line["sigma"] < 0.4


def test_figures_of_pmn() -> None:
    cameras = load_profile("pmn")["cameras"]
    assert list(cameras) == ["IMX686", "SonyA7S2_lowISO", "SonyA7S2_highISO", "NikonD850", "CRVD"]
    for camera in cameras.values():
        assert camera["log_gain"][0] < camera["log_gain"][1]
        assert camera["black_level"] < camera["white_level"] == 2 ** camera["bit_depth"] - 1


@pytest.mark.parametrize(("shot", "read"), [(0.00068674, 2.8059e-6), (0.005, 1.1043e-4), (0.02194856, 1.7045e-3)])
def test_median_read_noise_of_sidd(shot: float, read: float) -> None:
    line = load_profile("sidd")["read_noise"]
    assert 10 ** (line["slope"] * math.log10(shot) + line["bias"]) == pytest.approx(read, rel=1e-4)


@pytest.mark.parametrize(("shot", "read"), [(1e-4, 6.326352e-9), (1e-3, 9.575322e-7), (0.012, 2.156595e-4)])
def test_median_read_noise_of_brooks(shot: float, read: float) -> None:
    line = load_profile("brooks")["read_noise"]
    assert math.exp(line["slope"] * math.log(shot) + line["bias"]) == pytest.approx(read, rel=1e-6)


@pytest.mark.parametrize(
    ("sensor", "shot", "kelvin", "first_row"),
    [
        ("imx219", 2.055e-4, 5858, [2.32392, -0.88421, -0.43971]),
        ("imx477", 1.168e-4, 5881, [2.18464, -0.95493, -0.22971]),
        ("imx708", 9.54e-5, 5910, [1.56879, -0.42159, -0.14719]),
    ],
)
def test_figures_of_raspberry_pi(sensor: str, shot: float, kelvin: int, first_row: list[float]) -> None:
    figures = load_profile("raspberrypi")["sensors"][sensor]
    assert figures["black_level"] / 65535 == pytest.approx(1 / 16, rel=1e-4)
    assert figures["noise_slope"] ** 2 / 65535 == pytest.approx(shot, rel=1e-3)
    assert next(row for row in figures["ccms"] if row["kelvin"] == kelvin)["ccm"][0] == first_row
    for part in ("ccms", "neutral"):
        kelvins = [row["kelvin"] for row in figures[part]]
        assert kelvins == sorted(set(kelvins))
        assert kelvins[0] < 3000
        assert kelvins[-1] > 7400
    np.testing.assert_allclose(np.sum([row["ccm"] for row in figures["ccms"]], axis=2), 1, atol=2e-5)


@pytest.mark.parametrize("sensor", ["imx219", "imx477", "imx708"])
def test_grey_is_redder_under_warmer_light(sensor: str) -> None:
    neutral = load_profile("raspberrypi")["sensors"][sensor]["neutral"]
    assert (np.diff([row["red"] for row in neutral]) < 0).all()
    assert (np.diff([row["blue"] for row in neutral]) > 0).all()
