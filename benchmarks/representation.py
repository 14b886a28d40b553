"""What stage 1 alone makes of the baseline representation r0, on photographs and a suite that it never saw.

    .venv/bin/python benchmarks/representation.py [--nets NET ...] [--seeds 0 1 2] [--steps 1000] [--max-time 170m]

Trains each net at every seed in runs/representation/, all on the same photographs (photos_train, photos_unlabelled):

- `untrained`: the net as it begins at that seed;
- `dir`: `--steps` steps of stage 1 of tiny-proof, with AdamW as all of these, and nothing else;
- `no-independence`: the same without what asks for independence;
- `canonical`: the same graph on the task's loss alone, for the training MACs of `dir`;
- `canonical-randomised`: the same through the random transfer that tiny-proof has and `canonical` has not.

Measures r0 by what `dirnet diagnose` measures, on kodak24 and every fourth or so of bsds100, through `SUITES`; the
records go to results/representation/NET-SEED.jsonl. What stands there is not done again, and a run that was stopped
goes on, so the command may be given as often as need be; `--max-time` ends training, not the measuring of a net that is
trained. Ends by writing results/representation.json, means and paired differences, and printing it as Markdown.

Intervals, 95 %: where a measure has a figure for each picture, a bootstrap over seeds and pictures (over pictures alone
where there is one seed); where it has not (one parameter's R2, nats, rank), Student's t over seeds, which says nothing
of other pictures. The share of the gap that is closed is a ratio of means: its interval is that of its linearisation.
A claim holds where the whole interval lies on its side of the bound, fails where it lies on the other, else is open.
"""

import argparse
import dataclasses
import itertools
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from dirnet import __version__
from dirnet.cli.common import seconds
from dirnet.errors import DirnetError
from dirnet.judge.diagnose import diagnose
from dirnet.judge.look import Scene, read_scene
from dirnet.judge.records import Record, read_records, write_records
from dirnet.judge.statistics import crossed_interval, paired_interval, shares
from dirnet.learn.budget import budget
from dirnet.learn.data import ROOM, Photographs
from dirnet.learn.loop import train
from dirnet.learn.recipe import Recipe, load_recipe
from dirnet.nets.weights import load
from dirnet.pictures.folders import Input, gather
from dirnet.tasks.restore import Restoration

TASK_ALONE = ("canonical", "canonical-randomised")
NETS = ("untrained", "dir", "no-independence", *TASK_ALONE)
STAGE_1_ALONE = ("tone_steps=0", "reference_steps=0", "refinement_steps=0", "align=0", "optimizer=adamw")
SUITES = (("unseen-val", 3), ("unseen-val", 5), ("seen", 3), ("seen", 5))
MEASURES = {
    "patch_r1": "patch R@1",
    "probe_r2": "probe R²",
    "probe_r2_within": "probe R², within a scene",
    "probe_r2_mlp": "probe R², small network",
    "content_psnr": "content, dB",
    "mi_nats": "information, nats",
    "effective_rank": "effective rank",
}
CLAIMS = {  # of dir less each net: on which side of which bound
    "patch_r1": ("above", 0.0, TASK_ALONE),
    "probe_r2": ("below", 0.0, (*TASK_ALONE, "no-independence")),
    "probe_r2_within": ("below", 0.0, (*TASK_ALONE, "no-independence")),
    "content_psnr": ("above", -1.0, (*TASK_ALONE, "no-independence")),
}
CLOSED = 0.6  # of what the untrained net's R@1 leaves to 1
SAMPLE = 24  # photographs of bsds100
HERE = Path(__file__).parent
RESULTS, RUNS = HERE / "results" / "representation", HERE.parent / "runs" / "representation"
DATA = HERE.parent.parent / "shared" / "data"
Estimate = dict[str, float | int | None]
Found = dict[str, dict[str, dict[str, dict[int, list[float]]]]]  # suite -> measure -> net -> seed -> figures


def recipe_of(net: str, steps: int) -> Recipe:
    """How a net is trained; on the task for as many steps as the training MACs of `dir` allow."""
    stage_1 = load_recipe("tiny-proof", [*STAGE_1_ALONE, f"information_steps={steps}"])
    if net == "untrained":
        return dataclasses.replace(stage_1, information_steps=0)
    if net == "no-independence":
        return dataclasses.replace(stage_1, independence_alone=0.0)
    if net in TASK_ALONE:
        one_step = load_recipe("canonical", ["tone_steps=0", "refinement_steps=1", "optimizer=adamw"])
        if net == "canonical-randomised":
            one_step = dataclasses.replace(one_step, randomised=stage_1.randomised)
        equal = budget(stage_1, Restoration()).macs // budget(one_step, Restoration()).macs
        return dataclasses.replace(one_step, refinement_steps=equal)
    return stage_1


def held_out() -> list[Input]:
    """The photographs that are looked at: all of kodak24, and some of bsds100, evenly spread over the list."""
    kodak, bsds = (gather([DATA / "photos_dev" / name]).inputs for name in ("kodak24", "bsds100"))
    return kodak + [bsds[i * len(bsds) // SAMPLE] for i in range(SAMPLE)]


def run(net: str, recipe: Recipe, seed: int, photographs: Photographs, scenes: list[Scene], deadline: float) -> bool:
    """Train and measure one net; whether it is done."""
    out = RUNS / f"{net}-{seed}"
    outcome = train(
        recipe, photographs, Restoration(), out, seed=seed, resume=True, max_time=deadline - time.monotonic()
    )
    if not outcome.finished:
        return False
    weights = dataclasses.replace(load(str(outcome.weights)), name=net)
    context = {
        "dirnet": __version__, "torch": torch.__version__, "weights_sha256": weights.sha256, "card": weights.card,
        "net": net, "recipe": dataclasses.asdict(recipe), "training_macs": budget(recipe, Restoration()).macs,
    }  # fmt: skip
    records: list[Record] = []
    for suite, severity in SUITES:
        found = diagnose(scenes, weights, suite=suite, severity=severity, seed=0, context=context)
        records += [one for one in found.records if one.model == found.model and one.metric in MEASURES]
    write_records(RESULTS / f"{out.name}.jsonl", records)
    return True


def check(recipes: dict[str, Recipe]) -> None:
    """DirnetError where records stand there that are of another recipe, such as other steps."""
    for path in RESULTS.glob("*.jsonl"):
        context = read_records(path)[0].context
        unread = () if context["recipe"]["information_steps"] else ("independence_alone",)
        decisive = {key: value for key, value in context["recipe"].items() if key not in unread}
        if not decisive.items() <= dataclasses.asdict(recipes[context["net"]]).items():
            raise DirnetError(f"{path.name} is of another recipe", cure="Give its --steps, or move it away.")


def collect() -> Found:
    """All figures that stand in the records, those of single parameters as measures of their own."""
    found: Found = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for path in sorted(RESULTS.glob("*.jsonl")):
        for record in read_records(path):
            net, seed = record.context["net"], record.context["card"]["seed"]
            measures = found[f"{record.suite} {record.severity}"]
            measures[record.metric][net][seed] = record.values or [record.value]
            for setting, figure in record.by.get("setting", {}).items():
                measures[f"{record.metric}: {setting}"][net][seed] = [figure["value"]]
    return found


def paired(by_net: dict[str, dict[int, list[float]]], *nets: str) -> list[np.ndarray]:
    """Tables (seeds, figures) of some nets at the seeds that all of them have."""
    seeds = sorted(set.intersection(*(set(by_net.get(net, {})) for net in nets)))
    return [np.array([by_net[net][seed] for seed in seeds]) for net in nets]


def estimate(table: np.ndarray) -> Estimate:
    """Mean of a table (seeds, figures) and its interval; no ends for a single figure of a single seed."""
    from scipy.stats import t

    seeds, figures = table.shape
    low = high = None
    if seeds > 1 and figures > 1:
        low, high = crossed_interval(table.tolist())
    elif figures > 1:
        low, high = paired_interval(table[0].tolist(), [0.0] * figures)
    elif seeds > 1:
        reach = float(t.ppf(0.975, seeds - 1) * table.std(ddof=1) / seeds**0.5)
        low, high = table.mean() - reach, table.mean() + reach
    ends = {name: end if end is None else round(float(end), 4) for name, end in (("low", low), ("high", high))}
    return {"mean": round(float(table.mean()), 4), **ends, "seeds": seeds}


def claim(sentence: str, suite: str, table: np.ndarray, side: str, bound: float) -> dict[str, object]:
    """What was claimed, what was measured, and whether it holds."""
    found = estimate(table)
    holds = "open"
    if found["low"] is not None and found["high"] is not None:
        ends = found["low"] - bound, found["high"] - bound
        low, high = ends if side == "above" else (-ends[1], -ends[0])
        holds = "yes" if low > 0 else "no" if high < 0 else "open"
    return {"claim": f"{sentence} {side} {bound:g}", "suite": suite, **found, "holds": holds}


def summarise(found: Found) -> tuple[dict[str, dict[str, dict[str, Estimate]]], list[dict[str, object]]]:
    """suite -> measure -> net, or "dir - net" -> mean and interval; and the claims."""
    table: dict[str, dict[str, dict[str, Estimate]]] = defaultdict(dict)
    claims = []
    for suite, measures in found.items():
        for measure, by_net in measures.items():
            entry = {net: estimate(paired(by_net, net)[0]) for net in NETS if net in by_net}
            for other in NETS:
                ours, theirs = paired(by_net, "dir", other)
                if other != "dir" and len(ours):
                    entry[f"dir - {other}"] = estimate(ours - theirs)
            table[suite][measure] = entry
        ours, untrained = paired(measures["patch_r1"], "dir", "untrained")
        if len(ours):
            closed = shares(ours - untrained, 1 - untrained)
            claims.append(claim("share of the untrained net's R@1 gap closed", suite, closed, "above", CLOSED))
        for measure, (side, bound, others) in CLAIMS.items():
            for other in others:
                ours, theirs = paired(measures[measure], "dir", other)
                if len(ours):
                    claims.append(claim(f"{MEASURES[measure]}: dir - {other}", suite, ours - theirs, side, bound))
    return table, claims


def markdown(table: dict[str, dict[str, dict[str, Estimate]]], claims: list[dict[str, object]]) -> str:
    """The claims; the nets and the differences suite by suite, a line a measure."""
    lines = ["| suite | claim | measured | holds |", "| --- | --- | --- | --- |"]
    lines += [f"| `{one['suite']}` | {one['claim']} | {_cell(one)} | {one['holds']} |" for one in claims]
    columns = [*NETS, *(f"dir - {net}" for net in NETS if net != "dir")]
    for suite, measures in table.items():
        lines += ["", f"`{suite}`", "", f"| | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
        for measure in sorted(measures, key=lambda one: list(MEASURES).index(one.partition(": ")[0])):
            entry, (metric, _, setting) = measures[measure], measure.partition(": ")
            cells = " | ".join(_cell(entry[column]) if column in entry else "" for column in columns)
            lines.append(f"| {MEASURES[metric]}{setting and f': {setting}'} | {cells} |")
    return "\n".join(lines)


def _cell(found: Estimate | dict[str, object]) -> str:
    ends = "" if found["low"] is None else f" ({found['low']:.3f} to {found['high']:.3f})"
    return f"{found['mean']:.3f}{ends}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--max-time", default="24h")
    given = parser.parse_args()
    deadline = time.monotonic() + seconds(given.max_time)
    RESULTS.mkdir(exist_ok=True)
    recipes = {net: recipe_of(net, given.steps) for net in NETS}
    check(recipes)
    wanted = itertools.product(given.seeds, given.nets)
    to_do = [(net, seed) for seed, net in wanted if not (RESULTS / f"{net}-{seed}.jsonl").exists()]
    if to_do:
        smallest = max(recipe.crop for recipe in recipes.values()) + ROOM
        photographs = Photographs([DATA / "photos_train", DATA / "photos_unlabelled"], smallest=smallest)
        scenes = [read_scene(item, seed=0) for item in held_out()]
        for net, seed in to_do:
            if not run(net, recipes[net], seed, photographs, scenes, deadline):
                sys.exit("Out of time; give the command again to go on.")
            print(f"{net}, seed {seed}: done", file=sys.stderr)
    table, claims = summarise(collect())
    text = json.dumps({"steps": given.steps, "claims": claims, "figures": table}, indent=1)
    RESULTS.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(markdown(table, claims))


if __name__ == "__main__":
    try:
        main()
    except DirnetError as error:
        sys.exit(str(error))
