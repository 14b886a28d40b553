"""What each part of the method is worth: the same recipe with a part taken away, for the same training MACs.

    .venv/bin/python benchmarks/ablation.py [NAME ...] [--seeds 0 1] [--steps 800 | --recipe NAME [--pictures bsds100]]

Trains every variant of `VARIANTS` at every seed on photos_train, in runs/ablation/, and measures it on kodak24, tone
kept, through `SUITES`; dir, canonical and its oracles, which a suite was shown that the others have not seen, through
`REPORTED` too. The records go to results/ablation/NAME-SEED.jsonl. What stands there is not done again, and a run that
was stopped goes on, so the command may be given as often as need be. Ends by writing results/ablation.json: of each
variant, the difference from each of `RIVALS`, and the share of the lead that the suite's oracle has over canonical;
each with a bootstrap interval over seeds and pictures (over pictures alone where there is one seed).

With --recipe the variants are of that recipe at its full length instead of tiny-proof's at `--steps`, each is measured
through `EVERY`, and runs, records and figures have places of their own: runs/ablation/RECIPE/,
results/ablation/RECIPE/ and results/ablation/RECIPE.json. With --pictures bsds100 they are measured on those instead,
and the places of records and figures are called RECIPE-bsds100.
"""

import argparse
import dataclasses
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dirnet.cli.common import seconds
from dirnet.judge.evaluate import degraded_pairs, measure
from dirnet.judge.records import read_records, write_records
from dirnet.judge.statistics import crossed_interval, paired_interval, shares
from dirnet.learn.budget import budget
from dirnet.learn.data import ROOM, Photographs
from dirnet.learn.loop import train
from dirnet.learn.recipe import Recipe, load_recipe
from dirnet.nets.weights import load
from dirnet.pictures.folders import gather
from dirnet.tasks.restore import Restoration

TASK_ALONE = ["information_steps=0", "reference_steps=0", "content=0"]
RIVALS = ("canonical", "canonical-randomised")  # the latter through the random transfer that dir has as well
CANONICAL = [*TASK_ALONE, "randomised=0"]
UNSEEN = ("unseen-val", "unseen-severity", "unseen-test", "compound")
VARIANTS = {
    "dir": [],
    "canonical": CANONICAL,
    "canonical-unet": [*CANONICAL, "preset=tiny-unet"],
    "canonical-consistency": [*CANONICAL, "consistency=0.01"],
    "canonical-masking": [*CANONICAL, "masking=0.3"],
    "dil": [*CANONICAL, "meta=0.02"],
    "canonical-randomised": TASK_ALONE,
    "no-content": ["content=0"],
    "no-information": ["information_steps=0"],
    "no-randomisation": ["randomised=0"],
    "quarter-randomised": ["randomised=0.25"],
    "no-reference": ["reference_steps=0"],
    "no-independence": ["independence_alone=0"],
    "no-hard-negatives": ["hard=0"],
    "no-matched-negatives": ["matched=0"],
    "dv": ["estimator=dv"],
    "infonce": ["estimator=infonce"],
    "nwj": ["estimator=nwj"],
    "information-kept": ["information=0.05"],
    "both-kept": ["information=0.05", "independence=0.01"],
    "aligned": ["align=0.2"],
    "no-pilot": ["reference_steps=0", "preset=tiny-unet"],
    "second-refinement": ["preset=tiny-twice"],
    "four-views": ["views=4"],
    "eight-views": ["views=8"],
    **{f"oracle-{suite}": [*CANONICAL, f"suite=seen+{suite}"] for suite in UNSEEN},
}
SUITES = (
    ("clean", 0), ("seen", 3), ("seen", 5), ("unseen-val", 3), ("unseen-val", 5), ("unseen-severity", 3),
)  # fmt: skip
REPORTED = (("unseen-test", 3), ("compound", 3))
EVERY = (("clean", 0), *itertools.product(("seen", *UNSEEN), (1, 3, 5)))
METRICS = ("psnr", "psnr_tone")
PICTURES = ("kodak24", "bsds100")
HERE = Path(__file__).parent
RESULTS, RUNS = HERE / "results" / "ablation", HERE.parent / "runs" / "ablation"
DATA = HERE.parent.parent / "shared" / "data"


def equal_budget(base: Recipe, overrides: list[str]) -> Recipe:
    """The variant, with as many steps of refinement as the training MACs of `base` allow."""
    recipe = load_recipe(
        base.name, [*(f"{key}={value}" for key, value in dataclasses.asdict(base).items()), *overrides]
    )
    wanted, found = budget(base, Restoration()).macs, budget(recipe, Restoration())
    refinement = next(stage for stage in found.stages if stage.stage == "refinement")
    steps = (wanted - (found.macs - refinement.macs)) // refinement.macs_per_step
    return dataclasses.replace(recipe, refinement_steps=steps)


def short(steps: int) -> Recipe:
    """tiny-proof with `steps` steps of refinement, the others in proportion; without tone; with AdamW, as measured."""
    whole = load_recipe("tiny-proof", ["optimizer=adamw"])
    share = steps / whole.refinement_steps
    return dataclasses.replace(
        whole, tone_steps=0, refinement_steps=steps,
        information_steps=round(share * whole.information_steps), reference_steps=round(share * whole.reference_steps),
    )  # fmt: skip


def rows_of(name: str) -> tuple[tuple[str, int], ...]:
    """What a variant of the short recipe is measured through."""
    claimed = name in ("dir", "canonical") or name.startswith("oracle-")
    return (*SUITES, *REPORTED) if claimed else SUITES


def run(
    recipe: Recipe, rows: Sequence[tuple[str, int]], pictures: str, kept: Path, out: Path, seed: int,
    photographs: Photographs, deadline: float,
) -> bool:  # fmt: skip
    """Train one variant in `out` and measure what `kept` has not yet; whether it is done."""
    records = read_records(kept) if kept.exists() else []
    measured = {(record.suite, record.severity) for record in records}
    missing = [row for row in rows if row not in measured]
    if not missing:
        return True
    outcome = train(
        recipe, photographs, Restoration(), out,
        seed=seed, resume=True, max_time=deadline - time.monotonic(), on_step=lambda _: None,
    )  # fmt: skip
    if not outcome.finished:
        return False
    weights, inputs = load(str(outcome.weights)), gather([DATA / "photos_dev" / pictures]).inputs
    context = {"variant": kept.stem.rpartition("-")[0], "recipe": dataclasses.asdict(recipe), "training_seed": seed}
    for suite, severity in missing:
        pairs = degraded_pairs(inputs, suite, severity, 0)
        found = measure(pairs, weights, suite=suite, severity=severity, seed=0, tone="keep", context=context)
        records += [record for record in found if record.metric in METRICS and record.model != "input"]
    write_records(kept, records)
    return True


def estimate(table: np.ndarray) -> dict[str, float]:
    """Mean of a table (seeds, pictures), and the ends of its interval."""
    several = len(table) > 1
    low, high = crossed_interval(table.tolist()) if several else paired_interval(table[0], np.zeros_like(table[0]))
    return {"mean": round(float(table.mean()), 3), "low": round(low, 3), "high": round(high, 3), "seeds": len(table)}


def summarise(results: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """variant -> "suite severity metric" -> mean, difference from canonical, share of the oracle's lead."""
    found: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(dict))
    for path in sorted(results.glob("*.jsonl")):
        for record in read_records(path):
            row = f"{record.suite} {record.severity} {record.metric}"
            found[row][record.context["variant"]][record.context["training_seed"]] = record.values

    def lead(row: str, name: str, *others: str, over: str = "canonical") -> np.ndarray:
        """Of one variant over another, (seeds, pictures), at the seeds that all of these have."""
        seeds = sorted(set.intersection(*(set(found[row].get(each, {})) for each in (name, over, *others))))
        return np.array([np.subtract(found[row][name][seed], found[row][over][seed]) for seed in seeds])

    table: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row, by_variant in found.items():
        oracle = f"oracle-{row.split()[0]}"
        for name, by_seed in by_variant.items():
            table[name][row] = {"mean": round(float(np.mean(list(by_seed.values()))), 3), "seeds": len(by_seed)}
            for rival in RIVALS:
                if name not in RIVALS[: RIVALS.index(rival) + 1] and len(gained := lead(row, name, over=rival)):
                    table[name][row][f"over {rival}"] = estimate(gained)
            if name not in ("canonical", oracle) and len(gained := lead(row, name, oracle)):
                share = shares(gained, lead(row, oracle, name))
                table[name][row]["share of the oracle's lead"] = estimate(share)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(VARIANTS)}; all where none is given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--recipe", default="")
    parser.add_argument("--pictures", default=PICTURES[0], choices=PICTURES)
    parser.add_argument("--max-time", default="24h")
    given = parser.parse_args()
    if given.pictures != PICTURES[0] and not given.recipe:
        parser.error(f"--pictures {given.pictures} is for --recipe")
    deadline = time.monotonic() + seconds(given.max_time)
    base = load_recipe(given.recipe) if given.recipe else short(given.steps)
    photographs = Photographs([DATA / "photos_train"], smallest=base.crop + ROOM)
    named = given.recipe if given.pictures == PICTURES[0] else f"{given.recipe}-{given.pictures}"
    results, runs = RESULTS / named, RUNS / given.recipe
    results.mkdir(exist_ok=True)
    for seed, name in itertools.product(given.seeds, given.names or VARIANTS):
        recipe, place = equal_budget(base, VARIANTS[name]), f"{name}-{seed}"
        rows = EVERY if given.recipe else rows_of(name)
        kept, out = results / f"{place}.jsonl", runs / place
        if not run(recipe, rows, given.pictures, kept, out, seed, photographs, deadline):
            sys.exit("Out of time; give the command again to go on.")
        print(f"{name}, seed {seed}: done", file=sys.stderr)
    text = json.dumps(summarise(results), indent=2)
    results.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
