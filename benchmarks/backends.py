"""What else could run the restorer: CPU seconds a megapixel by PyTorch as it is used, and by its alternatives.

    .venv/bin/python benchmarks/backends.py

Weights `tiny-proof`, one tile of 1024 x 1024, statistics given, one thread: as `restore` runs it (float32, channels
last), in bfloat16, compiled by torch.compile, and exported to ONNX Runtime. Rounds alternate; medians of CPU time, the
ratio to the first, the greatest difference from it, and what preparing took. Writes results/backends.json.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dirnet.nets.model import DiR, Statistics
from dirnet.nets.weights import load
from dirnet.tasks.restore import refine

ROUNDS, SIDE = 7, 1024
Work = Callable[[], np.ndarray]


class Tile(nn.Module):
    """The restorer as a function of tensors alone."""

    def __init__(self, model: DiR) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, deepest: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        return refine(self.model, image, Statistics(deepest, (channels,)))[0]


def backends(tile: Tile, given: tuple[torch.Tensor, ...]) -> dict[str, tuple[float, Work]]:
    """Each way to run it, and the seconds that preparing it took."""

    def bfloat16() -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            return tile(*given).numpy()

    compiled, compiling = timed(lambda: _compiled(tile, given))
    session, exporting = timed(lambda: _session(tile, given))
    feed = {name: tensor.numpy() for name, tensor in zip(("image", "deepest", "channels"), given, strict=True)}
    return {
        "torch float32": (0.0, lambda: tile(*given).numpy()),
        "torch bfloat16": (0.0, bfloat16),
        "torch.compile": (compiling, lambda: compiled(*given).numpy()),
        "ONNX Runtime": (exporting, lambda: session.run(None, feed)[0]),
    }


def _compiled(tile: Tile, given: tuple[torch.Tensor, ...]) -> Any:
    compiled = torch.compile(tile)
    compiled(*given)
    return compiled


def _session(tile: Tile, given: tuple[torch.Tensor, ...]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter speaks of its successor
        file = Path(folder) / "tile.onnx"
        names = ["image", "deepest", "channels"]
        torch.onnx.export(tile, given, file, input_names=names, opset_version=17, dynamo=False)
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    tile = Tile(load("tiny-proof").model).eval()
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    statistics_of_it = tile.model.statistics(image)
    ways = backends(tile, (image, statistics_of_it.deepest, *statistics_of_it.channels))
    expected = ways["torch float32"][1]()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, (_, work) in ways.items():
            start = time.process_time()
            work()
            if number:  # the first round warms up
                times[name].append((time.process_time() - start) / (SIDE * SIDE / 1e6))
    first = statistics.median(times["torch float32"])
    rows = {
        name: {
            "cpu_seconds_a_megapixel": round(statistics.median(times[name]), 3),
            "ratio": round(statistics.median(times[name]) / first, 3),
            "difference": float(f"{np.abs(work() - expected).max():.2g}"), "prepared_in": round(prepared, 1),
        }
        for name, (prepared, work) in ways.items()
    }  # fmt: skip
    record = {"side": SIDE, "rounds": ROUNDS, "threads": 1, "torch": torch.__version__, "rows": rows}
    results = Path(__file__).parent / "results" / "backends.json"
    results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(results.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
