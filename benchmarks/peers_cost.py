"""What every method of peers.py costs: CPU time and peak memory, with one thread and with two.

    PYTHONPATH=PEERS .venv/bin/python benchmarks/peers_cost.py [--weights NAME|PATH ...] [--idf CHECKOUT] [--shared DIR]

Some ten minutes on a quiet machine. One noisy picture of 1024 x 1024, put together from four of cc15; a process for
each method and number of threads; the median of three rounds, after a small picture to warm up. CPU time is that of all
threads; a peer that is told its setting costs as many times as much as there are settings. Memory is what is resident
(Linux): at the fullest, and before the picture, with libraries and weights. Writes results/peers/cost.json.
"""

import argparse
import json
import os
import re
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from peers import COSTS, all_methods, options, pictures

from dirnet.cli.common import say
from dirnet.files import replacing

THREADS = (1, 2)
ROUNDS = 3


@torch.inference_mode()
def cost(name: str, given: argparse.Namespace) -> dict[str, float]:
    """Seconds a megapixel and MiB of one method; for a process of its own."""
    one, two, three, four = (next(pair()).degraded for pair in list(pictures(given.shared, "cc15").values())[:4])
    picture = torch.cat((torch.cat((one, two), 2), torch.cat((three, four), 2)), 1)
    method = all_methods(given)[0][name]
    work = method.make()
    work(picture[:, :64, :64], method.fixed)
    before, times = peak_mib(), []
    for _ in range(ROUNDS):
        cpu, wall = time.process_time(), time.perf_counter()
        work(picture, method.fixed)
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    megapixels = picture[0].numel() / 1e6
    cpu, wall = (round(statistics.median(column) / megapixels, 3) for column in zip(*times, strict=True))
    return {"cpu_s_per_mp": cpu, "wall_s_per_mp": wall, "peak_mib": peak_mib(), "before_mib": before}


def peak_mib() -> int:
    """Resident memory of this process at its fullest."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return round(int(found[1]) / 1024) if found else 0


def main() -> None:
    given = options(__doc__).parse_args()
    costs: dict[str, dict[str, Any]] = {}
    for name in (name for name, method in all_methods(given)[0].items() if method.source):
        costs[name] = {}
        for threads in THREADS:
            os.environ["OMP_NUM_THREADS"] = str(threads)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                costs[name][str(threads)] = process.submit(cost, name, given).result()
            say(f"{name}, {threads} threads: {costs[name][str(threads)]}")
    with replacing(COSTS) as beside:
        beside.write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
