from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dirnet.errors import UsageError
from dirnet.learn import losses as module
from dirnet.learn import ranks
from dirnet.learn.data import ROOM, Photographs, Scenes
from dirnet.learn.losses import _shared_region
from dirnet.learn.recipe import CHOICES, Recipe, load_recipe
from dirnet.learn.stages import (
    STAGE_CLASSES,
    RefinementStage,
    Stage,
)
from dirnet.nets.critic import Critic
from dirnet.nets.model import PRESETS, DiR
from dirnet.nets.tone import contact_sheet
from dirnet.objectives.negatives import negative_weights
from dirnet.suites.views import Views
from dirnet.tasks.base import Batch, TaskLoss
from dirnet.tasks.restore import Restoration

CROP = 48
EVERYTHING = ["information=0.05", "independence=0.01"]  # tiny-proof leaves these two to stage 1
RECIPE = load_recipe("tiny-proof", [f"crop={CROP}", "batch=8", "places=9", "sheets=4", *EVERYTHING])
LEARNS = {  # stage by stage; of the one with labels, tests/learn/test_joint.py
    "tone": {"tone"},
    "information": {"encoder", "critic"},
    "reference": {"reference", "decoder"},
    "refinement": {"encoder", "aligner", "decoder", "critic", "reference"},
    "adaptation": {"encoder", "aligner", "decoder", "critic"},
}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return RECIPE


@pytest.fixture
def looked_at(name: str, photographs: dict[str, torch.Tensor], scenes: Scenes) -> Scenes:
    """What a step of the stage `name` looks at: contact sheets or crops."""
    if name != "tone":
        return scenes
    sheets = torch.cat([contact_sheet(whole) for whole in photographs.values()])
    return Scenes(sheets, [f"sheet/{i}" for i in range(len(sheets))])


def begin(stage: str, recipe: Recipe) -> Stage:
    torch.manual_seed(5)
    model = DiR(recipe.preset)
    return STAGE_CLASSES[stage](recipe, model, Critic(PRESETS[recipe.preset].width), Restoration())


def parts(stage: Stage) -> dict[str, torch.nn.Module]:
    return {**dict(stage.model.named_children()), "critic": stage.critic}


@pytest.mark.parametrize("name", LEARNS)
def test_a_stage_trains_its_own_parts_and_no_others(name: str, recipe: Recipe, looked_at: Scenes) -> None:
    stage = begin(name, recipe)
    with torch.no_grad():  # past the zero-initialised layers, which let no gradient through
        for parameter in stage.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    losses = stage(looked_at)
    assert all(loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    for part, network in parts(stage).items():
        gradients = [parameter.grad for parameter in network.parameters()]
        if part in LEARNS[name]:
            assert any(gradient is not None and gradient.any() for gradient in gradients), part
            assert all(gradient is None or gradient.isfinite().all() for gradient in gradients), part
        else:
            assert all(gradient is None for gradient in gradients), part


def test_what_learns_does_not_depend_on_the_stage_before(recipe: Recipe) -> None:
    model, critic = DiR("tiny"), Critic(16)
    for name in (*LEARNS, *reversed(LEARNS)):
        stage = STAGE_CLASSES[name](recipe, model, critic, Restoration())
        learning = {part for part, network in parts(stage).items() if next(network.parameters()).requires_grad}
        assert learning == LEARNS[name]


@pytest.mark.parametrize("name", LEARNS)
def test_losses_go_down_on_the_same_scenes(name: str, recipe: Recipe, looked_at: Scenes) -> None:
    stage = begin(name, recipe)
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], lr=1e-3)
    before = figures(stage, looked_at)
    for _ in range(60 if name == "tone" else 16):
        optimizer.zero_grad()
        torch.stack(list(stage.train()(looked_at).values())).sum().backward()
        optimizer.step()
    after = figures(stage, looked_at)
    assert sum(after.values()) < sum(before.values()) - (0.005 if name == "tone" else 0.05)
    main = {"tone": "tone", "information": "independence", "reference": "reconstruction"}.get(name, "detail")
    assert after[main] < before[main]


@torch.no_grad()
def figures(stage: Stage, scenes: Scenes) -> dict[str, float]:
    """Its losses, without dropout."""
    return {name: float(loss) for name, loss in stage.eval()(scenes).items()}


@pytest.mark.parametrize("name", LEARNS)
def test_a_step_is_a_function_of_weights_and_scenes(name: str, recipe: Recipe, looked_at: Scenes) -> None:
    stages = [begin(name, recipe).eval() for _ in range(3)]  # without dropout, for which the loop sets a seed
    first = stages[0](looked_at)
    torch.rand(3)
    again = stages[1](looked_at)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    other = stages[2](replace(looked_at, names=[f"else/{name}" for name in looked_at.names]))
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_the_same_graph_on_the_tasks_loss_alone(recipe: Recipe, scenes: Scenes) -> None:
    """`canonical`: no other loss is computed."""
    alone = replace(recipe, content=0.0, information=0.0, independence=0.0)
    stage = begin("refinement", alone)
    learning = {part for part, network in parts(stage).items() if next(network.parameters()).requires_grad}
    assert learning == {"encoder", "aligner", "decoder", "reference"}
    assert stage(scenes).keys() == {"detail"}


@pytest.mark.parametrize("estimator", CHOICES["estimator"])
def test_every_estimator_tells_views_of_a_scene_from_strangers(estimator: str, scenes: Scenes) -> None:
    """Taught on the same scenes, its cost falls below what it is where nothing is told: ln 2, 0, 0 and 1/e."""
    stage = begin("information", replace(RECIPE, estimator=estimator))
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], lr=2e-3)
    for _ in range(12):
        optimizer.zero_grad()
        information = stage(scenes)["information"]
        information.backward()
        optimizer.step()
    nothing = {"jsd": math.log(2), "dv": 0.0, "infonce": 0.0, "nwj": math.exp(-1)}[estimator]
    assert float(stage(scenes)["information"].detach()) < nothing - 0.02


class Noting(Restoration):
    """The task, and the batches it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []

    def loss(self, model: DiR, batch: Batch) -> TaskLoss:
        self.batches.append(batch)
        return super().loss(model, batch)


def noted(scenes: Scenes, **settings: float) -> tuple[dict[str, torch.Tensor], list[Batch], Views]:
    """Losses of a step of refinement on the task's loss alone but for some settings; what the task was given; views."""
    torch.manual_seed(5)
    alone, task = {"content": 0.0, "information": 0.0, "independence": 0.0}, Noting()
    stage = RefinementStage(replace(RECIPE, **{**alone, **settings}), DiR("tiny"), Critic(16), task)
    return stage(scenes), task.batches, stage.views(scenes)


def test_masked_the_networks_are_shown_less_than_there_is(scenes: Scenes) -> None:
    _, (plain,), _ = noted(scenes)
    _, (masked,), views = noted(scenes, masking=0.6)
    assert torch.equal(plain.shown, plain.degraded)
    assert torch.equal(masked.degraded, views.degraded.flatten(0, 1))
    hidden = (masked.shown != masked.degraded).float().mean((1, 2, 3))
    assert len(hidden.unique()) == 8  # every view of every scene has a draw of its own
    assert 0.1 < hidden.mean() < 0.5


def test_several_processes_mask_as_one_would(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    _, (whole,), _ = noted(scenes, masking=0.6)
    monkeypatch.setattr(ranks, "share", lambda rows: slice(rows // 2, rows))
    _, (part,), _ = noted(scenes, masking=0.6)
    assert torch.equal(part.shown, whole.shown[4:])


def test_half_of_the_views_step_ahead_of_the_others(scenes: Scenes) -> None:
    plain, _, _ = noted(scenes)
    still, (first, others), views = noted(scenes, meta=1e-9)
    ahead, _, _ = noted(scenes, meta=0.3)
    assert torch.equal(first.degraded, views.degraded[:, 0])
    assert torch.equal(others.ideal, views.ideal[:, 1])
    assert still.keys() == ahead.keys() == {"detail"}
    torch.testing.assert_close(still["detail"], plain["detail"])
    assert ahead["detail"] != plain["detail"]


def test_consistency_is_a_loss_of_its_own(scenes: Scenes) -> None:
    losses, _, _ = noted(scenes, consistency=0.1)
    assert losses.keys() == {"detail", "consistency"}
    assert losses["consistency"] > 0


def test_what_is_aligned_to_stands_still(recipe: Recipe, scenes: Scenes) -> None:
    stage = begin("refinement", replace(recipe, align=0.2))
    assert not any(parameter.requires_grad for parameter in stage.model.reference.parameters())
    assert stage(scenes).keys() == {"detail", "align", "content", "information", "independence"}


def test_clean_pictures_leave_an_untrained_model_nothing_to_refine(recipe: Recipe, scenes: Scenes) -> None:
    losses = begin("refinement", replace(recipe, suite="clean", align=0.2, randomised=0.0))(scenes)
    for name in ("detail", "align"):
        assert float(losses[name].detach()) == pytest.approx(0, abs=1e-5), name


def test_the_smallest_crop_that_a_recipe_allows_can_be_trained_on(
    recipe: Recipe, scenes_of: Callable[[int], Scenes]
) -> None:
    for crop in range(8, CROP, 8):
        try:
            small = replace(recipe, crop=crop)
        except UsageError:
            continue
        losses = begin("information", small)(scenes_of(crop + ROOM))
        assert all(loss.isfinite() for loss in losses.values())
        return
    pytest.fail("no crop under 48 pixels is allowed")


def test_every_second_scene_was_spoiled_like_the_one_before(recipe: Recipe, scenes: Scenes) -> None:
    """As the critic's weights of negatives take it: scenes 0 and 1 are a group, 2 and 3 another."""
    views = begin("information", recipe).views(scenes)
    gamma = views.params.gamma_ratio.unflatten(0, (4, 2))
    assert torch.equal(gamma[0], gamma[1])
    assert torch.equal(gamma[2], gamma[3])
    assert not torch.equal(gamma[0], gamma[2])
    assert len(views.params.noise_seed.unique()) == 8


def test_without_matched_negatives_every_scene_was_spoiled_in_its_own_way(
    recipe: Recipe, scenes: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    monkeypatch.setattr(
        module, "negative_weights", lambda n, groups: counted.append(groups) or negative_weights(n, groups)
    )
    stage = begin("information", replace(recipe, matched=0))
    gamma = stage.views(scenes).params.gamma_ratio.unflatten(0, (4, 2))
    assert not torch.equal(gamma[0], gamma[1])
    stage(scenes)
    assert counted[0].tolist() == [0, 1, 2, 3]


def test_zoomed_views_show_the_same_places_and_coarser_grain(
    recipe: Recipe, scenes_of: Callable[[int], Scenes]
) -> None:
    stage = begin("information", replace(recipe, zoomed=1.0))
    half, whole = scenes_of((CROP + ROOM) // 2), scenes_of(CROP + ROOM)
    zoomed, plain = stage.views(half), begin("information", recipe).views(whole)
    assert zoomed.degraded.shape == plain.degraded.shape
    assert stage(half).keys() == {"information", "independence"}
    first, second = (_shared_region(F.avg_pool2d(zoomed.clean[:, view], 2), zoomed, view) for view in range(2))
    inner = (..., slice(2, -2), slice(2, -2))  # beside the edges of a crop it was enlarged from less
    torch.testing.assert_close(first[inner], second[inner], atol=1e-5, rtol=0)
    grains = []
    for views in (zoomed, plain):
        grain = views.degraded - views.ideal
        grains.append(float((grain[..., 1:] - grain[..., :-1]).square().mean() / grain.square().mean()))
    assert grains[0] < 0.5 * grains[1]


def test_whether_a_step_is_zoomed_is_drawn_by_its_key(recipe: Recipe, tmp_path: Path) -> None:
    Image.new("RGB", (100, 90), "teal").save(tmp_path / "one.png")
    stage, photographs = begin("reference", replace(recipe, zoomed=0.5)), Photographs([tmp_path], CROP + ROOM)
    sides = [stage.draw(photographs, f"key/{i}").pictures.shape[2] for i in range(30)]
    assert set(sides) == {CROP + ROOM, (CROP + ROOM) // 2}
    assert sides == [stage.draw(photographs, f"key/{i}").pictures.shape[2] for i in range(30)]
    assert begin("reference", recipe).draw(photographs, "key/0").pictures.shape[2] == CROP + ROOM
