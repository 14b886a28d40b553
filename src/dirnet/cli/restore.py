"""`dirnet restore`: pictures as they would have been with a better camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dirnet.cli.common import (
    Device,
    DeviceChoice,
    Force,
    Inputs,
    OutFolder,
    ToneChoice,
    Weights,
    close,
    gather_inputs,
    progress,
    say,
)

if TYPE_CHECKING:
    from dirnet.pictures.folders import Input


def restore(
    inputs: Inputs,
    out: OutFolder,
    weights: Weights = None,
    tone: Annotated[
        ToneChoice, typer.Option(help="Leave exposure and colour as they are, or mend them.")
    ] = ToneChoice.keep,
    tile: Annotated[
        int | None, typer.Option(min=64, help="Work in pieces of N pixels.", show_default="by size")
    ] = None,
    device: Device = DeviceChoice.auto,
    force: Force = False,
) -> None:
    """Restore pictures: noise, blocks and false colour go, the rest stays. Same stem, PNG; originals stay."""
    import torch

    from dirnet.devices import pick_device, use_all_cores
    from dirnet.nets.weights import DEFAULT, load
    from dirnet.pictures.folders import for_each, output_paths
    from dirnet.pictures.read import read_picture
    from dirnet.pictures.write import write_picture
    from dirnet.tasks.restore import restore as restore_image

    chosen = pick_device(device.value)
    use_all_cores()
    model = load(weights or DEFAULT).model.to(chosen)
    gathered = gather_inputs(inputs, out)
    outputs = dict(zip(gathered.inputs, output_paths(gathered.inputs, out, ".png"), strict=True))
    waiting = [item for item in gathered.inputs if force or not outputs[item].exists()]
    there = len(gathered.inputs) - len(waiting)
    if there:
        say(f"{there} results are there already and are skipped; --force writes them again.")

    @torch.inference_mode()
    def work(item: Input) -> None:
        picture = read_picture(item.path)
        restored = restore_image(model, picture.to_tensor().to(chosen), tone=tone.value, tile=tile)
        write_picture(outputs[item], picture.with_tensor(restored.cpu()), force=force)

    with progress("restoring", len(waiting)) as advance:
        tally = for_each(waiting, work, skipped=gathered.skipped + there, advance=advance)
    close(tally)
