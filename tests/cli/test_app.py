"""The command line as outside scripts rely on it: exit codes, streams, closing lines, names of files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dirnet.cli.common import seconds
from dirnet.errors import UsageError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.judge.metrics import to_8bit
from dirnet.judge.records import read_records
from dirnet.nets.model import DiR
from dirnet.nets.weights import save_weights
from dirnet.pictures.read import read_picture
from dirnet.suites.suites import suite_named


def dirnet(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dirnet", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, "tiny", DiR("tiny").state_dict(), {"recipe": "none"})
    return path


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, dirnet.cli.app; sys.exit(any(m in sys.modules for m in ('torch', 'matplotlib', 'numpy', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    done = dirnet("--help")
    assert done.returncode == 0
    for command in (
        "demo", "degrade", "develop", "restore", "train", "evaluate", "report", "suites", "calibrate-noise", "info",
        "represent", "budget", "diagnose",
    ):  # fmt: skip
        assert command in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("restore",),
        ("restore", "no-such-file.png", "--out", "x"),
        ("degrade", ".", "--out", "x", "--severity", "9"),
        ("degrade", ".", "--out", "x", "--suite", "rain"),
        ("evaluate", "--out", "r.jsonl"),
        ("evaluate", "--data", ".", "--out", "r.jsonl", "--severities", "0,7"),
        ("evaluate", "--data", ".", "--out", "."),
        ("train", "no-such-recipe", "--data", ".", "--out", "run"),
        ("train", "tiny-proof", "--data", ".", "--out", "run", "--max-time", "soon"),
        ("train", "tiny-proof", "--data", ".", "--out", "run", "--set", "colour=blue"),
        ("unknown",),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(words: tuple[str, ...], tmp_path: Path, untrained: Path) -> None:
    weights = ("--weights", str(untrained)) if words[0] in ("restore", "evaluate") and len(words) > 1 else ()
    done = dirnet(*words, *weights, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_degrade_is_repeatable_and_its_parameters_reproduce_it(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done = dirnet("degrade", folder, "--out", tmp_path / name, "--severity", 4, "--seed", 3, "--views", 2)
        assert done.returncode == 1  # the broken one
        assert done.stderr.splitlines()[-1] == "3 done, 1 skipped, 1 failed"
        assert "broken.png" in done.stderr
    first, second = (sorted(p for p in (tmp_path / n).rglob("*") if p.is_file()) for n in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    lines = [json.loads(line) for line in (tmp_path / "a" / "params.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    for line in lines:
        clean = read_picture(folder / line["input"]).to_tensor()
        again = to_8bit(degrade(clean, ISPParams.from_settings([line["params"]])))
        written = read_picture(tmp_path / "a" / line["output"]).to_tensor()
        assert torch.equal(again, written)


def test_degrade_writes_over_nothing_unasked(folder: Path, tmp_path: Path) -> None:
    words = ("degrade", folder / "one.png", "--out", tmp_path)
    assert dirnet(*words).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = dirnet(*words, "--seed", 1)
    assert done.returncode == 2
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert dirnet(*words, "--seed", 1, "--force").returncode == 0
    assert (tmp_path / "one.png").read_bytes() != before[tmp_path / "one.png"]


def test_restore_with_untrained_weights_gives_the_pictures_back(folder: Path, untrained: Path, tmp_path: Path) -> None:
    originals = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = dirnet("restore", folder, "--out", tmp_path / "out", "--weights", untrained, "--tone", "repair")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "3 done, 1 skipped, 1 failed"
    assert not done.stdout
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert written == ["below/two.png", "one.png", "one.png.png"]  # one.jpg comes first
    assert torch.equal(read_picture(tmp_path / "out/one.png").to_tensor(), read_picture(folder / "one.jpg").to_tensor())
    assert {path: path.read_bytes() for path in originals} == originals
    again = dirnet("restore", folder, "--out", tmp_path / "out", "--weights", untrained)
    assert again.stderr.splitlines()[-1] == "0 done, 4 skipped, 1 failed"


def test_results_inside_the_inputs_are_not_taken_for_inputs(untrained: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "teal").save(tmp_path / "a.png")
    words = ("restore", tmp_path, "--out", tmp_path / "out", "--weights", untrained)
    assert dirnet(*words).stderr.splitlines()[-1] == "1 done, 0 skipped, 0 failed"
    assert dirnet(*words).stderr.splitlines()[-1] == "0 done, 1 skipped, 0 failed"


def test_evaluate_measures_model_and_input_and_report_shows_it(folder: Path, untrained: Path, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir()
    Image.open(folder / "one.png").save(good / "one.png")
    records = tmp_path / "records.jsonl"
    words = (
        "--data",
        good,
        "--suites",
        "clean,everyday",
        "--severities",
        "1,5",
        "--weights",
        untrained,
        "--out",
        records,
    )
    done = dirnet("evaluate", "--task", "restore", *words)
    assert done.returncode == 0, done.stderr
    assert "clean psnr: 100.00 dB, of pictures with nothing wrong" in done.stderr
    rows = read_records(records)
    assert {(r.suite, r.severity) for r in rows} == {("clean", 0), ("everyday", 1), ("everyday", 5)}
    assert all(r.context["suite_version"] == suite_named(r.suite).version for r in rows)
    for metric in ("psnr", "ssim", "psnr_tone", "ssim_tone"):
        by_model = {r.model: r for r in rows if (r.metric, r.suite, r.severity) == (metric, "everyday", 5)}
        assert set(by_model) == {"input", "untrained"}
        assert by_model["input"].value == by_model["untrained"].value  # untrained is a no-op
        assert by_model["input"].tone == "repair"
    assert (tmp_path / "records.pictures" / "index.json").is_file()
    done = dirnet("report", records, "--out", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "report.html")
    assert "untrained" in (tmp_path / "report.html").read_text()


def test_evaluate_goes_on_after_a_broken_picture(folder: Path, untrained: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    done = dirnet("evaluate", "--data", folder, "--suites", "clean", "--weights", untrained, "--out", out)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "3 done, 1 skipped, 1 failed"
    assert "broken.png" in done.stderr
    assert {r.n for r in read_records(out)} == {3}


def test_a_folder_that_cannot_be_written_is_a_sentence(folder: Path, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "r.jsonl"
    done = dirnet("evaluate", "--data", folder, "--suites", "clean", "--weights", untrained, "--out", out)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_evaluate_pairs_keeps_tone(folder: Path, untrained: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    clean = np.asarray(Image.open(folder / "one.png")).astype(int)
    noisy = np.clip(clean + np.random.default_rng(1).normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(pairs / "x_real.png")
    Image.fromarray(clean.astype(np.uint8)).save(pairs / "x_mean.png")
    out = tmp_path / "r.jsonl"
    done = dirnet("evaluate", "--pairs", pairs, "--suffixes", "_real,_mean", "--weights", untrained, "--out", out)
    assert done.returncode == 0, done.stderr
    rows = [r for r in read_records(out) if r.metric == "psnr"]
    assert {(r.tone, r.suite, r.n) for r in rows} == {("keep", "pairs", 1)}
    expected = 10 * np.log10(255**2 / np.mean((noisy.astype(float) - clean) ** 2))
    assert rows[0].value == pytest.approx(expected, abs=1e-6)


def test_broken_weights_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    done = dirnet("restore", folder, "--out", tmp_path / "out", "--weights", bad)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_info_speaks_json() -> None:
    done = dirnet("info", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["torch"] == torch.__version__
    assert "weights" in facts


def test_times_are_read() -> None:
    assert [seconds(text) for text in ("90", "90s", "8m", "1.5h")] == [90, 90, 480, 5400]
    with pytest.raises(UsageError):
        seconds("8 minutes")
