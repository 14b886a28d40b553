from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dirnet.errors import DirnetError, UsageError
from dirnet.isp.params import ISPParams
from dirnet.judge.evaluate import Pair, degraded_pairs, figures, find_pairs, measure, real_pairs
from dirnet.judge.metrics import psnr, to_8bit
from dirnet.judge.records import Record, read_records, write_records
from dirnet.judge.showcase import Showcase
from dirnet.nets.model import DiR
from dirnet.nets.weights import Loaded
from dirnet.pictures.folders import Input, gather
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture
from dirnet.suites.draw import draw
from dirnet.tasks.restore import ToneMode, restore

METRICS = ("psnr", "ssim", "ms_ssim", "psnr_tone", "ssim_tone", "similarity")


def write(path: Path, image: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(image[0].permute(1, 2, 0).numpy()))


@pytest.fixture
def inputs(tmp_path: Path, photographs: dict[str, torch.Tensor]) -> list[Input]:
    """Six photographs of 40 x 48 in two folders."""
    for name, photograph in photographs.items():
        for top in (60, 200):
            write(tmp_path / "data" / f"from {top}" / f"{name}.png", photograph[..., top : top + 40, 200:248])
    return gather([tmp_path / "data"]).inputs


def records_of(
    inputs: list[Input], weights: Loaded, *, suite: str = "seen", severity: int = 3, seed: int = 0,
    tone: ToneMode = "repair", **rest: Any,
) -> list[Record]:  # fmt: skip
    pairs = degraded_pairs(inputs, suite, severity, seed)
    return measure(
        pairs, weights, suite=suite, severity=severity, seed=seed, tone=tone, context={"data": ["x"]}, **rest
    )


def test_a_record_for_each_metric_of_the_input_and_of_the_model(inputs: list[Input], weights: Loaded) -> None:
    records = records_of(inputs, weights)
    assert [(r.model, r.metric) for r in records] == [(m, k) for m in ("input", "shaken") for k in METRICS]
    for record in records:
        assert record.n == len(record.values) == len(record.pictures) == 6
        assert record.value == pytest.approx(sum(record.values) / 6)
        assert (record.suite, record.severity, record.seed, record.tone) == ("seen", 3, 0, "repair")
        assert record.unit == ("dB" if "psnr" in record.metric else "")
        assert record.pictures == [item.relative.as_posix() for item in inputs]
        assert record.context == {"data": ["x"]}


def test_figures_are_those_of_what_files_would_hold(inputs: list[Input], weights: Loaded) -> None:
    records = {(r.model, r.metric): r for r in records_of(inputs, weights, tone="keep")}
    for index, pair in enumerate(degraded_pairs(inputs, "seen", 3, 0)):
        restored = to_8bit(restore(weights.model, pair.degraded[None], tone="keep"))[0]
        assert records["input", "psnr"].values[index] == psnr(pair.degraded, pair.clean)
        for metric, value in figures(restored, pair.clean).items():
            assert records["shaken", metric].values[index] == pytest.approx(value)


def test_an_untrained_model_is_the_input(inputs: list[Input]) -> None:
    untrained = Loaded(DiR("tiny").eval(), "untrained", "", {})
    for tone in ("keep", "repair"):
        records = {(r.model, r.metric): r.values for r in records_of(inputs[:2], untrained, tone=tone)}
        for metric in METRICS:
            assert records["untrained", metric] == records["input", metric]
    harmless = records_of(inputs[:2], untrained, suite="clean", severity=0)
    assert [r.value for r in harmless if r.metric == "similarity"] == pytest.approx([1, 1])


def test_the_clean_suite_does_no_harm_to_the_input(inputs: list[Input], weights: Loaded) -> None:
    records = {(r.model, r.metric): r for r in records_of(inputs[:2], weights, suite="clean", severity=0)}
    assert records["input", "psnr"].value == 100
    assert records["input", "ssim"].value == pytest.approx(1)
    assert records["input", "psnr"].by == {}


def test_the_same_seed_gives_the_same_records_and_another_seed_others(
    inputs: list[Input], weights: Loaded, tmp_path: Path
) -> None:
    first, again, other = (records_of(inputs[:3], weights, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first[0].params_hash != other[0].params_hash
    assert first[0].values != other[0].values
    write_records(tmp_path / "records.jsonl", first)
    assert read_records(tmp_path / "records.jsonl") == first


def test_a_pictures_spoiling_depends_on_neither_order_nor_company(inputs: list[Input]) -> None:
    together = {pair.name: pair for pair in degraded_pairs(inputs, "seen", 4, 7)}
    assert len(together) == 6
    for item in reversed(inputs):
        (alone,) = degraded_pairs([item], "seen", 4, 7)
        pair = together[alone.name]
        assert torch.equal(alone.degraded, pair.degraded)
        assert alone.settings == pair.settings == draw("seen", 4, item.relative.as_posix(), seed=7)
    same_stem = [pair.settings for name, pair in together.items() if name.endswith("coffee.png")]
    assert same_stem[0] != same_stem[1]  # the folder is part of the name


def test_pairs_are_8_bit_values(inputs: list[Input]) -> None:
    for pair in degraded_pairs(inputs[:2], "seen", 2, 0):
        assert torch.equal(pair.degraded, to_8bit(pair.degraded))
        assert torch.equal(pair.clean, to_8bit(pair.clean))
        assert pair.degraded.shape == pair.clean.shape == (3, 40, 48)


def test_params_hash_pins_all_that_was_drawn(inputs: list[Input], weights: Loaded) -> None:
    drawn = [draw("seen", 3, item.relative.as_posix(), seed=5) for item in inputs[:2]]
    expected = ISPParams.from_settings(drawn).hash()
    records = records_of(inputs[:2], weights, seed=5)
    assert {record.params_hash for record in records} == {expected}


def test_means_by_demosaicing_are_made_of_the_same_values(inputs: list[Input], weights: Loaded) -> None:
    kinds = [draw("seen", 3, item.relative.as_posix())["demosaic"] for item in inputs]
    assert len(set(kinds)) > 1
    for record in records_of(inputs, weights):
        by = record.by["demosaic"]
        assert by.keys() == set(kinds)
        assert sum(row["n"] for row in by.values()) == record.n
        assert sum(row["value"] * row["n"] for row in by.values()) / record.n == pytest.approx(record.value)
        for kind, row in by.items():
            own = [value for value, k in zip(record.values, kinds, strict=True) if k == kind]
            assert row == {"value": pytest.approx(sum(own) / len(own)), "n": len(own)}


def test_each_picture_is_told_when_it_is_done(inputs: list[Input], weights: Loaded) -> None:
    told: list[str] = []
    records = records_of(inputs[:3], weights, on_picture=told.append)
    assert told == records[0].pictures


def test_the_showcase_gets_what_the_figures_are_of(inputs: list[Input], weights: Loaded, tmp_path: Path) -> None:
    showcase = Showcase(tmp_path / "shown")
    records = {(r.model, r.metric): r for r in records_of(inputs, weights, showcase=showcase)}
    showcase.finish()
    entries = json.loads((tmp_path / "shown" / "index.json").read_text())["pictures"]
    assert [entry["why"] for entry in entries] == ["median gain", "best gain", "worst gain"]
    before, after = records["input", "psnr"], records["shaken", "psnr"]
    gains = {name: b - a for name, a, b in zip(before.pictures, before.values, after.values, strict=True)}
    by_gain = sorted(gains, key=lambda name: gains[name])
    assert [entry["name"] for entry in entries] == [by_gain[3], by_gain[-1], by_gain[0]]
    for entry in entries:
        at = before.pictures.index(entry["name"])
        assert entry["psnr"]["output"] == pytest.approx(after.values[at], abs=1e-3)


@pytest.fixture
def folder(tmp_path: Path, chelsea: torch.Tensor) -> Path:
    """Two real pairs, and files that are none."""
    folder = tmp_path / "pairs"
    clean = chelsea[..., 100:140, 100:148]
    for name in ("one", "two"):
        write(folder / f"{name}_mean.png", clean)
        write(folder / f"{name}_real.png", (clean + 0.05 * torch.randn_like(clean)).clamp(0, 1))
    write(folder / "alone_real.png", clean)
    write(folder / "other.png", clean)
    return folder


def test_pairs_are_files_whose_stems_end_in_the_two_suffixes(folder: Path) -> None:
    found = find_pairs(folder, ("_real", "_mean"))
    assert [(name, a.name, b.name) for name, a, b in found] == [
        ("one", "one_real.png", "one_mean.png"), ("two", "two_real.png", "two_mean.png")
    ]  # fmt: skip


def test_a_note_beside_a_picture_does_not_take_its_place(folder: Path) -> None:
    (folder / "one_real.txt").write_text("ISO 3200")
    assert [pair.name for pair in real_pairs(find_pairs(folder, ("_real", "_mean")))] == ["one", "two"]


def test_real_pairs_are_measured_without_settings(folder: Path, weights: Loaded) -> None:
    found = find_pairs(folder, ("_real", "_mean"))
    records = measure(real_pairs(found), weights, suite="pairs", severity=0, seed=0, tone="keep", context={})
    assert {record.n for record in records} == {2}
    assert records[0].pictures == ["one", "two"]
    assert 24 < records[0].value < 29  # noise of .05 is 26 dB
    assert records[0].by == {}
    again = measure(real_pairs(found[:1]), weights, suite="pairs", severity=0, seed=0, tone="keep", context={})
    assert again[0].params_hash != records[0].params_hash


def test_pairs_that_are_none_are_sentences(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No pairs in .*; wanted files NAME_noisy\.\* beside NAME_mean\.\*"):
        find_pairs(folder, ("_noisy", "_mean"))
    for path in (tmp_path / "missing", folder / "other.png"):
        with pytest.raises(UsageError, match="is no folder"):
            find_pairs(path, ("_real", "_mean"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="No pairs"):
        find_pairs(tmp_path / "empty", ("_real", "_mean"))


def test_a_pair_of_different_sizes_is_a_sentence(folder: Path, chelsea: torch.Tensor) -> None:
    (folder / "one_mean.png").unlink()
    write(folder / "one_mean.png", chelsea[..., :40, :50])
    with pytest.raises(DirnetError, match="The pair one differs in size; got 48x40 and 50x40"):
        list(real_pairs(find_pairs(folder, ("_real", "_mean"))))


def test_nothing_measured_gives_no_records(weights: Loaded) -> None:
    assert measure(iter(()), weights, suite="seen", severity=1, seed=0, tone="keep", context={}) == []


def test_a_pair_of_one_pixel_is_measured(weights: Loaded) -> None:
    pixel = Pair("dot", torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1), torch.tensor([0.4, 0.4, 0.4]).view(3, 1, 1))
    records = measure(iter([pixel]), weights, suite="real", severity=0, seed=0, tone="keep", context={})
    assert all(torch.tensor(record.value).isfinite() for record in records)
