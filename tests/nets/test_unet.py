from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dirnet.nets.model import DiR
from dirnet.nets.weights import load, save_weights
from dirnet.tasks.restore import restore


@pytest.fixture(scope="module")
def model() -> DiR:
    """A U-Net whose every parameter is off its beginning."""
    model = DiR("tiny-unet").eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model


def parameters(model: DiR) -> int:
    return sum(parameter.numel() for name, parameter in model.named_parameters() if not name.startswith("tone."))


def test_it_is_of_the_size_of_tiny(model: DiR) -> None:
    assert parameters(model) == pytest.approx(parameters(DiR("tiny")), rel=0.03)


def test_its_features_are_r0_and_r_plus_and_its_pilot_is_zero(model: DiR) -> None:
    image = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        baseline, pilot, refined = representation = model(image)
        change = model.decode(representation, (16, 24))
    assert baseline.shape == pilot.shape == (2, 18, 8, 12)
    assert refined is baseline
    assert not pilot.any()
    assert torch.equal(change, model.decoder(baseline))
    assert change.abs().max() > 1e-3


@pytest.mark.parametrize("size", [(1, 1), (13, 30)])
def test_untrained_it_changes_nothing(size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size)
    with torch.no_grad():
        assert torch.equal(restore(DiR("tiny-unet"), image), image)


def test_gradients_reach_every_layer(model: DiR) -> None:
    weights = {name: weight for name, weight in model.named_parameters() if not name.startswith("tone.")}
    change = model.decode(model(torch.rand(1, 3, 24, 24)), (24, 24))
    for name, gradient in zip(weights, torch.autograd.grad(change.square().sum(), list(weights.values())), strict=True):
        assert gradient.abs().max() > 0, name


@pytest.mark.parametrize("size", [(24, 420), (530, 16)])
def test_pieces_and_whole_give_the_same_picture(model: DiR, size: tuple[int, int]) -> None:
    image = 0.2 + 0.6 * torch.rand(1, 3, *size)
    with torch.no_grad():
        whole, pieces = restore(model, image), restore(model, image, tile=64)
    assert (whole - image).abs().mean() > 0.003
    torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=0)


def test_saved_and_loaded_it_is_the_same_to_half_precision(model: DiR, tmp_path: Path) -> None:
    path = tmp_path / "unet.safetensors"
    save_weights(path, model.preset, model.state_dict(), {})
    found = load(str(path)).model
    assert found.preset == "tiny-unet"
    for key, tensor in model.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor.half().float())
