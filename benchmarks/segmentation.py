"""Our segmenter of people behind a bad camera: of the mask precision that it loses, how much each remedy wins back.

    .venv/bin/python benchmarks/segmentation.py [NAME ...] [--seeds 0] [--max-time 170m]

The segmenter is the shipped one, on person_dev, through `ROWS`. Remedies:

- `attached`: tiny-proof in front of the segmenter, as it is, which restores every picture before it is looked at;
  `attached-small`: small-proof;
- `dncnn`: DnCNN-blind does, through `DENOISED_ROWS` alone;
- `label-free`: recipe attach, from tiny-proof, in front of the frozen segmenter: on photos_train, photos_unlabelled and
  person_train, without their labels;
- `joint`: recipe joint, from tiny-proof, the segmenter frozen: on person_train, with labels;
- `fine-tuned`: the segmenter itself refined on person_train, spoiled and clean, with labels and without an attachment;
- `joint-both`: attachment and segmenter refined together.

Those that are trained begin from the same weights and take the same steps (`STEPS`), of four photographs each with
labels, of two without. The records go to results/segmentation/NAME-SEED.jsonl; what stands there is not done again, and
a run that was stopped goes on. Ends by writing results/segmentation.json, as benchmarks/detection.py writes its own.
"""

import argparse
import itertools
import json
import sys
import time
from functools import partial
from pathlib import Path

from detection import ATTACHED, DATA, DENOISED_ROWS, remedy, summarise, through
from safetensors.torch import load_file
from torch import nn

from dirnet.cli.common import seconds
from dirnet.judge.coco import read_annotations
from dirnet.judge.recognise import BARE, Detector
from dirnet.judge.records import write_records
from dirnet.learn.annotated import AnnotatedPhotographs
from dirnet.learn.data import ROOM, Photographs
from dirnet.learn.loop import train
from dirnet.learn.recipe import load_recipe
from dirnet.nets.weights import load
from dirnet.tasks.attach import attach
from dirnet.tasks.detect import detect
from dirnet.tasks.networks import load_network
from dirnet.tasks.recognise import Recognition
from dirnet.tasks.spec import Spec

STEPS = 300
ROWS = (
    ("clean", 0), ("seen", 3), ("seen", 5), ("unseen-val", 5), ("unseen-severity", 3), ("unseen-test", 5),
    ("compound", 3),
)  # fmt: skip
AS_THEY_ARE = ("attached", "attached-small", "dncnn")
WITH_LABELS = {"joint": "attachment", "fine-tuned": "network", "joint-both": "both"}  # what learns
TRAINED = ("label-free", *WITH_LABELS)
HERE = Path(__file__).parent
RESULTS, RUNS = HERE / "results" / "segmentation", HERE.parent / "runs" / "segmentation"
TRAIN, DEV = DATA / "person_train", DATA / "person_dev"


def trained(name: str, seed: int, network: nn.Module, spec: Spec, deadline: float) -> Detector | None:
    """The segmenter with what was learned; None where time is up."""
    start, out = load("tiny-proof"), RUNS / f"{name}-{seed}"
    options = {"seed": seed, "resume": True, "max_time": deadline - time.monotonic(), "began_from": start.sha256}
    task = Recognition(network, spec)
    if name == "label-free":
        recipe = load_recipe("attach", [f"refinement_steps={STEPS}"])
        folders = [DATA / "photos_train", DATA / "photos_unlabelled", TRAIN]
        photographs = Photographs(folders, smallest=recipe.crop + ROOM)
        outcome = train(recipe, photographs, task, out, start=start.model, **options)
    else:
        recipe = load_recipe("joint", [f"joint_steps={STEPS}", f"learns={WITH_LABELS[name]}"])
        annotated = AnnotatedPhotographs(TRAIN / "instances.json", TRAIN / "images")
        beginning = attach(network, start.model.train(), spec=spec)
        outcome = train(recipe, annotated, task, out, start=beginning, **options)
    if not outcome.finished:
        return None
    own, _ = load_network("person-segmenter")
    if (out / "network.safetensors").exists():
        own.load_state_dict(load_file(out / "network.safetensors"))
    weights = out / "weights.safetensors"
    whole = attach(own, str(weights), spec=spec).eval() if weights.exists() else own
    return partial(detect, whole, spec)


def run(name: str, seed: int, detectors: dict[str, Detector]) -> None:
    """Measure one remedy, and the bare segmenter beside it, through its rows."""
    truth = read_annotations(DEV / "instances.json", DEV / "images")
    rows = DENOISED_ROWS if name == "dncnn" else ROWS
    records = through(rows, truth, detectors, task="segment", seed=seed, folder=RUNS / "detections")
    write_records(RESULTS / f"{name}-{seed}.jsonl", records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="remedies; all where none is given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--max-time", default="24h")
    given = parser.parse_args()
    deadline = time.monotonic() + seconds(given.max_time)
    RESULTS.mkdir(exist_ok=True)
    (RUNS / "detections").mkdir(parents=True, exist_ok=True)
    for seed, name in itertools.product(given.seeds, given.names or (*AS_THEY_ARE, *TRAINED)):
        if (name in AS_THEY_ARE and seed) or (RESULTS / f"{name}-{seed}.jsonl").exists():
            continue
        network, spec = load_network("person-segmenter")
        bare = partial(detect, network, spec)
        if name in TRAINED:
            mended = trained(name, seed, network, spec, deadline)
            if mended is None:
                sys.exit("Out of time; give the command again to go on.")
        else:
            mended = remedy(name, network, spec, ATTACHED.get(name))
        run(name, seed, {BARE: bare, name: mended})
    text = json.dumps(summarise(RESULTS), indent=1)
    RESULTS.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
