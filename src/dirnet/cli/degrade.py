"""`dirnet degrade`: photographs as a bad camera would have given them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dirnet.cli.common import Force, Inputs, OutFolder, Seed, close, gather_inputs, progress
from dirnet.errors import UsageError
from dirnet.suites.suites import SEVERITIES, SUITES, Suite, suite_named

if TYPE_CHECKING:
    from concurrent.futures import Future

    from dirnet.isp.params import ISPParams
    from dirnet.pictures.folders import Input
    from dirnet.pictures.picture import Picture

_BYTES_A_PIXEL = 60  # what the camera holds at its fullest, reading and writing included: benchmarks/memory.py
_MEMORY_UNKNOWN = 8 << 30


def degrade(
    inputs: Inputs,
    out: OutFolder,
    suite: Annotated[str, typer.Option(help=f"Which spoilings: {', '.join(SUITES)}.")] = "seen",
    severity: Annotated[int | None, typer.Option(min=1, max=5, help="How strong.", show_default="3")] = None,
    seed: Seed = 0,
    views: Annotated[int, typer.Option(min=1, help="Differently spoiled copies of each picture.")] = 1,
    write_suite: Annotated[
        bool, typer.Option("--write-suite", help="Every severity, to OUT/SUITE/severity-N, with suite.json.")
    ] = False,
    dng: Annotated[bool, typer.Option("--dng", help="Write the RAW mosaic as DNG too.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Pictures at a time.", show_default="all cores")] = None,
    force: Force = False,
) -> None:
    """Spoil pictures the way a camera does: PNG files, and params.jsonl with every setting."""
    from concurrent.futures import ThreadPoolExecutor

    from dirnet.pictures.folders import for_each

    table = suite_named(suite)
    if write_suite and severity is not None:
        raise UsageError("--write-suite writes every severity", got="--severity too", cure="Leave one of them out.")
    home = out / suite if write_suite else out
    log = home / "params.jsonl"
    if log.exists() and not force:
        raise UsageError(f"{log} is there already", cure="Choose another --out, or add --force.")
    gathered = gather_inputs(inputs, out)
    folders = _severity_folders(home, table) if write_suite else {severity or 3: home}
    room = _Room()
    cores = _one_core_each()
    pool = ThreadPoolExecutor(workers or cores)
    futures: dict[Input, list[Future[dict[str, Any]]]] = {item: [] for item in gathered.inputs}
    try:
        for copy in _copies(gathered.inputs, folders, table, seed, views, dng=dng):
            futures[copy.item].append(pool.submit(_degrade_one, copy, home, room, dng=dng, force=force))
        with progress("degrading", len(futures)) as advance:
            tally = for_each(
                futures, lambda item: [one.result() for one in futures[item]], skipped=gathered.skipped, advance=advance
            )
    finally:  # after Ctrl-C too: what was begun is finished, and written down
        pool.shutdown(cancel_futures=True)
        copies = [one for several in futures.values() for one in several if not one.cancelled()]
        lines = [one.result() for one in copies if one.exception() is None]
        _write_lines(log, lines)
    if write_suite and lines:
        _write_suite_facts(home / "suite.json", table, seed, views, lines)
    close(tally)


@dataclass(frozen=True)
class _Copy:
    """One spoiled copy of one picture: of what, where to, and what it is drawn by."""

    item: Input
    path: Path
    suite: Suite
    severity: int
    seed: int
    view: int


def _severity_folders(home: Path, suite: Suite) -> dict[int, Path]:
    """For a suite without faults, as in records, severity 0 alone."""
    return {severity: home / f"severity-{severity}" for severity in (SEVERITIES if suite.faults else (0,))}


def _copies(
    inputs: Sequence[Input], folders: dict[int, Path], suite: Suite, seed: int, views: int, *, dng: bool
) -> Iterator[_Copy]:
    """Picture by picture, of each all severities and views."""
    from dirnet.pictures.folders import output_paths

    endings = [".png"] if views == 1 else [f".view{view}.png" for view in range(views)]
    beside = endings + [ending.removesuffix("png") + "dng" for ending in endings if dng]
    outputs = [output_paths(inputs, folder, ".png", beside) for folder in folders.values()]
    for item, *paths in zip(inputs, *outputs, strict=True):
        for severity, path in zip(folders, paths, strict=True):
            for view, ending in enumerate(endings):
                yield _Copy(item, path.with_suffix(ending), suite, severity, seed, view)


def _degrade_one(copy: _Copy, home: Path, room: _Room, *, dng: bool, force: bool) -> dict[str, Any]:
    """Write it; the line of params.jsonl."""
    from dirnet.isp.params import ISPParams
    from dirnet.pictures.read import read_picture
    from dirnet.suites.draw import draw

    name = copy.item.relative.as_posix()
    params = ISPParams.from_settings([draw(copy.suite, copy.severity, name, view=copy.view, seed=copy.seed)])
    _photograph(read_picture(copy.item.path).in_srgb(), params, copy.path, room, dng=dng, force=force)
    return {
        "input": name,
        "output": copy.path.relative_to(home).as_posix(),
        "sha256": _sha256_of_pixels(copy.path),
        "suite": copy.suite.name,
        "version": copy.suite.version,
        "severity": copy.severity,
        "seed": copy.seed,
        "view": copy.view,
        "params": params.to_settings()[0],
    }


def _photograph(picture: Picture, params: ISPParams, path: Path, room: _Room, *, dng: bool, force: bool) -> None:
    """Write the spoiled picture, and the RAW of the exposure if it is wanted."""
    import torch

    from dirnet.isp.camera import degrade, expose
    from dirnet.pictures.dng import write_dng
    from dirnet.pictures.write import write_picture

    image = torch.from_numpy(picture.pixels).clamp_(0, 1).permute(2, 0, 1)[None]  # no copy: they are this picture's own
    with room.taken(image.shape[2] * image.shape[3]), torch.inference_mode():
        write_picture(path, picture.with_tensor(degrade(image, params)), force=force)
        if dng:
            write_dng(path.with_suffix(".dng"), expose(image, params), force=force)


def _sha256_of_pixels(path: Path) -> str:
    """Of the samples in the file, RGB row by row, of 8 bits or of 16 (little-endian)."""
    import hashlib

    import numpy as np

    from dirnet.pictures.read import read_picture

    picture, sha256 = read_picture(path), hashlib.sha256()
    for row in picture.pixels:
        samples = np.rint(row * np.float32(2**picture.depth - 1))
        sha256.update(samples.astype("u1" if picture.depth == 8 else "<u2").tobytes())
    return sha256.hexdigest()


def _write_lines(log: Path, lines: list[dict[str, Any]]) -> None:
    import json

    from dirnet.files import replacing

    if lines:
        with replacing(log) as beside:
            beside.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines), encoding="utf-8")


def _write_suite_facts(path: Path, suite: Suite, seed: int, views: int, lines: list[dict[str, Any]]) -> None:
    """suite.json: by what others see that they measure on the same pixels."""
    import json

    from dirnet import __version__
    from dirnet.files import replacing
    from dirnet.isp.params import ISPParams

    facts = {
        "name": suite.name,
        "version": suite.version,
        "seed": seed,
        "views": views,
        "dirnet": __version__,
        "params_hash": ISPParams.from_settings([line["params"] for line in lines]).hash(),
        "files": [{"path": line["output"], "sha256": line["sha256"]} for line in lines],
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _one_core_each() -> int:
    """A picture is one thread's work, which makes its pixels the same however many there are; the number of cores."""
    import torch

    from dirnet.devices import use_all_cores

    use_all_cores()
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    return cores


class _Room:
    """Lets as many pixels in at a time as half of the memory has room for; one picture always, however large."""

    def __init__(self) -> None:
        known = hasattr(os, "sysconf")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else _MEMORY_UNKNOWN
        self._limit = memory // 2 // _BYTES_A_PIXEL
        self._taken = 0
        self._changed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for so many pixels; hold it while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + pixels <= self._limit)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()
