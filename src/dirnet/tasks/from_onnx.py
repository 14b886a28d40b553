"""An ONNX file as a torch module that gradients pass through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from dirnet.errors import DirnetError


def read_onnx(path: Path) -> nn.Module:
    """The network of an ONNX file, frozen, for batches of any length. DirnetError where it cannot be had.

    Weights beside the file (external data) are refused: a file must not make another be read.
    """
    try:
        import onnx
        import onnx2torch
    except ImportError as error:
        raise DirnetError("onnx and onnx2torch are not installed", cure="Install dirnet-isp[onnx].") from error
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # whatever the parser says of a broken file, it is one sentence to the user
        raise DirnetError(
            f"{path} is no ONNX file", got=(str(error) or type(error).__name__).splitlines()[0]
        ) from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise DirnetError(f"{path} keeps its weights in other files", cure="Save it with its weights inside.")
    try:
        shape = _fixed_shape(model)
        if shape:
            _free_batch(model)
        network = onnx2torch.convert(model)
        for name, part in list(network.named_children()):
            if type(part).__name__ == "OnnxSlice":
                setattr(network, name, Slice())
        network.requires_grad_(False).eval()
        return network if shape is None or _takes_batches(network, shape) else OneByOne(network).eval()
    except Exception as error:
        raise DirnetError(
            f"{path} cannot be turned into a torch network",
            got=(str(error) or type(error).__name__).splitlines()[0],
            cure="Give the network itself to dirnet.attach, as a torch module.",
        ) from error


class OneByOne(nn.Module):
    """A network that takes one picture at a time, given a batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: torch.Tensor) -> Any:
        """(B, 3, H, W) -> what the network gives of each, joined along the first axis."""
        answers = [self.network(one[None]) for one in batch]
        return tree_map(lambda *parts: torch.cat(parts), *answers)


class Slice(nn.Module):
    """ONNX's Slice. onnx2torch's own indexes with a list of slices, which torch is about to take for a tensor."""

    def forward(
        self,
        x: torch.Tensor,
        starts: torch.Tensor,
        ends: torch.Tensor,
        axes: torch.Tensor | None = None,
        steps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x[..., start:end:step, ...] along each of the axes; Python's rules for what lies outside are ONNX's."""
        where = range(len(starts)) if axes is None else axes.tolist()
        strides = [1] * len(starts) if steps is None else steps.tolist()
        for start, end, axis, step in zip(starts.tolist(), ends.tolist(), where, strides, strict=True):
            if step > 0:
                x = x[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)]
            else:
                backwards = range(x.shape[axis])[start:end:step]
                x = x.index_select(axis, torch.tensor(list(backwards), device=x.device))
        return x


def _fixed_shape(model: Any) -> list[int] | None:
    """The shape of the first input, where every side is fixed."""
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    return shape if len(shape) == 4 and all(shape) else None


def _free_batch(model: Any) -> None:
    """Free a graph that was exported for one picture: a 0 in the target of a Reshape is "as in the input"."""
    from onnx import numpy_helper

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        target = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if target is not None and list(numpy_helper.to_array(target)[:1]) == [1]:
            sides = numpy_helper.to_array(target).copy()
            sides[0] = 0
            free = numpy_helper.from_array(sides, f"{node.name}_{target.name}_any_batch")
            graph.initializer.append(free)
            node.input[1] = free.name
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]


def _takes_batches(network: nn.Module, shape: list[int]) -> bool:
    """Whether two pictures together give what each gives alone."""
    pictures = torch.rand(2, *shape[1:], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone = [tree_leaves(network(one[None])) for one in pictures]
        try:
            both = tree_leaves(network(pictures))
        except RuntimeError:
            return False
    return all(
        one.shape == (2, *a.shape[1:]) and torch.allclose(one, torch.cat((a, b)), rtol=1e-3, atol=1e-4)
        for one, a, b in zip(both, *alone, strict=True)
    )
