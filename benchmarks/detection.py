"""A detector behind a bad camera: of the precision that it loses, how much each remedy wins back.

    .venv/bin/python benchmarks/detection.py [NAME ...] [--seeds 0 1 2] [--steps 700] [--max-time 170m]

The detector is YOLOX-nano, frozen, on coco_dev, through `ROWS`. Remedies:

- `restored`: tiny-proof restores the whole picture before the detector is given it; `dncnn`: DnCNN-blind does, which
  takes 3 s a picture and therefore has `DENOISED_ROWS` alone;
- `attached`: tiny-proof in front of the detector, as it is; `attached-small`: small-proof;
  `shipped` and `shipped-small`: yolox-nano-proof and yolox-nano-small-proof, which are the two trained further for this
  detector, without labels;
- those of `TRAINED`: attachments in front, trained without labels for `--steps` steps on photos_train,
  photos_unlabelled and person_train, at every seed, in runs/detection/. Each begins from the restorer of its name and
  seed that benchmarks/ablation.py has trained, so all of them have had the same training MACs: dir; canonical, the same
  graph on the task's losses alone; the same through the random transfer; and oracle, canonical to which the suites that
  are only reported were shown as well. canonical-small begins from the canonical of `ablation.py --recipe small-proof`
  and takes 1,500 steps, as many as yolox-nano-small-proof; inside-small begins from small-proof and takes as many, and
  mends maps inside the detector, at the ends of its first three stages, in the place of the picture before it.

The records go to results/detection/NAME-SEED.jsonl. What stands there is not done again, and a run that was stopped
goes on. Ends by writing results/detection.json: average precision, the share won back of what the bare detector loses
from its clean precision, and the difference from each of `RIVALS`, each with the interval of a bootstrap over pictures
and seeds (over pictures alone where there is one seed).
"""

import argparse
import dataclasses
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation import RUNS as RESTORERS
from denoisers import denoisers
from torch import nn

from dirnet.cli.common import seconds
from dirnet.judge.coco import Annotations, read_annotations
from dirnet.judge.recognise import BARE, PRECISION, Detector, Recognition, measure
from dirnet.judge.records import Record, read_records, write_records
from dirnet.learn.data import ROOM, Photographs
from dirnet.learn.loop import train
from dirnet.learn.recipe import load_recipe
from dirnet.nets.weights import load, shipped_weights
from dirnet.tasks import recognise
from dirnet.tasks.attach import attach
from dirnet.tasks.detect import Detections, detect
from dirnet.tasks.inside import Inside
from dirnet.tasks.networks import load_network
from dirnet.tasks.restore import restore
from dirnet.tasks.spec import Spec

ALONE = ["content=0", "randomised=0"]
INSIDE = ("Concat_66", "Concat_112", "Concat_158")  # strides 4, 8 and 16
TRAINED: dict[str, tuple[str, list[str]]] = {  # the restorer each begins from, and what its recipe has different
    "dir": ("dir", []),
    "canonical": ("canonical", ALONE),
    "canonical-randomised": ("canonical-randomised", ["content=0"]),
    "oracle": ("canonical", [*ALONE, "suite=seen+unseen-severity+unseen-test+compound"]),
    "canonical-small": ("small-proof/canonical", [*ALONE, "refinement_steps=1500"]),
    "inside-small": ("small-proof", ["refinement_steps=1500", "learning_rate=1e-3"]),
}
ATTACHED = {
    "attached": "tiny-proof", "attached-small": "small-proof", "shipped": "yolox-nano-proof",
    "shipped-small": "yolox-nano-small-proof",
}  # fmt: skip
RIVALS = ("canonical", "canonical-small", "attached")
AS_THEY_ARE = (*ATTACHED, "restored", "dncnn")
ROWS = (
    ("clean", 0), ("seen", 3), ("seen", 5), ("unseen-val", 3), ("unseen-val", 5), ("unseen-severity", 3),
    ("unseen-severity", 5), ("unseen-test", 3), ("unseen-test", 5), ("compound", 3), ("compound", 5),
)  # fmt: skip
DENOISED_ROWS = (("clean", 0), ("seen", 5), ("unseen-severity", 3))
HERE = Path(__file__).parent
RESULTS, RUNS = HERE / "results" / "detection", HERE.parent / "runs" / "detection"
SHARED = HERE.parent.parent / "shared"
DATA, COCO, WEIGHTS = SHARED / "data", SHARED / "data" / "coco_dev", SHARED / "weights"


def rows_of(name: str) -> Sequence[tuple[str, int]]:
    """What a remedy is measured through."""
    return DENOISED_ROWS if name == "dncnn" else ROWS


def remedy(name: str, network: nn.Module, spec: Spec, attachment: str | None) -> Detector:
    """The detector, with the attachment of that file or with what stands in its place."""
    if attachment is not None:
        return partial(detect, attach(network, attachment, spec=spec).eval(), spec)
    if name == "restored":
        model = load("tiny-proof").model
        return lambda pictures: detect(network, spec, [restore(model, picture[None])[0] for picture in pictures])
    work = denoisers(WEIGHTS / "peers", Path())["dncnn"].make()

    def denoised(pictures: Sequence[torch.Tensor]) -> list[Detections]:
        return detect(network, spec, [work(picture, 0.0).clamp(0, 1) for picture in pictures])

    return denoised


def trained(name: str, seed: int, steps: int, network: nn.Module, spec: Spec, deadline: float) -> str | None:
    """The file of an attachment, once it is trained; None where time is up."""
    beginning, changes = TRAINED[name]
    shipped = beginning in shipped_weights()
    start = load(beginning if shipped else str(RESTORERS / f"{beginning}-{seed}" / "weights.safetensors"))
    recipe = load_recipe("attach", [f"preset={start.model.preset}", f"refinement_steps={steps}", *changes])
    added = attach(network, start.model, INSIDE if name.startswith("inside") else None, spec).attachment
    task = recognise.Recognition(network, spec, added if isinstance(added, Inside) else None)
    folders = [DATA / folder for folder in ("photos_train", "photos_unlabelled", "person_train")]
    photographs = Photographs(folders, smallest=recipe.crop + ROOM)
    outcome = train(
        recipe, photographs, task, RUNS / f"{name}-{seed}",
        start=added, began_from=start.sha256, seed=seed, resume=True, max_time=deadline - time.monotonic(),
    )  # fmt: skip
    return str(outcome.weights) if outcome.finished else None


def run(
    rows: Sequence[tuple[str, int]], attachments: dict[str, str | None], seed: int, network: nn.Module, spec: Spec
) -> None:
    """Measure remedies, and the bare detector beside them, through the rows: a picture is spoiled once for all."""
    truth = read_annotations(COCO / "instances.json", COCO / "images")
    remedies = {name: remedy(name, network, spec, attachment) for name, attachment in attachments.items()}
    detectors = {BARE: partial(detect, network, spec), **remedies}
    records = through(rows, truth, detectors, task="detect", seed=seed, folder=RUNS / "detections")
    for name in remedies:
        write_records(RESULTS / f"{name}-{seed}.jsonl", [record for record in records if record.model in (BARE, name)])


def through(
    rows: Sequence[tuple[str, int]],
    truth: Annotations,
    detectors: dict[str, Detector],
    *,
    task: Recognition,
    seed: int,
    folder: Path,
) -> list[Record]:
    """The precision that the task is about, of each detector through each row; seed: that they were trained with."""
    records: list[Record] = []
    for suite, severity in rows:
        found = measure(
            truth, detectors, task=task, suite=suite, severity=severity, seed=0,
            folder=folder, context={"training_seed": seed},
        )  # fmt: skip
        kept = [dataclasses.replace(record, pictures=[]) for record in found if record.metric == PRECISION[task]]
        told = ", ".join(f"{record.model} {record.value:.3f}" for record in kept)
        print(f"seed {seed}, {suite} {severity}: {told}", file=sys.stderr)
        records += kept
    return records


def summarise(results: Path) -> dict[str, dict[str, dict[str, object]]]:
    """row -> remedy -> figures; every figure over the same redraws of pictures is paired."""
    found: dict[str, dict[str, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    for path in sorted(results.glob("*.jsonl")):
        for record in read_records(path):
            found[f"{record.suite} {record.severity}"][record.model][record.context["training_seed"]] = record
    whole = Figures(found["clean 0"][BARE])
    table: dict[str, dict[str, dict[str, object]]] = {}
    for row, by_model in found.items():
        bare = Figures(by_model[BARE])
        entry = table[row] = {"bare": bare.told(lambda ap: ap)}
        for name, records in by_model.items():
            if name == BARE:
                continue
            ours = Figures(records)
            entry[name] = {"ap": ours.told(lambda ap: ap), "over bare": ours.told(lambda ap, b: ap - b, bare)}
            if row != "clean 0":
                entry[name]["won back"] = ours.told(lambda ap, b, w: (ap - b) / (w - b), bare, whole)
            for rival in RIVALS:
                rivals = {seed: record for seed, record in by_model.get(rival, {}).items() if seed in records}
                if name != rival and rivals:
                    entry[name][f"over {rival}"] = ours.told(lambda ap, r: ap - r, Figures(rivals))
    return table


class Figures:
    """The average precision of one remedy: its mean over seeds, and over redraws of pictures and of seeds."""

    def __init__(self, by_seed: dict[int, Record]) -> None:
        records = [by_seed[seed] for seed in sorted(by_seed)]
        self.seeds, self.value = len(records), float(np.mean([record.value for record in records]))
        redrawn = np.array([record.redrawn for record in records])
        picked = np.random.default_rng(0).integers(self.seeds, size=(redrawn.shape[1], self.seeds))
        self.redrawn = redrawn[picked, np.arange(redrawn.shape[1])[:, None]].mean(1)

    def told(self, figure: Callable[..., Any], *others: "Figures") -> dict[str, object]:
        """A figure of this one and others, with the ends of its interval."""
        value = figure(self.value, *(other.value for other in others))
        low, high = np.quantile(figure(self.redrawn, *(other.redrawn for other in others)), [0.025, 0.975])
        return {"mean": round(value, 4), "low": round(low, 4), "high": round(high, 4), "seeds": self.seeds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="remedies; all where none is given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--max-time", default="24h")
    given = parser.parse_args()
    deadline = time.monotonic() + seconds(given.max_time)
    network, spec = load_network(str(WEIGHTS / "yolox_nano.onnx"))
    RESULTS.mkdir(exist_ok=True)
    (RUNS / "detections").mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        names = [name for name in given.names or (*AS_THEY_ARE, *TRAINED) if not (seed and name in AS_THEY_ARE)]
        missing = [name for name in names if not (RESULTS / f"{name}-{seed}.jsonl").exists()]
        attachments: dict[str, str | None] = {name: ATTACHED.get(name) for name in missing}
        for name in TRAINED:
            if name in missing:
                attachments[name] = trained(name, seed, given.steps, network, spec, deadline)
                if attachments[name] is None:
                    sys.exit("Out of time; give the command again to go on.")
        for rows in (ROWS, DENOISED_ROWS):
            if some := {name: file for name, file in attachments.items() if rows is rows_of(name)}:
                run(rows, some, seed, network, spec)
    text = json.dumps(summarise(RESULTS), indent=1)
    RESULTS.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
