from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dirnet.errors import DirnetError, UsageError
from dirnet.nets.model import DiR
from dirnet.tasks.attach import Attached, attach
from dirnet.tasks.base import Batch
from dirnet.tasks.inputs import prepare
from dirnet.tasks.inside import Inside
from dirnet.tasks.networks import load_network
from dirnet.tasks.recognise import Recognition, lay_out, maps_apart, yolox_apart
from dirnet.tasks.spec import Spec
from dirnet.tasks.taps import tapped

YOLOX = Path(__file__).parents[3] / "shared" / "weights" / "yolox_nano.onnx"
SPECS = {
    "letterbox": Spec("other", "BGR", 255.0, fit="letterbox", size=(40, 48), fill=114.0, features=("first",)),
    "resize": Spec("classifier", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), fit="resize", size=(40, 40)),
    "none": Spec("classifier", features=("first",)),
}


class Classifies(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Linear(5, 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.last(self.second(self.first(pictures)).amax((2, 3)))


@pytest.fixture(params=SPECS)
def task(request: pytest.FixtureRequest) -> Recognition:
    torch.manual_seed(0)
    return Recognition(Classifies(), SPECS[request.param])


@pytest.fixture
def batch() -> Batch:
    ideal = F.interpolate(torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(1)), (40, 40), mode="bicubic")
    ideal = ideal.clamp(0, 1)
    degraded = (ideal + 0.2 * torch.randn(ideal.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    return Batch(degraded, 0.9 * ideal, ideal, degraded)


def shaken(model: DiR | Inside) -> DiR | Inside:
    """As if it had been trained: nothing is zero any more."""
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def figure(loss: torch.Tensor) -> float:
    return float(loss.detach())


def test_crops_are_laid_together_in_two_rows_of_three() -> None:
    crops = torch.arange(12.0).view(12, 1, 1, 1).expand(12, 3, 2, 2)
    laid = lay_out(crops)
    assert laid.shape == (2, 3, 4, 6)
    assert laid[:, 0, ::2, ::2].tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    with pytest.raises(UsageError, match="no whole photographs"):
        lay_out(crops[:8])


def test_what_it_looks_at_is_what_the_attached_network_sees(task: Recognition, batch: Batch) -> None:
    torch.manual_seed(1)
    model = shaken(DiR("tiny"))
    assert isinstance(model, DiR)
    attached = Attached(task.network, "tiny", model, task.spec)
    inputs = prepare(list(lay_out(batch.degraded)), task.spec)
    with torch.no_grad(), tapped(task.network, ["first"]) as seen:
        expected = attached(inputs)
        clean = task.network(prepare(list(lay_out(batch.clean)), task.spec))
    losses = task.loss(model, batch).losses
    if task.spec.features:
        assert figure(losses["features"]) == pytest.approx(
            figure(maps_apart(*(s[None] for s in seen["first"]))), rel=1e-3
        )
    if task.spec.output == "classifier":
        theirs, ours = clean.softmax(1), expected.softmax(1)
        by_definition = float((theirs * (theirs / ours).log()).sum())
        assert figure(losses["answer"]) == pytest.approx(by_definition, rel=1e-3, abs=1e-6)


def test_inside_too_it_is_what_the_attached_network_sees(batch: Batch) -> None:
    torch.manual_seed(1)
    spec = replace(SPECS["letterbox"], features=("second",))  # after what is corrected
    attached = attach(Classifies().eval(), at="first", spec=spec)
    inside = shaken(attached.attachment)
    assert isinstance(inside, Inside)
    with torch.no_grad(), tapped(attached.network, ["second"]) as seen:
        attached(prepare(list(lay_out(batch.degraded)), spec))
        attached.network(prepare(list(lay_out(batch.clean)), spec))
    done = Recognition(attached.network, spec, inside).loss(inside, batch)
    assert done.losses.keys() == {"features"}
    expected = maps_apart(*(maps[None] for maps in seen["second"]))
    assert figure(done.losses["features"]) == pytest.approx(figure(expected), rel=1e-3)
    assert done.refined is None


def test_only_what_was_attached_learns(task: Recognition, batch: Batch) -> None:
    model = DiR("tiny")
    torch.stack(list(task.loss(model, batch).losses.values())).sum().backward()
    assert all(parameter.grad is None for parameter in task.network.parameters())
    assert any(float(p.grad.abs().sum()) > 0 for p in model.aligner.parameters() if p.grad is not None)


def test_untrained_it_is_as_far_off_as_the_bare_network(task: Recognition, batch: Batch) -> None:
    untrained = task.loss(DiR("tiny"), batch).losses
    same = task.loss(DiR("tiny"), Batch(batch.clean, batch.clean, batch.clean, batch.clean)).losses
    assert all(figure(loss) == pytest.approx(0, abs=1e-5) for loss in same.values())
    assert all(figure(loss) > 1e-3 for name, loss in untrained.items() if name != "answer")


def test_a_few_steps_bring_the_network_nearer_to_what_it_sees_in_the_clean_picture(batch: Batch) -> None:
    torch.manual_seed(0)
    task, model = Recognition(Classifies(), SPECS["none"]), DiR("tiny")
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    features = []
    for _ in range(25):
        losses = task.loss(model, batch).losses
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        features.append(figure(losses["features"]))
    assert features[-1] < 0.7 * features[0]


def test_maps_are_apart_by_their_share_of_the_variance() -> None:
    wanted = torch.randn(2, 4, 30, 30, generator=torch.Generator().manual_seed(0))
    mean = wanted.mean((0, 2, 3), keepdim=True).expand_as(wanted)
    assert figure(maps_apart([wanted], [wanted])) == 0
    assert figure(maps_apart([mean], [wanted])) == pytest.approx(1 / 1.1, rel=1e-2)
    scaled = torch.tensor([1.0, 100, 100, 100]).view(1, 4, 1, 1)
    assert figure(maps_apart([1e4 * mean], [1e4 * wanted])) == pytest.approx(1 / 1.1, rel=1e-2)
    assert figure(maps_apart([mean * scaled, wanted], [wanted * scaled, wanted])) < 0.5


def test_answers_of_yolox_are_apart_by_scores_and_boxes() -> None:
    wanted = torch.zeros(1, 3, 7)
    wanted[0, 0] = torch.tensor([0.5, 0.5, 1, 1, 1, 1, 0])  # one thing, for certain
    assert float(yolox_apart(wanted, wanted)) == 0
    missed = wanted.clone()
    missed[..., 4] = 0
    assert float(yolox_apart(missed, wanted)) == pytest.approx(1 / (1 + 1))
    moved = wanted.clone()
    moved[0, 0, 0] += 1
    assert float(yolox_apart(moved, wanted)) == pytest.approx(1 / (1 + 1))
    elsewhere = wanted.clone()
    elsewhere[0, 1, :4] += 9  # where nothing is, no box counts
    assert float(yolox_apart(elsewhere, wanted)) == 0


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(UsageError, match="Nothing of what the network sees"):
        Recognition(Classifies(), Spec())
    with pytest.raises(UsageError, match="The nearest is 'first'"):
        Recognition(Classifies(), Spec(features=("frist",)))


def test_a_network_that_gives_nan_is_told(batch: Batch) -> None:
    network = Classifies()
    network.last.weight.data[0] = torch.nan
    with pytest.raises(DirnetError, match="not finite"):
        Recognition(network, SPECS["none"]).loss(DiR("tiny"), batch)


@pytest.mark.skipif(not YOLOX.exists(), reason="needs the shared YOLOX")
def test_on_yolox_every_loss_is_there_and_mending_lessens_it(chelsea: torch.Tensor) -> None:
    network, spec = load_network(str(YOLOX))
    task = Recognition(network, spec)
    clean = torch.stack([chelsea[0, :, 60 : 60 + 216, left : left + 216] for left in range(0, 216, 36)])
    noise = 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = (clean + noise).clamp(0, 1)
    untrained = task.loss(DiR("tiny"), Batch(noisy, clean, clean, noisy)).losses
    mended = attach(network, "tiny-proof", spec=spec).attachment
    losses = task.loss(mended, Batch(noisy, clean, clean, noisy)).losses
    assert losses.keys() == {"detail", "features", "answer"}
    assert all(losses[name] < untrained[name] for name in ("detail", "features"))
