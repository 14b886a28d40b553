from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dirnet.errors import WeightsError
from dirnet.tasks.networks import load_network, save_network
from dirnet.tasks.segmenter import TAPS, begin_from_imagenet, person_segmenter

torchvision = pytest.importorskip("torchvision")


@pytest.fixture
def imagenet() -> torch.nn.Module:
    """A MobileNetV2 whose normalisation has something to do."""
    network = torchvision.models.mobilenet_v2(weights=None)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            part.weight.data.uniform_(0.5, 1.5)
    return network.eval()


def test_folded_features_are_those_of_imagenet(imagenet: torch.nn.Module) -> None:
    network = person_segmenter().eval()
    begin_from_imagenet(network, {k: v for k, v in imagenet.state_dict().items() if "num_batches" not in k})
    image = torch.rand(1, 3, 64, 64)
    theirs, ours = image, image
    layers = list(network.backbone.body.values())  # type: ignore[union-attr]
    assert len(layers) == max(TAPS) + 1
    with torch.no_grad():
        for block, layer in enumerate(layers):
            theirs, ours = imagenet.features[block](theirs), layer(ours)  # type: ignore[index]
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.backbone.body.modules())  # type: ignore[union-attr]


def test_it_is_small_and_answers_as_torchvisions_do() -> None:
    network = person_segmenter().eval()
    assert 2 * sum(p.numel() for p in network.parameters()) < 5 << 20
    with torch.no_grad():
        for size in ((90, 120), (300, 64)):
            (found,) = network([torch.rand(3, *size)])
            assert found["masks"].shape == (len(found["boxes"]), 1, *size)


def test_by_its_name_from_files(tmp_path: Path, imagenet: torch.nn.Module) -> None:
    spec = tmp_path / "own.toml"
    spec.write_text('network = "person-segmenter"\nweights = "none"\n')
    network, conventions = load_network(str(spec))
    assert conventions.output == "torchvision-detection"
    state = {k: v for k, v in imagenet.state_dict().items() if k.startswith("features.") and "num_batches" not in k}
    save_file(state, tmp_path / "features.safetensors")
    spec.write_text('network = "person-segmenter"\nweights = "features.safetensors"\n')
    begun, _ = load_network(str(spec))
    stem = begun.state_dict()["backbone.body.0.0.weight"]
    assert not torch.equal(stem, network.state_dict()["backbone.body.0.0.weight"])
    save_network(tmp_path / "whole.safetensors", begun.state_dict())
    spec.write_text('network = "person-segmenter"\nweights = "whole.safetensors"\n')
    again, _ = load_network(str(spec))
    assert torch.equal(again.state_dict()["backbone.body.0.0.weight"], stem.half().float())
    spec.write_text('network = "person-segmenter"\nweights = "absent.safetensors"\n')
    with pytest.raises(WeightsError, match=r"absent.safetensors of person-segmenter cannot be loaded"):
        load_network(str(spec))
    del state["features.0.0.weight"]
    save_file(state, tmp_path / "features.safetensors")
    spec.write_text('network = "person-segmenter"\nweights = "features.safetensors"\n')
    with pytest.raises(WeightsError, match=r"cannot be loaded"):
        load_network(str(spec))


def test_what_would_vanish_in_half_precision_is_kept(tmp_path: Path) -> None:
    state = {"a.running_var": torch.tensor([1e-9]), "a.num_batches_tracked": torch.tensor(3), "b": torch.tensor([0.1])}
    save_network(tmp_path / "n.safetensors", state)
    from safetensors.torch import load_file

    found = load_file(tmp_path / "n.safetensors")
    assert torch.equal(found["a.running_var"], state["a.running_var"])
    assert found["a.num_batches_tracked"] == 3
    assert found["b"].dtype == torch.float16
