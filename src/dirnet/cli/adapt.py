"""`dirnet adapt`: weights made familiar with a camera, by its own spoiled pictures alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dirnet.cli.common import Device, DeviceChoice, Seed, Weights, progress, say, seconds


def adapt(
    data: Annotated[
        list[Path], typer.Option("--data", help="Folder of the camera's pictures; may be repeated.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.", show_default=False)],
    weights: Weights = None,
    max_time: Annotated[
        str | None, typer.Option(help="Stop at a checkpoint after, e.g., 5m.", show_default="no limit")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override the recipe.")
    ] = None,
    seed: Seed = 0,
    device: Device = DeviceChoice.auto,
) -> None:
    """Refine weights on a camera's own pictures, without clean ones. Prints the path of the new weights."""
    limit = seconds(max_time) if max_time else float("inf")
    from dirnet.devices import pick_device
    from dirnet.learn.adapt import adapt as run
    from dirnet.learn.data import ROOM, Photographs
    from dirnet.learn.recipe import load_recipe
    from dirnet.nets.weights import DEFAULT, load
    from dirnet.tasks.restore import Restoration

    chosen, terms, start = pick_device(device.value), load_recipe("adapt", settings or []), load(weights or DEFAULT)
    pictures = Photographs(data, smallest=terms.crop + ROOM)
    say(f"{len(pictures)} pictures, {pictures.left_out} left out (too small, or no pictures)")
    with progress(f"adapting {start.name}", terms.adaptation_steps) as advance:
        outcome, guarded = run(
            start, terms, pictures, Restoration(), out,
            seed=seed, max_time=limit, resume=resume, device=chosen, on_step=lambda _: advance(),
        )  # fmt: skip
    if not outcome.finished:
        say(f"Stopped after {outcome.seconds:.0f} s; --resume goes on.")
    say(
        f"On photographs that come with dirnet, through `seen`: {guarded.before:.2f} dB before, "
        f"{guarded.after:.2f} dB after; {guarded.share:.1%} of the adaptation kept"
    )
    print(outcome.weights)
