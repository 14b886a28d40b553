from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dirnet.errors import TrainingError
from dirnet.learn.checkpoint import Position, load_optimizer, load_parts, read_position, save_checkpoint

POSITION = Position("refinement", 17, 3.25)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def descend(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(image).square().mean().backward()
        optimizer.step()


@pytest.fixture
def net() -> nn.Module:
    return network()


@pytest.fixture
def optimizer(net: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    descend(net, optimizer, 3)
    return optimizer


@pytest.fixture
def file(tmp_path: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> Path:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, POSITION, {"model": net.state_dict(), "more": {"a/b": torch.arange(3)}}, optimizer)
    return path


def test_position_and_parts_come_back_as_they_were(file: Path, net: nn.Module) -> None:
    assert read_position(file) == POSITION
    parts = load_parts(file)
    assert parts.keys() == {"model", "more", "optimizer"}
    assert torch.equal(parts["more"]["a/b"], torch.arange(3))
    for key, tensor in net.state_dict().items():
        assert torch.equal(parts["model"][key], tensor)


def test_going_on_is_as_never_having_stopped(file: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    twin = network()
    twin.load_state_dict(load_parts(file)["model"])
    fresh = torch.optim.AdamW(twin.parameters(), lr=1e-2)
    load_optimizer(fresh, load_parts(file)["optimizer"])
    descend(net, optimizer, 4)
    descend(twin, fresh, 4)
    for own, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(own, other)


def test_tensors_that_share_memory_are_saved(tmp_path: Path, net: nn.Module) -> None:
    shared = torch.rand(4, 4)
    parts = {"model": {"whole": shared, "part": shared[:2], "turned": shared.T}}
    path = tmp_path / "shared.safetensors"
    save_checkpoint(path, POSITION, parts, torch.optim.AdamW(net.parameters()))
    back = load_parts(path)["model"]
    assert torch.equal(back["turned"], shared.T)
    assert torch.equal(back["part"], shared[:2])


def test_a_failed_save_leaves_the_old_one(file: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    before = file.read_bytes()
    with pytest.raises(AttributeError):
        save_checkpoint(file, Position("x", 0, 0.0), {"model": {"not a tensor": None}}, optimizer)  # type: ignore[dict-item]
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_broken_file_is_a_sentence(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(TrainingError, match=r"Cannot read the checkpoint.*Delete it"):
        read_position(file)


def test_a_file_of_another_kind_is_a_sentence(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for name, metadata in (("none", None), ("other", {"a": "b"}), ("odd", {"position": "[1]"})):
        save_file({"x": torch.zeros(1)}, tmp_path / name, metadata=metadata)
        with pytest.raises(TrainingError, match="Cannot read the checkpoint"):
            read_position(tmp_path / name)
    with pytest.raises(TrainingError, match="Cannot read the checkpoint"):
        read_position(tmp_path / "missing")
