from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dirnet.cli.common import DeviceChoice
from dirnet.cli.train import train
from dirnet.errors import DirnetError
from dirnet.nets.weights import load, read_weights
from dirnet.tasks.attach import attach
from dirnet.tasks.inside import Inside
from dirnet.tasks.networks import load_network

pytest.importorskip("torchvision")

QUICK = ["refinement_steps=2", "crop=48"]
SPEC = """network = "squeezenet1_1"
weights = "own.safetensors"
size = [41, 48]
features = ["features.4"]
[options]
num_classes = 5
"""


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


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dirnet.learn.loop.use_all_cores", lambda: None)


def trained(home: Path, out: Path, settings: tuple[str, ...] = (), **given: Any) -> Path:
    """The weights that `dirnet train attach` leaves."""
    options: dict[str, Any] = {"network": str(home / "spec.toml"), "device": DeviceChoice.cpu} | given
    train("attach", [home / "photographs"], out, settings=[*QUICK, *settings], **options)
    return out / "weights.safetensors"


def test_in_front_of_a_network_the_weights_are_an_attachment_and_a_restorer(home: Path, tmp_path: Path) -> None:
    path = trained(home, tmp_path, weights="tiny-proof")
    network, spec = load_network(str(home / "spec.toml"))
    attached = attach(network, str(path))
    assert attached.spec == spec  # it came with the weights
    began, card = load("tiny-proof"), load(str(path)).card
    assert card["began_from"] == began.sha256
    before, after = began.model.state_dict(), attached.attachment.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"encoder", "reference", "decoder", "aligner"}  # tone is not its matter


def test_inside_a_network_and_on_from_there(home: Path, tmp_path: Path) -> None:
    path = trained(home, tmp_path / "a", at=["features.3"], weights="tiny-proof")
    network, _ = load_network(str(home / "spec.toml"))
    attached = attach(network, str(path))
    assert isinstance(attached.attachment, Inside)
    assert attached.attachment.at == ("features.3",)
    assert any(float(p.abs().max()) > 0 for p in attached.attachment.aligners[0][0].local[-1].parameters())
    further = trained(home, tmp_path / "b", weights=str(path))  # --at is known from the weights
    assert read_weights(str(further)).card["began_from"] == read_weights(str(path)).sha256


def test_a_stopped_run_ends_as_an_undisturbed_one(home: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"at": ["features.3"], "seed": 3}
    whole = trained(home, tmp_path / "whole", **given)
    trained(home, tmp_path / "parts", **given, max_time="0s")
    parts = trained(home, tmp_path / "parts", **given, resume=True)
    ours, theirs = (read_weights(str(path)).state for path in (whole, parts))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_with_labels_the_network_is_what_learns(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faster_coco_eval")
    (tmp_path / "spec.toml").write_text('network = "person-segmenter"\nweights = "none"\n')
    outline = [[20, 15, 90, 15, 90, 80, 20, 80]]
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 15, 70, 65], "segmentation": outline}
    images = [{"id": i, "file_name": name, "height": 96, "width": 128} for i, name in ((1, "one.png"), (2, "two.png"))]
    table = {"images": images, "annotations": [row], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "all.json").write_text(json.dumps(table))
    given: dict[str, Any] = {"network": str(tmp_path / "spec.toml"), "annotations": tmp_path / "all.json"}
    given |= {"device": DeviceChoice.cpu, "settings": ["joint_steps=1", "batch=2"]}
    train("segmenter", [home / "photographs"], tmp_path / "run", **given)
    said = capsys.readouterr()
    assert "Image 2 is left out: there is no file two.png" in said.err
    path = Path(said.out.strip())
    assert path.name == "network.safetensors"
    (tmp_path / "spec.toml").write_text(f'network = "person-segmenter"\nweights = "{path}"\n')
    load_network(str(tmp_path / "spec.toml"))
    with pytest.raises(DirnetError, match="one --data, and with --network"):
        train("segmenter", [home / "photographs"], tmp_path / "run", **given | {"network": None})


@pytest.mark.parametrize(
    ("given", "settings", "sentence"),
    [
        ({"network": None, "at": ["features.3"]}, (), "Add --network"),
        ({"network": None}, (), "attach is for a network. Add --network"),
        ({}, ("task=restore",), "is for no network. Leave --network out"),
        ({"at": ["features.x"]}, (), "The nearest is"),
        ({}, ("batch=4",), "no whole photographs"),
        ({}, ("information=0.1",), "nothing that information could be asked of"),
        ({"at": ["features.3"]}, ("align=1", "reference_steps=1"), "no stage reference"),
        ({"weights": "no-such"}, (), "No weights no-such"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(
    home: Path, tmp_path: Path, given: dict[str, Any], settings: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(DirnetError, match=sentence):
        trained(home, tmp_path / "run", settings, **given)


def test_another_preset_than_the_recipe_has_is_said(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(home, tmp_path / "a", weights="small-proof", settings=("refinement_steps=1",))
    assert "The network is small, as the weights are; attach alone would make tiny." in capsys.readouterr().err
    trained(home, tmp_path / "b", weights="tiny-proof", settings=("refinement_steps=1",))
    assert "alone would make" not in capsys.readouterr().err
