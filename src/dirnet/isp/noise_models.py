"""Measured noise models: from a camera and its gain to settings of an exposure."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from dirnet.errors import UsageError
from dirnet.isp.profiles import load_profile


def eld_noise(camera: str, gain: float, random: Random) -> dict[str, Any]:
    """Settings of the noise of a camera of `profiles/eld.json` in low light, as one exposure would have it.

    gain: K in DN per electron, at 14 bits; calibrated between the camera's Kmin and Kmax. Scales vary from exposure to
    exposure about a line in ln K. Raises UsageError for an unknown camera and a gain that is not positive.
    """
    profile = load_profile("eld")
    if camera not in profile["cameras"]:
        raise UsageError("Unknown camera", got=repr(camera), wanted=f"one of {', '.join(profile['cameras'])}")
    if not 0 < gain < math.inf:
        raise UsageError("A gain must be a positive number", got=str(gain), wanted="DN per electron")
    figures, white = profile["cameras"][camera], profile["white"]
    lines = figures["Profile-1"]
    top_left, top_right, bottom_right, bottom_left = _one_of(figures["color_bias"], random)
    return {
        "shot_noise": gain / white,
        "read_noise": 0.0,
        "tukey_scale": _about(lines["G_scale"], gain, random) / white,
        "tukey_shape": _one_of(figures["G_shape"], random),
        "row_noise": _about(lines["R_scale"], gain, random) / white,
        "colour_bias": [offset / white for offset in (top_left, top_right, bottom_left, bottom_right)],
        "bit_depth": profile["bit_depth"],
    }


def _about(line: dict[str, float], gain: float, random: Random) -> float:
    """exp(slope ln K + bias + N(0, sigma))."""
    return math.exp(line["slope"] * math.log(gain) + line["bias"] + line["sigma"] * normal(random))


def _one_of(rows: list[Any], random: Random) -> Any:
    return rows[int(random.random() * len(rows))]


def normal(random: Random) -> float:
    """Standard normal by Box and Muller, from two plain draws, so that it never changes between Python versions."""
    return math.sqrt(-2 * math.log(1 - random.random())) * math.cos(2 * math.pi * random.random())
