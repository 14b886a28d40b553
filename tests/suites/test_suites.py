from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from dirnet.errors import UsageError
from dirnet.isp.faults import FAULTS
from dirnet.suites.suites import SUITES, suite_named

KINDS = [(suite.name, fault) for suite in SUITES.values() for fault in suite.faults]
FIXED = ("demosaicing", "edge_aware_demosaicing", "nearest_demosaicing")  # there or not
WEAK_IS_HIGH = ("jpeg", "double_jpeg", "webp", "low_bit_depth")
# From the weakest end of severity 1 to the strongest of severity 5, as the method defines the two suites.
SPAN = {
    ("seen", "sensor_noise"): (1e-4, 1.2e-2),
    ("seen", "jpeg"): (95, 25),
    ("seen", "wrong_gamma"): (0, 0.20),
    ("seen", "wrong_white_balance"): (0, 0.12),
    ("seen", "wrong_exposure"): (0, 0.4),
    ("seen", "wrong_ccm"): (0, 0.4),
    ("unseen-severity", "sensor_noise"): (1.2e-2, 5e-2),
    ("unseen-severity", "jpeg"): (25, 8),
    ("unseen-severity", "wrong_gamma"): (0.20, 0.60),
    ("unseen-severity", "wrong_white_balance"): (0.12, 0.35),
    ("unseen-severity", "wrong_exposure"): (0.4, 1.2),
    ("unseen-severity", "wrong_ccm"): (0.4, 1.0),
}

VERSIONS = {"everyday": 2}
ALIKE = {("everyday", "colour_smear"), ("everyday", "low_resolution")}  # for training alone: as strong at any severity


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_has_a_name_a_version_and_a_sentence(name: str) -> None:
    suite = suite_named(name)
    assert suite is SUITES[name]
    assert (suite.name, suite.version) == (name, VERSIONS.get(name, 1))
    assert suite.sentence.endswith(".")


@pytest.mark.parametrize(("name", "fault"), KINDS)
def test_five_ranges_from_weak_to_strong(name: str, fault: str) -> None:
    assert fault in FAULTS
    ranges = SUITES[name].faults[fault]
    assert len(ranges) == 5
    assert all(low <= high for low, high in ranges)
    if fault in FIXED:
        assert set(ranges) == {(0.0, 0.0)}
        return
    middles = [(low + high) / 2 for low, high in ranges]
    # Of `wide`, which picks from one to five kinds, calibration put severities 1 and 2 about where each other is.
    rising = middles[1:] if name == "wide" else middles
    assert rising == sorted(rising, reverse=fault in WEAK_IS_HIGH)
    assert (middles[0] != middles[4]) == ((name, fault) not in ALIKE)


@pytest.mark.parametrize(("name", "fault"), SPAN)
def test_ranges_set_by_hand_follow_on_one_another(name: str, fault: str) -> None:
    weakest_first = [sorted(between, reverse=fault == "jpeg") for between in SUITES[name].faults[fault]]
    assert (weakest_first[0][0], weakest_first[4][1]) == SPAN[name, fault]
    assert all(before[1] == after[0] for before, after in pairwise(weakest_first))


def test_suites_of_unseen_kinds_share_none_with_seen_nor_with_each_other() -> None:
    kinds = [set(SUITES[name].faults) for name in ("seen", "unseen-val", "unseen-test")]
    for one, other in combinations(kinds, 2):
        assert not one & other
    assert set(SUITES["compound"].faults) == set().union(*kinds)
    assert set(SUITES["wide"].faults) == set(FAULTS)


def test_as_many_are_picked_as_the_method_says() -> None:
    picks = {name: suite.pick for name, suite in SUITES.items() if suite.pick}
    assert picks == {"unseen-val": (2, 3), "unseen-test": (2, 3), "compound": (3, 5), "wide": (1, 5)}
    for name, (least, most) in picks.items():
        assert 1 <= least <= most <= len(SUITES[name].faults)


def test_clean_is_nothing_and_unseen_severity_begins_where_seen_ends() -> None:
    assert SUITES["clean"].faults == {}
    assert SUITES["unseen-severity"].faults.keys() == SUITES["seen"].faults.keys()


def test_an_unknown_suite_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match="'sean'") as caught:
        suite_named("sean")
    assert all(name in caught.value.wanted for name in SUITES)
