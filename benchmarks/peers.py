"""What one would use instead of `dirnet restore`: other denoisers on the same pixels.

    PYTHONPATH=PEERS .venv/bin/python benchmarks/peers.py [--weights NAME|PATH ...] [--data NAME ...]
        [--idf CHECKOUT] [--shared DIR]

Measures the weights, tone kept, and every peer of denoisers.py on real noisy pairs and on kodak24 as suites spoil it.
What is measured stands in results/peers/METHOD-DATA.jsonl, one picture a line, and is not measured again while weights
and packages stay the same; so the command may be stopped and given again. Ends with results/peers.json and a table:
PSNR, SSIM and PSNR with tone fitted, and ours less each peer's with a paired bootstrap interval. "told" is a peer that
has the best of its settings for each picture, chosen by PSNR with the clean one in hand: no photographer can have that.

A peer that is not here is left out, or stands with what was measured before. PEERS: a folder with two packages that
are not in the environment that `./run` makes (bm3d is for non-commercial use only):

    .venv/bin/pip install --no-deps --target PEERS PyWavelets bm3d bm4d

CHECKOUT: a clone of github.com/dongjinkim9/IDF; where none is given, IDF beside our own. What each method costs is
measured by peers_cost.py.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from denoisers import Method, denoisers

from dirnet import __version__
from dirnet.cli.common import say
from dirnet.errors import DirnetError, UsageError
from dirnet.files import replacing
from dirnet.judge.evaluate import Pair, degraded_pairs, find_pairs, real_pairs
from dirnet.judge.metrics import match_tone, psnr, ssim, to_8bit
from dirnet.judge.statistics import paired_interval
from dirnet.nets.weights import DEFAULT, load
from dirnet.pictures.folders import gather
from dirnet.tasks.restore import restore

DATA = {
    "polyu50": None, "cc15": None,
    "kodak24-seen-3": ("seen", 3), "kodak24-unseen-val-3": ("unseen-val", 3), "kodak24-clean": ("clean", 0),
}  # fmt: skip
METRICS = {"psnr": psnr, "ssim": ssim, "psnr_tone": lambda picture, clean: psnr(match_tone(picture, clean), clean)}
HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "peers"
COSTS = RESULTS / "cost.json"
SAME = 0.01  # dB between two figures of the same input

Lines = dict[str, dict[str, Any]]


def ours(source: str) -> tuple[str, Method]:
    """A name for the weights, the folder's where the file has the name that training gives, and their restoration."""
    loaded, path = load(source), Path(source)
    name = path.parent.name if path.name == "weights.safetensors" else loaded.name.replace("/", "-")

    def work(picture: torch.Tensor, _: float) -> torch.Tensor:
        return restore(loaded.model, picture[None], tone="keep")[0]

    return name, Method(loaded.sha256, lambda: work)


def all_methods(given: argparse.Namespace) -> tuple[dict[str, Method], list[str]]:
    """Ours and the peers by name, and which are ours."""
    peers = denoisers(given.shared / "weights" / "peers", given.idf)
    found = [ours(source) for source in given.weights]
    names = [name for name, _ in found]
    if len({*names, *peers, "input"}) < len(names) + len(peers) + 1:
        raise UsageError("Two methods of one name", got=", ".join(names), wanted="each name once, and no peer's")
    return {**dict(found), **peers}, names


def pictures(shared: Path, data: str) -> dict[str, Callable[[], Iterator[Pair]]]:
    """For every picture's name what makes the pair."""
    spoiling = DATA[data]
    if spoiling is None:
        found = find_pairs(shared / "data" / "real_dev" / data, ("_real", "_mean"))
        return {row[0]: partial(real_pairs, [row]) for row in found}
    inputs = gather([shared / "data" / "photos_dev" / "kodak24"]).inputs
    return {item.relative.as_posix(): partial(degraded_pairs, [item], *spoiling, 0) for item in inputs}


def measured(file: Path, method: Method, names: Iterable[str]) -> Lines:
    """What the file says of these pictures, in their order, if the method is still what it was."""
    if not file.exists():
        return {}
    settings = {f"{setting:g}" for setting in method.settings}
    lines = {line["picture"]: line for line in map(json.loads, file.read_text(encoding="utf-8").splitlines())}
    return {
        name: lines[name]
        for name in names
        if name in lines
        and method.source in (None, lines[name]["source"])
        and settings == lines[name]["figures"].keys()
    }


@torch.inference_mode()
def measure(file: Path, method: Method, pairs: dict[str, Callable[[], Iterator[Pair]]]) -> None:
    """Bring the file up to all pictures, one after the other."""
    lines = measured(file, method, pairs)
    left = [name for name in pairs if name not in lines]
    if not left:
        return
    if method.source is None:
        say(f"{file.stem}: {len(left)} pictures are left out, as the method is not here")
        return
    work = method.make()
    for name in left:
        pair = next(pairs[name]())
        results = {f"{setting:g}": to_8bit(work(pair.degraded, setting)) for setting in method.settings}
        lines[name] = {
            "picture": name,
            "source": method.source,
            "input": figures(pair.degraded, pair.clean),
            "figures": {setting: figures(picture, pair.clean) for setting, picture in results.items()},
        }
        with replacing(file) as beside:
            beside.write_text("".join(json.dumps(line) + "\n" for line in lines.values()), encoding="utf-8")
        say(f"{file.stem}: {len(lines)} of {len(pairs)}")


def figures(picture: torch.Tensor, clean: torch.Tensor) -> dict[str, float]:
    return {name: round(metric(picture, clean), 5) for name, metric in METRICS.items()}


def rows(name: str, method: Method, lines: Lines) -> dict[str, list[dict[str, float]]]:
    """The figures of each picture: of the input, of the method as it is set, and where it has settings, told."""
    by_setting = [line["figures"] for line in lines.values()]
    found = {"input": [line["input"] for line in lines.values()]}
    found[name] = [settings[f"{method.fixed:g}"] for settings in by_setting]
    if len(method.settings) > 1:
        found[f"{name} told"] = [max(settings.values(), key=lambda row: row["psnr"]) for settings in by_setting]
    return found


def compare(found: dict[str, list[dict[str, float]]], mine: list[str]) -> dict[str, Any]:
    """row -> metric -> mean, and what each of mine is over it."""

    def entry(row: str, metric: str) -> dict[str, Any]:
        theirs = [figure[metric] for figure in found[row]]
        summary: dict[str, Any] = {"mean": round(float(np.mean(theirs)), 4)}
        for name in mine:
            if name in found and name != row:
                its = [figure[metric] for figure in found[name]]
                gain = float(np.subtract(its, theirs).mean())
                low, high = paired_interval(its, theirs)
                summary[f"{name} over it"] = {"mean": round(gain, 4), "low": round(low, 4), "high": round(high, 4)}
        return summary

    return {row: {metric: entry(row, metric) for metric in METRICS} for row in found}


def summarise(shared: Path, methods: dict[str, Method], mine: list[str]) -> dict[str, Any]:
    """data -> row -> metric -> figures, of the methods that have been measured on all pictures of the data."""
    summary: dict[str, Any] = {}
    for data in DATA:
        names, found = list(pictures(shared, data)), {}
        for name, method in methods.items():
            file = RESULTS / f"{name}-{data}.jsonl"
            lines = measured(file, method, names)
            if len(lines) < len(names):
                continue
            more = rows(name, method, lines)
            before = [[row["psnr"] for row in some["input"]] for some in (found or more, more)]
            if np.abs(np.subtract(*before)).max() > SAME:
                cure = "Delete the files of this data that were measured first, and give the command again."
                raise DirnetError(f"{file.name} has other pixels than the files before it", cure=cure)
            found |= more
        summary[data] = compare(found, mine)
    return summary


def table(summary: dict[str, Any], costs: dict[str, Any], mine: list[str]) -> str:
    """Markdown: rows x data, then what each of mine is over the rows, in PSNR."""
    order = list(dict.fromkeys(row for rows in summary.values() for row in rows))
    lines = [
        f"| PSNR / SSIM / tone fitted | {' | '.join(summary)} | CPU s/MP | peak MiB |",
        "| --- " * (len(summary) + 3) + "|",
    ]
    for row in order:
        cells = [summary[data].get(row) for data in summary]
        texts = ["{:.2f} / {:.3f} / {:.2f}".format(*(c[m]["mean"] for m in METRICS)) if c else "" for c in cells]
        one = costs.get(row, {}).get("1", {})
        lines.append(f"| {row} | {' | '.join(texts)} | {one.get('cpu_s_per_mp', '')} | {one.get('peak_mib', '')} |")
    for name in mine:
        lines += ["", f"| {name} over, PSNR | {' | '.join(summary)} |", "| --- " * (len(summary) + 1) + "|"]
        for row in order:
            gains = [summary[data].get(row, {}).get("psnr", {}).get(f"{name} over it") for data in summary]
            texts = [f"{g['mean']:+.2f} [{g['low']:+.2f}, {g['high']:+.2f}]" if g else "" for g in gains]
            lines += [f"| {row} | {' | '.join(texts)} |"] if any(texts) else []
    return "\n".join(lines)


def run(given: argparse.Namespace) -> None:
    methods, mine = all_methods(given)
    for name, method in methods.items():
        for data in given.data:
            measure(RESULTS / f"{name}-{data}.jsonl", method, pictures(given.shared, data))
    summary = summarise(given.shared, methods, mine)
    costs = json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.exists() else {}
    record = {
        "command": " ".join(re.sub(r"[^\s=,]*/", "", word) for word in sys.argv),
        "versions": {"dirnet": __version__, "torch": torch.__version__},
        "methods": {
            name: {"source": method.source, "settings": method.settings, "fixed": method.fixed}
            for name, method in methods.items()
        },
        "tone": "keep",
        "figures": summary,
        "costs": costs,
    }
    with replacing(HERE / "results" / "peers.json") as beside:
        beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(summary, costs, mine))


def options(description: str | None) -> argparse.ArgumentParser:
    """Where the methods and the pictures are."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", metavar="NAME|PATH", default=[DEFAULT])
    parser.add_argument("--idf", type=Path, metavar="CHECKOUT", default=HERE.parent.parent / "IDF")
    parser.add_argument("--shared", type=Path, metavar="DIR", default=HERE.parent.parent / "shared")
    return parser


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    try:
        run(parser.parse_args())
    except (DirnetError, OSError) as error:
        say(str(error))
        sys.exit(error.exit_code if isinstance(error, DirnetError) else 1)


if __name__ == "__main__":
    main()
