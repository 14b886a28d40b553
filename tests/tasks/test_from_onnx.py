from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dirnet.errors import DirnetError
from dirnet.tasks.from_onnx import OneByOne, Slice, read_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2torch")
ort = pytest.importorskip("onnxruntime")

YOLOX = Path(__file__).parents[3] / "shared" / "weights" / "yolox_nano.onnx"


def small(path: Path, target: list[int], batch: int | str = 1) -> Path:
    """A convolution whose answer is reshaped to `target`, as an ONNX file."""
    h, t = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    graph = h.make_graph(
        [
            h.make_node("Conv", ["x", "w"], ["y"], name="conv"),
            h.make_node("Reshape", ["y", "shape"], ["z"], name="reshape"),
        ],
        "small",
        [h.make_tensor_value_info("x", t.FLOAT, [batch, 3, 6, 6])],
        [h.make_tensor_value_info("z", t.FLOAT, None)],
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.array(target), "shape")],
    )
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8), path)
    return path


def by_onnxruntime(path: Path, batch: torch.Tensor) -> torch.Tensor:
    """What ONNX Runtime makes of each picture alone."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return torch.cat([torch.from_numpy(session.run(None, {name: one[None].numpy()})[0]) for one in batch])


@pytest.mark.parametrize(("target", "kind"), [([1, 4, -1], None), ([1, -1], None), ([4, 36], OneByOne)])
def test_a_network_for_one_picture_takes_batches(tmp_path: Path, target: list[int], kind: type | None) -> None:
    path = small(tmp_path / "small.onnx", target)
    network, batch = read_onnx(path), torch.rand(3, 3, 6, 6, requires_grad=True)
    assert isinstance(network, OneByOne) == (kind is OneByOne)
    answer = network(batch)
    assert torch.allclose(answer, by_onnxruntime(path, batch.detach()), atol=1e-6)
    answer.square().sum().backward()
    assert batch.grad is not None
    assert batch.grad.abs().amin((1, 2, 3)).gt(0).all()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.skipif(not YOLOX.is_file(), reason="the YOLOX of ../shared/weights is not here")
def test_yolox_is_that_of_onnxruntime_for_a_batch_and_lets_gradients_through(astronaut: torch.Tensor) -> None:
    network = read_onnx(YOLOX)
    assert not isinstance(network, OneByOne)
    photograph = 255 * astronaut[..., :416, :416]
    batch = torch.cat((photograph, photograph.flip(3))).requires_grad_()
    answer = network(batch)
    assert answer.shape == (2, 3549, 85)
    assert (answer - by_onnxruntime(YOLOX, batch.detach())).abs().max() < 2e-3
    answer[0].sum().backward()
    assert batch.grad is not None
    assert batch.grad[0].abs().max() > 0
    assert batch.grad[1].abs().max() == 0


@pytest.mark.parametrize("cut", [(0, 3, 2), (1, 2**62, 1), (-2, 2**62, 1), (4, -(2**62), -2), (-1, 0, -1)])
def test_slices_are_those_of_onnxruntime(tmp_path: Path, cut: tuple[int, int, int]) -> None:
    x, axis = torch.rand(2, 5, 5), -1
    parts = [np.array([value]) for value in (cut[0], cut[1], axis, cut[2])]
    h, t = onnx.helper, onnx.TensorProto
    names = ["starts", "ends", "axes", "steps"]
    graph = h.make_graph(
        [h.make_node("Slice", ["x", *names], ["y"])],
        "slice",
        [h.make_tensor_value_info("x", t.FLOAT, [2, 5, 5])],
        [h.make_tensor_value_info("y", t.FLOAT, None)],
        [onnx.numpy_helper.from_array(part, name) for part, name in zip(parts, names, strict=True)],
    )
    path = tmp_path / "slice.onnx"
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8), path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"x": x.numpy()})[0]
    assert torch.equal(Slice()(x, *map(torch.from_numpy, parts)), torch.from_numpy(theirs))


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    path = small(tmp_path / "small.onnx", [1, 4, -1])
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="beside.bin", size_threshold=0)
    with pytest.raises(DirnetError, match="keeps its weights in other files"):
        read_onnx(path)


def test_what_is_no_network_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    path.write_bytes(b"no network at all")
    with pytest.raises(DirnetError, match=r"none\.onnx"):
        read_onnx(path)
    path.write_bytes(b"")
    with pytest.raises(DirnetError, match=r"none\.onnx cannot be turned"):
        read_onnx(path)
    path = small(tmp_path / "odd.onnx", [1, 4, -1])
    model = onnx.load(path)
    model.graph.node[0].op_type = "Perceive"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DirnetError, match=r"odd\.onnx cannot be turned into a torch network.*as a torch module"):
        read_onnx(path)
