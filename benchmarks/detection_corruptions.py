"""A suite that is not ours, before a detector: YOLOX-nano on pictures spoiled by imagecorruptions, bare and attached.

    PYTHONPATH=PEERS .venv/bin/python benchmarks/detection_corruptions.py [NAME ...] [--kinds KIND ...]
        [--severities 3 5]

NAMEs are attachments or restorers, shipped names or files; `yolox-nano-proof yolox-nano-small-proof` where none is
given, which have seen nothing but `seen`. PEERS and the kinds are those of corruptions.py, and so are the pixels that
are drawn; the pictures are the 140 of coco_dev. Prints a table and writes results/detection_corruptions.json: kind,
severity, remedy ("mean" is a kind and a severity too): average precision, its difference from the bare detector's, and
the share that is won back of what that loses from its clean precision; each with the interval of a paired bootstrap
over pictures.
"""

import argparse
import importlib.metadata
import itertools
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corruptions import KINDS, LIBRARIES, SEVERITIES, peer, spoil, told

from dirnet import __version__
from dirnet.cli.common import progress
from dirnet.files import replacing
from dirnet.judge.coco import Annotations, Row, read_annotations, result_rows
from dirnet.judge.metrics import to_8bit
from dirnet.judge.precision import Matches
from dirnet.judge.recognise import BARE, Detector, inputs_of
from dirnet.judge.statistics import redraws
from dirnet.pictures.read import read_picture
from dirnet.tasks.attach import attach
from dirnet.tasks.detect import detect
from dirnet.tasks.networks import load_network

NAMES = ("yolox-nano-proof", "yolox-nano-small-proof")
HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent / "shared"
OUT = HERE / "results" / "detection_corruptions.json"
CLEAN = ("clean", 0)

Place = tuple[str, int]  # kind and severity
Precision = np.ndarray  # of all pictures, then of each of the redraws


def precision(truth: Annotations, rows: Sequence[Row]) -> Precision:
    """Of COCO results, over all pictures and over each redraw of them: (1 + redraws,)."""
    matches = Matches(truth, rows)
    return np.array([matches.figures(drawn)["ap"] for drawn in (None, *redraws(matches.pictures))])


@torch.inference_mode()
def measure(
    truth: Annotations, detectors: dict[str, Detector], rows: Sequence[Place]
) -> dict[Place, dict[str, Precision]]:
    """Of each detector through each row; a picture is spoiled once for all of them."""
    inputs, found = inputs_of(truth), {}
    with progress("looking", len(rows) * len(inputs)) as advance:
        for kind, severity in rows:
            seen: dict[str, list[Row]] = {name: [] for name in detectors}
            for image_id, item in zip(sorted(truth.pictures), inputs, strict=True):
                picture = to_8bit(read_picture(item.path).to_tensor())[0]
                if severity:
                    picture = spoil(picture, kind, severity, item.relative.as_posix())
                for name, detector in detectors.items():
                    seen[name] += result_rows(image_id, detector([picture])[0])
                advance()
            found[kind, severity] = {name: precision(truth, lines) for name, lines in seen.items()}
    return found


def interval(figure: Precision) -> dict[str, float]:
    """A figure over all pictures, and the ends of its 95 % interval over redraws."""
    low, high = np.quantile(figure[1:], [0.025, 0.975])
    return {"mean": round(float(figure[0]), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def summarise(found: dict[Place, dict[str, Precision]]) -> dict[str, dict[str, dict[str, Any]]]:
    """kind -> severity -> remedy -> figures."""
    clean, kinds = found[CLEAN], dict.fromkeys(kind for kind, severity in found if severity)
    summary = {"clean": {"0": entries(clean, clean)}}
    for kind in (*kinds, "mean"):
        rows = {severity: one for (name, severity), one in found.items() if severity and name == kind}
        every = list(rows.values()) or [one for place, one in found.items() if place != CLEAN]
        means = {name: np.mean([one[name] for one in every], 0) for name in clean}
        summary[kind] = {str(severity): entries(one, clean) for severity, one in rows.items()}
        summary[kind]["mean"] = entries(means, clean)
    return summary


def entries(row: dict[str, Precision], clean: dict[str, Precision]) -> dict[str, Any]:
    """Of each detector the figures of one row."""
    lost = clean[BARE] - row[BARE]
    return {
        name: {"ap": interval(ap)}
        | ({} if name == BARE else {"over bare": interval(ap - row[BARE])})
        | ({} if name == BARE or row is clean else {"won back": interval((ap - row[BARE]) / lost)})
        for name, ap in row.items()
    }


def table(summary: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Markdown: kinds x detectors, mean over severities."""
    names = list(summary["clean"]["0"])
    lines = [f"| AP | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for kind, rows in summary.items():
        cells = [cell(figures) for figures in rows["0" if kind == "clean" else "mean"].values()]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(figures: dict[str, Any]) -> str:
    """AP, and what it is over that of the bare detector."""
    over = figures.get("over bare")
    beside = f" ({over['mean']:+.3f}, {over['low']:+.3f} to {over['high']:+.3f})" if over else ""
    return f"{figures['ap']['mean']:.3f}{beside}"


def run(given: argparse.Namespace) -> None:
    peer()  # what is missing is said before anything is measured
    network, spec = load_network(str(SHARED / "weights" / "yolox_nano.onnx"))
    coco = SHARED / "data" / "coco_dev"
    truth = read_annotations(coco / "instances.json", coco / "images")
    attached = {name: attach(network, name, spec=spec).eval() for name in given.names or NAMES}
    detectors = {name: partial(detect, module, spec) for name, module in {BARE: network, **attached}.items()}
    summary = summarise(measure(truth, detectors, [CLEAN, *itertools.product(given.kinds, given.severities)]))
    record = {
        "command": " ".join(re.sub(r"[^\s=,]*/", "", word) for word in sys.argv),
        "versions": {"dirnet": __version__} | {name: importlib.metadata.version(name) for name in LIBRARIES},
        "figures": summary,
    }
    with replacing(OUT) as beside:
        beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(summary))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--severities", type=int, nargs="+", choices=SEVERITIES, default=(3, 5))
    told(run, parser.parse_args())


if __name__ == "__main__":
    main()
