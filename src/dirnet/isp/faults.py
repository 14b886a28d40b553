"""What can go wrong in a camera, by name: each fault is a sentence and what it does to the settings of an exposure.

How strong a fault is at a severity is the suite's business (`dirnet.suites.suites`); a fault turns a range of its own
unit into settings, with the random numbers it is handed. Faults compose: one after another, on the same settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from dirnet.isp.color import camera_ccm, number_of_cameras, planckian_gains
from dirnet.isp.noise_models import eld_noise, normal
from dirnet.isp.profiles import load_profile

Settings = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """name; sentence: what a person sees; unit of the range; spoil(settings, low, high, random) changes settings."""

    name: str
    sentence: str
    unit: str
    spoil: Callable[[Settings, float, float, Random], None]


# The lens


def _vignetting(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["vignetting"] = _between(low, high, random)


def _colour_shading(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["colour_shading"] = [_either(low, high, random), 0.0, _either(low, high, random)]


def _motion_blur(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["motion_blur"] = _between(low, high, random)
    settings["motion_angle"] = math.pi * random.random()


# The sensor


def _wrong_iso(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["iso_gain"] = 2.0 ** _either(low, high, random)


def _green_imbalance(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["green_imbalance"] = _either(low, high, random)
    _needs_mosaic(settings)


def _sensor_noise(settings: Settings, low: float, high: float, random: Random) -> None:
    shot = math.exp(_between(math.log(low), math.log(high), random))
    line = load_profile("brooks")["read_noise"]
    settings["shot_noise"] = shot
    settings["read_noise"] = math.exp(line["slope"] * math.log(shot) + line["bias"] + line["sigma"] * normal(random))


def _low_light_noise(settings: Settings, low: float, high: float, random: Random) -> None:
    gain = math.exp(_between(math.log(low), math.log(high), random))
    cameras = sorted(load_profile("eld")["cameras"])
    settings.update(eld_noise(cameras[int(random.random() * len(cameras))], gain, random))


def _defect_pixels(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["defect_pixels"] = math.exp(_between(math.log(low), math.log(high), random))
    _needs_mosaic(settings)


def _low_bit_depth(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["bit_depth"] = round(_between(low, high, random))


def _wrong_black_level(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["black_level_error"] = _either(low, high, random)


# Colour and tone


def _wrong_white_balance(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["white_balance_ratio"] = [_ratio(low, high, random), 1.0, _ratio(low, high, random)]


def _wrong_temperature(settings: Settings, low: float, high: float, random: Random) -> None:
    """Mireds, in which equal steps look alike."""
    lights = torch.tensor([1e6 / (1e6 / 6500 + _either(low, high, random)), 6500], dtype=torch.float64)
    wrong, right = planckian_gains(lights, torch.tensor(settings["ccm"], dtype=torch.float64).expand(2, 3, 3))
    settings["white_balance_ratio"] = (wrong / right).tolist()


def _wrong_exposure(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["exposure"] = 2.0 ** (_sign(random) * _between(low, high, random))


def _demosaicing(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["demosaic"] = ("none", "bilinear", "malvar")[int(random.random() * 3)]


def _edge_aware_demosaicing(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["demosaic"] = "edge_aware"


def _nearest_demosaicing(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["demosaic"] = "nearest"


def _wrong_ccm(settings: Settings, low: float, high: float, random: Random) -> None:
    share = _between(low, high, random)
    other = [0.0] * number_of_cameras()
    other[int(random.random() * len(other))] = 1.0
    settings["ccm_used"] = _mixture(settings["ccm"], camera_ccm(other).tolist(), share)


def _wrong_illuminant(settings: Settings, low: float, high: float, random: Random) -> None:
    share = _between(low, high, random)
    sensors = load_profile("raspberrypi")["sensors"]
    names = sorted(sensors)
    ccms = sensors[names[int(random.random() * len(names))]]["ccms"]
    # By what the matrix for one light differs from that for the other; the camera keeps its own.
    right, wrong = (ccms[0]["ccm"], ccms[-1]["ccm"]) if random.random() < 0.5 else (ccms[-1]["ccm"], ccms[0]["ccm"])
    settings["ccm_used"] = [
        [own + share * (w - r) for own, r, w in zip(*rows, strict=True)]
        for rows in zip(settings["ccm"], right, wrong, strict=True)
    ]


def _wrong_gamma(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["gamma_ratio"] = _ratio(low, high, random)


def _s_curve(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["s_curve"] = _either(low, high, random)


def _local_contrast(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["local_contrast"] = _between(low, high, random)


def _wrong_saturation(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["saturation"] = _ratio(low, high, random)


# Detail


def _colour_smear(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["chroma_smear"] = _between(low, high, random)


def _watercolour(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["luma_smear"] = _between(low, high, random)


def _halo(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["sharpening"] = _between(low, high, random)
    settings["sharpening_radius"] = 0.7 + 1.3 * random.random()


def _low_resolution(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["resize"] = 1 / (1 + _between(low, high, random))


# The file


def _jpeg(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["jpeg_quality"] = round(_between(low, high, random))
    settings["jpeg_subsampling"] = "4:2:0" if random.random() < 0.5 else "4:4:4"


def _double_jpeg(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["first_jpeg_quality"] = round(_between(low, high, random))
    settings["first_jpeg_shift"] = [1 + int(random.random() * 7), 1 + int(random.random() * 7)]
    settings["jpeg_quality"] = min(95, settings["first_jpeg_quality"] + 10 + int(random.random() * 20))
    settings["jpeg_subsampling"] = "4:2:0" if random.random() < 0.5 else "4:4:4"


def _webp(settings: Settings, low: float, high: float, random: Random) -> None:
    settings["webp_quality"] = round(_between(low, high, random))


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("vignetting", "Dark corners.", "squared tangent", _vignetting),
        Fault("colour_shading", "Corners of another colour than the middle.", "share", _colour_shading),
        Fault("motion_blur", "Smeared along a line: the camera shook.", "pixels", _motion_blur),
        Fault("wrong_iso", "Too dark or cut at white: the sensor was set to a wrong gain.", "EV", _wrong_iso),
        Fault("green_imbalance", "A fine maze: the two greens of the mosaic differ.", "share", _green_imbalance),
        Fault("sensor_noise", "Grain: photon and read noise of a high ISO.", "shot noise variance", _sensor_noise),
        Fault("low_light_noise", "Grain with bands and a tint: a dark scene.", "DN an electron", _low_light_noise),
        Fault("defect_pixels", "Dots: sites of the sensor that are stuck at black or white.", "share", _defect_pixels),
        Fault("low_bit_depth", "Steps in smooth shadows: a converter of few bits.", "bits", _low_bit_depth),
        Fault("wrong_black_level", "Milky or swallowed shadows.", "share of the range", _wrong_black_level),
        Fault("wrong_white_balance", "A colour cast: red and blue gains are off.", "log ratio", _wrong_white_balance),
        Fault("wrong_temperature", "Too warm or too cold: taken for another light.", "mired", _wrong_temperature),
        Fault("wrong_exposure", "Too dark or too bright as a whole.", "EV", _wrong_exposure),
        Fault("demosaicing", "Zippers and false colour where colours were guessed.", "none", _demosaicing),
        Fault("edge_aware_demosaicing", "Mazes where edges were guessed wrong.", "none", _edge_aware_demosaicing),
        Fault("nearest_demosaicing", "Coloured stairs along every edge.", "none", _nearest_demosaicing),
        Fault("wrong_ccm", "Hues turned: another camera's colour matrix was used.", "share", _wrong_ccm),
        Fault("wrong_illuminant", "Hues turned: the colour matrix of another light.", "share", _wrong_illuminant),
        Fault("wrong_gamma", "Mid-tones too dark or too bright: a wrong tone curve.", "log ratio", _wrong_gamma),
        Fault("s_curve", "Too hard or too flat: shadows and highlights bent.", "share of smoothstep", _s_curve),
        Fault("local_contrast", "Everything stands out from its surroundings.", "share", _local_contrast),
        Fault("wrong_saturation", "Garish or faded colours.", "log ratio", _wrong_saturation),
        Fault("colour_smear", "Colours bleed over edges: colour noise was smoothed away.", "share", _colour_smear),
        Fault("watercolour", "Fine texture painted over: noise was smoothed away.", "share", _watercolour),
        Fault("halo", "Bright and dark seams along edges: sharpened too much.", "share", _halo),
        Fault("low_resolution", "Soft: scaled up from a smaller picture.", "factor over 1", _low_resolution),
        Fault("jpeg", "Blocks and smeared colour: the file was squeezed too hard.", "quality", _jpeg),
        Fault("double_jpeg", "Blocks on two grids: a squeezed file, cropped and saved again.", "quality", _double_jpeg),
        Fault("webp", "Smooth patches and soft edges: squeezed as WebP.", "quality", _webp),
    )
}


def _needs_mosaic(settings: Settings) -> None:
    """Faults of single sites show as such behind a mosaic alone; a demosaicing that was chosen already stays."""
    if settings["demosaic"] == "none":
        settings["demosaic"] = "malvar"


def _mixture(one: list[list[float]], other: list[list[float]], share: float) -> list[list[float]]:
    pairs = (zip(*rows, strict=True) for rows in zip(one, other, strict=True))
    return [[(1 - share) * a + share * b for a, b in row] for row in pairs]


def _between(low: float, high: float, random: Random) -> float:
    return low + (high - low) * random.random()


def _sign(random: Random) -> int:
    return 1 if random.random() < 0.5 else -1


def _either(low: float, high: float, random: Random) -> float:
    """+-u, u uniform in the range."""
    return _sign(random) * _between(low, high, random)


def _ratio(low: float, high: float, random: Random) -> float:
    """exp(+-u), u uniform in the range."""
    return math.exp(_either(low, high, random))
