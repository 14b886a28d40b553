from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from dirnet.errors import DirnetError, UsageError
from dirnet.tasks.taps import demand_finite, find_part, replaced, tapped


class Two(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class Shaped(nn.Module):
    """Gives what it was told to make of its input."""

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> Any:
        return self.shape(x)


class Network(nn.Module):
    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3))
        self.neck = Shaped(shape)

    def forward(self, x: torch.Tensor) -> Any:
        return self.neck(self.body(x))


SHAPES = {
    "tensor": lambda x: x,
    "list": lambda x: [x, x + 1],
    "tuple": lambda x: (x, "word", x.mean()),
    "dict": lambda x: OrderedDict(fine=x, coarse=x[..., ::2, ::2], count=3),
    "nested": lambda x: {"maps": [x, (x + 1, None)], "labels": torch.ones(2, 1, 1, 1, dtype=torch.long)},
    "named": lambda x: Two(x, x + 1),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_maps_of_any_answer_are_found_and_replaced(name: str) -> None:
    network, x = Network(SHAPES[name]), torch.rand(2, 3, 9, 9)
    before = network(x)
    with tapped(network, ["body.0", "neck"]) as maps:
        network(x)
    assert torch.equal(maps["body.0"][0], network.body[0](x))
    assert all(found.shape[1] == 5 for found in maps["neck"])
    with replaced(network, ["neck"], lambda _, found: [each + 100 for each in found]):
        after = network(x)
    flat_before, flat_after = (torch.utils._pytree.tree_flatten(each) for each in (before, after))
    assert flat_before[1] == flat_after[1]
    changed = [b for a, b in zip(flat_before[0], flat_after[0], strict=True) if b is not a and not same(a, b)]
    assert len(changed) == len(maps["neck"]) > 0
    assert all(each.min() > 50 for each in changed)


def same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_no_hook_outlives_an_error() -> None:
    network = Network(SHAPES["tensor"])
    with pytest.raises(RuntimeError, match="channels"), tapped(network, ["body.1", "neck"]):
        network(torch.rand(1, 4, 9, 9))
    assert not any(part._forward_hooks for part in network.modules())


def test_a_part_called_twice_gives_its_maps_in_order() -> None:
    network = nn.Module()
    network.head = nn.Conv2d(2, 2, 1)
    with tapped(network, ["head"]) as maps:
        answers = [network.head(torch.rand(1, 2, side, side)) for side in (4, 2)]
    assert [torch.equal(a, b) for a, b in zip(maps["head"], answers, strict=True)] == [True, True]


@pytest.mark.parametrize(("name", "near"), [("body.2", "body."), ("nekc", "neck"), ("", "")])
def test_an_unknown_part_is_told_its_neighbour(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"Network has no part of that name; got '{name}'. The nearest is '{near}"):
        find_part(Network(SHAPES["tensor"]), name)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_none_are_a_sentence(value: float) -> None:
    answer = [{"boxes": torch.rand(3, 4), "labels": torch.ones(3, dtype=torch.long)}, (torch.zeros(2), None)]
    demand_finite(answer)
    answer[0]["boxes"][1, 2] = value  # type: ignore[call-overload]
    with pytest.raises(
        DirnetError, match=r"What the teacher gives is not finite; got . NaN and . infinite of 12 numbers"
    ):
        demand_finite(answer, "the teacher")
