from __future__ import annotations

from importlib.resources import files

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
