from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dirnet.errors import UsageError, WeightsError
from dirnet.tasks import networks
from dirnet.tasks.inputs import prepare
from dirnet.tasks.networks import load_network
from dirnet.tasks.spec import Spec, shipped, spec_named

torchvision = pytest.importorskip("torchvision")
OWN = 'network = "squeezenet1_1"\nweights = "{weights}"\n'


def spec_file(folder: Path, text: str) -> str:
    path = folder / "own.toml"
    path.write_text(text)
    return str(path)


def test_a_name_of_torchvision_with_a_state_file(tmp_path: Path) -> None:
    theirs = torchvision.models.squeezenet1_1(num_classes=3)
    save_file(theirs.state_dict(), tmp_path / "mine.safetensors")
    text = OWN.format(weights="mine.safetensors") + "[options]\nnum_classes = 3\n"
    network, spec = load_network(spec_file(tmp_path, text))
    assert spec == spec_named("squeezenet1_1")
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    batch = prepare([torch.rand(3, 50, 60)], spec)
    assert torch.equal(network(batch), theirs.eval()(batch))


def test_a_bare_name_asks_torchvision_for_its_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(weights: object, weights_backbone: object = "fetched") -> torch.nn.Module:
        asked.append((weights, weights_backbone))
        return torch.nn.Identity()

    monkeypatch.setattr(torchvision.models, "get_model_builder", lambda name: build)
    _, spec = load_network("fcos_resnet50_fpn")
    assert asked == [("DEFAULT", None)]
    assert spec == Spec("torchvision-detection", fit="own", features=("backbone",))


def test_a_file_is_known_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.onnx"
    path.write_bytes(b"bytes")
    with pytest.raises(
        UsageError, match=r'some.onnx wants to be given is not known. Write a SPEC.toml(.|\n)*"some.onnx"'
    ):
        load_network(str(path))
    monkeypatch.setattr(networks, "read_onnx", lambda file: torch.nn.Flatten() if file == path else None)
    text = 'network = "some.onnx"\noutput = "classifier"\nmean = [0.5, 0.5, 0.5]\nstd = [1, 1, 1]\n'
    network, spec = load_network(spec_file(tmp_path, text))
    assert isinstance(network, torch.nn.Flatten)
    assert spec == Spec("classifier", mean=(0.5, 0.5, 0.5), std=(1, 1, 1))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("resnet5o", r"No such network; got 'resnet5o'.*The nearest name is resnet50\."),
        ("nowhere.toml", "Cannot read the spec nowhere.toml"),
    ],
)
def test_an_unknown_source_is_a_sentence(source: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_network(source)


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ('output = "yolox"\n', UsageError, "does not say what network"),
        ('network = "resnet18"\nweights = 1\n', UsageError, "weights are no name; got 1"),
        ('network = "gone.onnx"\n', UsageError, "No file .*gone.onnx"),
        ('network = "resnet19"\n', UsageError, "torchvision cannot build resnet19"),
        (OWN.format(weights="BEST"), UsageError, "torchvision cannot build squeezenet1_1 with weights BEST"),
        (OWN.format(weights="none") + "[options]\nlayers = 3\n", UsageError, "cannot build.*layers"),
        (OWN.format(weights="gone.safetensors"), WeightsError, "gone.safetensors of squeezenet1_1 cannot be loaded"),
        (OWN.format(weights="bad.safetensors"), WeightsError, "bad.safetensors of squeezenet1_1 cannot be loaded"),
        (OWN.format(weights="odd.safetensors"), WeightsError, "odd.safetensors of squeezenet1_1 cannot be loaded"),
    ],
)
def test_what_cannot_be_loaded_is_a_sentence(tmp_path: Path, text: str, error: type, sentence: str) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"not weights at all")
    save_file({"other": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(error, match=sentence):
        load_network(spec_file(tmp_path, text))


def test_the_cure_for_an_unknown_file_is_a_spec_itself(tmp_path: Path) -> None:
    path = tmp_path / "some.onnx"
    path.write_bytes(b"bytes")
    with pytest.raises(UsageError) as caught:
        load_network(str(path))
    example = caught.value.cure.split("such as:\n")[1]
    file = tmp_path / "copied.toml"
    file.write_text(example)
    spec = networks.read_spec(file)[0]
    known = shipped()["yolox-nano"]
    assert (spec.output, spec.colours, spec.white, spec.fill) == tuple(
        known[key] for key in ("output", "colours", "white", "fill")
    )
