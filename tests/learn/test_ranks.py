from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from dirnet.errors import TrainingError
from dirnet.learn import ranks
from dirnet.learn.recipe import load_recipe
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture

STEPS = {"tone": 2, "information": 2, "reference": 1, "refinement": 2}
RECIPE = replace(
    load_recipe("tiny-proof"),
    **{f"{stage}_steps": n for stage, n in STEPS.items()}, batch=8, crop=48, places=6, sheets=4, warmup=2,
    masking=0.3,
)  # fmt: skip

# One process of a run. Where there are several, they begin with a gradient that is known; then the run is stopped after
# its first step, by the clock of the main process (that of the others stands still), and resumed from the command line.
PROCESS = """
import json, os, sys, time
from pathlib import Path
from types import SimpleNamespace
import torch
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel
from dirnet.cli.app import main
from dirnet.learn import loop, ranks
from dirnet.learn.data import Photographs
from dirnet.learn.recipe import load_recipe
from dirnet.tasks.restore import Restoration

recipe, photographs, out, told = sys.argv[1:]
torch.set_num_threads(1)
loop.use_all_cores, loop.training_precision, loop.LOG_EVERY_STEPS = lambda: None, lambda _: "no", 1
steps, gradient = [], 0.0
may_update, close = loop.Watch.may_update, loop._Run.close

def noted(watch, losses, norm):
    steps.append({**losses, "norm": norm})
    return may_update(watch, losses, norm)

def closed(run, position, *, finished):
    parts = {"model": run.model.state_dict(), "critic": run.critic.state_dict(), "average": run.average}
    weights = {f"{part}/{key}": value for part, state in parts.items() for key, value in state.items()}
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, f"{told}.safetensors")
    return close(run, position, finished=finished)

loop.Watch.may_update, loop._Run.close = noted, closed
main_one = ranks.join(torch.device("cpu"))
if ranks.count() > 1:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 3.0)
    together = DistributedDataParallel(layer)
    seen = together(torch.arange(1.0, 7.0)[:, None][ranks.share(6)])
    (ranks.gather(seen).var() + seen.square().mean()).backward()
    gradient = float(layer.weight.grad)
    if not main_one:
        loop.time = SimpleNamespace(monotonic=lambda: 0.0)
    loop.train(load_recipe(recipe), Photographs([Path(photographs)], 80), Restoration(), Path(out), max_time=0)
sys.argv = ["dirnet", "train", recipe, "--data", photographs, "--out", out, "--device", "cpu", "--resume"]
try:
    main()
finally:
    Path(f"{told}.json").write_text(json.dumps({"steps": steps, "gradient": gradient}))
"""


class Told(NamedTuple):
    """What one process told: every step's losses and gradient norm, weights in the end, stdout, and a gradient."""

    steps: list[dict[str, float]]
    weights: dict[str, torch.Tensor]
    printed: str
    gradient: float


def run(home: Path, name: str, photographs: Path, environments: Sequence[dict[str, str]]) -> list[Told]:
    """The processes of one run, at the same time."""
    (home / "recipe.toml").write_text(RECIPE.to_toml())
    stems = [home / f"{name}-{rank}" for rank in range(len(environments))]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(home / "recipe.toml"), str(photographs), str(home / name), str(stem)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        for stem, environment in zip(stems, environments, strict=True)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=600) for process in running]
    assert [process.returncode for process in running] == [0] * len(running), outputs
    found = []
    for stem, (printed, _) in zip(stems, outputs, strict=True):
        told: dict[str, Any] = json.loads(Path(f"{stem}.json").read_text())
        found.append(Told(told["steps"], load_file(f"{stem}.safetensors"), printed, told["gradient"]))
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def folder(home: Path, photographs: dict[str, torch.Tensor]) -> Path:
    for name, photograph in photographs.items():
        picture = Picture(photograph[0, :, 100:190, 150:260].permute(1, 2, 0).numpy())
        write_picture(home / "photographs" / f"{name}.png", picture)
    return home / "photographs"


@pytest.fixture(scope="module")
def one(home: Path, folder: Path) -> Told:
    """A single process, undisturbed."""
    return run(home, "one", folder, [{}])[0]


@pytest.fixture(scope="module")
def two(home: Path, folder: Path) -> list[Told]:
    """Two processes, stopped after the first step and resumed."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return run(home, "two", folder, [{**common, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"])


def test_a_known_gradient_is_that_of_the_joined_batch(two: list[Told]) -> None:
    """Of var(w x) over all rows and mean (w x)^2 over each one's: 2 w (var x + mean x^2), x = 1 to 6, w = 3."""
    for told in two:
        assert told.gradient == pytest.approx(2 * 3 * (3.5 + 91 / 6))


def test_both_processes_end_with_the_same_bits(two: list[Told]) -> None:
    first, second = two
    assert first.steps == second.steps
    assert first.weights.keys() == second.weights.keys()
    for key, weight in first.weights.items():
        assert torch.equal(weight, second.weights[key]), key


def test_losses_gradients_and_weights_are_those_of_one_process(one: Told, two: list[Told]) -> None:
    """But for the order of sums: 1e-4 of a figure, and of a weight a tenth of what a single step may move it.

    Where a gradient is next to nothing, Adam makes a whole step of its sign: of one weight in a thousand at most.
    """
    assert len(one.steps) == sum(STEPS.values())
    for alone, joined in zip(one.steps, two[0].steps, strict=True):
        assert joined == pytest.approx(alone, rel=1e-4)
    for key, weight in one.weights.items():
        apart = (two[0].weights[key] - weight).abs()
        assert float((apart > RECIPE.learning_rate / 10).float().mean()) < 1e-3, key
        assert float(apart.max()) < 2 * RECIPE.learning_rate, key


def test_the_main_process_alone_writes_and_speaks(home: Path, one: Told, two: list[Told]) -> None:
    assert [told.printed for told in two] == [f"{home / 'two' / 'weights.safetensors'}\n", ""]
    names = [sorted(path.name for path in (home / name).iterdir()) for name in ("one", "two")]
    assert names[0] == names[1]
    lines = [json.loads(line) for line in (home / "two" / "log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [(s, i) for s, n in STEPS.items() for i in range(n)]


def test_one_process_has_all_for_its_share() -> None:
    rows = torch.rand(5, 2)
    assert ranks.share(5) == slice(0, 5)
    assert ranks.gather(rows) is rows
    assert torch.equal(ranks.mean(rows[0]), rows[0])
    assert ranks.main_says(True)
    assert not ranks.main_says(False)
    ranks.check_shares(replace(RECIPE, batch=6, sheets=1))


@pytest.mark.parametrize("processes", [2, 3])
def test_shares_are_equal_parts_in_order(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    monkeypatch.setattr(ranks, "count", lambda: processes)
    shares = []
    for rank in range(processes):
        monkeypatch.setattr(ranks.dist, "get_rank", lambda rank=rank: rank)
        shares.append(range(12)[ranks.share(12)])
    assert [row for part in shares for row in part] == list(range(12))
    assert {len(part) for part in shares} == {12 // processes}


def test_a_virtual_step_by_several_processes_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = replace(load_recipe("dil"), batch=8)
    ranks.check_shares(alone)
    monkeypatch.setattr(ranks, "count", lambda: 2)
    with pytest.raises(TrainingError, match=r"one process alone; got 2 processes, and meta .* --set meta=0"):
        ranks.check_shares(alone)


@pytest.mark.parametrize(("processes", "batch", "sheets"), [(2, 12, 4), (3, 16, 96), (8, 16, 96), (2, 8, 5)])
def test_a_step_that_does_not_divide_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, processes: int, batch: int, sheets: int
) -> None:
    monkeypatch.setattr(ranks, "count", lambda: processes)
    sentence = rf"among {processes} processes; got batch {batch} of 2 views.*; wanted .*multiple of {4 * processes},"
    with pytest.raises(TrainingError, match=sentence):
        ranks.check_shares(replace(RECIPE, batch=batch, sheets=sheets))
    ranks.check_shares(replace(RECIPE, batch=4 * processes, sheets=processes))
