from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from dirnet.errors import UsageError
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.suites.draw import NEARLY_CLEAN, draw, draw_for_training
from dirnet.suites.suites import SEVERITIES, SUITES

# sha256 over the settings of 1,000 draws of version 1. A suite is frozen: whoever has to change one of these changes
# what every published number was measured on, and must raise the suite's version.
FROZEN = {
    "clean": "00a9f3299bbc3eb203201f169c7c9e4d3902fa0e0a5c5f46b48198c4850796f5",
    "seen": "0f4796bb0e9cfcb9c11f9cc6fe237076c1f150ce43222c8433f2a810f5355c5b",
    "unseen-severity": "12deaaad603733ee35352063092cfc499e4471e6b025ba59590c7e6eb6b73155",
    "unseen-val": "65955a42761afbf1f218f121685e88e6c85f269fd9f5fd5cc30894846d505af3",
    "unseen-test": "1e63ab991d878b5991676ab36bc359e249bc24a2a8428cfbd5ffdc0994dbdd4d",
    "compound": "2f4d4c5131ca20ad3f44b10bc9662ebd43201bf42b8e5a2630bd331acdb78d64",
    "everyday": "2d56fa26cd495ddc2e17863d515462ea32deba0002ac3d6ff057f27e34fc5c82",
    "wide": "42a79a5c83ac53db8aee06be4415654921e5189fe1a1483600f47e850065c949",
    "seen, for training": "dc6e496878dbb02c88ba53288f7cb7bc64829b5b36b7eeb9f9244140949c031d",
}


def numbers(row: dict[str, Any]) -> list[float]:
    """What of a draw is drawn evenly or nearly so, for correlations."""
    return [
        math.log(row["shot_noise"] + 1e-5), math.log(row["read_noise"] + 1e-9), float(row["jpeg_quality"]),
        float(row["jpeg_subsampling"] == "4:2:0"), math.log(row["gamma_ratio"]), math.log(row["exposure"]),
        math.log(row["white_balance_ratio"][0]), math.log(row["white_balance_ratio"][2]), row["ccm"][0][0],
        row["white_balance"][0], row["white_balance"][1], row["noise_seed"] / 2**53, float(row["demosaic"] == "none"),
    ]  # fmt: skip


def correlations(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> np.ndarray:
    a, b = (np.array([numbers(row) for row in rows]) for rows in (one, other))
    return np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]


# Frozen


@pytest.mark.parametrize("name", SUITES)
def test_a_thousand_draws_are_what_they_were(name: str) -> None:
    rows = [draw(name, 1 + i % 5, f"folder/{i}.png", view=i % 4, seed=i % 3) for i in range(1000)]
    assert ISPParams.from_settings(rows).hash() == FROZEN[name]


def test_a_thousand_draws_for_training_are_what_they_were() -> None:
    rows = [draw_for_training("seen", f"folder/{i}.png", view=i % 4, seed=i % 3) for i in range(1000)]
    assert ISPParams.from_settings(rows).hash() == FROZEN["seen, for training"]


# What a draw depends on


@pytest.mark.parametrize("suite", ["seen", "unseen-severity"])
def test_a_draw_depends_on_its_names_and_numbers_alone(suite: str) -> None:
    first = draw(suite, 3, "a.png", view=1, seed=2)
    assert draw(SUITES[suite], 3, "a.png", view=1, seed=2) == first
    others = [
        draw(suite, 3, "a.png", view=1, seed=3),
        draw(suite, 3, "a.png", view=2, seed=2),
        draw(suite, 3, "b.png", view=1, seed=2),
        draw(suite, 4, "a.png", view=1, seed=2),
        draw_for_training(suite, "a.png", view=1, seed=2),
    ]
    for one, other in itertools.combinations([first, *others], 2):
        for name in ("noise_seed", "shot_noise", "ccm", "white_balance"):
            assert one[name] != other[name]


def test_names_and_numbers_do_not_run_together() -> None:
    seeds = [
        draw("seen", 1, item, view=view, seed=seed)["noise_seed"]
        for item, view, seed in [("a/1", 2, 0), ("a", 12, 0), ("a/1/2", 0, 0), ("a", 1, 2), ("1/a", 1, 2), ("a", 2, 1)]
    ]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("suite", ["seen", "unseen-severity"])
def test_a_draw_is_valid_and_settings_may_be_changed_without_touching_the_next(suite: str) -> None:
    row = draw(suite, 2, "a.png")
    assert row.keys() == clean_settings().keys()
    ISPParams.from_settings([row]).to_json()
    again = draw(suite, 2, "a.png")
    row["ccm"][0][0] = row["white_balance"][0] = 99.0
    assert draw(suite, 2, "a.png") == again


LIMIT = 5 / math.sqrt(1000)  # five standard errors: about 170 correlations are looked at a time


def test_views_items_seeds_and_severities_are_independent() -> None:
    def rows(severity: int = 3, prefix: str = "", view: int = 0, seed: int = 0) -> list[dict[str, Any]]:
        return [draw("seen", severity, f"{prefix}{i}.png", view=view, seed=seed) for i in range(1000)]

    first = rows()
    for other in (rows(view=1), rows(seed=1), rows(severity=4), rows(prefix="x"), rows()[1:] + rows()[:1]):
        assert np.abs(correlations(first, other)).max() < LIMIT


def test_severities_of_views_in_training_are_independent() -> None:
    first, second = ([draw_for_training("seen", f"{i}.png", view=view) for i in range(1000)] for view in (0, 1))
    assert np.abs(correlations(first, second)).max() < LIMIT


def test_settings_of_one_draw_are_independent_of_each_other() -> None:
    rows = [draw("seen", 3, f"{i}.png") for i in range(1000)]
    found = np.abs(correlations(rows, rows))
    np.fill_diagonal(found, 0)
    shot, read, red, green = 0, 1, 9, 10
    assert found[shot, read] > 0.7  # Brooks' line ties these two
    assert found[red, green] > 0.7  # and one overall gain these
    for pair in ((shot, read), (red, green)):
        found[pair] = found[pair[::-1]] = 0
    assert found.max() < LIMIT


# Ranges


@pytest.mark.parametrize("suite", ["seen", "unseen-severity"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_five_hundred_draws_keep_to_their_ranges_and_fill_them(suite: str, severity: int) -> None:
    rows = [draw(suite, severity, f"{i}.png") for i in range(500)]
    faults = SUITES[suite].faults
    off = {
        "sensor_noise": [math.log(row["shot_noise"]) for row in rows],
        "wrong_gamma": [abs(math.log(row["gamma_ratio"])) for row in rows],
        "wrong_white_balance": [abs(math.log(row["white_balance_ratio"][c])) for row in rows for c in (0, 2)],
        "wrong_exposure": [abs(math.log2(row["exposure"])) for row in rows],
        "jpeg": [row["jpeg_quality"] for row in rows],
    }
    for name, values in off.items():
        low, high = faults[name][severity - 1]
        if name == "sensor_noise":
            low, high = math.log(low), math.log(high)
        if name == "jpeg":
            low, high = round(low), round(high)
        slack = 1e-9 + 0.03 * (high - low)
        assert low - 1e-9 <= min(values) <= low + slack
        assert high - slack <= max(values) <= high + 1e-9
    for row in rows:
        assert row["white_balance_ratio"][1] == 1
        assert (row["iso_gain"], row["black_level_error"]) == (1, 0)
        assert (row["ccm_used"] == row["ccm"]) == (faults["wrong_ccm"][severity - 1] == (0, 0))


def test_cameras_are_those_of_brooks() -> None:
    rows = [draw("clean", 0, str(i)) for i in range(500)]
    gains = np.array([row["white_balance"] for row in rows])
    red, blue = gains[:, 0] / gains[:, 1], gains[:, 2] / gains[:, 1]
    assert 1.9 <= red.min() < 1.91 < 2.39 < red.max() <= 2.4
    assert 1.5 <= blue.min() < 1.51 < 1.89 < blue.max() <= 1.9
    assert gains[:, 1].min() > 1.04
    assert gains[:, 1].max() < 1.67
    assert abs(np.median(1 / gains[:, 1]) - 0.8) < 4 * 1.25 * 0.1 / math.sqrt(500)
    np.testing.assert_allclose(np.sum([row["ccm"] for row in rows], axis=2), 1, atol=1e-12)


def test_a_clean_draw_has_no_fault_at_any_severity() -> None:
    for row in [draw("clean", severity, "a") for severity in (0, 1, 5, 99)] + [
        draw_for_training("clean", f"{i}.png") for i in range(100)
    ]:
        camera = {name: row[name] for name in ("ccm", "white_balance", "noise_seed")}
        assert row == {**clean_settings(), **camera, "ccm_used": row["ccm"]}


# Training


def test_a_share_of_the_training_draws_is_nearly_clean() -> None:
    n = 3000
    rows = [draw_for_training("seen", f"{i}.png") for i in range(n)]
    nearly = [row for row in rows if not (row["shot_noise"] and row["jpeg_quality"])]
    assert abs(len(nearly) / n - NEARLY_CLEAN) < 3 * math.sqrt(NEARLY_CLEAN * (1 - NEARLY_CLEAN) / n)
    assert NEARLY_CLEAN == 0.15
    faults = [
        [
            bool(row["shot_noise"]), bool(row["jpeg_quality"]), row["gamma_ratio"] != 1, row["exposure"] != 1,
            row["white_balance_ratio"] != [1, 1, 1], row["ccm_used"] != row["ccm"], row["demosaic"] != "none",
        ]
        for row in nearly
    ]  # fmt: skip
    assert max(sum(row) for row in faults) == 1
    # Clean by intention, or one fault in seven (another camera's matrix) and a third of one (demosaicing) that is none.
    expected = 0.5 + 0.5 * (1 + 1 / 3) / 7
    assert abs(np.mean([sum(row) == 0 for row in faults]) - expected) < 3 * math.sqrt(0.25 / len(nearly))
    for row in nearly:
        assert row["shot_noise"] == 0 or 1e-4 <= row["shot_noise"] <= 3e-4
        assert row["jpeg_quality"] == 0 or row["jpeg_quality"] >= 90
        assert abs(math.log(row["gamma_ratio"])) <= 0.03


def test_severities_in_training_are_even() -> None:
    rows = [draw_for_training("seen", f"{i}.png") for i in range(3000)]
    shots = [row["shot_noise"] for row in rows if row["shot_noise"] and row["jpeg_quality"]]
    counts, _ = np.histogram(shots, [1e-4, 3e-4, 8e-4, 2.2e-3, 5e-3, 1.2e-2])
    n = len(shots)
    assert counts.sum() == n
    assert (np.abs(counts / n - 0.2) < 3 * math.sqrt(0.16 / n)).all()


# Errors


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_severity_out_of_range_is_refused_with_the_list(severity: int) -> None:
    with pytest.raises(UsageError, match=str(severity)) as caught:
        draw("seen", severity, "a.png")
    assert all(str(one) in caught.value.wanted for one in SEVERITIES)


def test_an_unknown_suite_is_refused_with_the_list() -> None:
    for drawing in (lambda: draw("foggy", 1, "a.png"), lambda: draw_for_training("foggy", "a.png")):
        with pytest.raises(UsageError, match="clean, seen, unseen-severity"):
            drawing()
