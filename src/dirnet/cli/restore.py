"""`dirnet restore`: pictures as they would have been with a better camera."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
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


class FormatChoice(StrEnum):
    """What kind of file is written."""

    png = "png"
    tiff = "tiff"
    jpeg = "jpeg"
    webp = "webp"
    dng = "dng"


_SUFFIXES = {"png": ".png", "tiff": ".tif", "jpeg": ".jpg", "webp": ".webp", "dng": ".dng"}
_COMPARED = ".compare.jpg"


def restore(
    inputs: Inputs,
    out: OutFolder,
    weights: Weights = None,
    tone: Annotated[
        ToneChoice, typer.Option(help="Leave exposure and colour as they are, or mend them.")
    ] = ToneChoice.keep,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the change that is made; 0 leaves the picture as it is.")
    ] = 1.0,
    kind: Annotated[
        FormatChoice | None,
        typer.Option("--format", help="What kind of file to write.", show_default="PNG; TIFF for a TIFF"),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Also write NAME.compare.jpg: before, after.")] = False,
    tile: Annotated[
        int | None, typer.Option(min=64, help="Work in pieces of N pixels.", show_default="by size")
    ] = None,
    device: Device = DeviceChoice.auto,
    force: Force = False,
) -> None:
    """Restore pictures: noise, blocks and false colour go, the rest stays. Same stem; originals stay."""
    from dirnet.devices import pick_device, use_all_cores
    from dirnet.nets.weights import DEFAULT, load
    from dirnet.pictures.compare import middle, side_by_side
    from dirnet.pictures.folders import for_each, output_paths
    from dirnet.pictures.read import read_picture
    from dirnet.pictures.write import write_picture
    from dirnet.tasks.restore import restore_in_place

    def suffix(path: Path) -> str:
        return _SUFFIXES[kind or ("tiff" if path.suffix.lower() in (".tif", ".tiff") else "png")]

    chosen = pick_device(device.value)
    use_all_cores()
    loaded = load(weights or DEFAULT)
    if "attachment" in loaded.card:
        say(f"{loaded.name} mends pictures for a network, not for the eye; {DEFAULT} is for photographs.")
    model = loaded.model.to(chosen)
    gathered = gather_inputs(inputs, out)
    paths = output_paths(gathered.inputs, out, suffix, beside=[_COMPARED] if compare else [])
    outputs = dict(zip(gathered.inputs, paths, strict=True))
    waiting = [item for item in gathered.inputs if force or not outputs[item].exists()]
    there = len(gathered.inputs) - len(waiting)
    if there:
        say(f"{there} results are there already and are skipped; --force writes them again.")

    def work(item: Input) -> None:
        picture, path = read_picture(item.path), outputs[item]
        before = middle(picture) if compare else None
        restore_in_place(model, picture, tone=tone.value, strength=strength, tile=tile)
        beside = path.with_suffix(_COMPARED)
        if before is not None and (force or not beside.exists()):  # the result comes last: it says that all is done
            write_picture(beside, side_by_side(before, middle(picture)), force=force)
        write_picture(path, picture, force=force)

    with progress("restoring", len(waiting)) as advance:
        tally = for_each(waiting, work, skipped=gathered.skipped + there, advance=advance)
    close(tally)
