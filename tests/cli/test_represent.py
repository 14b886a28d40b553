from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from dirnet.cli.represent import _represent
from dirnet.nets.model import DiR
from dirnet.nets.weights import load, save_weights
from dirnet.pictures.read import read_picture


def dirnet(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dirnet", "represent", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "shaken.safetensors"
    torch.manual_seed(0)
    save_weights(
        path, "tiny", {name: t + 0.02 * torch.randn_like(t) for name, t in DiR("tiny").state_dict().items()}, {}
    )
    return path


def test_both_formats_hold_what_the_model_gives(folder: Path, weights: Path, tmp_path: Path) -> None:
    for name in ("r.safetensors", "r.npz"):
        done = dirnet(folder, "--out", tmp_path / name, "--weights", weights, "--device", "cpu")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == "3 done, 1 skipped, 1 failed"
        assert "broken.png" in done.stderr
        assert not done.stdout
    found = [load_file(tmp_path / "r.safetensors"), dict(np.load(tmp_path / "r.npz"))]
    kinds = ("baseline", "pilot", "refined")
    wanted = {f"{picture}/{kind}" for picture in ("below/two", "one", "one.png") for kind in kinds}
    seen = load(str(weights)).model(read_picture(folder / "one.jpg").to_tensor())  # one.jpg comes first
    for arrays in found:
        assert set(arrays) == wanted
        for kind, maps in seen._asdict().items():
            assert arrays[f"one/{kind}"].shape == (16, 32, 40)
            np.testing.assert_allclose(arrays[f"one/{kind}"], maps[0].numpy(), atol=1e-4)
    assert all(np.array_equal(found[0][name], found[1][name]) for name in wanted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.npz", "r.safetensors"]


def test_a_result_that_is_there_is_kept(folder: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.npz"
    out.write_text("mine")
    done = dirnet(folder / "one.png", "--out", out, "--weights", weights)
    assert done.returncode == 2
    assert out.read_text() == "mine"
    assert dirnet(folder / "one.png", "--out", out, "--weights", weights, "--force").returncode == 0
    assert len(np.load(out)) == 3


def test_where_nothing_can_be_read_nothing_is_written(folder: Path, weights: Path, tmp_path: Path) -> None:
    done = dirnet(folder / "broken.png", "--out", tmp_path / "r.safetensors", "--weights", weights)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "0 done, 0 skipped, 1 failed"
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(folder: Path, tmp_path: Path) -> None:
    done = dirnet(folder, "--out", tmp_path / "r.pt")
    assert done.returncode == 2
    assert ".safetensors or .npz" in done.stderr


def test_widths_may_be_odd(chelsea: torch.Tensor) -> None:
    """The plain U-Net has three maps of 18 channels."""
    model, part = DiR("tiny-unet").eval(), chelsea[..., :21, :34]
    found = _represent(model, part)
    with torch.no_grad():
        seen = model(part)._asdict()
    assert found.keys() == seen.keys()
    for name, maps in seen.items():
        np.testing.assert_allclose(found[name], maps[0].numpy(), atol=1e-5)


def test_pieces_and_whole_are_the_same(astronaut: torch.Tensor, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(str(weights)).model
    wide = torch.cat((astronaut, astronaut.flip(3)), 3)[..., :240, :]
    monkeypatch.setattr("dirnet.tasks.restore.TILE", 640)
    pieces = _represent(model, wide)
    whole = model(wide, model.statistics(wide))._asdict()
    for name, maps in whole.items():
        np.testing.assert_allclose(pieces[name], maps[0].numpy(), atol=1e-4)
