"""Sample first: suite x severity x seed x item x view -> the settings of one exposure.

A draw depends on these names and numbers alone: not on batch size, order, workers, device or library versions.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

from dirnet.errors import UsageError
from dirnet.isp.color import camera_ccm, number_of_cameras
from dirnet.isp.faults import FAULTS
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.isp.profiles import load_profile
from dirnet.suites.suites import SEVERITIES, Suite, suite_named

# Of the draws for training: the share that is nearly clean, since who has only seen spoiled pictures harms good ones.
NEARLY_CLEAN = 0.15


def draw(suite: str | Suite, severity: int, item: str, *, view: int = 0, seed: int = 0) -> dict[str, Any]:
    """Settings of one exposure, as a plain dict for `ISPParams.from_settings`.

    item: what is photographed, by name (the path relative to the data folder); view: which of several exposures of it.
    Raises UsageError for an unknown suite or a severity outside 1..5 (for `clean` the severity means nothing).
    """
    suite = suite_named(suite) if isinstance(suite, str) else suite
    if suite.faults and severity not in SEVERITIES:
        raise UsageError("Severity out of range", got=str(severity), wanted="1, 2, 3, 4 or 5")
    random = _random(suite, severity, seed, item, view)
    settings = _camera(random)
    for name in _picked(suite, random):
        FAULTS[name].spoil(settings, *suite.faults[name][severity - 1], random)
    return settings


def draw_for_training(suite: str | Suite, item: str, *, view: int = 0, seed: int = 0) -> dict[str, Any]:
    """Like `draw`, with the severity drawn too; a share of `NEARLY_CLEAN` is clean or has one fault at severity 1.

    suite: or the names of several joined by "+", of which each exposure draws one.
    """
    if isinstance(suite, str):
        names = suite.split("+")
        suite = suite_named(names[int(Random(f"suite/{seed}/{item}/{view}").random() * len(names))])
    random = _random(suite, 0, seed, item, view)
    settings = _camera(random)
    severity = SEVERITIES[int(random.random() * len(SEVERITIES))]
    names = _picked(suite, random)
    if random.random() < NEARLY_CLEAN:
        severity = 1
        names = [names[int(random.random() * len(names))]] if names and random.random() < 0.5 else []
    for name in names:
        FAULTS[name].spoil(settings, *suite.faults[name][severity - 1], random)
    return settings


def suite_hash(name: str) -> str:
    """sha256 over the settings of 1,000 draws, of all severities: whoever has the same has the same suite."""
    rows = [draw(name, 1 + i % 5, f"folder/{i}.png", view=i % 4, seed=i % 3) for i in range(1000)]
    return ISPParams.from_settings(rows).hash()


def _picked(suite: Suite, random: Random) -> list[str]:
    """The faults of one exposure, in the suite's order: all of them, or as many as are to be picked."""
    names = list(suite.faults)
    if suite.pick is None:
        return names
    least, most = suite.pick
    number = least + int(random.random() * (most - least + 1))
    chosen = sorted(names, key=lambda _: random.random())[:number]
    return [name for name in names if name in chosen]


def _random(suite: Suite, *key: object) -> Random:
    text = "/".join(str(part) for part in (suite.name, suite.version, *key))
    name = text.encode(errors="surrogateescape")  # that of a file need not be UTF-8
    return Random(int.from_bytes(hashlib.sha256(name).digest()[:16]))


def _camera(random: Random) -> dict[str, Any]:
    """A faultless exposure by a random camera in random light (Brooks et al., 2019)."""
    profile = load_profile("brooks")
    settings = clean_settings()
    ccm = camera_ccm([1e-8 + random.random() for _ in range(number_of_cameras())])
    settings["ccm"], settings["ccm_used"] = ccm.tolist(), ccm.tolist()
    # A sum of twelve uniform draws is normal enough here, and bounded: the gain stays between 1.04 and 1.7.
    spread = sum(random.random() for _ in range(12)) - 6
    overall = profile["rgb_gain"]["mean"] + profile["rgb_gain"]["sigma"] * max(-2.0, min(1.6, spread))
    red, blue = (low + (high - low) * random.random() for low, high in profile["white_balance"].values())
    settings["white_balance"] = [red / overall, 1 / overall, blue / overall]
    settings["noise_seed"] = int(random.random() * 2**32)
    return settings
