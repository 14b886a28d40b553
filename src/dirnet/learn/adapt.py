"""Adaptation to a camera by its own spoiled pictures, taken only as far as nothing known before is forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dirnet.errors import TrainingError
from dirnet.judge.evaluate import degraded_pairs, figures
from dirnet.judge.metrics import to_8bit
from dirnet.learn.data import Photographs
from dirnet.learn.loop import Outcome, train
from dirnet.learn.recipe import Recipe
from dirnet.nets.model import DiR
from dirnet.nets.weights import Loaded, load, save_weights
from dirnet.pictures.folders import gather
from dirnet.tasks.base import Task
from dirnet.tasks.restore import restore

MOST_LOST = 0.1  # dB on `seen`, of the photographs that come with the package
SHARES = (1.0, 0.5, 0.25, 0.125)
SEVERITIES = (1, 3, 5)


class Guarded(NamedTuple):
    """share: of the adaptation that was kept; before, after: dB on `seen`, tone fitted, of old and kept weights."""

    share: float
    before: float
    after: float


def adapt(
    start: Loaded, recipe: Recipe, photographs: Photographs, task: Task, out: Path, **options: Any
) -> tuple[Outcome, Guarded]:
    """Refine weights on a camera's own pictures and write what the guard keeps of it to `out`.

    options: of `train`. The old weights stay as they are. TrainingError where several processes were launched.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError("Adaptation is the work of one process", cure="Start it without a launcher.")
    recipe = replace(recipe, preset=start.model.preset)
    outcome = train(recipe, photographs, task, out, start=start.model, began_from=start.sha256, **options)
    unguarded = outcome.weights.replace(out / "unguarded.safetensors")  # until the guard has seen them
    adapted = load(str(unguarded))
    with as_file(files("dirnet") / "samples") as samples:
        model, guarded = guard(start.model, adapted.model, lambda model: known(model, samples))
    card = adapted.card | {"share_kept": guarded.share}
    save_weights(outcome.weights, recipe.preset, model.state_dict(), card)
    unguarded.unlink()
    return outcome, guarded


def guard(old: DiR, new: DiR, measure: Callable[[DiR], float]) -> tuple[DiR, Guarded]:
    """Go from old towards new weights by the largest of `SHARES` that loses at most `MOST_LOST` by `measure`.

    A straight line between a model and its own refinement stays in the same valley (Wortsman et al., CVPR 2022).
    """
    before = measure(old)
    for share in SHARES:
        between = DiR(old.preset).requires_grad_(False).eval()
        ends = zip(old.state_dict().items(), new.state_dict().values(), strict=True)
        between.load_state_dict({key: torch.lerp(a, b, share) for (key, a), b in ends})
        after = measure(between)
        if after >= before - MOST_LOST:
            return between, Guarded(share, before, after)
    return old, Guarded(0.0, before, before)


@torch.inference_mode()
def known(model: DiR, samples: Path, severities: Sequence[int] = SEVERITIES) -> float:
    """PSNR in dB, tone fitted, of the photographs below a folder once `seen` has spoiled them and the model mended."""
    inputs = gather([samples]).inputs
    found = [
        figures(to_8bit(restore(model, pair.degraded[None]))[0], pair.clean)["psnr_tone"]
        for severity in severities
        for pair in degraded_pairs(inputs, "seen", severity, seed=0)
    ]
    return sum(found) / len(found)
