"""The suites: which faults at which strength, for severities 1 to 5. Tables; adding a suite is adding one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dirnet.errors import UsageError

SEVERITIES = (1, 2, 3, 4, 5)
Range = tuple[float, float]


@dataclass(frozen=True)
class Suite:
    """faults: name of each fault -> its range at severities 1..5, in the fault's own unit (`dirnet.isp.faults`)."""

    name: str
    version: int
    sentence: str
    faults: Mapping[str, tuple[Range, Range, Range, Range, Range]]


_ANY = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))

SUITES = {
    suite.name: suite
    for suite in (
        Suite("clean", 0, "Nothing: the photograph itself. Shows what harm a method does.", {}),
        Suite(
            "seen",
            0,
            "The kinds and strengths that proof weights are trained on.",
            {
                "sensor_noise": ((1e-4, 3e-4), (3e-4, 8e-4), (8e-4, 2.2e-3), (2.2e-3, 5e-3), (5e-3, 1.2e-2)),
                "jpeg": ((90, 95), (80, 90), (60, 80), (40, 60), (25, 40)),
                "wrong_gamma": ((0, 0.03), (0.03, 0.06), (0.06, 0.10), (0.10, 0.15), (0.15, 0.20)),
                "wrong_white_balance": ((0, 0.02), (0.02, 0.04), (0.04, 0.06), (0.06, 0.09), (0.09, 0.12)),
                "wrong_exposure": ((0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4)),
                "wrong_ccm": ((0, 0), (0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4)),
                "demosaicing": _ANY,
            },
        ),
        Suite(
            "unseen-severity",
            0,
            "The same kinds as `seen`, past the strengths of training. To report, never to tune.",
            {
                "sensor_noise": (
                    (1.2e-2, 1.6e-2),
                    (1.6e-2, 2.1e-2),
                    (2.1e-2, 2.8e-2),
                    (2.8e-2, 3.8e-2),
                    (3.8e-2, 5e-2),
                ),
                "jpeg": ((21.6, 25), (18.2, 21.6), (14.8, 18.2), (11.4, 14.8), (8, 11.4)),
                "wrong_gamma": ((0.20, 0.28), (0.28, 0.36), (0.36, 0.44), (0.44, 0.52), (0.52, 0.60)),
                "wrong_white_balance": ((0.12, 0.166), (0.166, 0.212), (0.212, 0.258), (0.258, 0.304), (0.304, 0.35)),
                "wrong_exposure": ((0.4, 0.56), (0.56, 0.72), (0.72, 0.88), (0.88, 1.04), (1.04, 1.2)),
                "wrong_ccm": ((0.4, 0.52), (0.52, 0.64), (0.64, 0.76), (0.76, 0.88), (0.88, 1.0)),
                "demosaicing": _ANY,
            },
        ),
    )
}


def suite_named(name: str) -> Suite:
    """The suite of that name; UsageError names those there are."""
    if name not in SUITES:
        raise UsageError("Unknown suite", got=repr(name), wanted=f"one of {', '.join(SUITES)}")
    return SUITES[name]
