"""The maps inside a network: found by the name of a part, watched, replaced."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from dirnet.errors import DirnetError, UsageError

Change = Callable[[str, list[torch.Tensor]], list[torch.Tensor]]


def find_part(network: nn.Module, name: str) -> nn.Module:
    """The part (submodule) of that name; UsageError names the nearest."""
    parts = {key: part for key, part in network.named_modules() if key}
    if name not in parts:
        near = difflib.get_close_matches(name, parts, n=1, cutoff=0)
        cure = f"The nearest is {near[0]!r}." if near else "It has no parts."
        raise UsageError(f"{type(network).__name__} has no part of that name", got=repr(name), cure=cure)
    return parts[name]


@contextmanager
def replaced(network: nn.Module, names: Sequence[str], change: Change) -> Iterator[None]:
    """While it lasts, the maps (B, C, h, w) that the named parts give are what `change` makes of (name, maps).

    A part may give a tensor, or tensors in dicts, lists and tuples; what is no map stays. No hook is left behind.
    """

    def hook_for(name: str):
        def hook(module: nn.Module, args: object, output: Any) -> Any:
            leaves, tree = tree_flatten(output)
            where = [index for index, leaf in enumerate(leaves) if _is_map(leaf)]
            for index, new in zip(where, change(name, [leaves[index] for index in where]), strict=True):
                leaves[index] = new
            return tree_unflatten(leaves, tree)

        return hook

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(find_part(network, name).register_forward_hook(hook_for(name)))
        yield


@contextmanager
def tapped(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, list[torch.Tensor]]]:
    """While it lasts, gathers the maps (B, C, h, w) that the named parts give, by name, in the order they come."""
    maps: dict[str, list[torch.Tensor]] = {name: [] for name in names}

    def watch(name: str, found: list[torch.Tensor]) -> list[torch.Tensor]:
        maps[name] += found
        return found

    with replaced(network, names, watch):
        yield maps


def demand_finite(output: Any, whose: str = "the network") -> None:
    """For training and evaluation: DirnetError where a number in a network's output, however nested, is not finite."""
    for leaf in tree_leaves(output):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and not bool(leaf.isfinite().all()):
            raise DirnetError(
                f"What {whose} gives is not finite",
                got=f"{int(leaf.isnan().sum())} NaN and {int(leaf.isinf().sum())} infinite of {leaf.numel()} numbers",
                cure="Run the bare network on a clean picture; if that fails too, its weights or its spec are wrong.",
            )


def _is_map(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.ndim == 4 and leaf.is_floating_point()
