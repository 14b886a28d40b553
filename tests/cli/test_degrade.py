from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from sample_files import matrix_profile

from dirnet.cli import degrade as module
from dirnet.cli.common import gather_inputs
from dirnet.cli.degrade import degrade
from dirnet.errors import UsageError
from dirnet.isp.params import ISPParams
from dirnet.pictures.read import read_picture
from dirnet.suites.draw import draw
from dirnet.suites.suites import SUITES


@pytest.fixture
def folder(tmp_path: Path, astronaut: torch.Tensor) -> Path:
    """Six pictures of 24 x 32, one of them below, one gray; and a broken one between."""
    home = tmp_path / "photos"
    (home / "below").mkdir(parents=True)
    pixels = (astronaut[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    for number, name in enumerate(("a.png", "c.png", "d.png", "e.png", "below/f.png")):
        corner = 40 * number
        Image.fromarray(pixels[corner : corner + 24, 200:232]).save(home / name)
    Image.fromarray(pixels[100:124, 200:232, 1]).save(home / "gray.png")
    (home / "b.png").write_bytes((home / "a.png").read_bytes()[:200])
    return home


@pytest.fixture(autouse=True)
def _threads_stay() -> object:
    yield
    torch.set_num_threads(1)


def run(folder: Path, out: Path, **words: object) -> int:
    with pytest.raises(typer.Exit) as ended:
        degrade([folder], out, **words)  # type: ignore[arg-type]
    return ended.value.exit_code


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_any_number_of_workers_writes_the_same_in_the_order_of_the_inputs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for workers in (1, 3):
        assert run(folder, tmp_path / str(workers), severity=5, views=2, workers=workers) == 1
        said = capsys.readouterr().err.splitlines()
        assert said[-1] == "6 done, 0 skipped, 1 failed"
        assert "b.png" in said[0]
    assert files(tmp_path / "1") == files(tmp_path / "3")
    order = [(line["input"], line["view"]) for line in lines(tmp_path / "1" / "params.jsonl")]
    names = ("a.png", "c.png", "d.png", "e.png", "gray.png", "below/f.png")
    assert order == [(name, view) for name in names for view in range(2)]


def test_a_whole_suite_has_every_severity_and_says_what_its_pixels_are(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run(folder, tmp_path / name, suite="seen", seed=2, write_suite=True) == 1
    home = tmp_path / "one" / "seen"
    assert files(tmp_path / "one") == files(tmp_path / "two")
    told = json.loads((home / "suite.json").read_text())
    assert (told["name"], told["version"], told["seed"], told["views"]) == ("seen", SUITES["seen"].version, 2, 1)
    written = sorted(name for name in files(home) if name.endswith(".png"))
    assert len(written) == 30
    assert sorted(file["path"] for file in told["files"]) == written
    for file in told["files"]:
        pixels = np.asarray(Image.open(home / file["path"]).convert("RGB"))
        assert file["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
    params = lines(home / "params.jsonl")
    assert ISPParams.from_settings([line["params"] for line in params]).hash() == told["params_hash"]
    for line in params:
        assert line["output"] == f"severity-{line['severity']}/{line['input']}"
        settings = draw("seen", line["severity"], line["input"], seed=2)
        assert ISPParams.from_settings([line["params"]]).hash() == ISPParams.from_settings([settings]).hash()


def test_the_clean_suite_has_one_severity(folder: Path, tmp_path: Path) -> None:
    (folder / "b.png").unlink()
    assert run(folder, tmp_path / "out", suite="clean", write_suite=True) == 0
    home = tmp_path / "out" / "clean"
    assert sorted(path.name for path in home.iterdir()) == ["params.jsonl", "severity-0", "suite.json"]
    again = Image.open(home / "severity-0" / "a.png")
    assert np.array_equal(np.asarray(again), np.asarray(Image.open(folder / "a.png")))


def test_a_picture_of_wider_colours_is_spoiled_and_written_as_srgb(folder: Path, tmp_path: Path) -> None:
    wide = folder / "a.png"
    Image.open(wide).save(wide, icc_profile=matrix_profile())
    assert run(wide, tmp_path / "spoiled", suite="clean") == 0
    (written,) = (tmp_path / "spoiled").rglob("*.png")
    with Image.open(written) as spoiled:
        assert "icc_profile" not in spoiled.info
        found = torch.from_numpy(np.array(spoiled)).permute(2, 0, 1)
    expected = read_picture(wide).to_tensor()[0] * 255
    assert (found - expected).abs().max() < 1.01
    plain = torch.from_numpy(np.array(Image.open(wide))).permute(2, 0, 1)
    assert (plain - expected).abs().max() > 3


def test_a_suite_that_is_there_is_not_written_over_unasked(folder: Path, tmp_path: Path) -> None:
    words = {"suite": "seen", "write_suite": True}
    run(folder, tmp_path / "out", **words)
    before = files(tmp_path / "out")
    with pytest.raises(UsageError, match="there already"):
        degrade([folder], tmp_path / "out", seed=1, **words)  # type: ignore[arg-type]
    assert files(tmp_path / "out") == before
    assert run(folder, tmp_path / "out", seed=1, force=True, **words) == 1
    assert files(tmp_path / "out") != before


def test_a_severity_and_the_whole_suite_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every severity"):
        degrade([folder], tmp_path / "out", severity=2, write_suite=True)
    assert not (tmp_path / "out").exists()


def test_after_an_interruption_what_was_finished_is_whole_and_written_down(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interruption comes while two pictures are being worked on, as Ctrl-C does: into the main thread alone."""
    working, go_on = threading.Semaphore(0), threading.Event()
    one = module._degrade_one

    def slowly(*words: object, **more: object) -> dict:
        working.release()
        assert go_on.wait(20)
        return one(*words, **more)  # type: ignore[arg-type]

    def interrupted(*_: object, **__: object) -> object:
        for _ in range(2):
            assert working.acquire(timeout=20)
        go_on.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_degrade_one", slowly)
    monkeypatch.setattr("dirnet.pictures.folders.for_each", interrupted)
    (folder / "b.png").unlink()
    with pytest.raises(KeyboardInterrupt):
        degrade([folder], tmp_path / "out", write_suite=True, workers=2)
    home = tmp_path / "out" / "seen"
    done = lines(home / "params.jsonl")
    assert 2 <= len(done) < 30
    assert set(files(home)) == {"params.jsonl"} | {line["output"] for line in done}
    for line in done:
        pixels = np.asarray(Image.open(home / line["output"]).convert("RGB"))
        assert line["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_with_130_and_a_sentence_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(400):
        Image.new("RGB", (400, 400), "teal").save(tmp_path / "in" / f"{number:03}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dirnet", "degrade", str(tmp_path / "in"), "--out", str(out)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so do theirs
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(out.glob("[!.]*.png")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    done = {line["output"] for line in lines(out / "params.jsonl")}
    assert (said, len(done) < 400) == ("dirnet: interrupted; what was finished is kept.\n", True)
    assert process.returncode == 130
    assert done
    assert {path.name for path in out.iterdir()} == done | {"params.jsonl"}


def test_pictures_wait_for_room_and_the_largest_gets_in_alone() -> None:
    room = module._Room()
    room._limit = 100
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(pixels: int) -> None:
        with room.taken(pixels):
            with lock:
                inside.append(pixels)
                most.append(sum(inside))
            threading.Event().wait(0.005)
            with lock:
                inside.remove(pixels)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in [40, 40, 40, 500, 60, 30] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(most) == len(threads)
    assert all(total <= 100 or total == 500 for total in most)
    assert 500 in most


def test_help_names_every_suite() -> None:
    from typer.testing import CliRunner

    from dirnet.cli.app import app

    told = CliRunner().invoke(app, ["degrade", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in told for name in SUITES)


def test_what_is_named_is_tried_wherever_the_results_go(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of results hides what lies in it only where it lies in a folder of inputs itself."""
    (tmp_path / "in" / "results").mkdir(parents=True)
    for name in ("a.png", "in/b.png", "in/results/c.png"):
        (tmp_path / name).write_bytes((folder / "a.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    cases: list[tuple[list[str], str, list[str]]] = [
        (["a.png"], ".", ["a.png"]),
        (["in/b.png"], ".", ["b.png"]),
        (["in"], ".", ["b.png", "results/c.png"]),
        (["in"], "in", ["b.png", "results/c.png"]),
        (["a.png", "in/b.png"], "in", ["a.png", "b.png"]),
        (["in"], "in/results", ["b.png"]),
        (["in", "in/results/c.png"], "in/results", ["b.png", "results/c.png"]),
    ]
    for given, out, expected in cases:
        gathered = gather_inputs([Path(path) for path in given], Path(out))
        assert [item.relative.as_posix() for item in gathered.inputs] == expected


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode there")
def test_a_name_need_not_be_utf_8(folder: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"z\xff\xe9.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / odd).write_bytes((folder / "a.png").read_bytes())
    with pytest.raises(typer.Exit) as end:
        degrade([tmp_path / "in"], tmp_path / "out")
    assert end.value.exit_code == 0
    assert (tmp_path / "out" / odd).is_file()


@pytest.mark.parametrize(("views", "original"), [(1, "a.dng"), (2, "a.view0.png"), (2, "a.view1.dng")])
def test_no_file_beside_takes_the_place_of_an_original(folder: Path, tmp_path: Path, views: int, original: str) -> None:
    home = tmp_path / "in"
    home.mkdir()
    (home / "a.jpg").write_bytes((folder / "a.png").read_bytes())
    (home / original).write_bytes((folder / "a.png").read_bytes())  # content decides
    before = (home / original).read_bytes()
    with pytest.raises(typer.Exit):
        degrade([home], home, views=views, dng=True, force=True)
    assert (home / original).read_bytes() == before
    assert (home / "params.jsonl").is_file()
