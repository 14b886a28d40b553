"""Restoration, measured: every picture through every suite and severity, before and after."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from dirnet.errors import DirnetError, UsageError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.judge.metrics import linear_cka, match_tone, ms_ssim, psnr, ssim, to_8bit
from dirnet.judge.records import Record
from dirnet.judge.showcase import Showcase, Shown
from dirnet.nets.blocks import pad_to_multiple
from dirnet.nets.weights import Loaded
from dirnet.pictures.folders import Input
from dirnet.pictures.read import PICTURE_SUFFIXES, RAW_SUFFIXES, read_picture
from dirnet.suites.draw import draw
from dirnet.tasks.restore import ToneMode, restore

LOOKED_AT = 768  # pixels a side at most, of which the representations are compared and shown
UNITS = {"psnr": "dB", "ssim": "", "ms_ssim": "", "psnr_tone": "dB", "ssim_tone": "", "similarity": ""}


@dataclass(frozen=True)
class Pair:
    """One picture to measure: spoiled and clean (3, H, W) 8-bit values, what it is called, and how it was spoiled."""

    name: str
    degraded: torch.Tensor
    clean: torch.Tensor
    settings: dict[str, Any] = field(default_factory=dict)


def degraded_pairs(inputs: Sequence[Input], suite: str, severity: int, seed: int) -> Iterator[Pair]:
    """Photographs as a suite's camera gives them; a picture's spoiling depends on its relative path, not its order."""
    for item in inputs:
        clean = to_8bit(read_picture(item.path).to_tensor())
        settings = draw(suite, severity, item.relative.as_posix(), seed=seed)
        spoiled = to_8bit(degrade(clean, ISPParams.from_settings([settings])))
        yield Pair(item.relative.as_posix(), spoiled[0], clean[0], settings)


def find_pairs(folder: Path, suffixes: tuple[str, str]) -> list[tuple[str, Path, Path]]:
    """(name, spoiled file, clean file) for every pair of files whose stems end in the two suffixes."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", wanted="a folder with pairs of pictures")
    spoiled, clean = suffixes
    readable = PICTURE_SUFFIXES | RAW_SUFFIXES
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in readable and path.is_file()}
    names = [stem.removesuffix(spoiled) for stem in files if stem.endswith(spoiled)]
    found = [(name, files[name + spoiled], files[name + clean]) for name in names if name + clean in files]
    if not found:
        raise UsageError(f"No pairs in {folder}", wanted=f"files NAME{spoiled}.* beside NAME{clean}.*")
    return found


def real_pairs(found: Sequence[tuple[str, Path, Path]]) -> Iterator[Pair]:
    """Pictures that a real camera spoiled, beside what they should be. DirnetError where the two differ in size."""
    for name, spoiled, clean in found:
        a, b = (to_8bit(read_picture(path).to_tensor())[0] for path in (spoiled, clean))
        if a.shape != b.shape:
            sizes = [f"{image.shape[2]}x{image.shape[1]}" for image in (a, b)]
            raise DirnetError(f"The pair {name} differs in size", got=" and ".join(sizes), wanted="the same size")
        yield Pair(name, a, b)


@torch.inference_mode()
def measure(
    pairs: Iterator[Pair],
    weights: Loaded,
    *,
    suite: str,
    severity: int,
    seed: int,
    tone: ToneMode,
    context: dict[str, Any],
    showcase: Showcase | None = None,
    on_picture: Callable[[str], None] = lambda _: None,
) -> list[Record]:
    """Restore every pair's spoiled picture and measure it against the clean one, with the untouched input beside it.

    Gives one record for each metric and model ("input" and the weights' name). showcase gathers pictures to show.
    """
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    names: list[str] = []
    settings: list[dict[str, Any]] = []
    device = next(weights.model.parameters()).device
    for pair in pairs:
        pair = replace(pair, degraded=pair.degraded.to(device), clean=pair.clean.to(device))
        restored = to_8bit(restore(weights.model, pair.degraded[None], tone=tone))[0]
        before, after = figures(pair.degraded, pair.clean), figures(restored, pair.clean)
        shown = _look(weights, pair)
        before["similarity"], after["similarity"] = shown.similarity
        for model, row in (("input", before), (weights.name, after)):
            for metric, value in row.items():
                values[model, metric].append(value)
        names.append(pair.name)
        settings.append(pair.settings)
        if showcase:
            showcase.offer(pair.name, pair.clean, pair.degraded, restored, before, after, pair.settings, shown.features)
        on_picture(pair.name)
    if showcase:
        showcase.close(suite, severity, weights.name)
    drawn = [row for row in settings if row]
    params_hash = (
        ISPParams.from_settings(drawn).hash() if drawn else hashlib.sha256(json.dumps(names).encode()).hexdigest()
    )
    return [
        Record(
            metric=metric, value=_mean(row), unit=UNITS[metric], higher_is_better=True, model=model, task="restore",
            suite=suite, severity=severity, n=len(row), seed=seed, params_hash=params_hash, tone=tone, values=row,
            pictures=names, by=_by_demosaic(row, drawn), context=context,
        )
        for (model, metric), row in values.items()
    ]  # fmt: skip


def figures(picture: torch.Tensor, clean: torch.Tensor) -> dict[str, float]:
    """All picture metrics of one picture (3, H, W) against the clean one."""
    matched = match_tone(picture, clean)
    return {
        "psnr": psnr(picture, clean),
        "ssim": ssim(picture, clean),
        "ms_ssim": ms_ssim(picture, clean),
        "psnr_tone": psnr(matched, clean),
        "ssim_tone": ssim(matched, clean),
    }


def _look(weights: Loaded, pair: Pair) -> Shown:
    """The representations of a pair's middle, and how near pilot and r+ are to r*."""
    model = weights.model
    degraded, clean = (_middle(image[None]) for image in (pair.degraded, pair.clean))
    representation = model(degraded, model.statistics(degraded))
    reference = model.reference(pad_to_multiple(clean))[0]
    pilot, refined = representation.pilot[0], representation.refined[0]
    features = {"baseline": representation.baseline[0], "pilot": pilot, "refined": refined, "reference": reference}
    return Shown(features, (linear_cka(pilot, reference), linear_cka(refined, reference)))


def _middle(image: torch.Tensor) -> torch.Tensor:
    for axis in (2, 3):
        side = image.shape[axis]
        image = image.narrow(axis, max(0, side - LOOKED_AT) // 2, min(side, LOOKED_AT))
    return image


def _by_demosaic(row: list[float], settings: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    if not settings or all(s["demosaic"] == "none" for s in settings):
        return {}
    kinds: dict[str, list[float]] = defaultdict(list)
    for value, setting in zip(row, settings, strict=True):
        kinds[setting["demosaic"]].append(value)
    return {"demosaic": {kind: {"value": _mean(v), "n": len(v)} for kind, v in sorted(kinds.items())}}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
