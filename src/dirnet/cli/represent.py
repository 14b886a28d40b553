"""`dirnet represent`: what the network sees in pictures, as arrays for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from dirnet.cli.common import Device, DeviceChoice, Force, Inputs, Weights, close, gather_inputs, progress
from dirnet.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from dirnet.nets.model import DiR
    from dirnet.pictures.folders import Input


def represent(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", help="A .safetensors or .npz file.", show_default=False)],
    weights: Weights = None,
    device: Device = DeviceChoice.auto,
    force: Force = False,
) -> None:
    """Export what the network sees: NAME/baseline, NAME/pilot and NAME/refined of each picture, (c, h, w) float32."""
    if out.suffix not in _FORMATS:
        raise UsageError(f"Cannot write {out}", got=out.suffix or "no suffix", wanted=" or ".join(_FORMATS))
    if out.exists() and not force:
        raise UsageError(f"{out} is there already", cure="Choose another --out, or add --force.")
    from dirnet.devices import pick_device, use_all_cores
    from dirnet.files import replacing
    from dirnet.nets.weights import DEFAULT, load
    from dirnet.pictures.folders import for_each, output_paths
    from dirnet.pictures.read import read_picture

    gathered = gather_inputs(inputs, out)
    chosen = pick_device(device.value)
    use_all_cores()
    model = load(weights or DEFAULT).model.to(chosen)
    names = [path.relative_to(out).as_posix() for path in output_paths(gathered.inputs, out, "")]
    named = dict(zip(gathered.inputs, names, strict=True))

    with replacing(out) as beside, _FORMATS[out.suffix](beside) as file:

        def work(item: Input) -> None:
            maps = _represent(model, read_picture(item.path).to_tensor().to(chosen))
            for representation, values in maps.items():
                file.add(f"{named[item]}/{representation}", values)

        with progress("representing", len(named)) as advance:
            tally = for_each(named, work, skipped=gathered.skipped, advance=advance)
        if not tally.done:
            close(tally)  # leaves no empty file
    close(tally)


def _represent(model: DiR, image: torch.Tensor) -> dict[str, np.ndarray]:
    """The representations of one picture (1, 3, H, W) of any size, each (c, h, w); in pieces where it is large.

    Beyond 512 pixels the global statistics come from a montage, as in restoration.
    """
    import torch
    import torch.nn.functional as F

    from dirnet.nets.blocks import pad_to_multiple
    from dirnet.nets.model import MONTAGE_SIDE
    from dirnet.pictures.tiles import apply_tiled
    from dirnet.tasks.restore import MARGIN, TILE

    with torch.inference_mode():
        statistics = model.statistics(image) if max(image.shape[2:]) > MONTAGE_SIDE else None
        widths: dict[str, int] = {}

        def see(part: torch.Tensor) -> torch.Tensor:
            seen = model(part, statistics)._asdict()
            widths.update({name: maps.shape[1] for name, maps in seen.items()})
            maps = torch.cat(list(seen.values()), 1)
            return F.pixel_shuffle(F.pad(maps, (0, 0, 0, 0, 0, -maps.shape[1] % 4)), 2)

        padded = pad_to_multiple(image)
        whole = max(padded.shape[2:]) if statistics is None else TILE
        maps = F.pixel_unshuffle(apply_tiled(see, padded, whole, MARGIN), 2)[0].float().cpu()
        maps = maps[: sum(widths.values())].split(list(widths.values()))
        return {name: one.numpy() for name, one in zip(widths, maps, strict=True)}


class _Npz:
    """Arrays into a .npz one after the other, so that memory holds those of one picture."""

    def __init__(self, path: Path) -> None:
        import zipfile

        self._zip = zipfile.ZipFile(path, "w")

    def __enter__(self) -> _Npz:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, name: str, values: np.ndarray) -> None:
        """Append one array."""
        import zipfile

        from numpy.lib.format import write_array

        with self._zip.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
            write_array(entry, values, allow_pickle=False)


class _Safetensors:
    """Likewise into .safetensors: values go to a file beside, since the header that comes first is known last."""

    def __init__(self, path: Path) -> None:
        from tempfile import TemporaryFile

        self._path = path
        self._values: IO[bytes] = TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed on exit
        self._header: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> _Safetensors:
        return self

    def __exit__(self, *_: object) -> None:
        import json
        import shutil

        header = json.dumps(self._header).encode()
        header += b" " * (-len(header) % 8)
        self._values.seek(0)
        with self._values, self._path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            shutil.copyfileobj(self._values, file)

    def add(self, name: str, values: np.ndarray) -> None:
        """Append one array."""
        start = self._values.tell()
        self._values.write(values.astype("<f4").tobytes())
        offsets = [start, self._values.tell()]
        self._header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}


_FORMATS = {".safetensors": _Safetensors, ".npz": _Npz}
