"""`dirnet calibrate-noise`: the noise of the user's own camera, from flat RAW frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dirnet.cli.common import Force, progress, say
from dirnet.errors import UsageError

_MEANING = (
    "Noise variance = shot_noise * x + read_noise at x in 0..1 above black, as S and O of a DNG's NoiseProfile; "
    "*_error: standard errors; points: mean and variance of each colour plane of each pair of frames"
)


def calibrate_noise(
    flats: Annotated[
        list[Path],
        typer.Argument(metavar="FLATS...", help="RAW frames of an even surface, or folders.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="JSON file for the profile.", show_default=False)],
    force: Force = False,
) -> None:
    """Measure a camera's noise: two frames at each of several exposures, one ISO, in the order they were taken."""
    import json
    from collections.abc import Iterator
    from dataclasses import asdict

    from dirnet.files import replacing
    from dirnet.isp.calibrate import calibrate
    from dirnet.isp.sensor_data import Mosaic
    from dirnet.pictures.folders import gather
    from dirnet.pictures.raw import read_raw
    from dirnet.pictures.read import PICTURE_SUFFIXES

    if out.exists() and not force:
        raise UsageError(f"{out} is there already", cure="Choose another --out, or add --force.")
    paths = [item.path for item in gather(flats).inputs]
    for path in paths:
        if path.suffix.lower() in PICTURE_SUFFIXES:
            raise UsageError(
                f"{path} is a finished picture, whose noise the camera has changed",
                got=path.suffix,
                wanted="RAW or DNG files alone",
            )

    with progress("measuring", len(paths)) as advance:

        def frames() -> Iterator[Mosaic]:
            for path in paths:
                yield read_raw(path)
                advance()

        calibration = calibrate(frames())
    for sentence in calibration.left_out:
        say(f"left out: {sentence}")
    profile = {"name": out.stem, "source": "dirnet calibrate-noise", "meaning": _MEANING, **asdict(calibration)}
    with replacing(out) as beside:
        beside.write_text(json.dumps(profile, indent=2) + "\n", encoding="utf-8")
    noise = calibration.noise
    print(f"{calibration.camera or 'unknown camera'}, {len(paths)} frames")
    print(f"shot noise S = {noise.shot_noise:.4g} +- {noise.shot_noise_error:.1g}")
    print(f"read noise O = {noise.read_noise:.4g} +- {noise.read_noise_error:.1g}")
