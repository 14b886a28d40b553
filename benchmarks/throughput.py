"""What it costs to photograph every step's views anew: seconds a step, beside the same step on views made once.

    .venv/bin/python benchmarks/throughput.py

Stage 1 and refinement of `tiny-proof`, trained by the loop itself in the number format it chooses, on the photographs
that come with the package; on the CPU with all its cores and, where there is one, on the GPU, each in a process of its
own. Rounds on new and on kept views alternate. A round gives the median of its steps, the first few aside; the figures
are medians over rounds, with the least and the greatest ratio of neighbours. Claim: at most 1.3. Writes
results/throughput.json.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from dirnet.devices import pick_device, training_precision
from dirnet.learn.data import ROOM, Photographs
from dirnet.learn.loop import Progress, train
from dirnet.learn.recipe import load_recipe
from dirnet.learn.stages import Stage
from dirnet.tasks.restore import Restoration

ROUNDS, STEPS, WARM_UP = 9, 20, 5
LIMIT = 1.3
MEASURED = ("information", "refinement")


def kept(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, but called once for each stage: what it gave then it gives ever after."""
    given: dict[Stage, Any] = {}

    def again(stage: Stage, *arguments: Any) -> Any:
        if stage not in given:
            given[stage] = method(stage, *arguments)
        return given[stage]

    return again


def one_round(photographs: Photographs, device: torch.device, *, keep: bool, steps: int = STEPS) -> dict[str, float]:
    """Median seconds a step of each stage; keep: the photographs of the first step, and their views, for all."""
    lengths = [f"{stage}_steps={steps}" for stage in MEASURED]
    recipe = load_recipe("tiny-proof", ["tone_steps=0", "reference_steps=1", *lengths])
    ends: defaultdict[str, list[float]] = defaultdict(list)

    def on_step(step: Progress) -> None:
        ends[step.stage].append(time.perf_counter())

    with tempfile.TemporaryDirectory() as out, ExitStack() as patches:
        for name in ("draw", "views") if keep else ():
            patches.enter_context(mock.patch.object(Stage, name, kept(getattr(Stage, name))))
        train(recipe, photographs, Restoration(), Path(out), device=device, on_step=on_step)
    times = {stage: [b - a for a, b in zip(ends[stage], ends[stage][1:], strict=False)] for stage in MEASURED}
    return {stage: statistics.median(times[stage][WARM_UP:]) for stage in MEASURED}


def measure(device: torch.device) -> list[dict[str, Any]]:
    """A row for each stage."""
    with resources.as_file(resources.files("dirnet") / "samples") as samples:
        photographs = Photographs([samples], smallest=load_recipe("tiny-proof").crop + ROOM)
    pairs = [[one_round(photographs, device, keep=keep) for keep in (False, True)] for _ in range(ROUNDS)]
    rows = []
    for stage in MEASURED:
        new, old = ([pair[which][stage] for pair in pairs] for which in (0, 1))
        ratios = [a / b for a, b in zip(new, old, strict=True)]
        ratio = statistics.median(new) / statistics.median(old)
        rows.append(
            {
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
                "threads": torch.get_num_threads(), "precision": training_precision(device), "stage": stage,
                "new_views": round(statistics.median(new), 4), "kept_views": round(statistics.median(old), 4),
                "ratio": round(ratio, 3), "from_to": [round(min(ratios), 3), round(max(ratios), 3)],
                "holds": ratio <= LIMIT,
            }
        )  # fmt: skip
    return rows


def main() -> None:
    rows = []
    for name in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        done = subprocess.run([sys.executable, __file__, name], stdout=subprocess.PIPE, text=True, check=True)
        rows += json.loads(done.stdout)
    record = {
        "unit": "seconds a step", "limit": LIMIT, "rounds": ROUNDS, "steps": STEPS - 1 - WARM_UP,
        "torch": torch.__version__, "rows": rows,
    }  # fmt: skip
    results = Path(__file__).parent / "results" / "throughput.json"
    results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(results.read_text(encoding="utf-8"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(pick_device(sys.argv[1]))))
    else:
        main()
