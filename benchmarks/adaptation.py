"""What a camera's own spoiled pictures are worth: `dirnet adapt` on 100 of them, measured on others.

    .venv/bin/python benchmarks/adaptation.py [--weights tiny-proof] [--seeds 0 1 2] [--severities 3 5] [--steps 300]

Spoils the first 100 photographs of photos_unlabelled by `unseen-val`, adapts the weights to them without clean ones,
and measures old and adapted weights on kodak24, tone kept: through `unseen-val` at the same severity, and through
`seen` 3, of which nothing may be lost. Ends by writing results/adaptation.json: means, and adapted less old with a
bootstrap interval over seeds and pictures. A run that was stopped goes on when the command is given again.
"""

import argparse
import dataclasses
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from dirnet.judge.evaluate import degraded_pairs, measure
from dirnet.judge.statistics import crossed_interval
from dirnet.learn.adapt import adapt
from dirnet.learn.data import ROOM, Photographs
from dirnet.learn.recipe import load_recipe
from dirnet.nets.weights import Loaded, load
from dirnet.pictures.folders import Input, gather
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture
from dirnet.tasks.restore import Restoration

METRICS = ("psnr", "psnr_tone")
PICTURES = 100
HERE = Path(__file__).parent
RUNS, DATA = HERE.parent / "runs" / "adaptation", HERE.parent.parent / "shared" / "data"


def spoil(severity: int) -> Path:
    """A folder of spoiled pictures, as a person has them who has only that camera."""
    folder = RUNS / f"camera-{severity}"
    inputs = gather([DATA / "photos_unlabelled"]).inputs[:PICTURES]
    for pair in degraded_pairs(inputs, "unseen-val", severity, seed=0):
        path = folder / Path(pair.name).with_suffix(".png")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path, Picture(pair.degraded.permute(1, 2, 0).numpy()))
    return folder


def figures(weights: Loaded, photographs: list[Input], suite: str, severity: int) -> dict[str, list[float]]:
    """metric -> value of every photograph, restored with its tone kept."""
    pairs = degraded_pairs(photographs, suite, severity, 0)
    records = measure(pairs, weights, suite=suite, severity=severity, seed=0, tone="keep", context={})
    return {r.metric: r.values for r in records if r.metric in METRICS and r.model != "input"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="tiny-proof")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--severities", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    old, photographs = load(given.weights), list(gather([DATA / "photos_dev" / "kodak24"]).inputs)
    recipe = dataclasses.replace(load_recipe("adapt"), adaptation_steps=given.steps)
    table: dict[str, dict[str, object]] = {}
    for severity in given.severities:
        pictures = Photographs([spoil(severity)], smallest=recipe.crop + ROOM)
        rows = [("unseen-val", severity), ("seen", 3)]
        before = {row: figures(old, photographs, *row) for row in rows}
        gained: dict[str, list[list[float]]] = defaultdict(list)
        shares = []
        for seed in given.seeds:
            out = RUNS / f"{old.name}-{given.steps}-{severity}-{seed}"
            outcome, guarded = adapt(old, recipe, pictures, Restoration(), out, seed=seed, resume=True)
            shares.append(guarded.share)
            adapted = load(str(outcome.weights))
            for suite, level in rows:
                after = figures(adapted, photographs, suite, level)
                for metric in METRICS:
                    difference = np.subtract(after[metric], before[suite, level][metric])
                    gained[f"{suite} {level} {metric}"].append(difference.tolist())
            print(f"unseen-val {severity}, seed {seed}: done", file=sys.stderr)
        for name, differences in gained.items():
            suite, level, metric = name.split()
            low, high = crossed_interval(differences)
            table[f"camera unseen-val {severity}; measured {name}"] = {
                "before": round(float(np.mean(before[suite, int(level)][metric])), 3),
                "gain": round(float(np.mean(differences)), 3), "low": round(low, 3), "high": round(high, 3),
                "seeds": len(differences), "share kept": shares,
            }  # fmt: skip
    text = json.dumps(table, indent=2)
    (HERE / "results" / "adaptation.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
