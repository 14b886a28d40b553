from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dirnet.errors import UsageError
from dirnet.judge import probes, representation
from dirnet.judge.diagnose import CROP, UNTRAINED, Diagnosis, diagnose
from dirnet.judge.look import VIEWS, Scene, read_scene
from dirnet.judge.records import read_records, write_records
from dirnet.nets.weights import Loaded
from dirnet.pictures.folders import gather
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture

OF_ALL = (
    "feature_std", "effective_rank", "patch_r1", "similarity", "invariance", "probe_r2", "probe_r2_within",
    "content_psnr",
)  # fmt: skip


@pytest.fixture(scope="module")
def scenes(photographs: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Six photographs of 64 x 64."""
    folder = tmp_path_factory.mktemp("photographs")
    for name, photograph in photographs.items():
        for top in (60, 200):
            crop = photograph[0, :, top : top + 64, 200:264].permute(1, 2, 0).numpy()
            write_picture(folder / f"{name}{top}.png", Picture(crop))
    return [read_scene(item, 0) for item in gather([folder]).inputs]


@pytest.fixture(autouse=True)
def _short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(representation, "STEPS", 15)
    monkeypatch.setattr(probes, "STEPS", 15)


def of(scenes: list[Scene], weights: Loaded, suite: str = "seen", severity: int = 3, seed: int = 0) -> Diagnosis:
    return diagnose(scenes, weights, suite=suite, severity=severity, seed=seed, context={"data": ["x"]})


def test_a_record_for_each_measure_of_the_model_and_of_the_untrained_one(
    scenes: list[Scene], weights: Loaded, tmp_path: Path
) -> None:
    seen = []
    diagnosis = diagnose(
        scenes, weights, suite="seen", severity=3, seed=0, context={"data": ["x"]}, on_scene=lambda: seen.append(1)
    )
    assert len(seen) == 6
    ends = ("", "_pilot", "_refined")
    wanted = {metric + end for metric in OF_ALL for end in ends} | {"mi_nats", "bce", "probe_r2_mlp", "gate_saturation"}
    for model in ("shaken", UNTRAINED):
        assert {record.metric for record in diagnosis.records if record.model == model} == wanted
    for record in diagnosis.records:
        assert (record.task, record.suite, record.severity, record.n) == ("diagnose", "seen", 3, 6)
        assert record.higher_is_better != record.metric.startswith(("bce", "invariance", "probe", "gate"))
        assert record.unit == (
            "dB" if "psnr" in record.metric else "nats" if record.metric in ("mi_nats", "bce") else ""
        )
        if record.values:
            assert record.value == pytest.approx(sum(record.values) / 6)
    assert len({record.params_hash for record in diagnosis.records}) == 1
    write_records(tmp_path / "r.jsonl", diagnosis.records)
    assert read_records(tmp_path / "r.jsonl") == diagnosis.records


def test_figures_are_possible_ones_and_the_pilot_untrained_is_the_refined(scenes: list[Scene], weights: Loaded) -> None:
    diagnosis = of(scenes, weights)
    value = {(record.model, record.metric): record.value for record in diagnosis.records}
    for (model, metric), figure in value.items():
        if metric.startswith(("patch_r1", "similarity", "probe", "gate")):
            assert 0 <= figure <= 1
        if metric.endswith("_pilot") and model == UNTRAINED:
            assert figure == value[model, metric.replace("_pilot", "_refined")]
    interval = next(record.by["interval"] for record in diagnosis.records if record.metric == "mi_nats")
    assert interval["low"]["value"] <= interval["high"]["value"]
    by = next(record.by["setting"] for record in diagnosis.records if record.metric == "probe_r2")
    assert {"shot noise", "gamma", "JPEG quality", "demosaicing"} <= set(by)


def test_where_nothing_is_spoiled_nothing_is_told_and_all_is_nearer(scenes: list[Scene], weights: Loaded) -> None:
    clean, spoiled = (
        {record.metric: record.value for record in of(scenes, weights, suite, 5).records if record.model == "shaken"}
        for suite in ("clean", "seen")
    )
    assert set(spoiled) - set(clean) == {metric for metric in spoiled if metric.startswith("probe")}
    for metric in ("patch_r1", "similarity", "similarity_refined", "content_psnr"):
        assert clean[metric] > spoiled[metric]
    assert clean["invariance"] < spoiled["invariance"]


def test_it_is_repeatable_and_weights_called_untrained_keep_apart(scenes: list[Scene], weights: Loaded) -> None:
    again = of(scenes, Loaded(weights.model, UNTRAINED, "", {}))
    assert again.model != UNTRAINED
    first = {(r.model == UNTRAINED, r.metric): r.value for r in of(scenes, weights).records}
    assert first == {(r.model == UNTRAINED, r.metric): r.value for r in again.records}
    other = {(r.model == UNTRAINED, r.metric): r.value for r in of(scenes, weights, seed=1).records}
    assert first[False, "content_psnr"] != other[False, "content_psnr"]


def test_what_the_page_needs(scenes: list[Scene], weights: Loaded) -> None:
    diagnosis = of(scenes, weights)
    assert diagnosis.pooled["shaken", "refined"].shape == (6, VIEWS + 1, 32)
    assert [one.name for one in diagnosis.retrievals] == diagnosis.scenes
    for one in diagnosis.retrievals:
        assert one.query.shape == one.partner.shape == (3, CROP, CROP)
        for crop, right in one.found.values():
            assert crop.shape == (3, CROP, CROP)
            assert not right or torch.equal(crop, one.partner)


def test_too_few_photographs_are_refused(scenes: list[Scene], weights: Loaded) -> None:
    with pytest.raises(UsageError, match="Too few photographs"):
        of(scenes[:3], weights)
