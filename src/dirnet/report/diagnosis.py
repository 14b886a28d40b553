"""What a representation holds, as one self-contained HTML page: figures beside the untrained net, points, searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup

from dirnet.judge.diagnose import REPRESENTATIONS, UNTRAINED, Diagnosis, metric_id
from dirnet.judge.records import Record
from dirnet.judge.statistics import paired_interval
from dirnet.report.gather import plain
from dirnet.report.pictures import Embedded, embed
from dirnet.report.plots import look
from dirnet.report.render import write_page
from dirnet.report.scatter import hues, principal, scatter
from dirnet.report.tables import Cell, Metric

# id: name, decimals, what it is
MEASURES = {
    "mi_nats": ("Information", 2, "What two views of a place share, at least; a fresh critic on held-out scenes."),
    "bce": ("Cross entropy", 3, "Of that critic; 0.693 means that it finds nothing shared."),
    "patch_r1": ("Places found again", 3, "Share, among 255 others of another view; chance is 0.004."),
    "similarity": ("Similarity to clean", 3, "Linear CKA with what the clean picture has in its place."),
    "invariance": ("Distance from clean", 3, "Squared, in units of the features' spread; strangers have 2."),
    "probe_r2": ("Told of the settings", 3, "R² of ridge regression on held-out scenes; 0 is nothing."),
    "probe_r2_within": ("Told, the scene known", 3, "Of the differences between views of one scene."),
    "probe_r2_mlp": ("Told to a small network", 3, "As above, by a small network."),
    "content_psnr": ("Content", 2, "PSNR of the clean pixels that ridge regression reads out."),
    "feature_std": ("Spread", 3, "Mean standard deviation of a channel."),
    "effective_rank": ("Effective rank", 1, "Directions that the features really use."),
    "gate_saturation": ("Gates at their bound", 3, "Share of the aligner's s - 1 and m within 1 % of it."),
}


@dataclass(frozen=True)
class Line:
    """A measure of one suite and severity: a cell for each representation, None where it was not taken."""

    name: str
    unit: str
    sentence: str
    cells: list[Cell | None]


@dataclass(frozen=True)
class Search:
    """A query and its answers as pictures: what is shown, its caption, and `gain`, `loss` or nothing."""

    name: str
    pictures: list[tuple[Embedded, str, str]]


def write_diagnosis(diagnoses: Sequence[Diagnosis], out: Path, *, title: str = "dirnet diagnose") -> None:
    """Write the page on these diagnoses of one model; the same ones give the same bytes. DirnetError if it cannot."""
    model = diagnoses[0].model
    clouds, legend = _clouds(diagnoses, model)
    write_page(
        "diagnosis.html",
        out,
        title=title,
        model=model,
        representations=REPRESENTATIONS,
        parts=[(one, _sentence(one, model), _lines(one, model), _settings(one, model), _searches(one, model))
               for one in diagnoses],
        clouds=clouds,
        legend=legend,
        facts=_facts(diagnoses[0]),
    )  # fmt: skip


def _by_metric(diagnosis: Diagnosis, model: str) -> dict[str, tuple[Record, Record]]:
    """(untrained, trained) by metric."""
    found: dict[str, dict[str, Record]] = {}
    for record in diagnosis.records:
        found.setdefault(record.metric, {})[record.model] = record
    return {metric: (pair[UNTRAINED], pair[model]) for metric, pair in found.items()}


def _lines(diagnosis: Diagnosis, model: str) -> list[Line]:
    measured = _by_metric(diagnosis, model)
    lines = []
    for measure, (name, digits, sentence) in MEASURES.items():
        cells: list[Cell | None] = []
        for kind in REPRESENTATIONS:
            pair = measured.get(metric_id(measure, kind))
            cells.append(_cell(measure, digits, *pair) if pair else None)
        if any(cells):
            unit = next(cell for cell in cells if cell).metric.unit
            lines.append(Line(name, unit, sentence, cells))
    return lines


def _cell(measure: str, digits: int, before: Record, after: Record) -> Cell:
    metric = Metric(measure, "", after.unit, digits, after.higher_is_better)
    interval = paired_interval(after.values, before.values) if after.values else None
    return Cell(metric, before.value, after.value, interval)


def _settings(diagnosis: Diagnosis, model: str) -> list[Line]:
    """What ridge regression reads of each setting, the scene known."""
    measured = _by_metric(diagnosis, model)
    if "probe_r2_within" not in measured:
        return []
    metric = Metric("probe_r2_within", "", "", 2, False)
    pairs = [measured[metric_id("probe_r2_within", kind)] for kind in REPRESENTATIONS]
    lines = []
    for setting in pairs[0][1].by["setting"]:
        values = [[record.by["setting"][setting]["value"] for record in pair] for pair in pairs]
        lines.append(Line(setting, "", "", [Cell(metric, before, after) for before, after in values]))
    return lines


def _sentence(diagnosis: Diagnosis, model: str) -> Markup:
    """The figures that matter most, in words."""
    measured = _by_metric(diagnosis, model)

    def says(metric: str, form: str) -> str:
        before, after = (form.format(record.value) for record in measured[metric])
        return f"{after} (untrained: {before})"

    text = Markup("On <b>{}</b>{}, <i>r</i><sub>0</sub> of <code>{}</code> finds {} of the places again").format(
        diagnosis.suite, _severity(diagnosis), model, says("patch_r1", "{:.0%}")
    )
    low, high = (measured["mi_nats"][1].by["interval"][end]["value"] for end in ("low", "high"))
    text += f" and shares at least {says('mi_nats', '{:.2f}')} nats between two views,"
    text += f" the trained one {low:.2f} to {high:.2f}."
    if "probe_r2" in measured:
        text += f" Of how a picture was spoiled it tells {says('probe_r2', '{:.0%}')}, and"
        text += f" {says('probe_r2_within', '{:.0%}')} to one who knows the scene."
    return text


def _severity(diagnosis: Diagnosis) -> str:
    return f", severity {diagnosis.severity}" if diagnosis.severity else ""


def _searches(diagnosis: Diagnosis, model: str) -> list[Search]:
    found = []
    for one in diagnosis.retrievals:
        pictures = [(_embedded(one.query), "wanted", ""), (_embedded(one.partner), "its partner", "")]
        for name in (UNTRAINED, model):
            crop, right = one.found[name]
            pictures.append((_embedded(crop), f"{name}: {'right' if right else 'wrong'}", "gain" if right else "loss"))
        found.append(Search(one.name, pictures))
    return found


def _embedded(crop: torch.Tensor) -> Embedded:
    return embed((crop * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), max(crop.shape))


def _clouds(
    diagnoses: Sequence[Diagnosis], model: str
) -> tuple[list[tuple[str, str, Markup, Markup]], list[tuple[str, str]]]:
    """(model, representation, points by scene, points by degradation) and the legend of the latter.

    A point is a picture: the mean and standard deviation of each channel. The clean pictures stand in once.
    """
    scenes = len(diagnoses[0].scenes)
    labels = ["clean", *(f"{one.suite} {one.severity or ''}".strip() for one in diagnoses)]
    colours = [f"var(--series-{look(number)})" for number in range(len(labels))]
    clouds = []
    for name, kind in ((UNTRAINED, "baseline"), (model, "baseline"), (model, "refined")):
        pooled = [one.pooled[name, kind] for one in diagnoses]
        groups = [pooled[0][:, -1:], *(one[:, :-1] for one in pooled)]
        points, _ = principal(torch.cat([group.flatten(0, 1) for group in groups]).numpy())
        by_scene = [hue for group in groups for hue in hues(scenes) for _ in range(group.shape[1])]
        by_kind = [
            colour for colour, group in zip(colours, groups, strict=True) for _ in range(scenes * group.shape[1])
        ]
        clouds.append((name, kind, Markup(scatter(points, by_scene)), Markup(scatter(points, by_kind))))
    return clouds, list(zip(labels, colours, strict=True))


def _facts(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    record = diagnosis.records[0]
    facts: dict[str, Any] = {"photographs": record.n, "seed": record.seed, **record.context}
    return [(name, plain(value)) for name, value in facts.items() if value not in (None, "", [], {})]
