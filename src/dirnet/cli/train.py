"""`dirnet train`: the stages, stoppable and resumable."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from dirnet.cli.common import Device, DeviceChoice, Seed, progress, say, seconds
from dirnet.errors import UsageError

if TYPE_CHECKING:
    import torch

    from dirnet.learn.recipe import Recipe
    from dirnet.nets.model import DiR
    from dirnet.tasks.attach import Attached
    from dirnet.tasks.base import Task
    from dirnet.tasks.inside import Inside


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Shipped name or TOML file.", show_default=False)],
    data: Annotated[
        list[Path], typer.Option("--data", help="Folder of photographs; may be repeated.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.", show_default=False)],
    network: Annotated[
        str | None,
        typer.Option(help="Train for this network, frozen: torchvision name, ONNX file or SPEC.toml."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="Part of it inside which to attach; may be repeated.", show_default="in front"),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(help="With --network: COCO annotations of --data, to learn with labels.", show_default=False),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Begin from these, a shipped name or a file; or else anew.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Stop at a checkpoint after, e.g., 8m.", show_default="no limit")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override the recipe.")
    ] = None,
    seed: Seed = 0,
    device: Device = DeviceChoice.auto,
) -> None:
    """Train a model; the run's folder gets recipe, log, checkpoint and weights. Prints the path of the weights.

    The task is restoration; with --network, that the network sees in a spoiled picture what it sees in the clean one;
    with --annotations, that it finds what they name, of which recipes are `joint` and `segmenter`.
    """
    limit = seconds(max_time) if max_time else float("inf")
    import torch

    from dirnet.devices import pick_device
    from dirnet.learn import ranks
    from dirnet.learn.annotated import AnnotatedPhotographs
    from dirnet.learn.data import ROOM, Photographs
    from dirnet.learn.loop import Progress
    from dirnet.learn.loop import train as run
    from dirnet.learn.recipe import load_recipe
    from dirnet.learn.stages import STAGES
    from dirnet.pictures.folders import gather

    chosen, terms = pick_device(device.value), load_recipe(recipe, settings or [])
    torch.manual_seed(seed)
    if annotations and (network is None or len(data) > 1):
        raise UsageError("--annotations go with one --data, and with --network")
    work = _work(terms, network, at or [], weights, chosen, labelled=annotations is not None)
    speaks = ranks.join(chosen)
    if speaks and work.preset != terms.preset:
        say(f"The network is {work.preset}, as the weights are; {terms.name} alone would make {terms.preset}.")
    terms = replace(terms, preset=work.preset)
    with progress("reading photographs", len(gather(data).inputs)) if speaks else nullcontext(lambda: None) as advance:
        photographs = (
            AnnotatedPhotographs(annotations, data[0])
            if annotations
            else Photographs(
                data, smallest=terms.crop + ROOM, cleaned=bool(terms.cleaned), on_read=lambda *_: advance()
            )
        )
    if speaks:
        say(f"{len(photographs)} photographs, {photographs.left_out} left out (too small, or no pictures)")
        for note in getattr(photographs, "notes", ()):
            say(note)
    total = sum(getattr(terms, f"{stage}_steps") for stage in STAGES)
    with progress(f"training {terms.name}", total) if speaks else nullcontext(lambda: None) as advance:

        def on_step(step: Progress) -> None:
            advance()
            if step.step % 500 == 0 or step.step == step.steps:
                losses = ", ".join(f"{name} {value:.4f}" for name, value in step.losses.items())
                say(f"{step.stage} {step.step}/{step.steps}: {losses}")

        outcome = run(
            terms, photographs, work.task, out, start=work.start, began_from=work.began_from,
            seed=seed, max_time=limit, resume=resume, device=chosen, on_step=on_step,
        )  # fmt: skip
    ranks.leave()
    if not speaks:
        return
    if not outcome.finished:
        say(f"Stopped after {outcome.seconds:.0f} s of training; --resume goes on.")
    print(outcome.weights)


class _Work(NamedTuple):
    """What to train for, and what to begin from: a model and the SHA-256 of its weights, or anew by a preset."""

    task: Task
    preset: str
    start: DiR | Inside | Attached | None = None
    began_from: str = ""


def _work(
    terms: Recipe, network: str | None, at: Sequence[str], weights: str | None, device: torch.device, *, labelled: bool
) -> _Work:
    from dirnet.nets.model import DiR
    from dirnet.nets.weights import load, read_weights
    from dirnet.tasks.attach import attach
    from dirnet.tasks.inside import Inside
    from dirnet.tasks.networks import load_network
    from dirnet.tasks.recognise import Recognition
    from dirnet.tasks.restore import Restoration

    if network is None:
        if at:
            raise UsageError("--at names parts of a network", cure="Add --network.")
        if terms.task == "recognise":
            raise UsageError(f"The recipe {terms.name} is for a network", cure="Add --network.")
        if weights is None:
            return _Work(Restoration(terms.floor), terms.preset)
        loaded = load(weights)
        return _Work(Restoration(terms.floor), loaded.model.preset, loaded.model, loaded.sha256)
    if terms.task == "restore":
        cure = "Leave --network out, or --set task=recognise."
        raise UsageError(f"The recipe {terms.name} restores pictures, and is for no network", cure=cure)
    frozen, spec = load_network(network)
    attached = attach(frozen.to(device), weights or DiR(terms.preset), at or None, spec)
    added = attached.attachment
    task = Recognition(frozen, spec, added if isinstance(added, Inside) else None)
    start = attached if labelled else added
    return _Work(task, attached.preset, start, read_weights(weights).sha256 if weights else "")
