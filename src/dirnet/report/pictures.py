"""Pictures for the page: photographs made small enough to embed, representations made visible.

The folder beside the records is not trusted: a name may not lead out of it, and what is broken becomes a sentence.
"""

from __future__ import annotations

import base64
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from dirnet.errors import PictureError

VIEWS = ("clean", "degraded", "restored")
_RECOGNISED = {"clean": "clean, annotated", "degraded": "degraded, bare", "restored": "degraded, with DiR"}
LABELS = {  # by the metric of an entry: what its views are called
    "psnr": {view: view for view in VIEWS},
    "ap": _RECOGNISED,
    "mask_ap": _RECOGNISED,
}
REPRESENTATIONS = ("baseline", "pilot", "refined", "reference")

_PHOTOGRAPH_SIDE, _REPRESENTATION_SIDE, _LOSSLESS_SIDE = 768, 320, 128
_TAILS = 1.0, 99.0  # percentiles that become black and full colour


@dataclass(frozen=True)
class Embedded:
    """A picture as a data URI, its size on the page and how much smaller that is than it was (1 = not at all)."""

    uri: str
    width: int
    height: int
    scale: float


@dataclass(frozen=True)
class Example:
    """One entry of index.json, checked: texts, figures (None where absent), pictures, and sentences on what is not."""

    name: str
    suite: str
    severity: str
    model: str
    why: str
    metric: str
    figures: tuple[float | None, float | None]
    settings: dict[str, str]
    views: dict[str, Embedded]
    representations: dict[str, Embedded]
    complaints: list[str]


def read_examples(folder: Path) -> list[Example]:
    """The pictures that index.json of `folder` lists; PictureError where there is no such list."""
    if not folder.is_dir():
        raise PictureError(f"No pictures: there is no folder {folder.name}")
    try:
        index = json.loads(_inside(folder, "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, PictureError) as error:
        raise PictureError(f"No pictures: {folder.name}/index.json cannot be read", got=str(error)) from error
    listed = index.get("pictures") if isinstance(index, dict) else None
    if not isinstance(listed, list):
        raise PictureError(f"No pictures: {folder.name}/index.json holds no list of pictures")
    return [_example(folder, entry) for entry in listed if isinstance(entry, dict)]


def paint(features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Representations (c, h, w) as colours (h, w, 3) uint8: the three main axes of variation become R, G and B.

    `pilot`, `refined` and `reference` live in one space and share axes and scale, both fitted on the reference (on the
    pilot where there is none), so that like colours are like features. `baseline` has axes and scale of its own.
    """
    shared = [name for name in ("reference", "pilot", "refined") if name in features]
    painted = {}
    for space in filter(None, (shared, ["baseline"] if "baseline" in features else [])):
        centre, axes, low, high = _palette(features[space[0]])
        flat = high <= low
        for name in space:
            channels, height, width = features[name].shape
            if channels != len(centre):
                wanted = f"{len(centre)} like the {space[0]}"
                raise PictureError(f"The {name} lies in another space", got=f"{channels} channels", wanted=wanted)
            level = ((_samples(features[name]) - centre) @ axes - low) / np.where(flat, 1, high - low)
            level[:, flat] = 0.5
            painted[name] = (level.clip(0, 1) * 255).round().astype(np.uint8).reshape(height, width, 3)
    return painted


def embed(pixels: np.ndarray, longest: int) -> Embedded:
    """(h, w, 3) uint8 as a data URI of at most `longest` pixels a side: PNG where that is small, WebP above."""
    from PIL import Image

    return _encode(Image.fromarray(pixels), longest)


def _palette(feature: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centre (c,), axes (c, 3) and ends (3,), (3,) of the scale; an axis without variation has low = high."""
    samples = _samples(feature)
    centre = samples.mean(axis=0)
    variance, vectors = np.linalg.eigh(np.atleast_2d(np.cov(samples, rowvar=False, bias=True)))
    axes = np.zeros((len(centre), 3))
    axes[:, : len(centre)] = vectors[:, ::-1][:, :3]
    along = (samples - centre) @ axes
    axes *= np.where((along**3).sum(axis=0) < 0, -1, 1)  # an axis has no sign of its own: the longer tail is bright
    low, high = np.percentile((samples - centre) @ axes, _TAILS, axis=0)
    deviation = np.sqrt(np.pad(variance[::-1].clip(0), (0, 2))[:3])
    return centre, axes, low, np.where(deviation > 1e-3 * deviation[0], high, low)


def _samples(feature: np.ndarray) -> np.ndarray:
    return feature.reshape(len(feature), -1).T.astype(np.float64)


def _example(folder: Path, entry: dict[str, Any]) -> Example:
    complaints: list[str] = []
    views = {}
    for view in VIEWS:
        try:
            views[view] = _photograph(_inside(folder, _dict(entry, "files").get(view)))
        except PictureError as error:
            complaints.append(f"The {view} picture cannot be shown: {error}")
    representations = {}
    if entry.get("features") is not None:
        try:
            painted = paint(_features(_inside(folder, entry["features"])))
            representations = {
                name: embed(painted[name], _REPRESENTATION_SIDE) for name in REPRESENTATIONS if name in painted
            }
        except PictureError as error:
            complaints.append(f"The representations cannot be shown: {error}")
    metric = next((metric for metric in LABELS if metric in entry), "psnr")
    figures = _dict(entry, metric)
    return Example(
        **{key: str(entry.get(key, "")) for key in ("name", "suite", "severity", "model", "why")},
        metric=metric,
        figures=(_number(figures.get("input")), _number(figures.get("output"))),
        settings={str(key): str(value) for key, value in _dict(entry, "settings").items()},
        views=views,
        representations=representations,
        complaints=complaints,
    )


def _dict(entry: dict[str, Any], key: str) -> dict[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, float | int) and abs(value) < 1e6 else None


def _inside(folder: Path, name: object) -> Path:
    """The file of that name in `folder`; PictureError where the name or a link leads out, or nothing is there."""
    if not isinstance(name, str) or not name:
        raise PictureError("no file is named")
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or "\0" in name:
        raise PictureError("its name leads out of the folder of pictures", got=repr(name))
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise PictureError("its name leads out of the folder of pictures", got=repr(name))
        there = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise PictureError("its name is no name of a file", got=repr(name)) from error
    if not there:
        raise PictureError(f"there is no file {name}")
    return path


def _photograph(path: Path) -> Embedded:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
                return _encode(image.convert("RGB"), _PHOTOGRAPH_SIDE)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"{path.name} is broken, too large or no PNG, JPEG or WebP") from error


def _features(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        loaded = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise PictureError(f"{path.name} is no safetensors file", got=str(error)) from error
    features = {name: loaded[name] for name in REPRESENTATIONS if name in loaded}
    for name, feature in features.items():
        if feature.ndim != 3 or not feature.size or not np.isfinite(feature).all():
            wanted = "finite numbers of shape (c, h, w)"
            raise PictureError(f"{name} in {path.name} is no representation", got=f"{feature.shape}", wanted=wanted)
    if not features:
        raise PictureError(f"{path.name} holds none of {', '.join(REPRESENTATIONS)}")
    return features


def _encode(image: Any, longest: int) -> Embedded:
    from PIL import Image

    scale = min(1.0, longest / max(image.size))
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    kind = "png" if max(image.size) <= _LOSSLESS_SIDE else "webp"
    data = io.BytesIO()
    image.save(data, kind, **({"optimize": True} if kind == "png" else {"quality": 90, "method": 4}))
    uri = f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
    return Embedded(uri, image.width, image.height, scale)
