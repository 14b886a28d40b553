from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from PIL import Image

from dirnet.nets.weights import load, read_weights
from dirnet.tasks.attach import attach
from dirnet.tasks.inside import Inside
from dirnet.tasks.networks import load_network

pytest.importorskip("torchvision")

QUICK = [word for setting in ("refinement_steps=2", "crop=48") for word in ("--set", setting)]
SPEC = """network = "squeezenet1_1"
weights = "own.safetensors"
size = [48, 48]
features = ["features.4"]
[options]
num_classes = 5
"""


def dirnet(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dirnet", "train", "attach", *QUICK, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier as a spec and its weights, and a folder with a photograph."""
    import torchvision
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    save_file(torchvision.models.squeezenet1_1(num_classes=5).state_dict(), folder / "own.safetensors")
    (folder / "spec.toml").write_text(SPEC)
    (folder / "photographs").mkdir()
    with Image.open(Path(str(files("dirnet") / "samples" / "coffee.jpg"))) as image:
        image.crop((0, 0, 128, 96)).save(folder / "photographs" / "one.png")
    return folder


def trained(home: Path, out: Path, *words: object) -> Path:
    done = dirnet("--network", home / "spec.toml", "--data", home / "photographs", "--out", out, *words)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_in_front_of_a_network_the_weights_are_an_attachment_and_a_restorer(home: Path, tmp_path: Path) -> None:
    path = trained(home, tmp_path, "--weights", "tiny-proof")
    network, spec = load_network(str(home / "spec.toml"))
    attached = attach(network, str(path))
    assert attached.spec == spec  # it came with the weights
    began, card = load("tiny-proof"), load(str(path)).card
    assert card["began_from"] == began.sha256
    before, after = began.model.state_dict(), attached.attachment.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"encoder", "reference", "decoder", "aligner"}  # tone is not its matter


def test_inside_a_network_and_on_from_there(home: Path, tmp_path: Path) -> None:
    path = trained(home, tmp_path / "a", "--at", "features.3", "--weights", "tiny-proof", "--set", "content=0")
    network, _ = load_network(str(home / "spec.toml"))
    attached = attach(network, str(path))
    assert isinstance(attached.attachment, Inside)
    assert attached.attachment.at == ("features.3",)
    assert any(float(p.abs().max()) > 0 for p in attached.attachment.aligners[0][0].local[-1].parameters())
    further = trained(home, tmp_path / "b", "--weights", path)  # --at is known from the weights
    assert read_weights(str(further)).card["began_from"] == read_weights(str(path)).sha256


def test_a_stopped_run_ends_as_an_undisturbed_one(home: Path, tmp_path: Path) -> None:
    words = ("--at", "features.3", "--seed", 3)
    whole = trained(home, tmp_path / "whole", *words)
    trained(home, tmp_path / "parts", *words, "--max-time", "0s")
    parts = trained(home, tmp_path / "parts", *words, "--resume")
    assert whole.read_bytes()[-1000:] == parts.read_bytes()[-1000:]
    ours, theirs = (read_weights(str(path)).state for path in (whole, parts))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--at", "features.3"), "Add --network"),
        (("--network", "spec.toml", "--at", "features.x"), "The nearest is"),
        (("--network", "spec.toml", "--set", "batch=4"), "no whole photographs"),
        (("--network", "spec.toml", "--set", "information=0.1"), "nothing that information could be asked of"),
        (
            ("--network", "spec.toml", "--at", "features.3", "--set", "align=1", "--set", "reference_steps=1"),
            "no stage reference",
        ),
        (("--weights", "no-such"), "No weights no-such"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(
    home: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    words = tuple(str(home / word) if word == "spec.toml" else word for word in words)
    done = dirnet("--data", home / "photographs", "--out", tmp_path / "run", *words)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
