from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dirnet.judge import showcase as module
from dirnet.judge.metrics import to_8bit
from dirnet.judge.showcase import Showcase
from dirnet.pictures.read import read_picture
from dirnet.suites.draw import draw

FEATURES = {"baseline": torch.randn(4, 6, 8), "refined": torch.randn(2, 300, 20)}


def offer(
    showcase: Showcase, name: str, gain: float, settings: dict[str, Any] | None = None
) -> dict[str, torch.Tensor]:
    pictures = {kind: to_8bit(torch.rand(3, 12, 16)) for kind in ("clean", "degraded", "restored")}
    before, after = {"psnr": 20.0, "ssim": 0.5}, {"psnr": 20.0 + gain, "ssim": 0.6}
    showcase.offer(name=name, **pictures, before=before, after=after, settings=settings or {}, features=FEATURES)
    return pictures


def shown(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "index.json").read_text())["pictures"]


def chosen(folder: Path) -> list[tuple[str, str]]:
    return [(entry["why"], entry["name"]) for entry in shown(folder)]


def test_the_median_the_best_and_the_worst_gain_are_shown(tmp_path: Path) -> None:
    showcase = Showcase(tmp_path / "pictures")
    for name, gain in zip("abcdefg", (1.0, 5.0, -2.0, 0.0, 2.0, 9.0, 3.0), strict=True):
        offer(showcase, name, gain)
    showcase.close("seen", 3, "tiny")
    showcase.finish()
    assert chosen(showcase.folder) == [("median gain", "e"), ("best gain", "f"), ("worst gain", "c")]


@pytest.mark.parametrize(("gains", "names"), [([1.0], {"a"}), ([1.0, 3.0], {"a", "b"}), ([], set())])
def test_of_few_pictures_each_is_shown_once(tmp_path: Path, gains: list[float], names: set[str]) -> None:
    showcase = Showcase(tmp_path)
    for name, gain in zip("abcdefg", gains, strict=False):
        offer(showcase, name, gain)
    showcase.close("seen", 3, "tiny")
    showcase.finish()
    assert {name for _, name in chosen(tmp_path)} == names
    assert len(chosen(tmp_path)) == len(names)


def test_the_order_in_which_pictures_come_does_not_matter(tmp_path: Path) -> None:
    rows = [("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 2.0), ("e", 1.0)]
    for folder, order in (("one", rows), ("two", rows[::-1])):
        showcase = Showcase(tmp_path / folder)
        for name, gain in order:
            offer(showcase, name, gain)
        showcase.close("seen", 1, "tiny")
        showcase.finish()
    assert chosen(tmp_path / "one") == chosen(tmp_path / "two") == [
        ("median gain", "c"), ("best gain", "d"), ("worst gain", "a")
    ]  # fmt: skip


def test_an_entry_says_all_and_its_files_are_what_was_offered(tmp_path: Path) -> None:
    showcase = Showcase(tmp_path)
    settings = draw("seen", 4, "cat.png")
    pictures = offer(showcase, "cat.png", 1.23456, settings)
    showcase.close("seen", 4, "tiny-proof")
    showcase.finish()
    (entry,) = shown(tmp_path)
    assert (entry["name"], entry["suite"], entry["severity"], entry["model"]) == ("cat.png", "seen", 4, "tiny-proof")
    assert entry["psnr"] == {"input": 20.0, "output": 21.235}
    assert entry["settings"]["demosaic"] == settings["demosaic"]
    assert entry["settings"]["JPEG"] == f"quality {settings['jpeg_quality']}, {settings['jpeg_subsampling']}"
    assert all(isinstance(text, str) for text in entry["settings"].values())
    for kind, picture in pictures.items():
        assert torch.equal(to_8bit(read_picture(tmp_path / entry["files"][kind]).to_tensor())[0], picture)
    features = load_file(tmp_path / entry["features"])
    assert torch.equal(features["baseline"], FEATURES["baseline"].half())
    assert features["refined"].shape == (2, 100, 7)  # at most 128 a side
    torch.testing.assert_close(features["refined"][:, 0, 0], FEATURES["refined"][:, :3, :3].mean((1, 2)).half())


def test_pictures_of_unknown_spoiling_have_no_settings(tmp_path: Path) -> None:
    showcase = Showcase(tmp_path)
    offer(showcase, "real", 1.0)
    offer(showcase, "clean", 0.0, draw("clean", 0, "clean"))
    showcase.close("real_dev", 0, "tiny")
    showcase.finish()
    entries = {entry["name"]: entry["settings"] for entry in shown(tmp_path)}
    assert entries["real"] == {}
    assert entries["clean"]["JPEG"] == "none"


def test_rows_follow_each_other_without_mixing(tmp_path: Path) -> None:
    showcase = Showcase(tmp_path)
    offer(showcase, "a", 1.0)
    showcase.close("seen", 1, "tiny")
    offer(showcase, "b", 2.0)
    showcase.close("seen", 5, "tiny")
    showcase.finish()
    assert [(e["name"], e["severity"]) for e in shown(tmp_path)] == [("a", 1), ("b", 5)]
    files = [name for entry in shown(tmp_path) for name in (*entry["files"].values(), entry["features"])]
    assert len(set(files)) == 8
    assert {path.name for path in tmp_path.iterdir()} == {*files, "index.json"}


def test_of_a_long_list_the_first_are_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", 3)
    showcase = Showcase(tmp_path)
    for name, gain in zip("abcd", (1.0, 2.0, 3.0, 9.0), strict=True):
        offer(showcase, name, gain)
    showcase.close("seen", 1, "tiny")
    showcase.finish()
    assert ("best gain", "c") in chosen(tmp_path)


def test_a_folder_of_an_earlier_run_is_replaced_and_any_other_is_left_alone(tmp_path: Path) -> None:
    first = Showcase(tmp_path / "ours")
    offer(first, "old", 1.0)
    first.close("seen", 1, "tiny")
    first.finish()
    second = Showcase(tmp_path / "ours")
    assert list(second.folder.iterdir()) == []
    second.finish()
    assert shown(second.folder) == []
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "holiday.jpg").write_text("keep me")
    Showcase(theirs)
    assert (theirs / "holiday.jpg").read_text() == "keep me"
