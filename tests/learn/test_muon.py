"""Muon: against the singular values it is about, AdamW for the rest, and PyTorch's own Muon."""

import copy

import pytest
import torch
from torch import nn

from dirnet.learn.muon import Muon, orthogonalised


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(8, 16, 3), nn.GroupNorm(4, 16), nn.SiLU(), nn.Conv2d(16, 3, 3))


def descend(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    losses = []
    for step in range(steps):
        pictures = torch.rand(4, 8, 12, 12, generator=torch.Generator().manual_seed(step))
        loss = (net(pictures) - pictures[:, :3, 2:-2, 2:-2]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("shape", [(16, 72), (72, 16), (24, 24), (8, 300)])
def test_an_update_keeps_the_directions_and_evens_out_their_strength(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    uneven = left @ torch.diag(torch.logspace(0, -1, len(values), dtype=torch.float64)) @ right
    in_its_directions = left.T @ orthogonalised(uneven) @ right.T
    evened = in_its_directions.diagonal()
    assert evened.min() > 0.6
    assert evened.max() < 1.25
    torch.testing.assert_close(in_its_directions, torch.diag(evened), atol=1e-6, rtol=0)


def test_a_kernel_moves_by_the_rate_whatever_the_size_of_its_gradient() -> None:
    for size in (1e-6, 1.0, 1e6):
        kernel = nn.Parameter(torch.zeros(32, 16, 3, 3))
        kernel.grad = size * torch.randn(kernel.shape, generator=torch.Generator().manual_seed(0))
        Muon([kernel], lr=1e-2, weight_decay=0.0).step()
        assert kernel.square().mean().sqrt().item() == pytest.approx(1e-2 * 0.2, rel=0.2)  # as AdamW's do


def test_what_is_no_kernel_moves_as_with_adamw() -> None:
    nets = small_net(), small_net()
    settings = {"lr": 1e-2, "weight_decay": 0.1, "betas": (0.9, 0.99)}
    optimizers = Muon(nets[0].parameters(), **settings), torch.optim.AdamW(nets[1].parameters(), **settings)
    for net, optimizer in zip(nets, optimizers, strict=True):
        for step in range(3):
            for parameter in net.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))
            optimizer.step()
    ours, theirs = (dict(net.named_parameters()) for net in nets)
    same = {name for name in ours if torch.equal(ours[name], theirs[name])}
    assert same == set(ours) - {"0.weight"}  # "3.weight" has but 3 rows


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
def test_a_first_step_is_that_of_pytorch() -> None:
    gradient = torch.randn(32, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    start = torch.randn(32, 16, 3, 3, generator=torch.Generator().manual_seed(1))
    kernel, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    kernel.grad, matrix.grad = gradient.clone(), gradient.flatten(1)
    Muon([kernel], lr=1e-2, weight_decay=0.1).step()
    torch.optim.Muon([matrix], lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw").step()
    ours, theirs = (kernel.detach() - start).flatten(1), matrix.detach() - start.flatten(1)
    assert torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.999
    assert ours.norm().item() == pytest.approx(theirs.norm().item(), rel=0.01)  # theirs is in bfloat16


def test_it_learns_and_goes_on_from_its_state() -> None:
    net = small_net()
    optimizer = Muon(net.parameters(), lr=1e-2)
    losses = descend(net, optimizer, 40)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    twin = small_net()
    twin.load_state_dict(net.state_dict())
    fresh = Muon(twin.parameters(), lr=1e-2)
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert descend(net, optimizer, 5) == descend(twin, fresh, 5)


def test_parameters_without_gradient_stay() -> None:
    kernel = nn.Parameter(torch.ones(8, 8, 3, 3))
    Muon([kernel], lr=1.0).step()
    assert torch.equal(kernel, torch.ones(8, 8, 3, 3))
