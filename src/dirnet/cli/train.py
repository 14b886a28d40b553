"""`dirnet train`: the stages, stoppable and resumable."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from dirnet.cli.common import Device, DeviceChoice, Seed, progress, say, seconds


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Shipped name or TOML file.", show_default=False)],
    data: Annotated[
        list[Path], typer.Option("--data", help="Folder of photographs; may be repeated.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.", show_default=False)],
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
    """Train a model; the run's folder gets recipe, log, checkpoint and weights. Prints the path of the weights."""
    limit = seconds(max_time) if max_time else float("inf")
    from dirnet.devices import pick_device
    from dirnet.learn import ranks
    from dirnet.learn.data import Photographs
    from dirnet.learn.loop import Progress
    from dirnet.learn.loop import train as run
    from dirnet.learn.recipe import load_recipe
    from dirnet.learn.stages import ROOM, STAGES
    from dirnet.tasks.restore import Restoration

    chosen, terms = pick_device(device.value), load_recipe(recipe, settings or [])
    speaks = ranks.join(chosen)
    photographs = Photographs(data, smallest=terms.crop + ROOM)
    if speaks:
        say(f"{len(photographs)} photographs, {photographs.left_out} left out (too small, or no pictures)")
    total = sum(getattr(terms, f"{stage}_steps") for stage in STAGES)
    with progress(f"training {terms.name}", total) if speaks else nullcontext(lambda: None) as advance:

        def on_step(step: Progress) -> None:
            advance()
            if step.step % 500 == 0 or step.step == step.steps:
                losses = ", ".join(f"{name} {value:.4f}" for name, value in step.losses.items())
                say(f"{step.stage} {step.step}/{step.steps}: {losses}")

        outcome = run(
            terms, photographs, Restoration(), out,
            seed=seed, max_time=limit, resume=resume, device=chosen, on_step=on_step,
        )  # fmt: skip
    ranks.leave()
    if not speaks:
        return
    if not outcome.finished:
        say(f"Stopped after {outcome.seconds:.0f} s of training; --resume goes on.")
    print(outcome.weights)
