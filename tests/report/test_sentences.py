from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from dirnet.judge.records import Record
from dirnet.report.gather import Measured
from dirnet.report.sentences import Sentence, listed, sentences
from dirnet.report.tables import arrange

Make = Callable[..., Record]


def said(*records: Record) -> list[Sentence]:
    (block,) = arrange([Measured(record, "records") for record in records])
    return sentences(block)


def text(sentence: Sentence) -> str:
    return sentence.text.striptags().replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def test_a_gain_at_one_severity(record: Make) -> None:
    (sentence,) = said(record("input", 24.1, values=[]), record("small", 27.02, values=[]))
    assert text(sentence) == "On seen, severity 3, small raises PSNR from 24.10 to 27.02 dB (+2.92) over 8 pictures."
    assert sentence.verdict == "gain"


def test_a_loss_is_said_as_plainly(record: Make) -> None:
    (sentence,) = said(record("input", 40, 5), record("small", 39.5, 5))
    assert text(sentence) == (
        "On seen, severity 5, small lowers PSNR from 40.00 to 39.50 dB (-0.50) over 8 pictures: a loss. "
        "The 95 % interval of the difference is -0.50 to -0.50."
    )
    assert sentence.verdict == "loss"


def test_a_clean_picture_cannot_be_bettered(record: Make) -> None:
    (sentence,) = said(record("input", 100, 0, suite="clean"), record("small", 43.25, 0, suite="clean"))
    assert (
        text(sentence)
        == "On clean nothing was spoiled: small gives the pictures back at PSNR 43.25 dB over 8 pictures."
    )
    assert not sentence.verdict


def test_several_severities_are_averaged_and_the_exceptions_named(record: Make) -> None:
    pairs = [(1, 30.0, 29.0), (2, 28.0, 29.0), (3, 26.0, 29.0)]
    (sentence,) = said(*(record(m, v, s) for s, a, b in pairs for m, v in (("input", a), ("small", b))))
    assert text(sentence) == (
        "On seen, severities 1 to 3, small raises PSNR from 28.00 to 29.00 dB (+1.00) on average over 8 pictures each. "
        "It loses at severity 1."
    )


def test_what_may_be_chance_is_called_so(record: Make) -> None:
    before = record("input", 25)
    after = record(
        "small", 25.1, values=[value + shift for value, shift in zip(before.values, [2, -2] * 4, strict=True)]
    )
    (sentence,) = said(before, after)
    assert text(sentence).endswith("This may be chance: the 95 % interval of the difference includes zero.")


def test_no_difference_is_neither_gain_nor_loss(record: Make) -> None:
    (sentence,) = said(record("input", 25, values=[]), record("small", 25.001, values=[]))
    assert text(sentence) == "On seen, severity 3, small leaves PSNR at 25.00 dB over 8 pictures."


def test_a_metric_where_less_is_better_gains_by_falling(record: Make) -> None:
    error = {"metric": "error", "unit": "", "higher_is_better": False, "values": []}
    (sentence,) = said(record("input", 5, **error), record("small", 4, **error))
    assert "lowers error from 5.00 to 4.00 (-1.00) over" in text(sentence)
    assert sentence.verdict == "gain"


def test_each_model_has_its_sentence_and_the_input_none(record: Make) -> None:
    assert len(said(record("input", 24), record("small", 27), record("tiny", 26))) == 2


def test_without_an_input_nothing_is_claimed(record: Make) -> None:
    (sentence,) = said(record("small", 27))
    assert (
        text(sentence)
        == "On seen, severity 3, small has PSNR 27.00 dB over 8 pictures, with nothing to compare it with."
    )
    assert sentence.verdict == ""


def test_a_metric_that_is_not_finite_gives_way_to_the_next(record: Make) -> None:
    endless = [record(model, math.inf, values=[]) for model in ("input", "small")]
    ssim = [record(model, value, metric="ssim", unit="") for model, value in (("input", 0.8), ("small", 0.9))]
    (sentence,) = said(*endless, *ssim)
    assert "raises SSIM from 0.8000 to 0.9000 (+0.1000)" in text(sentence)


def test_names_are_escaped(record: Make) -> None:
    (sentence,) = said(record("<script>", 27, suite="<b>", metric="<i>"))
    assert "<script>" not in sentence.text
    assert "<i>" not in sentence.text
    assert "&lt;script&gt;" in sentence.text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([3], "3"), ([2, 1], "1 and 2"), ([5, 3, 1, 2, 3], "1 to 3 and 5"), ([1, 3, 5], "1, 3 and 5")],
)
def test_numbers_are_listed_as_a_person_would(numbers: list[int], text: str) -> None:
    assert listed(numbers) == text


def test_a_detector_is_compared_on_clean_pictures_too(record: Make) -> None:
    precision = {"metric": "ap", "unit": "", "task": "detect", "suite": "clean", "tone": "", "values": []}
    (sentence,) = said(record("input", 0.313, 0, **precision), record("small", 0.31, 0, **precision))
    assert text(sentence) == "On clean, small lowers AP from 0.3130 to 0.3100 (-0.0030) over 8 pictures: a loss."
