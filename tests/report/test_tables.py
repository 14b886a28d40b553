from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from dirnet.judge.records import Record
from dirnet.judge.statistics import paired_interval, redrawn_interval
from dirnet.report.gather import Measured
from dirnet.report.tables import Block, Cell, Metric, arrange

Make = Callable[..., Record]
PSNR = Metric("psnr", "PSNR", "dB", 2, True)


def block(*records: Record, source: str = "records") -> Block:
    (made,) = arrange([Measured(record, source) for record in records])
    return made


def test_a_model_stands_against_the_input_of_its_own_draw(record: Make) -> None:
    made = block(
        record("input", 24, 2), record("input", 21, 3), record("small", 26.5, 3), record("small", 25, 2)
    )  # fmt: skip
    assert [(row.severity, row.label, row.n) for row in made.rows] == [(2, "small", 8), (3, "small", 8)]
    assert [(cell.before, cell.after, cell.change) for row in made.rows for cell in row.cells if cell] == [
        (24, 25, 1.0), (21, 26.5, 5.5)
    ]  # fmt: skip


def test_another_draw_is_not_compared(record: Make) -> None:
    made = block(record("input", 24), record("small", 27, params_hash="another"))
    assert [(row.label, cell.before, cell.after) for row in made.rows for cell in row.cells if cell] == [
        ("small", None, 27), ("input", 24, None)
    ]  # fmt: skip


def test_the_interval_is_that_of_the_paired_differences(record: Make) -> None:
    before, after = record("input", 24), record("small", 27)
    cell = block(before, after).rows[0].cells[0]
    assert cell
    assert cell.interval == paired_interval(after.values, before.values)
    assert not cell.unsure


@pytest.mark.parametrize("changed", [{"values": []}, {"values": [math.inf] * 8}, {"pictures": ["other"] * 8}])
def test_there_is_no_interval_without_finite_pairs(record: Make, changed: dict[str, list[float]]) -> None:
    cell = block(record("input", 24), record("small", 27, **changed)).rows[0].cells[0]
    assert cell
    assert cell.interval is None
    assert cell.change == 3


def test_where_masks_were_measured_a_name_says_whether_it_is_of_them(record: Make) -> None:
    metrics = ["mask_ap", "mask_ap50", "ap", "ap50", "mpc", "rpc"]
    names = {
        task: [metric.name for metric in block(*(record(metric=each, task=task) for each in metrics)).metrics]
        for task in ("detect", "segment")
    }
    assert names["segment"] == ["Mask AP", "Mask AP50", "Box AP", "Box AP50", "Mask mPC", "Mask rPC"]
    assert names["detect"][2:] == ["AP", "AP50", "mPC", "rPC"]


def test_metrics_are_columns_and_a_hole_is_none(record: Make) -> None:
    ssim = {"metric": "ssim", "unit": ""}
    made = block(record("input", 24), record("small", 27), record("input", 0.8, 1, **ssim))
    assert [metric.name for metric in made.metrics] == ["PSNR", "SSIM"]
    assert [metric.digits for metric in made.metrics] == [2, 4]
    assert [[cell is None for cell in row.cells] for row in made.rows] == [[True, False], [False, True]]


def test_breakdowns_are_rows_by_kind_with_their_own_count(record: Make) -> None:
    made = block(record("input", 24), record("small", 27), record("tiny", 26))
    assert [(row.kind, row.label, row.n) for row in made.by["demosaic"]] == [
        ("bilinear", "small", 3), ("bilinear", "tiny", 3), ("malvar", "small", 5), ("malvar", "tiny", 5)
    ]  # fmt: skip
    cell = made.by["demosaic"][0].cells[0]
    assert cell
    assert (cell.before, cell.after) == (23.39, 26.39)


def test_suites_tones_seeds_and_data_are_kept_apart(record: Make) -> None:
    changes = [{}, {"suite": "unseen"}, {"tone": "repair"}, {"seed": 1}, {"context": {"data": "else"}}]
    assert len(arrange([Measured(record(**change), "a") for change in changes])) == 5


def test_what_occurs_twice_is_shown_once(record: Make) -> None:
    one = [record("input", 24), record("small", 27)]
    (made,) = arrange([Measured(each, source) for source in ("a", "b") for each in one])
    assert [row.label for row in made.rows] == ["small"]


def test_a_model_measured_twice_differently_is_shown_under_both_files(record: Make) -> None:
    first = [Measured(record("input", 24), "a"), Measured(record("small", 27), "a")]
    second = [Measured(record("input", 24.5), "b"), Measured(record("small", 28), "b")]
    (made,) = arrange(first + second)
    assert [(row.label, cell.before, cell.after) for row in made.rows for cell in row.cells if cell] == [
        ("small (a)", 24, 27), ("small (b)", 24.5, 28)
    ]  # fmt: skip


def test_two_results_in_one_file_are_both_shown(record: Make) -> None:
    made = block(record("input", 24), record("small", 27), record("small", 28))
    assert [cell.after for row in made.rows for cell in row.cells if cell] == [27, 28]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (27.016, "27.02"), (-1.5, "\N{MINUS SIGN}1.50"), (-0.001, "0.00"), (0.0, "0.00"), (math.inf, "∞"),
        (-math.inf, "\N{MINUS SIGN}∞"), (math.nan, "\N{EN DASH}"), (None, "\N{EN DASH}"), (1e300, "1e+300"),
    ],
)  # fmt: skip
def test_figures_as_text(value: float | None, text: str) -> None:
    assert PSNR.show(value) == text


@pytest.mark.parametrize(("value", "text"), [(2.918, "+2.92"), (-0.31, "\N{MINUS SIGN}0.31"), (-0.004, "±0.00")])
def test_differences_carry_their_sign(value: float, text: str) -> None:
    assert PSNR.show_change(value) == text


@pytest.mark.parametrize(
    ("before", "after", "higher", "verdict"),
    [
        (24, 27, True, "gain"), (24, 27, False, "loss"), (27, 24, True, "loss"), (27, 24, False, "gain"),
        (24, 24.001, True, "same"), (math.inf, math.inf, True, ""), (24, math.nan, True, ""), (None, 24, True, ""),
    ],
)  # fmt: skip
def test_the_verdict_knows_which_way_is_up(before: float | None, after: float, higher: bool, verdict: str) -> None:
    assert Cell(Metric("m", "M", "", 2, higher), before, after).verdict == verdict


def test_a_figure_that_is_no_mean_has_the_interval_of_its_redraws(record: Make) -> None:
    precision = {"metric": "ap", "unit": "", "values": []}
    before = record("input", 0.2, redrawn=[0.1, 0.2, 0.3], **precision)
    cell = block(before, record("small", 0.3, redrawn=[0.2, 0.35, 0.4], **precision)).rows[0].cells[0]
    assert cell
    assert cell.interval == redrawn_interval([0.2, 0.35, 0.4], [0.1, 0.2, 0.3])
    assert cell.interval == pytest.approx((0.1, 0.15), abs=0.003)
    for changed in ({"redrawn": []}, {"redrawn": [0.2, math.nan, 0.4]}, {"pictures": ["other"] * 8}):
        given = precision | {"redrawn": [0.2, 0.35, 0.4]} | changed
        cell = block(before, record("small", 0.3, **given)).rows[0].cells[0]
        assert cell
        assert cell.interval is None
