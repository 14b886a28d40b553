from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import dirnet
from dirnet.errors import UsageError, WeightsError
from dirnet.nets.model import DiR
from dirnet.nets.weights import load
from dirnet.tasks.attach import Attached, attach
from dirnet.tasks.inputs import prepare
from dirnet.tasks.inside import Inside
from dirnet.tasks.networks import load_network
from dirnet.tasks.restore import refine
from dirnet.tasks.spec import Spec, spec_named
from dirnet.tasks.taps import tapped

YOLOX = Path(__file__).parents[3] / "shared" / "weights" / "yolox_nano.onnx"
SMALL = {"weights": None, "weights_backbone": None, "min_size": 64, "max_size": 96}
DETECTORS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "fasterrcnn_resnet50_fpn": (SMALL | {"box_score_thresh": 0.0, "box_detections_per_img": 5}, ("backbone.fpn",)),
    "maskrcnn_resnet50_fpn": (SMALL | {"box_score_thresh": 0.0, "box_detections_per_img": 5}, ("backbone.body",)),
    "retinanet_resnet50_fpn": (
        SMALL | {"score_thresh": 0.0, "detections_per_img": 5},
        ("backbone.fpn.layer_blocks.0",),
    ),
    "fcos_resnet50_fpn": (SMALL | {"score_thresh": 0.0, "detections_per_img": 5}, ("backbone",)),
    "ssdlite320_mobilenet_v3_large": (
        {"weights": None, "weights_backbone": None, "score_thresh": 0.0, "detections_per_img": 5},
        ("backbone",),
    ),
}


class Plain(nn.Module):
    """A small network with a map to look at; it takes (B, 3, H, W) and a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.second = nn.Conv2d(5, 4, 3, stride=2, padding=1)

    def forward(self, images: torch.Tensor, scale: float = 1.0, *, offset: float = 0.0) -> dict[str, torch.Tensor]:
        return {"out": scale * self.second(self.first(images).relu()) + offset}


@pytest.fixture
def network() -> Plain:
    return Plain().eval()


@pytest.fixture(scope="module")
def torchvision() -> Any:
    return pytest.importorskip("torchvision")


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest, torchvision: Any) -> tuple[nn.Module, tuple[str, ...]]:
    torch.manual_seed(0)
    options, at = DETECTORS[request.param]
    network = torchvision.models.get_model(request.param, **options).eval().requires_grad_(False)
    for part in network.modules():  # or hardly anything of a picture gets through an untrained network
        if type(part).__name__ == "FrozenBatchNorm2d":
            part.running_var.fill_(0.5)
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    if request.param.startswith("ssdlite"):
        network.train()(torch.rand(2, 3, 320, 320), [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}] * 2)
        network.eval()
    return network, at


def shake(attached: Attached) -> Attached:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in attached.attachment.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return attached


def same(a: Any, b: Any) -> bool:
    pairs = list(zip(tree_leaves(a), tree_leaves(b), strict=True))
    assert pairs
    assert all(leaf.numel() for leaf, _ in pairs)
    return all(torch.equal(x, y) for x, y in pairs)


def hooks(network: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in network.modules())


@torch.inference_mode()
def test_untrained_a_detector_of_torchvision_stays_what_it_is(detector: tuple[nn.Module, tuple[str, ...]]) -> None:
    network, at = detector
    state, modes = copy.deepcopy(network.state_dict()), [part.training for part in network.modules()]
    pictures = [torch.rand(3, 70, 50), torch.rand(3, 40, 61)]
    bare = network(pictures)
    for where in (None, at):
        seeing = dirnet.attach(network, at=where)
        assert same(seeing(pictures), bare)
        assert not same(shake(seeing)(pictures), bare)
        assert seeing.detach() is network
        assert hooks(network) == 0
        assert same(network(pictures), bare)
        assert [part.training for part in network.modules()] == modes
        assert list(network.state_dict()) == list(state)
        assert all(torch.equal(state[key], tensor) for key, tensor in network.state_dict().items())


@torch.inference_mode()
def test_in_training_a_detector_takes_its_targets_and_gives_its_losses(torchvision: Any) -> None:
    network = torchvision.models.get_model("fcos_resnet50_fpn", **SMALL)
    pictures = [torch.rand(3, 70, 50), torch.rand(3, 40, 61)]
    targets = [{"boxes": torch.tensor([[5.0, 5.0, 30.0, 30.0]]), "labels": torch.tensor([3])}] * 2
    for at in (None, "backbone.fpn"):
        seeing = attach(network, at=at)
        losses = seeing(pictures, targets=targets)
        assert set(losses) == {"classification", "bbox_regression", "bbox_ctrness"}
        assert same(losses, network(pictures, targets))


@torch.inference_mode()
def test_untrained_a_classifier_stays_what_it_is(torchvision: Any) -> None:
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    spec = spec_named("squeezenet1_1")
    assert spec is not None
    batch = prepare([torch.rand(3, 40, 60), torch.rand(3, 90, 70)], spec)
    bare = network(batch)
    for at in (None, "features.4"):
        seeing = attach(network, at=at, spec="squeezenet1_1")
        assert same(seeing(batch), bare)
        assert not same(shake(seeing)(batch), bare)


@pytest.mark.skipif(not YOLOX.is_file(), reason="the YOLOX of ../shared/weights is not here")
@torch.inference_mode()
def test_untrained_a_network_from_onnx_stays_what_it_is(
    astronaut: torch.Tensor, coffee: torch.Tensor, tmp_path: Path
) -> None:
    pytest.importorskip("onnx2torch")
    network, spec = load_network(str(YOLOX))
    batch = prepare([astronaut[0], coffee[0]], spec)
    bare = network(batch)
    for at in (None, ["Mul_301", "Mul_334", "Mul_367"]):
        seeing = attach(network, at=at, spec=spec)
        assert same(seeing(batch), bare)
        assert not same(shake(seeing)(batch), bare)
        seeing.save(tmp_path / "own.safetensors")
        assert (tmp_path / "own.safetensors").stat().st_size < 0.6 * 2**20


def test_in_front_the_network_sees_the_mended_picture(network: Plain) -> None:
    seeing = shake(attach(network))
    assert isinstance(seeing.attachment, DiR)
    images = torch.rand(2, 3, 24, 30)
    expected = network(refine(seeing.attachment, images)[0], 2.0, offset=1.0)["out"]
    assert torch.allclose(seeing(images, 2.0, offset=1.0)["out"], expected, atol=1e-5)
    assert torch.allclose(seeing(images=images, scale=2.0, offset=1.0)["out"], expected, atol=1e-5)


def test_in_front_of_a_letterbox_only_the_picture_is_mended() -> None:
    spec = Spec("other", "BGR", 255.0, fit="letterbox", size=(64, 64), fill=114.0)
    seeing = shake(attach(nn.Identity(), spec=spec))
    assert isinstance(seeing.attachment, DiR)
    pictures = [torch.rand(3, 64, 40), torch.rand(3, 30, 64)]
    seen, plain = seeing(prepare(pictures, spec)), prepare(pictures, spec)
    assert torch.equal(seen[0, :, :, 40:], plain[0, :, :, 40:])
    assert torch.equal(seen[1, :, 30:], plain[1, :, 30:])
    for place, picture in zip((seen[0, :, :, :40], seen[1, :, :30]), pictures, strict=True):
        expected = 255 * refine(seeing.attachment, picture[None])[0][0].flip(0)
        assert torch.allclose(place, expected, atol=1e-2)


def test_inside_what_is_corrected_is_the_map_of_that_name(network: Plain) -> None:
    seeing = shake(attach(network, at="first"))
    images = torch.rand(2, 3, 24, 30)
    with tapped(seeing, ["network.first", "attachment.aligners.0.0"]) as maps:
        answer = seeing(images)["out"]
    pilot, refined = maps["network.first"][0], maps["attachment.aligners.0.0"][0]
    assert torch.equal(pilot, network.first(images))
    assert torch.allclose(answer, network.second(refined.relu()), atol=1e-6)
    assert (pilot - refined).abs().max() > 0.01


@pytest.mark.parametrize("at", [None, "first"])
def test_gradients_reach_all_that_was_added_and_leave_the_network_alone(network: Plain, at: str | None) -> None:
    network.requires_grad_(False)
    seeing = shake(attach(network, at=at))
    images = torch.rand(2, 3, 24, 30, requires_grad=True)
    seeing(images)["out"].square().sum().backward()
    assert images.grad is not None
    for name, parameter in seeing.attachment.named_parameters():
        unused = name.startswith("tone.") or (name.startswith("decoder.") and name.endswith("bias"))  # D(a) - D(b)
        assert unused or (parameter.grad is not None and parameter.grad.abs().max() > 0), name
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("at", [None, ["first", "second"]])
def test_saved_it_is_small_and_the_same_again(network: Plain, at: list[str] | None, tmp_path: Path) -> None:
    spec = Spec("classifier", "BGR", 255.0, fit="none")
    seeing = shake(attach(network, at=at, spec=spec))
    seeing.save(tmp_path / "own.safetensors", {"recipe": "none"})
    assert (tmp_path / "own.safetensors").stat().st_size < 600_000
    again = attach(network, str(tmp_path / "own.safetensors"))
    assert again.spec == spec
    for key, tensor in seeing.attachment.state_dict().items():
        assert torch.equal(again.attachment.state_dict()[key], tensor.half().float())
    images = 255 * torch.rand(1, 3, 24, 30)
    assert torch.allclose(seeing(images)["out"], again(images)["out"], rtol=1e-2, atol=0.5)
    if at is None:
        assert load(str(tmp_path / "own.safetensors")).card["recipe"] == "none"  # weights like any others


def test_weights_of_a_restorer_serve_in_front_and_inside(network: Plain) -> None:
    images = torch.rand(1, 3, 24, 30)
    in_front, inside = attach(network, "tiny-proof"), attach(network, "tiny-proof", at="first")
    mended, _ = refine(load("tiny-proof").model, images)
    assert torch.allclose(in_front(images)["out"], network(mended)["out"], atol=1e-5)
    assert isinstance(inside.attachment, Inside)
    assert torch.equal(inside(images)["out"], network(images)["out"])
    theirs = load("tiny-proof").model.encoder.state_dict()
    assert all(torch.equal(theirs[key], value) for key, value in inside.attachment.encoder.state_dict().items())


def test_a_large_picture_goes_by_its_own_statistics(network: Plain) -> None:
    seeing = shake(attach(network, at="first"))
    assert isinstance(seeing.attachment, Inside)
    image = torch.rand(1, 3, 40, 600)
    model = DiR("tiny")
    model.encoder = seeing.attachment.encoder
    assert torch.allclose(seeing.attachment.baseline(image), model(image).baseline, atol=1e-6)


def test_modes_and_devices_are_those_of_a_module(network: Plain) -> None:
    seeing = attach(network)
    assert not seeing.attachment.training
    assert attach(Plain()).attachment.training
    assert seeing.train().network.training
    assert all(key.startswith(("network.", "attachment.")) for key in seeing.state_dict())
    assert copy.deepcopy(seeing).network is not network


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda network: attach(network, at="frist"), r"Plain has no part.*got 'frist'. The nearest is 'first'\."),
        (lambda network: attach(network, at="first", spec="yolo"), "No such spec"),
        (lambda network: attach(nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), at="1"), "could not be tried.*64x64"),
        (lambda network: attach(nn.Sequential(nn.Flatten()), at="0"), "0 gives no maps"),
        (lambda network: attach(network)(), "called without pictures; wanted them first, or as images="),
        (lambda network: attach(network)(torch.rand(3, 8, 8)), r"its pictures; got \(3, 8, 8\) torch.float32; wanted"),
        (lambda network: attach(network)(torch.ones(1, 3, 8, 8).byte()), "its pictures; got .*uint8; wanted floats"),
        (lambda network: attach(network)(["picture"]), "its pictures; got list; wanted"),
        (lambda network: attach(network)(255 * torch.rand(1, 3, 8, 8)), "not what the network's spec says"),
        (
            lambda network: attach(network, at="first")([torch.rand(3, 8, s) for s in (8, 9)]),
            "not known; wanted a batch",
        ),
    ],
)
def test_what_makes_no_sense_is_a_sentence(network: Plain, call: Callable[[nn.Module], Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        call(network)


def test_weights_for_another_network_are_a_sentence(network: Plain, tmp_path: Path) -> None:
    path = str(tmp_path / "own.safetensors")
    attach(network, at="first").save(path)
    with pytest.raises(UsageError, match=r"Identity has no part of that name; got 'first'. It has no parts"):
        attach(nn.Identity(), path)
    with pytest.raises(UsageError, match="own belongs at other parts; got second; wanted first"):
        attach(network, path, at="second")
    with pytest.raises(WeightsError, match="No weights nothing"):
        attach(network, "nothing")
    network.first = nn.Conv2d(3, 6, 3, padding=1)
    network.second = nn.Conv2d(6, 4, 3)
    with pytest.raises(UsageError, match=r"first gives other maps.*got \(1, 6, 8, 8\) for 1 pictures"):
        attach(network, path)(torch.rand(1, 3, 8, 8))


def test_no_pictures_are_no_trouble() -> None:
    assert attach(nn.Identity())([]) == []


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("at", [None, "0"])
def test_a_network_of_another_number_format_keeps_it(kind: torch.dtype, at: str | None) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)).to(kind)
    image = torch.rand(2, 3, 40, 56).to(kind)
    assert torch.equal(attach(network, None, at=at)(image), network(image))
    assert attach(network, None if at else "tiny-proof", at=at)(image).dtype == kind


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("at", [None, "first"])
def test_cast_as_a_whole_it_answers_in_that_format_as_the_network(
    network: Plain, kind: torch.dtype, at: str | None
) -> None:
    seeing = attach(network, at=at).to(kind)
    image = torch.rand(1, 3, 32, 48).to(kind)
    assert torch.equal(seeing(image)["out"], network(image)["out"])
    assert {parameter.dtype for parameter in seeing.attachment.parameters()} == {torch.float32}


@pytest.mark.parametrize("training", [True, False])
def test_it_is_in_the_mode_the_network_is_in(network: Plain, training: bool) -> None:
    network.train(training)
    assert attach(network).training == training


def test_files_may_be_paths(network: Plain, tmp_path: Path) -> None:
    attach(network).save(tmp_path / "own.safetensors")
    (tmp_path / "own.toml").write_text('network = "own.pt"\nwhite = 255\n')
    assert attach(network, tmp_path / "own.safetensors", spec=tmp_path / "own.toml").spec.white == 255


@pytest.mark.parametrize(
    "compiled", [lambda net: torch.compile(net, backend="eager"), lambda net: net.compile() or net]
)
def test_inside_what_is_compiled_hooks_would_not_be_heard(network: Plain, compiled: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=r"inside a compiled network cannot be corrected\. Attach first"):
        attach(compiled(network), at="first")


def test_an_attachment_of_other_conventions_is_a_sentence(torchvision: Any, tmp_path: Path) -> None:
    detector = torchvision.models.get_model("ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None).eval()
    with pytest.raises(
        UsageError, match="yolox-nano was saved for a network of other conventions; got fit 'letterbox'"
    ):
        attach(detector, "yolox-nano")
    seeing = attach(detector, "yolox-nano", spec="torchvision-detection")
    assert seeing.spec.fit == "own"
