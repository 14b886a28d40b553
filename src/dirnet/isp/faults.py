"""What can go wrong in a camera, by name: each fault is a sentence and what it does to the settings of an exposure.

How strong a fault is at a severity is the suite's business (`dirnet.suites.suites`); a fault turns a range of its own
unit into settings, with the random numbers it is handed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from dirnet.isp.color import camera_ccm, number_of_cameras
from dirnet.isp.profiles import load_profile

Settings = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """name; sentence: what a person sees; unit of the range; spoil(settings, low, high, random) changes settings."""

    name: str
    sentence: str
    unit: str
    spoil: Callable[[Settings, float, float, Random], None]


def _sensor_noise(settings: Settings, low: float, high: float, random: Random) -> None:
    shot = math.exp(_between(math.log(low), math.log(high), random))
    line = load_profile("brooks")["read_noise"]
    settings["shot_noise"] = shot
    settings["read_noise"] = math.exp(line["slope"] * math.log(shot) + line["bias"] + line["sigma"] * _normal(random))


def _jpeg(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["jpeg_quality"] = round(_between(low, high, random))
    settings["jpeg_subsampling"] = "4:2:0" if random.random() < 0.5 else "4:4:4"


def _wrong_gamma(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["gamma_ratio"] = _ratio(low, high, random)


def _wrong_white_balance(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["white_balance_ratio"] = [_ratio(low, high, random), 1.0, _ratio(low, high, random)]


def _wrong_exposure(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["exposure"] = 2.0 ** (_sign(random) * _between(low, high, random))


def _wrong_ccm(settings: Settings, low: float, high: float, random: Random) -> None:
    share = _between(low, high, random)
    other = [0.0] * number_of_cameras()
    other[int(random.random() * len(other))] = 1.0
    right, wrong = settings["ccm"], camera_ccm(other).tolist()
    settings["ccm_used"] = [
        [(1 - share) * r + share * w for r, w in zip(*rows, strict=True)] for rows in zip(right, wrong, strict=True)
    ]


def _demosaicing(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["demosaic"] = ("none", "bilinear", "malvar")[int(random.random() * 3)]


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("sensor_noise", "Grain: photon and read noise of a high ISO.", "shot noise variance", _sensor_noise),
        Fault("jpeg", "Blocks and smeared colour: the file was squeezed too hard.", "quality", _jpeg),
        Fault("wrong_gamma", "Mid-tones too dark or too bright: a wrong tone curve.", "log ratio", _wrong_gamma),
        Fault("wrong_white_balance", "A colour cast: red and blue gains are off.", "log ratio", _wrong_white_balance),
        Fault("wrong_exposure", "Too dark or too bright as a whole.", "EV", _wrong_exposure),
        Fault("wrong_ccm", "Hues turned: another camera's colour matrix was used.", "share", _wrong_ccm),
        Fault("demosaicing", "Zippers and false colour where colours were guessed.", "none", _demosaicing),
    )
}


def _between(low: float, high: float, random: Random) -> float:
    return low + (high - low) * random.random()


def _sign(random: Random) -> int:
    return 1 if random.random() < 0.5 else -1


def _ratio(low: float, high: float, random: Random) -> float:
    """exp(+-u), u uniform in the range."""
    return math.exp(_sign(random) * _between(low, high, random))


def _normal(random: Random) -> float:
    """Standard normal by Box and Muller, from two plain draws, so that it never changes between Python versions."""
    return math.sqrt(-2 * math.log(1 - random.random())) * math.cos(2 * math.pi * random.random())
