from __future__ import annotations

import copy
import pickle

import pytest

from dirnet.errors import DirnetError, PictureError, TrainingError, UsageError, WeightsError

KINDS = (DirnetError, PictureError, WeightsError, TrainingError, UsageError)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "It broke."),
        ({"got": "a"}, "It broke; got a."),
        ({"wanted": "b"}, "It broke; wanted b."),
        ({"got": "a", "wanted": "b"}, "It broke; got a; wanted b."),
        ({"cure": "Mend it."}, "It broke. Mend it."),
        ({"got": "a", "wanted": "b", "cure": "Mend it."}, "It broke; got a; wanted b. Mend it."),
    ],
)
def test_the_parts_that_were_given_make_one_line(parts: dict[str, str], sentence: str) -> None:
    error = DirnetError("It broke", **parts)
    assert str(error) == sentence
    assert {name: getattr(error, name) for name in ("got", "wanted", "cure")} == {
        "got": "", "wanted": "", "cure": "", **parts
    }  # fmt: skip


def test_only_a_senseless_request_exits_with_2() -> None:
    assert {kind.exit_code for kind in KINDS if kind is not UsageError} == {1}
    assert UsageError.exit_code == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_whole_out_of_another_process(kind: type[DirnetError]) -> None:
    error = kind("It broke", got="a", wanted="b", cure="Mend it.")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert (twin.what, twin.got, twin.wanted, twin.cure) == ("It broke", "a", "b", "Mend it.")
