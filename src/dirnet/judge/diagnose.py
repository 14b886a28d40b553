"""A representation, judged on photographs it has not seen, beside that of the same network untrained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from dirnet.errors import UsageError
from dirnet.isp.params import ISPParams
from dirnet.judge.look import QUERIES, Exposures, Features, Scene, distractors, expose, see, untrained
from dirnet.judge.metrics import psnr
from dirnet.judge.probes import mlp_predictions, probed_settings, r2_by_scene, ridge_predictions
from dirnet.judge.records import Record
from dirnet.judge.representation import (
    effective_rank,
    feature_std,
    nats,
    pair_cross_entropy,
    patch_r1,
    ranking,
    standardised,
)
from dirnet.nets.model import Representation
from dirnet.nets.weights import Loaded

FEWEST = 4  # scenes: each fit needs some, and others to be judged on
UNTRAINED = "untrained"
REPRESENTATIONS = Representation._fields
LESS_IS_BETTER = ("bce", "invariance", "probe_r2", "gate_saturation")  # and those that begin so
UNITS = {"mi_nats": "nats", "bce": "nats", "content_psnr": "dB"}
SHOWN, CROP = 6, 32  # queries that are shown, and pixels of each


class Retrieval(NamedTuple):
    """A query, its partner in another view, and what each model found first: pictures (3, CROP, CROP); right or not."""

    name: str
    query: torch.Tensor
    partner: torch.Tensor
    found: dict[str, tuple[torch.Tensor, bool]]


@dataclass(frozen=True)
class Diagnosis:
    """One suite at one severity: its records, and what the page shows beside them.

    model: what the weights are called there. pooled: by model and representation, (S, V + 1, 2 c), the clean view last.
    """

    suite: str
    severity: int
    model: str
    scenes: list[str]
    records: list[Record]
    pooled: dict[tuple[str, str], torch.Tensor]
    retrievals: list[Retrieval]


@dataclass(frozen=True)
class _Figure:
    """One measure; values, where it is a mean over scenes, are theirs; by: as in a record."""

    value: float
    values: list[float] = field(default_factory=list)
    by: dict[str, dict[str, float]] = field(default_factory=dict)


def metric_id(measure: str, representation: str) -> str:
    """What a measure of a representation is called in records: its own name, of `baseline`."""
    return measure if representation == "baseline" else f"{measure}_{representation}"


def diagnose(
    scenes: Sequence[Scene],
    weights: Loaded,
    *,
    suite: str,
    severity: int,
    seed: int,
    context: dict[str, Any],
    on_scene: Callable[[], object] = lambda: None,
) -> Diagnosis:
    """Measure what the representations of a model hold of these scenes, and those of the same network untrained.

    Gives one record for each measure and model; a measure of `pilot` or `refined` has that name at its end.
    Raises UsageError for fewer than four scenes.
    """
    if len(scenes) < FEWEST:
        raise UsageError("Too few photographs to diagnose on", got=str(len(scenes)), wanted=f"{FEWEST} or more")
    given = weights.name if weights.name != UNTRAINED else f"{UNTRAINED} weights"
    models = {given: weights.model, UNTRAINED: untrained(weights.model)}
    exposures: list[Exposures] = []
    seen: dict[str, list[dict[str, Features]]] = {name: [] for name in models}
    gates: dict[str, list[float]] = {name: [] for name in models}
    for scene in scenes:
        exposures.append(expose(scene, suite, severity, seed))
        for name, model in models.items():
            features, gate = see(model, scene, exposures[-1].pictures)
            seen[name].append(features)
            gates[name].append(gate)
        on_scene()
    gallery = distractors(scenes, seed)
    params = ISPParams.from_settings([row for exposure in exposures for row in exposure.settings])
    pixels = torch.stack([_pixels(scene, exposure) for scene, exposure in zip(scenes, exposures, strict=True)])
    records, pooled, rankings = [], {}, {}
    names = [scene.name for scene in scenes]
    for model in models:
        figures = {"gate_saturation": _mean(torch.tensor(gates[model]))}
        for kind in REPRESENTATIONS:
            features = [one[kind] for one in seen[model]]
            pooled[model, kind] = torch.stack([one.pooled for one in features])
            compared = _standardise(features)
            rankings[model, kind] = torch.stack(
                [ranking(queries, found) for queries, found in _searches(compared, gallery)]
            )
            measured = (
                _alone(features)
                | _across_views(features, compared, gallery)
                | _told(pooled[model, kind][:, :-1], params, seed if kind == "baseline" else None)
                | {"content_psnr": _content(compared.patches[:, 0], pixels)}
            )
            if kind == "baseline":
                measured |= _information(compared.patches[:, :-1], seed)
            figures |= {metric_id(metric, kind): figure for metric, figure in measured.items()}
        records += [
            Record(
                metric=metric, value=figure.value, unit=next((u for m, u in UNITS.items() if metric.startswith(m)), ""),
                higher_is_better=not metric.startswith(LESS_IS_BETTER), model=model, task="diagnose", suite=suite,
                severity=severity, n=len(scenes), seed=seed, params_hash=params.hash(), values=figure.values,
                pictures=names,
                by={name: {kind: {"value": value, "n": len(scenes)} for kind, value in kinds.items()}
                    for name, kinds in figure.by.items()},
                context=context,
            )
            for metric, figure in figures.items()
        ]  # fmt: skip
    best = {model: rankings[model, "baseline"] for model in models}
    return Diagnosis(suite, severity, given, names, records, pooled, _examples(scenes, exposures, gallery, best))


class _Compared(NamedTuple):
    """Standardised features of all scenes: patches (S, V + 1, P, d), near (S, Q, NEAR, d)."""

    patches: torch.Tensor
    near: torch.Tensor


def _standardise(features: list[Features]) -> _Compared:
    """All in units of the spread that the cells of spoiled views have."""
    cells = torch.cat([one.cells[:-1].flatten(0, 1) for one in features])
    patches, near = torch.stack([one.patches for one in features]), torch.stack([one.near for one in features])
    return _Compared(standardised(patches, cells), standardised(near, cells))


def _alone(features: list[Features]) -> dict[str, _Figure]:
    """What the cells of spoiled views are like by themselves."""
    cells = torch.cat([one.cells[:-1].flatten(0, 1) for one in features])
    return {"feature_std": _Figure(feature_std(cells)), "effective_rank": _Figure(effective_rank(cells))}


def _across_views(features: list[Features], compared: _Compared, gallery: torch.Tensor) -> dict[str, _Figure]:
    """How alike the views of a scene are, and whether a place is found again among others."""
    found = [patch_r1(queries, among).mean() for queries, among in _searches(compared, gallery)]
    cells = compared.patches.unflatten(3, (9, -1))[..., 4, :]
    apart = (cells[:, :-1] - cells[:, -1:]).square().mean((1, 2, 3))
    return {
        "patch_r1": _mean(torch.stack(found)),
        "similarity": _mean(torch.tensor([one.similarity for one in features])),
        "invariance": _mean(apart),
    }


def _searches(compared: _Compared, gallery: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Scene by scene the queries of the first view (Q, d) and their galleries in the second, partner first."""
    pool = compared.patches[:, 1].flatten(0, 1)
    for patches, near, others in zip(*compared, gallery, strict=True):
        yield patches[0, :QUERIES], torch.cat((patches[1, :QUERIES, None], near, pool[others]), 1)


def _told(pooled: torch.Tensor, params: ISPParams, seed: int | None) -> dict[str, _Figure]:
    """What pooled features (S, V, d) tell of the settings; by a network too where there is a seed for it.

    "within": features and settings less their mean over the views of the scene, so that scenes may differ as they like.
    Nothing where no setting varies.
    """
    settings = probed_settings(params)
    if not settings:
        return {}
    shape = pooled.shape[:2]
    scenes = torch.arange(shape[0]).repeat_interleave(shape[1])
    x, y = pooled.flatten(0, 1), torch.cat(list(settings.values()), 1)
    own_x, own_y = ((z.unflatten(0, shape) - z.unflatten(0, shape).mean(1, keepdim=True)).flatten(0, 1) for z in (x, y))
    guesses = {
        "probe_r2": (y, ridge_predictions(x, y, scenes)),
        "probe_r2_within": (own_y, ridge_predictions(own_x, own_y, scenes)),
    }
    if seed is not None:
        guesses["probe_r2_mlp"] = (y, mlp_predictions(x, y, scenes, seed))
    widths = [columns.shape[1] for columns in settings.values()]
    told = {}
    for metric, (truth, guess) in guesses.items():
        parts = zip(settings, truth.split(widths, 1), guess.split(widths, 1), strict=True)
        r2 = {name: r2_by_scene(columns, guessed, scenes) for name, columns, guessed in parts}
        # Below 0 a probe tells nothing: it counts as 0, and so do its scenes.
        counted = torch.stack([values if values.mean() > 0 else torch.zeros_like(values) for values in r2.values()])
        told[metric] = _mean(counted.mean(0), {"setting": {name: float(values.mean()) for name, values in r2.items()}})
    return told


def _content(patches: torch.Tensor, pixels: torch.Tensor) -> _Figure:
    """PSNR of the clean pixels (S, P, 12) as ridge regression reads them out of patches (S, P, d) of a spoiled view."""
    scenes = torch.arange(len(patches)).repeat_interleave(patches.shape[1])
    read = ridge_predictions(patches.flatten(0, 1), pixels.flatten(0, 1), scenes).clamp(0, 1).view_as(pixels)
    return _mean(torch.tensor([psnr(one, clean) for one, clean in zip(read, pixels, strict=True)]))


def _information(views: torch.Tensor, seed: int) -> dict[str, _Figure]:
    entropy = pair_cross_entropy(views, seed)
    value, low, high = nats(entropy)
    return {"mi_nats": _Figure(value, by={"interval": {"low": low, "high": high}}), "bce": _mean(entropy)}


def _mean(values: torch.Tensor, by: dict[str, dict[str, float]] | None = None) -> _Figure:
    values = values.double()
    return _Figure(float(values.mean()), values.tolist(), by or {})


def _pixels(scene: Scene, exposure: Exposures) -> torch.Tensor:
    """The clean pixels of the scene's places, (P, 12)."""
    rows, columns = scene.places.unbind(1)
    return F.pixel_unshuffle(exposure.aligned[-1], 2)[:, rows, columns].T


def _examples(
    scenes: Sequence[Scene], exposures: list[Exposures], gallery: torch.Tensor, rankings: dict[str, torch.Tensor]
) -> list[Retrieval]:
    """The first query of scenes spread evenly over all, and what each model finds for it."""
    shown = []
    for number in sorted({round(i * (len(scenes) - 1) / (SHOWN - 1)) for i in range(SHOWN)}):
        scene, exposure = scenes[number], exposures[number]
        place = scene.places[0]
        own = [(number, at) for at in (place, *scene.near[0])]
        places = len(scene.places)
        pool = own + [(i // places, scenes[i // places].places[i % places]) for i in gallery[number, 0].tolist()]
        found = {}
        for model, similarity in rankings.items():
            first = int(similarity[number, 0].argmax())
            source, at = pool[first]
            found[model] = (_crop(exposures[source].aligned[1], at), first == 0)
        shown.append(Retrieval(scene.name, _crop(exposure.aligned[0], place), _crop(exposure.aligned[1], place), found))
    return shown


def _crop(picture: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """CROP x CROP pixels about a cell; at an edge the nearest that lie inside."""
    height, width = picture.shape[1:]
    row, column = (2 * place + 1 - CROP // 2).tolist()
    row, column = max(0, min(row, height - CROP)), max(0, min(column, width - CROP))
    return picture[:, row : row + CROP, column : column + CROP]
