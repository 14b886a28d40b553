"""The pictures beside the figures: chosen by rule, never by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dirnet.files import replacing
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture

CANDIDATES = 64  # of a longer list the first so many, to bound memory
FEATURE_SIDE = 128


class Shown(NamedTuple):
    """Representations (c, h, w) by name, and the similarity of pilot and of r+ to the reference."""

    features: dict[str, torch.Tensor]
    similarity: tuple[float, float]


@dataclass(frozen=True)
class _Candidate:
    name: str
    pictures: dict[str, torch.Tensor]  # uint8
    figures: dict[str, float]
    settings: dict[str, Any]
    features: dict[str, torch.Tensor]

    @property
    def gain(self) -> float:
        return self.figures["output"] - self.figures["input"]


class Showcase:
    """Gathers a row's pictures, keeps those with the best, the median and the worst gain, and writes them to a folder.

    metric: the figure that is to gain.

    folder/index.json names them; a folder that an earlier run left is replaced.
    """

    def __init__(self, folder: Path, metric: str = "psnr") -> None:
        if (folder / "index.json").exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.metric = folder, metric
        self._candidates: list[_Candidate] = []
        self._entries: list[dict[str, Any]] = []

    def offer(
        self,
        name: str,
        clean: torch.Tensor,
        degraded: torch.Tensor,
        restored: torch.Tensor,
        before: dict[str, float],
        after: dict[str, float],
        settings: dict[str, Any],
        features: dict[str, torch.Tensor],
    ) -> None:
        """Take one picture of the row into consideration; pictures are (3, H, W) in 0..1."""
        if len(self._candidates) < CANDIDATES:
            pictures = {"clean": clean, "degraded": degraded, "restored": restored}
            small = {kind: (picture * 255).round().to("cpu", torch.uint8) for kind, picture in pictures.items()}
            figures = {"input": round(before[self.metric], 3), "output": round(after[self.metric], 3)}
            reduced = {kind: _reduced(feature) for kind, feature in features.items()}
            self._candidates.append(_Candidate(name, small, figures, settings, reduced))

    def close(self, suite: str, severity: int, model: str) -> None:
        """End a row: write the chosen ones."""
        ranked = sorted(self._candidates, key=lambda candidate: (candidate.gain, candidate.name))
        for rank, why in chosen(len(ranked)):
            self._write(ranked[rank], suite, severity, model, why)
        self._candidates = []

    def finish(self) -> None:
        """Write the index."""
        with replacing(self.folder / "index.json") as beside:
            beside.write_text(json.dumps({"pictures": self._entries}, indent=1), encoding="utf-8")

    def _write(self, candidate: _Candidate, suite: str, severity: int, model: str, why: str) -> None:
        stem = f"{suite}-{severity}-{len(self._entries):03d}"
        files = {}
        for kind, pixels in candidate.pictures.items():
            files[kind] = f"{stem}-{kind}.png"
            picture = Picture((pixels.permute(1, 2, 0).float() / 255).numpy())
            write_picture(self.folder / files[kind], picture, force=True)
        entry = {
            "name": candidate.name, "suite": suite, "severity": severity, "model": model, "why": why,
            self.metric: candidate.figures, "files": files, "settings": _readable(candidate.settings),
        }  # fmt: skip
        if candidate.features:
            entry["features"] = f"{stem}.safetensors"
            with replacing(self.folder / entry["features"]) as beside:
                save_file(candidate.features, beside)
        self._entries.append(entry)


def chosen(candidates: int) -> list[tuple[int, str]]:
    """Of so many, ranked by their gain, the worst first: those to show, each once, and why."""
    rules = {"median gain": candidates // 2, "best gain": candidates - 1, "worst gain": 0}
    ranks = {rank: why for why, rank in reversed(rules.items())} if candidates else {}
    return sorted(ranks.items(), key=lambda pair: list(rules).index(pair[1]))


def _reduced(feature: torch.Tensor) -> torch.Tensor:
    """Averaged down to at most `FEATURE_SIDE` cells a side, in float16: enough to look at."""
    factor = -(-max(feature.shape[1:]) // FEATURE_SIDE)
    feature = F.avg_pool2d(feature[None].float(), factor, ceil_mode=True)[0] if factor > 1 else feature
    return feature.to("cpu", torch.float16).contiguous()


def _readable(settings: dict[str, Any]) -> dict[str, str]:
    """The settings a person asks for first, as short text."""
    if not settings:
        return {}
    red, _, blue = settings["white_balance_ratio"]
    quality = settings["jpeg_quality"]
    return {
        "shot noise": f"{settings['shot_noise']:.2g}",
        "demosaic": settings["demosaic"],
        "white balance off by": f"red x{red:.3f}, blue x{blue:.3f}",
        "exposure": f"x{settings['exposure']:.3f}",
        "gamma off by": f"x{settings['gamma_ratio']:.3f}",
        "JPEG": f"quality {quality}, {settings['jpeg_subsampling']}" if quality else "none",
    }
