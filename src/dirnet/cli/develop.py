"""`dirnet develop`: RAW files to pictures, with the right settings or wrong ones."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dirnet.cli.common import Force, OutFolder, Seed, close, gather_inputs, progress
from dirnet.errors import UsageError

if TYPE_CHECKING:
    from dirnet.isp.sensor_data import Mosaic
    from dirnet.pictures.folders import Gathered, Input

LEAST_GAIN, MOST_GAIN = 0.001, 1000


class DemosaicChoice(StrEnum):
    """How the two colours that each site lacks are filled in."""

    nearest = "nearest"
    bilinear = "bilinear"
    malvar = "malvar"
    edge_aware = "edge_aware"


def develop(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="RAW...", help="RAW files, or folders of them.", show_default=False)
    ],
    out: OutFolder,
    wb: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="White balance gains.", show_default="as shot")
    ] = None,
    temperature: Annotated[
        int | None, typer.Option(min=2000, max=12000, metavar="K", help="White balance for light of K kelvin.")
    ] = None,
    exposure: Annotated[
        float | None, typer.Option(min=-16, max=16, metavar="EV", help="Brighten or darken the finished samples.")
    ] = None,
    iso_gain: Annotated[
        float | None, typer.Option(min=0.01, max=100, metavar="X", help="Gain before the sensor cuts at white.")
    ] = None,
    black: Annotated[
        float | None, typer.Option(min=-1, max=1, metavar="X", help="Subtract too much black, as a share of the range.")
    ] = None,
    demosaic: Annotated[
        DemosaicChoice | None, typer.Option(help="How missing colours are filled in.", show_default="malvar")
    ] = None,
    gamma: Annotated[
        float | None, typer.Option(min=0.05, max=20, metavar="X", help="Gamma over the right one; above 1 is darker.")
    ] = None,
    saturation: Annotated[
        float | None, typer.Option(min=0, max=10, metavar="X", help="Saturation over the right one; 0 is grey.")
    ] = None,
    jpeg: Annotated[
        int | None, typer.Option(min=1, max=100, metavar="Q", help="What a JPEG of this quality keeps.")
    ] = None,
    fault: Annotated[str | None, typer.Option(metavar="NAME", help="A fault on top; the options win.")] = None,
    severity: Annotated[int, typer.Option(min=1, max=5, help="How strong the fault is.")] = 3,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Develop RAW files of any camera, as shot or otherwise: PNG of 16 bits, and params.jsonl with every setting."""
    import json

    from dirnet.files import replacing
    from dirnet.pictures.folders import for_each, output_paths

    if wb and temperature:
        raise UsageError("White balance is given twice", got="--wb and --temperature", wanted="one of them")
    light = _gains(wb) if wb else temperature
    chosen = {
        "exposure": None if exposure is None else 2.0**exposure,
        "iso_gain": iso_gain,
        "black_level_error": black,
        "demosaic": demosaic and demosaic.value,
        "gamma_ratio": gamma,
        "saturation": saturation,
        "jpeg_quality": jpeg,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    spoiling = {"fault": fault, "severity": severity, "seed": seed} if fault else {}
    if fault:
        _ranges(fault)
    log = out / "params.jsonl"
    if log.exists() and not force:
        raise UsageError(f"{log} is there already", cure="Choose another --out, or add --force.")
    gathered = _raw_files(inputs, out)
    outputs = dict(zip(gathered.inputs, output_paths(gathered.inputs, out, ".png"), strict=True))
    lines: list[dict] = []

    def work(item: Input) -> None:
        settings = _develop_one(item, outputs[item], light, spoiling, chosen, force=force)
        names = {"input": item.relative.as_posix(), "output": outputs[item].relative_to(out).as_posix()}
        lines.append({**names, **spoiling, "params": settings})

    try:
        with progress("developing", len(gathered.inputs)) as advance:
            tally = for_each(gathered.inputs, work, skipped=gathered.skipped, advance=advance)
    finally:  # after Ctrl-C too: what was finished is written down
        if lines:
            with replacing(log) as beside:
                beside.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines), encoding="utf-8")
    close(tally)


def _raw_files(paths: list[Path], out: Path) -> Gathered:
    """The inputs without pictures that lie beside the RAW files in folders; what is named itself is always tried."""
    from dirnet.pictures.folders import Gathered
    from dirnet.pictures.read import RAW_SUFFIXES

    gathered = gather_inputs(paths, out)
    named = {path.resolve() for path in paths}
    inputs = [i for i in gathered.inputs if i.path.suffix.lower() in RAW_SUFFIXES or i.path.resolve() in named]
    if not inputs:
        raise UsageError("Nothing to do", got=", ".join(map(str, paths)), wanted="at least one RAW file")
    return Gathered(inputs, gathered.skipped + len(gathered.inputs) - len(inputs))


def _develop_one(
    item: Input,
    path: Path,
    light: tuple[float, ...] | int | None,
    spoiling: dict[str, Any],
    chosen: dict[str, Any],
    *,
    force: bool,
) -> dict[str, Any]:
    import torch

    from dirnet.isp.develop import as_shot, develop
    from dirnet.isp.params import ISPParams
    from dirnet.pictures.picture import check_free
    from dirnet.pictures.raw import as_picture, read_raw
    from dirnet.pictures.write import write_picture

    check_free(path, item.path, force=force)
    exposure = _in_light(read_raw(item.path), light)
    settings = as_shot(exposure)
    if spoiling:
        _spoil(settings, item, **spoiling)
    params = ISPParams.from_settings([settings | chosen])
    with torch.inference_mode():
        write_picture(path, as_picture(develop(exposure, params), exposure.orientation, item.path), force=force)
    return params.to_settings()[0]


def _in_light(exposure: Mosaic, light: tuple[float, ...] | int | None) -> Mosaic:
    """The exposure with the gains that were asked for: by themselves, by colour temperature, or as shot."""
    import torch

    from dirnet.isp.develop import balance_for

    if light is None:
        return exposure
    return replace(
        exposure, white_balance=balance_for(exposure, light) if isinstance(light, int) else torch.tensor(light)
    )


def _spoil(settings: dict[str, Any], item: Input, fault: str, severity: int, seed: int) -> None:
    """Let one fault happen to the settings; what is drawn depends on these names and numbers alone."""
    from random import Random

    from dirnet.isp.faults import FAULTS

    key = f"{fault}/{severity}/{seed}/{item.relative.as_posix()}"
    random = Random(key.encode(errors="surrogateescape"))  # a name need not be UTF-8
    settings["noise_seed"] = int(random.random() * 2**32)
    right = settings["demosaic"]
    FAULTS[fault].spoil(settings, *_ranges(fault)[severity - 1], random)
    if settings["demosaic"] == "none":  # a sensor of three colours, which a RAW file's is not
        settings["demosaic"] = right


def _ranges(fault: str) -> tuple[tuple[float, float], ...]:
    """The range of a fault at severities 1..5: that of the first suite that has it."""
    from dirnet.suites.suites import SUITES

    known = {name: ranges for suite in reversed(SUITES.values()) for name, ranges in suite.faults.items()}
    if fault not in known:
        raise UsageError("Unknown fault", got=repr(fault), wanted=f"one of {', '.join(sorted(known))}")
    return known[fault]


def _gains(text: str) -> tuple[float, ...]:
    try:
        gains = tuple(float(word) for word in text.split(","))
    except ValueError:
        gains = ()
    if len(gains) != 3 or not all(LEAST_GAIN <= gain <= MOST_GAIN for gain in gains):
        raise UsageError(
            "--wb makes no sense",
            got=repr(text),
            wanted=f"three gains from {LEAST_GAIN} to {MOST_GAIN}, as in 2.1,1,1.6",
        )
    return gains
