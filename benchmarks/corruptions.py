"""A suite that is not ours: photographs spoiled by imagecorruptions, and what any number of restorers make of them.

    PYTHONPATH=PEERS .venv/bin/python benchmarks/corruptions.py NAME=WEIGHTS[,WEIGHTS ...] ...
        [--kinds KIND ...] [--severities 1 3 5] [--data DIR] [--out FILE]

PEERS: a folder with the package imagecorruptions (Michaelis et al., 2019; after Hendrycks and Dietterich, 2019), which
is not in the environment that `./run` makes, and what it needs beyond that:

    .venv/bin/pip install --no-deps --target PEERS imagecorruptions opencv-python-headless "setuptools<81"

Several WEIGHTS of one NAME, with commas between, are its seeds. Every restorer gets the very same pixels; tone is kept.
Prints a table and writes results/corruptions.json: kind, severity, metric, model ("mean" is a kind and a severity too);
for each the mean, the difference from the input and, where a NAME is `canonical`, from it, with a bootstrap interval
over seeds and pictures (over pictures alone where there is one seed). Seeds are paired in the order given; where one
side has a single seed, it stands against each of the other.

The pixels of a picture depend on kind, severity and its path relative to DIR alone. The peer draws from numpy's global
random state, which is set and put back; its impulse_noise has scikit-image draw from a generator of its own, so
scikit-image is handed the seed for as long as the call lasts. Of its kinds of noise and blur two are left out as they
are broken under scikit-image 0.26: gaussian_blur and glass_blur pass `multichannel`, an argument that is gone.
"""

import argparse
import functools
import hashlib
import importlib
import importlib.metadata
import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch

from dirnet import __version__
from dirnet.cli.common import say
from dirnet.errors import DirnetError, UsageError
from dirnet.files import replacing
from dirnet.judge.metrics import match_tone, psnr, ssim, to_8bit
from dirnet.judge.statistics import crossed_interval, paired_interval
from dirnet.nets.weights import Loaded, load
from dirnet.pictures.folders import Input, gather
from dirnet.pictures.read import read_picture
from dirnet.tasks.restore import restore

KINDS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur", "motion_blur", "zoom_blur",
    "jpeg_compression", "contrast", "brightness",
)  # fmt: skip
SEVERITIES = (1, 2, 3, 4, 5)
METRICS = {"psnr": psnr, "ssim": ssim, "psnr_tone": lambda picture, clean: psnr(match_tone(picture, clean), clean)}
LIBRARIES = ("imagecorruptions", "scikit-image", "numpy", "pillow", "torch")
SMALLEST = 32  # pixels a side that the peer asks for
HERE = Path(__file__).resolve().parent
KODAK = HERE.parent.parent / "shared" / "data" / "photos_dev" / "kodak24"


def peer() -> ModuleType:
    """The package imagecorruptions; UsageError where it, or what it needs, is not installed."""
    try:
        return importlib.import_module("imagecorruptions")
    except ImportError as error:
        cure = "Install it as the head of benchmarks/corruptions.py says, and give the folder as PYTHONPATH."
        raise UsageError("imagecorruptions cannot be imported", got=str(error), cure=cure) from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Everything that the peer draws depends on seed; numpy's global random state is left as it was found."""
    import skimage.util

    before = np.random.get_state()  # noqa: NPY002 -- it is what the peer draws from
    random_noise = functools.partial(skimage.util.random_noise, rng=seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        with mock.patch.object(skimage.util, "random_noise", random_noise):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def spoil(clean: torch.Tensor, kind: str, severity: int, name: str) -> torch.Tensor:
    """The peer's picture for (3, H, W) 8-bit values; what is drawn for it depends on kind, severity and name alone."""
    pixels = (clean.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    digest = hashlib.sha256(f"{kind} {severity} {name}".encode()).digest()
    with seeded(int.from_bytes(digest[:4], "big")):
        spoiled = peer().corrupt(pixels, severity, corruption_name=kind)
    return torch.tensor(spoiled).permute(2, 0, 1).contiguous() / 255


@torch.inference_mode()
def measure(
    inputs: Sequence[Input], kinds: Sequence[str], severities: Sequence[int], restorers: dict[str, list[Loaded]]
) -> tuple[dict[str, np.ndarray], str]:
    """Figures (metrics, seeds, kinds, severities, pictures) of "input" and each NAME; sha256 of all spoiled pixels."""
    models: dict[str, Sequence[Loaded | None]] = {"input": [None], **restorers}
    size = len(kinds), len(severities), len(inputs)
    figures = {model: np.empty((len(METRICS), len(seeds), *size)) for model, seeds in models.items()}
    pixels, start = hashlib.sha256(), time.monotonic()
    for i, item in enumerate(inputs):
        name = item.relative.as_posix()
        clean = to_8bit(read_picture(item.path).to_tensor())[0]
        if min(clean.shape[1:]) < SMALLEST:
            raise DirnetError(f"{name} is too small", wanted=f"{SMALLEST} pixels a side at least")
        for (k, kind), (s, severity) in itertools.product(enumerate(kinds), enumerate(severities)):
            spoiled = spoil(clean, kind, severity, name)
            pixels.update(spoiled.numpy().tobytes())
            for model, seeds in models.items():
                for seed, weights in enumerate(seeds):
                    picture = to_8bit(restore(weights.model, spoiled[None], tone="keep"))[0] if weights else spoiled
                    figures[model][:, seed, k, s, i] = [metric(picture, clean) for metric in METRICS.values()]
        say(f"{i + 1} of {len(inputs)} pictures, {time.monotonic() - start:.0f} s: {name}")
    return figures, pixels.hexdigest()


def difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Mean of ours - theirs, figures (seeds, pictures), and the ends of its interval."""
    gain = ours - theirs
    several = len(gain) > 1
    low, high = crossed_interval(gain.tolist()) if several else paired_interval(ours[0].tolist(), theirs[0].tolist())
    return {"mean": round(float(gain.mean()), 4), "low": round(low, 4), "high": round(high, 4)}


def summarise(figures: dict[str, np.ndarray], kinds: Sequence[str], severities: Sequence[int]) -> dict[str, Any]:
    """kind -> severity -> metric -> model -> mean and differences; "mean" is a kind and a severity as well."""
    for axis in (2, 3):
        figures = {name: np.concatenate((f, f.mean(axis, keepdims=True)), axis) for name, f in figures.items()}

    def entry(name: str, *at: Any) -> dict[str, Any]:
        ours = figures[name][at]
        rivals = [rival for rival in ("input", "canonical") if rival in figures and name not in ("input", rival)]
        over = {f"over {rival}": difference(ours, figures[rival][at]) for rival in rivals}
        return {"mean": round(float(ours.mean()), 4), "seeds": len(ours)} | over

    return {
        kind: {
            str(severity): {
                metric: {name: entry(name, m, slice(None), k, s) for name in figures}
                for m, metric in enumerate(METRICS)
            }
            for s, severity in enumerate((*severities, "mean"))
        }
        for k, kind in enumerate((*kinds, "mean"))
    }


def table(summary: dict[str, Any]) -> str:
    """Markdown: kinds x models, mean over severities."""
    models = list(summary["mean"]["mean"]["psnr"])
    lines = [f"| {' / '.join(METRICS)} | {' | '.join(models)} |", "| --- " * (len(models) + 1) + "|"]
    for kind, rows in summary.items():
        psnrs, ssims, tones = ([rows["mean"][metric][model]["mean"] for model in models] for metric in METRICS)
        cells = [f"{a:.2f} / {b:.3f} / {c:.2f}" for a, b, c in zip(psnrs, ssims, tones, strict=True)]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def load_restorers(given: Sequence[str]) -> dict[str, list[Loaded]]:
    """NAME=WEIGHTS[,WEIGHTS ...] -> the weights of each NAME."""
    found: dict[str, list[Loaded]] = {}
    for text in given:
        name, _, sources = text.partition("=")
        if not name or not sources or name in {"input", *found}:
            wanted = "NAME=WEIGHTS[,WEIGHTS ...], each NAME once and none of them input"
            raise UsageError("Cannot tell the restorers", got=repr(text), wanted=wanted)
        found[name] = [load(source) for source in sources.split(",")]
    seeds, partners = {name: len(weights) for name, weights in found.items()}, len(found.get("canonical", ""))
    if partners > 1 and not set(seeds.values()) <= {1, partners}:
        raise UsageError("Seeds without partners", got=str(seeds), wanted="as many as canonical has, or one")
    return found


def run(given: argparse.Namespace) -> None:
    peer()  # what is missing is said before anything is measured
    inputs, restorers = gather([given.data]).inputs, load_restorers(given.restorers)
    if len(inputs) < 2:
        raise UsageError(f"Too few pictures in {given.data}", got=str(len(inputs)), wanted="two at least")
    with replacing(given.out) as beside:
        figures, pixels = measure(inputs, given.kinds, given.severities, restorers)
        record: dict[str, Any] = {
            "command": " ".join(re.sub(r"[^\s=,]*/", "", word) for word in sys.argv),
            "versions": {"dirnet": __version__} | {name: importlib.metadata.version(name) for name in LIBRARIES},
            "weights": {name: [seed.sha256 for seed in seeds] for name, seeds in restorers.items()},
            "pictures": [item.relative.as_posix() for item in inputs],
            "pixels": pixels,
            "tone": "keep",
            "figures": summarise(figures, given.kinds, given.severities),
        }
        beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(record["figures"]))


def told(run: Callable[[argparse.Namespace], None], given: argparse.Namespace) -> None:
    """Run it; what a user can mend is told in a sentence, with an exit code, and no traceback."""
    try:
        run(given)
    except (DirnetError, OSError) as error:
        say(str(error))
        sys.exit(error.exit_code if isinstance(error, DirnetError) else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("restorers", nargs="+", metavar="NAME=WEIGHTS", help="weights: paths or shipped names")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--severities", type=int, nargs="+", choices=SEVERITIES, default=SEVERITIES)
    parser.add_argument("--data", type=Path, default=KODAK)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "corruptions.json")
    told(run, parser.parse_args())


if __name__ == "__main__":
    main()
