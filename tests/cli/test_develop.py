"""`dirnet develop`, as a person calls it."""

import importlib
import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from skimage.data import astronaut

from dirnet.cli.app import main
from dirnet.cli.develop import DemosaicChoice, develop
from dirnet.isp.camera import expose
from dirnet.isp.develop import develop as developed_by
from dirnet.isp.faults import FAULTS
from dirnet.isp.params import ISPParams
from dirnet.isp.tone import srgb_decode
from dirnet.pictures.dng import write_dng
from dirnet.pictures.folders import Input
from dirnet.pictures.raw import as_picture, read_raw
from dirnet.pictures.read import read_picture
from dirnet.suites.suites import SUITES

module = importlib.import_module("dirnet.cli.develop")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Dirnet = Callable[..., Done]


@pytest.fixture
def dirnet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dirnet:
    """`dirnet develop` with these words, within this process."""

    def call(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["dirnet", "develop", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RAW, one below, a broken one, and the camera's own JPEG beside them."""
    home = tmp_path_factory.mktemp("in")
    scene = 0.05 + 0.5 * torch.from_numpy(astronaut()[100:164, 200:280]).permute(2, 0, 1)[None] / 255
    white_balance = {"white_balance": [2.0, 1.0, 1.6]}
    write_dng(home / "one.dng", expose(scene, ISPParams.from_settings([white_balance | {"cfa": "GRBG"}])))
    (home / "below").mkdir()
    write_dng(home / "below" / "two.dng", expose(scene[..., :41, :57], ISPParams.from_settings([white_balance])))
    (home / "broken.nef").write_bytes(b"II*\0 and no more")
    Image.fromarray(astronaut()).save(home / "one.jpg")
    return home


def run(path: Path, out: Path, **options: object) -> tuple[np.ndarray, dict]:
    """The pixels of one RAW developed within this process, and its record."""
    given = {"wb": None, "temperature": None, "exposure": None, "iso_gain": None, "black": None, "demosaic": None}
    given |= {"gamma": None, "saturation": None, "jpeg": None, "fault": None, "severity": 3, "seed": 0}
    with pytest.raises(typer.Exit) as end:
        develop([path], out, **{**given, **options}, force=True)
    assert end.value.exit_code == 0
    record = json.loads((out / "params.jsonl").read_text())
    return read_picture(out / record["output"]).pixels, record


def test_a_folder_as_shot(dirnet: Dirnet, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = dirnet(folder, "--out", out)
    assert done.code == 1  # the broken one
    assert done.err.splitlines()[-1] == "2 done, 1 skipped, 1 failed"
    assert "broken.nef" in done.err
    assert not done.out
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {"one.png", "below/two.png", "params.jsonl"}
    for name in ("one", "below/two"):
        developed = read_picture(out / f"{name}.png")
        assert developed.depth == 16
        np.testing.assert_allclose(developed.pixels, read_picture(folder / f"{name}.dng").pixels, atol=0.51 / 65535)


def test_the_record_and_the_raw_give_the_picture_again(dirnet: Dirnet, folder: Path, tmp_path: Path) -> None:
    words = ("--fault", "sensor_noise", "--severity", 4, "--seed", 7, "--wb", "1.8,1,1.9", "--exposure", -0.5)
    words = (*words, "--demosaic", "bilinear", "--gamma", 1.1)
    for name in ("a", "b"):
        assert dirnet(folder / "below", "--out", tmp_path / name, *words).code == 0
    assert (tmp_path / "a" / "two.png").read_bytes() == (tmp_path / "b" / "two.png").read_bytes()
    record = json.loads((tmp_path / "a" / "params.jsonl").read_text())
    assert record["params"]["shot_noise"] > 0
    assert {name: record[name] for name in ("input", "output", "fault", "severity", "seed")} == {
        "input": "two.dng",
        "output": "two.png",
        "fault": "sensor_noise",
        "severity": 4,
        "seed": 7,
    }
    path = folder / "below" / record["input"]
    exposure = read_raw(path)
    again = as_picture(developed_by(exposure, ISPParams.from_settings([record["params"]])), exposure.orientation, path)
    np.testing.assert_allclose(read_picture(tmp_path / "a" / record["output"]).pixels, again.pixels, atol=0.51 / 65535)


@pytest.mark.parametrize("name", sorted({name for suite in SUITES.values() for name in suite.faults}))
def test_every_fault_shows_and_none_alike_for_two_seeds(folder: Path, tmp_path: Path, name: str) -> None:
    right, _ = run(folder / "one.dng", tmp_path / "right")
    wrong, record = run(folder / "one.dng", tmp_path / "wrong", fault=name, severity=5)
    assert name in FAULTS
    assert wrong.shape == right.shape
    assert record["params"]["demosaic"] != "none"
    again, other = (run(folder / "one.dng", tmp_path / "again", fault=name, severity=5, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again[0], wrong)
    assert other[1]["params"] != record["params"]
    if name != "demosaicing":  # which may draw the right one
        assert np.abs(wrong - right).max() > 1e-3


def test_options_mean_what_they_say(folder: Path, tmp_path: Path) -> None:
    def light(**options: object) -> np.ndarray:
        return srgb_decode(torch.from_numpy(run(folder / "one.dng", tmp_path, **options)[0])).numpy()

    right = light()
    np.testing.assert_allclose(light(exposure=-1.0), right / 2, atol=2e-5)
    np.testing.assert_allclose(light(iso_gain=0.5), right / 2, atol=2e-5)
    np.testing.assert_allclose(light(wb="2.0,1.0,1.6"), right, atol=2e-5)
    np.testing.assert_allclose(light(temperature=6504), right, atol=0.05)
    assert light(temperature=3000)[..., 2].mean() > 1.3 * light(temperature=3000)[..., 0].mean()
    assert light(black=0.02).mean() < right.mean()
    assert light(gamma=1.5).mean() < right.mean()
    assert np.ptp(light(saturation=0.0), axis=2).max() < 1e-4
    assert np.abs(light(demosaic=DemosaicChoice.nearest) - right).mean() > 1e-3


def test_jpeg_keeps_what_libjpeg_keeps(folder: Path, tmp_path: Path) -> None:
    right, coded = (run(folder / "one.dng", tmp_path, jpeg=quality)[0] for quality in (None, 30))
    file = BytesIO()
    Image.fromarray(np.rint(right * 255).astype(np.uint8)).save(file, "JPEG", quality=30, subsampling="4:2:0")
    np.testing.assert_allclose(coded, np.asarray(Image.open(file)) / 255, atol=0.51 / 65535)


def test_it_writes_over_nothing_unasked(dirnet: Dirnet, folder: Path, tmp_path: Path) -> None:
    words = (folder / "one.dng", "--out", tmp_path)
    assert dirnet(*words).code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert dirnet(*words, "--exposure", 1).code == 2
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert dirnet(*words, "--exposure", 1, "--force").code == 0
    assert (tmp_path / "one.png").read_bytes() != before[tmp_path / "one.png"]


@pytest.mark.parametrize(
    "words",
    [
        ("--wb", "2,1"),
        ("--wb", "2,1,-1"),
        ("--wb", "2,1,nan"),
        ("--wb", "1e300,1,1"),
        ("--wb", "warm"),
        ("--wb", "2,1,1.5", "--temperature", "5000"),
        ("--temperature", "100"),
        ("--fault", "rain"),
        ("--fault", "jpeg", "--severity", "9"),
        ("--demosaic", "none"),
        ("--jpeg", "0"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(
    dirnet: Dirnet, folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = dirnet(folder / "one.dng", "--out", tmp_path / "x", *words)
    assert done.code == 2
    assert done.err.strip()
    assert not list(tmp_path.iterdir())


def test_a_folder_of_pictures_holds_nothing_to_develop(dirnet: Dirnet, tmp_path: Path) -> None:
    Image.fromarray(astronaut()).save(tmp_path / "a.jpg")
    done = dirnet(tmp_path, "--out", tmp_path / "out")
    assert done.code == 2
    assert "wanted at least one RAW file" in done.err


def test_after_an_interruption_what_was_finished_is_written_down(
    dirnet: Dirnet, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = module._develop_one

    def interrupted(item: Input, *words: Any, **more: Any) -> dict[str, Any]:
        if item.path.name == "two.dng":
            raise KeyboardInterrupt
        return one(item, *words, **more)

    monkeypatch.setattr(module, "_develop_one", interrupted)
    done = dirnet(folder, "--out", tmp_path)
    assert done.code == 130
    records = [json.loads(line) for line in (tmp_path / "params.jsonl").read_text().splitlines()]
    assert [record["output"] for record in records] == ["one.png"]
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["one.png"]
