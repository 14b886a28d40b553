"""The one loop: stages in order, on Accelerate, stoppable at any moment and resumable to the same weights."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from dirnet.devices import training_precision, use_all_cores
from dirnet.errors import TrainingError, UsageError
from dirnet.files import replacing
from dirnet.learn import ranks
from dirnet.learn.alarms import Watch
from dirnet.learn.annotated import AnnotatedPhotographs
from dirnet.learn.checkpoint import Position, load_optimizer, load_parts, read_position, save_checkpoint
from dirnet.learn.data import Photographs
from dirnet.learn.muon import Muon
from dirnet.learn.recipe import Recipe, load_recipe
from dirnet.learn.stages import STAGE_CLASSES, STAGES
from dirnet.nets.critic import Critic
from dirnet.nets.model import PRESETS, DiR
from dirnet.nets.weights import save_weights
from dirnet.tasks.attach import Attached
from dirnet.tasks.base import Task
from dirnet.tasks.inside import Inside
from dirnet.tasks.networks import save_network

SAVE_EVERY_SECONDS = 60.0
LOG_EVERY_STEPS = 20
OF_PICTURES = ("tone", "reference", "adaptation")  # stages for what a DiR makes of a picture
Start = DiR | Inside | Attached


@dataclass(frozen=True)
class Progress:
    """A step that was just done: its stage, number, the stage's steps, and the losses."""

    stage: str
    step: int
    steps: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """finished: all stages are done (otherwise --resume goes on); seconds of training so far; weights written."""

    finished: bool
    seconds: float
    weights: Path


def train(
    recipe: Recipe,
    photographs: Photographs | AnnotatedPhotographs,
    task: Task,
    out: Path,
    *,
    start: Start | None = None,
    began_from: str = "",
    seed: int = 0,
    max_time: float = math.inf,
    resume: bool = False,
    device: torch.device | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> Outcome:
    """Train a model by a recipe; `out` gets recipe.toml, log.jsonl, checkpoint.safetensors and weights.safetensors.

    start: a model to begin from, which stays as it is, and began_from, the SHA-256 of its weights; a new one of the
    recipe's preset where None; with annotated photographs a network with its attachment, of which what learns is
    written: weights.safetensors, network.safetensors or both. max_time: seconds after which the run stops at a
    checkpoint; resume goes on from it, to the very weights that an undisturbed run ends with (same device, same
    threads). Everything random is a function of seed, stage and step. Launched as several processes, each takes its
    share of every step; the main one alone writes, watches the clock, and calls on_step.
    """
    began = time.monotonic()
    use_all_cores()
    device = device or torch.device("cpu")
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=training_precision(device))
    ranks.check_shares(recipe)
    run = _Run(recipe, task, out, seed, accelerator, start, began_from)
    position = run.open(resume, photographs)
    spent = position.seconds
    with run.log(position) as log:
        stages = [stage for stage in STAGES if run.steps(stage)]
        last = stages[-1] if stages else STAGES[-1]
        for stage in [stage for stage in stages if STAGES.index(stage) >= STAGES.index(position.stage)]:
            first = position.step if stage == position.stage else 0
            run.enter(stage, fresh=first == 0)
            steps = run.steps(stage)
            saved = time.monotonic()
            for step in range(first, steps):
                losses = run.step(photographs, stage, step)
                if step % LOG_EVERY_STEPS == 0 or step == steps - 1:
                    log(stage, step, losses)
                if run.writes:
                    on_step(Progress(stage, step + 1, steps, losses))
                now = time.monotonic()
                position = Position(stage, step + 1, spent + now - began)
                if ranks.main_says(now - began > max_time):
                    return run.close(position, finished=stage == last and step + 1 == steps)
                if now - saved > SAVE_EVERY_SECONDS:
                    run.save(position)
                    saved = time.monotonic()
            run.leave()
        position = Position(last, run.steps(last), spent + time.monotonic() - began)
        return run.close(position, finished=True)


class _Run:
    """What a run holds in its hands: model, averaged model, critic, the stage's optimizer; and its folder."""

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        out: Path,
        seed: int,
        accelerator: Accelerator,
        start: Start | None,
        began_from: str,
    ) -> None:
        self.recipe, self.task, self.out, self.seed, self.accelerator = recipe, task, out, seed, accelerator
        self.checkpoint = out / "checkpoint.safetensors"
        self.writes = accelerator.is_main_process
        self.data: dict[str, object] = dict(task.about)
        torch.manual_seed(seed)
        layout = torch.channels_last
        _check_stages([stage for stage in STAGES if self.steps(stage)], start)
        if isinstance(start, DiR) and start.preset != recipe.preset:
            raise UsageError("The model to begin from is of another preset", got=start.preset, wanted=recipe.preset)
        model: Any = copy.deepcopy(start) if start else DiR(recipe.preset)
        self.model = model.to(accelerator.device, memory_format=layout).train()
        self.origin = {"seed": str(seed)}
        if began_from:
            self.origin["from weights"] = self.data["began_from"] = began_from
        if task.about:
            self.origin["attached"] = hashlib.sha256(json.dumps(task.about, sort_keys=True).encode()).hexdigest()
        self.critic = Critic(PRESETS[recipe.preset].width).to(accelerator.device)
        self.average = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.saved_optimizer: dict[str, torch.Tensor] = {}
        self.watch = Watch()

    def open(self, resume: bool, photographs: Photographs | AnnotatedPhotographs) -> Position:
        """Make the folder, or take up the run that lies in it."""
        self.origin["photographs"] = photographs.hash()
        self.data |= {"photographs": len(photographs), "data_hash": self.origin["photographs"]}
        terms_file = self.out / "recipe.toml"
        if self.checkpoint.exists():
            if not resume:
                raise TrainingError(f"A run lies in {self.out} already", cure="Add --resume, or choose another --out.")
            if other := self._other_terms(terms_file):
                raise TrainingError(
                    f"The run in {self.out} was begun with another recipe, seed, weights, network or photographs",
                    got="; ".join(other), cure=f"Compare {terms_file}.",
                )  # fmt: skip
            position = read_position(self.checkpoint)
            parts = load_parts(self.checkpoint)
            self.model.load_state_dict(parts["model"])
            self.critic.load_state_dict(parts["critic"])
            self.average = {key: parts["average"][key].to(value) for key, value in self.average.items()}
            self.saved_optimizer = parts.get("optimizer", {})
            return position
        if self.writes:
            with replacing(terms_file) as beside:
                header = "".join(f"# {name} {value}\n" for name, value in self.origin.items())
                beside.write_text(header + self.recipe.to_toml(), encoding="utf-8")
        return Position(STAGES[0], 0, 0.0)

    def _other_terms(self, terms_file: Path) -> list[str]:
        """What differs from the terms that a run was begun with; what they did not say yet is as it was by default."""
        text = terms_file.read_text(encoding="utf-8")
        header = [line[2:].rpartition(" ") for line in text.splitlines() if line.startswith("# ")]
        now = self.origin | asdict(self.recipe)
        unsaid = {key: now[key] for key in ("attached", "photographs") if key in now}
        began = unsaid | {name: value for name, _, value in header} | asdict(load_recipe(str(terms_file)))
        began["task"] = tomllib.loads(text).get("task", now["task"])
        return [f"{key} {began.get(key)}, now {now.get(key)}" for key in began | now if began.get(key) != now.get(key)]

    def steps(self, stage: str) -> int:
        return getattr(self.recipe, f"{stage}_steps")

    def enter(self, stage: str, *, fresh: bool) -> None:
        """Begin a stage: what learns, and an optimizer for it."""
        module = STAGE_CLASSES[stage](self.recipe, self.model, self.critic, self.task)
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        optimizer_class = Muon if self.recipe.optimizer == "muon" else torch.optim.AdamW
        optimizer = optimizer_class(learning, lr=rate, weight_decay=decay, betas=(0.9, 0.99))
        if not fresh:
            load_optimizer(optimizer, self.saved_optimizer)
        self.module = module
        self.stage, self.optimizer = self.accelerator.prepare(module, optimizer)
        self.learning = learning

    def step(self, photographs: Any, stage: str, step: int) -> dict[str, float]:
        """One update; gives the losses."""
        recipe = self.recipe
        scenes = self.module.draw(photographs, f"{self.seed}/{stage}/{step}").to(self.accelerator.device)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, self.steps(stage), recipe.warmup)
        torch.manual_seed(step)  # for dropout: a resumed run drops what an undisturbed one does
        if self.module.teacher is not None:
            self.module.teacher.load_state_dict(self.average)
        with self.accelerator.autocast():
            losses = self.stage(scenes)
        self.optimizer.zero_grad()
        self.accelerator.backward(torch.stack(list(losses.values())).sum())
        norm = self.accelerator.clip_grad_norm_(self.learning, recipe.clip)
        figures = dict(zip(losses, ranks.mean(torch.stack(list(losses.values()))).tolist(), strict=True))
        self.watch.look(stage, figures, None if self.module.baseline_std is None else float(self.module.baseline_std))
        if self.watch.may_update(figures, float(norm) if norm is not None else 0.0):
            self.optimizer.step()
            self._update_average(step)
        return figures

    def leave(self) -> None:
        """End a stage: the averaged weights are what the next one builds on."""
        self.model.load_state_dict(self.average)

    def save(self, position: Position) -> None:
        parts = {"model": self.model.state_dict(), "critic": self.critic.state_dict(), "average": self.average}
        if self.writes:
            save_checkpoint(self.checkpoint, position, parts, self.optimizer.optimizer)

    def close(self, position: Position, *, finished: bool) -> Outcome:
        """Write checkpoint and averaged weights."""
        self.save(position)
        card = {
            "recipe": self.recipe.name, "suite": self.recipe.suite, "seed": self.seed, "finished": finished,
            "stage": position.stage, "steps": position.step, "seconds": round(position.seconds),
            "torch": torch.__version__, **self.data,
        }  # fmt: skip
        weights, network = self.out / "weights.safetensors", self.out / "network.safetensors"
        learns = self.recipe.learns if isinstance(self.model, Attached) else ""
        if self.writes and learns != "network":
            state = _part("attachment", self.average) if learns else self.average
            save_weights(weights, self.recipe.preset, state, card)
        if self.writes and learns in ("network", "both"):
            save_network(network, _part("network", self.average))
        self.accelerator.wait_for_everyone()
        return Outcome(finished, position.seconds, network if learns == "network" else weights)

    @contextmanager
    def log(self, position: Position) -> Iterator[Callable[[str, int, dict[str, float]], None]]:
        """Losses to log.jsonl, and to TensorBoard where it is installed; lines past the checkpoint are dropped."""
        if not self.writes:
            yield lambda *_: None
            return
        path = self.out / "log.jsonl"
        kept = [line for line in _lines(path) if _before(line, position)]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        board = _tensorboard(self.out / "tensorboard")
        with path.open("a", encoding="utf-8", buffering=1) as file:

            def write(stage: str, step: int, losses: dict[str, float]) -> None:
                rounded = {name: round(value, 6) for name, value in losses.items()}
                file.write(json.dumps({"stage": stage, "step": step, **rounded}) + "\n")
                if board:
                    for name, value in losses.items():
                        board.add_scalar(f"{stage}/{name}", value, step)

            yield write
        if board:
            board.close()

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        state = self.model.state_dict()
        for key, average in self.average.items():
            if average.is_floating_point():
                average.lerp_(state[key], 1 - decay)


def _part(name: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state of one part of a model, from the model's."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}


def _check_stages(stages: Sequence[str], start: Start | None) -> None:
    """UsageError where a stage asks for what there is not, or where there is none."""
    if not stages:
        raise UsageError("The recipe has no steps at all", wanted="one of its *_steps above 0")
    without: dict[str, str] = {}
    if isinstance(start, Inside):
        without = dict.fromkeys(OF_PICTURES, "Inside a network")
    if isinstance(start, Attached):
        without = {stage: "Where labels are learned from" for stage in STAGES if stage != "joint"}
    else:
        without["joint"] = "Without annotations"
    for stage in stages:
        if stage in without:
            raise UsageError(f"{without[stage]} there is no stage {stage}", cure=f"--set {stage}_steps=0")


def _schedule(step: int, steps: int, warmup: int) -> float:
    """Share of the peak rate: a straight line up, then half a cosine down to a hundredth; by step, never the clock."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _before(text: str, position: Position) -> bool:
    """Whether a line of the log lies before a position; one that a crash cut short does not."""
    try:
        line = json.loads(text)
    except ValueError:
        return False
    return (STAGES.index(line["stage"]), line["step"]) < (STAGES.index(position.stage), position.step)


def _tensorboard(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder)
