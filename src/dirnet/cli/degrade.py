"""`dirnet degrade`: photographs as a bad camera would have given them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dirnet.cli.common import Force, Inputs, OutFolder, Seed, close, gather_inputs, progress
from dirnet.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from dirnet.pictures.folders import Input


def degrade(
    inputs: Inputs,
    out: OutFolder,
    suite: Annotated[str, typer.Option(help="Which spoilings: seen, unseen-severity, clean.")] = "seen",
    severity: Annotated[int, typer.Option(min=1, max=5, help="How strong.")] = 3,
    seed: Seed = 0,
    views: Annotated[int, typer.Option(min=1, help="Differently spoiled copies of each picture.")] = 1,
    dng: Annotated[bool, typer.Option("--dng", help="Write the RAW mosaic as DNG too.")] = False,
    force: Force = False,
) -> None:
    """Spoil pictures the way a camera does: PNG files, and params.jsonl with every setting."""
    import json

    from dirnet.files import replacing
    from dirnet.pictures.folders import for_each, output_paths
    from dirnet.suites.suites import suite_named

    version = suite_named(suite).version
    log = out / "params.jsonl"
    if log.exists() and not force:
        raise UsageError(f"{log} is there already", cure="Choose another --out, or add --force.")
    gathered = gather_inputs(inputs, out)
    outputs = dict(zip(gathered.inputs, output_paths(gathered.inputs, out, ".png"), strict=True))
    lines: list[dict] = []

    def work(item: Input) -> None:
        for view in range(views):
            path = outputs[item] if views == 1 else outputs[item].with_suffix(f".view{view}.png")
            settings = _degrade_one(item, path, (suite, severity, view, seed), dng=dng, force=force)
            name = path.relative_to(out).as_posix()
            drawn = {"suite": suite, "version": version, "severity": severity, "seed": seed, "view": view}
            lines.append({"input": item.relative.as_posix(), "output": name, **drawn, "params": settings})

    with progress("degrading", len(gathered.inputs)) as advance:
        tally = for_each(gathered.inputs, work, skipped=gathered.skipped, advance=advance)
    if lines:
        with replacing(log) as beside:
            beside.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines), encoding="utf-8")
    close(tally)


def _degrade_one(item: Input, path: Path, draw_by: tuple[str, int, int, int], *, dng: bool, force: bool) -> dict:
    from dirnet.isp.camera import degrade, expose
    from dirnet.isp.params import ISPParams
    from dirnet.pictures.dng import write_dng
    from dirnet.pictures.read import read_picture
    from dirnet.pictures.write import write_picture
    from dirnet.suites.draw import draw

    suite, severity, view, seed = draw_by
    picture = read_picture(item.path)
    params = ISPParams.from_settings([draw(suite, severity, item.relative.as_posix(), view=view, seed=seed)])
    image = picture.to_tensor()
    write_picture(path, picture.with_tensor(degrade(image, params)), force=force)
    if dng:
        write_dng(path.with_suffix(".dng"), expose(image, params), force=force)
    return params.to_settings()[0]
