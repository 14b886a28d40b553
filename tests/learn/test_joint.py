"""Training with labels: what learns, what a step asks for, and what a run leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from dirnet.errors import UsageError
from dirnet.learn.annotated import AnnotatedPhotographs
from dirnet.learn.loop import train
from dirnet.learn.recipe import Recipe, load_recipe
from dirnet.learn.stages import JointStage, _labels
from dirnet.nets.critic import Critic
from dirnet.nets.model import DiR
from dirnet.tasks.attach import Attached, attach
from dirnet.tasks.recognise import Recognition
from dirnet.tasks.spec import Spec

pytest.importorskip("faster_coco_eval")
pytestmark = pytest.mark.usefixtures("quick_loop")

SPEC = Spec("torchvision-detection", fit="own", features=("body",))
RECIPE = load_recipe("joint", ["joint_steps=3", "batch=2", "warmup=1"])


class Outlines(nn.Module):
    """Says of every pixel whether it is of an object; in training, like torchvision's, how far off it is."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 1, 1)
        self.seen: list[torch.Tensor] = []

    def forward(self, pictures: list[torch.Tensor], targets: list[dict[str, torch.Tensor]] | None = None) -> Any:
        self.seen = [picture.detach() for picture in pictures]
        maps = [self.head(self.body(picture[None]))[0, 0] for picture in pictures]
        if targets is None:
            return maps
        wanted = [target["masks"].any(0).float() for target in targets]
        pairs = zip(maps, wanted, strict=True)
        return {
            "outline": torch.stack([nn.functional.binary_cross_entropy_with_logits(*pair) for pair in pairs]).mean()
        }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, torch.Tensor]) -> AnnotatedPhotographs:
    folder = tmp_path_factory.mktemp("annotated")
    table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    for number, (name, photograph) in enumerate(photographs.items(), 1):
        pixels = (photograph[0, :, 100:164, 150:230].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        outline = [[20, 15, 50, 15, 50, 45, 20, 45]]
        table["images"].append({"id": number, "file_name": f"{name}.png", "height": 64, "width": 80})
        table["annotations"].append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [20, 15, 30, 30], "segmentation": outline}
        )
    (folder / "all.json").write_text(json.dumps(table))
    return AnnotatedPhotographs(folder / "all.json", folder)


@pytest.fixture
def attached() -> Attached:
    torch.manual_seed(0)
    return attach(Outlines().requires_grad_(False).eval(), "tiny-proof", spec=SPEC)


def stage_of(attached: Attached, recipe: Recipe = RECIPE) -> JointStage:
    return JointStage(recipe, attached, Critic(8), Recognition(attached.network, SPEC))


@pytest.mark.parametrize("learns", ["attachment", "network", "both"])
def test_what_learns_is_what_the_recipe_says(attached: Attached, learns: str) -> None:
    stage_of(attached, replace(RECIPE, learns=learns))
    asked = {name.split(".")[0] for name, p in attached.named_parameters() if p.requires_grad}
    assert asked == ({"attachment", "network"} if learns == "both" else {learns})
    assert not any(p.requires_grad for p in attached.attachment.tone.parameters())  # type: ignore[union-attr]


def test_the_network_is_shown_what_the_attachment_makes_of_spoiled_photographs(
    attached: Attached, found: AnnotatedPhotographs
) -> None:
    def shown(**changes: Any) -> list[torch.Tensor]:
        stage = stage_of(attached, replace(RECIPE, **changes))
        stage(stage.draw(found, "key"))
        return attached.network.seen  # type: ignore[return-value]

    clean = found.draw(2, "key").pictures
    for seen, picture in zip(shown(suite="clean", learns="network"), clean, strict=True):
        torch.testing.assert_close(seen, picture, atol=2e-3, rtol=0)
    alone, mended = shown(suite="seen", learns="network"), shown(suite="seen")
    assert all(float((seen - picture).std()) > 0.005 for seen, picture in zip(alone, clean, strict=True))
    assert all(float((a - b).std()) > 0.001 for a, b in zip(alone, mended, strict=True))


def test_normalisation_stays_as_it_is(attached: Attached, found: AnnotatedPhotographs) -> None:
    before = {name: value.clone() for name, value in attached.network.named_buffers()}
    stage = stage_of(attached, replace(RECIPE, learns="both"))
    losses = stage(stage.draw(found, "key"))
    assert losses.keys() == {"outline"}
    losses["outline"].backward()
    assert all(torch.equal(value, before[name]) for name, value in attached.network.named_buffers())


@pytest.mark.parametrize(
    ("learns", "files"),
    [("attachment", {"weights"}), ("network", {"network"}), ("both", {"weights", "network"})],
)
def test_a_run_writes_what_learned_and_leaves_the_rest_alone(
    attached: Attached, found: AnnotatedPhotographs, tmp_path: Path, learns: str, files: set[str]
) -> None:
    before = {name: value.clone() for name, value in attached.state_dict().items()}
    task = Recognition(attached.network, SPEC)
    outcome = train(replace(RECIPE, learns=learns), found, task, tmp_path, start=attached)
    assert outcome.finished
    assert outcome.weights.stem in files
    assert {path.stem for path in tmp_path.glob("*.safetensors")} - {"checkpoint"} == files
    assert all(torch.equal(value, before[name]) for name, value in attached.state_dict().items())
    if "network" in files:
        learned = load_file(tmp_path / "network.safetensors")
        assert not torch.equal(learned["head.weight"], before["network.head.weight"].half())
        assert torch.equal(learned["body.1.running_var"], before["network.body.1.running_var"])
    if "weights" in files:
        again = attach(Outlines(), str(tmp_path / "weights.safetensors"))
        assert again.spec == SPEC


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    attached: Attached, found: AnnotatedPhotographs, tmp_path: Path
) -> None:
    task = Recognition(attached.network, SPEC)
    train(RECIPE, found, task, tmp_path / "whole", start=attached)
    while not train(RECIPE, found, task, tmp_path / "parts", start=attached, max_time=0, resume=True).finished:
        pass
    whole, parts = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_stages_and_networks_that_do_not_fit_are_sentences(
    attached: Attached, found: AnnotatedPhotographs, tmp_path: Path
) -> None:
    task = Recognition(attached.network, SPEC)
    with pytest.raises(UsageError, match="Where labels are learned from there is no stage refinement"):
        train(replace(RECIPE, refinement_steps=2), found, task, tmp_path, start=attached)
    with pytest.raises(UsageError, match="Without annotations there is no stage joint"):
        train(RECIPE, found, task, tmp_path, start=DiR("tiny"))
    other = attach(attached.network, DiR("tiny"), spec=replace(SPEC, output="other"))
    with pytest.raises(UsageError, match="cannot learn with labels"):
        stage_of(other)
    with pytest.raises(UsageError, match="Unknown learns"):
        replace(RECIPE, learns="all")


class TwoStages(nn.Module):
    """As much of a two-stage detector as tells what labels it has: these, and 0 for no object."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 1, 1)
        self.roi_heads, self.roi_heads.box_predictor = nn.Module(), nn.Module()
        self.roi_heads.box_predictor.cls_score = nn.Linear(4, labels + 1)
        self.targets: list[dict[str, torch.Tensor]] = []

    def forward(self, pictures: list[torch.Tensor], targets: list[dict[str, torch.Tensor]]) -> Any:
        self.targets = targets
        return {"loss": torch.stack([self.body(picture[None]).mean() for picture in pictures]).mean()}


def step(found: AnnotatedPhotographs, labels: int, ids: tuple[int, ...] | None) -> set[int]:
    """The labels that the network is taught."""
    network, spec = TwoStages(labels), replace(SPEC, category_ids=ids)
    stage = JointStage(RECIPE, attach(network, DiR("tiny"), spec=spec), Critic(16), Recognition(network, spec))
    stage(stage.draw(found, "step"))
    return {label for target in network.targets for label in target["labels"].tolist()}


@pytest.mark.parametrize(("labels", "ids", "taught"), [(1, None, {1}), (90, None, {1}), (2, (0, 18, 1), {2})])
def test_categories_are_taught_as_the_labels_that_the_network_has_for_them(
    found: AnnotatedPhotographs, labels: int, ids: tuple[int, ...] | None, taught: set[int]
) -> None:
    assert step(found, labels, ids) == taught


@pytest.mark.parametrize("ids", [(0, 18), (1, 18)])
def test_a_category_without_a_label_is_a_sentence(found: AnnotatedPhotographs, ids: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"no label for some.*got categories 1; wanted some of 18\. Say in its SPEC"):
        step(found, 1, ids)


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "fcos_resnet50_fpn", "retinanet_resnet50_fpn"])
def test_what_one_stage_detectors_have_labels_for(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    network = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=4)
    assert _labels(attach(network, DiR("tiny"))) == {1: 1, 2: 2, 3: 3}
    spec = Spec("torchvision-detection", fit="own", category_ids=(7, 8, 9, 10))
    background = name.startswith("ssd")  # which learns a score for it; the others have 0 for an object
    wanted = {8: 1, 9: 2, 10: 3} if background else {7: 0, 8: 1, 9: 2, 10: 3}
    assert _labels(attach(network, DiR("tiny"), spec=spec)) == wanted
