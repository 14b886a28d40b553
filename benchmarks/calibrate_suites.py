"""How strong each fault must be: the suites of unseen kinds are set as strong as `seen`, by measurement.

    .venv/bin/python benchmarks/calibrate_suites.py [DATA]

DATA: photos_train; else ../shared/data/photos_train beside the checkout. For each suite, at each severity, the mean
tone-matched PSNR of the spoiled picture is brought within 1 dB of that of `seen`: first every fault gets its curve,
strength against PSNR, alone; then all faults of a suite are set to one and the same PSNR, and that is moved until the
suite as a whole is right. A fault that cannot do so much harm gets an even share of its axis instead. Writes the ranges
to src/dirnet/suites/frozen/ and the figures to results/suites.json; curves that stand there are not measured again.
Done once for a version: a frozen suite is never calibrated again.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import torch

from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.judge.metrics import match_tone, psnr
from dirnet.learn.data import Photographs
from dirnet.suites.draw import draw
from dirnet.suites.suites import SEVERITIES, SUITES, Suite

# Weakest and strongest value of each fault, in its own unit; in between, evenly in the logarithm.
AXES = {
    "vignetting": (0.02, 2.0), "colour_shading": (0.01, 0.8), "motion_blur": (1.0, 20.0), "wrong_iso": (0.02, 3.0),
    "green_imbalance": (0.003, 0.5), "sensor_noise": (1e-5, 0.2), "low_light_noise": (0.1, 200.0),
    "defect_pixels": (1e-5, 0.2), "low_bit_depth": (10.0, 2.0), "wrong_black_level": (0.001, 0.3),
    "wrong_white_balance": (0.005, 0.7), "wrong_temperature": (2.0, 70.0), "wrong_exposure": (0.02, 1.5),
    "wrong_ccm": (0.02, 1.0), "wrong_illuminant": (0.02, 1.5), "wrong_gamma": (0.01, 0.8), "s_curve": (0.02, 1.0),
    "local_contrast": (0.02, 3.0), "wrong_saturation": (0.02, 1.5), "colour_smear": (0.02, 1.0),
    "watercolour": (0.02, 1.0), "halo": (0.03, 6.0), "low_resolution": (0.02, 4.0), "jpeg": (98.0, 3.0),
    "double_jpeg": (95.0, 3.0), "webp": (98.0, 1.0),
}  # fmt: skip
FIXED = ("demosaicing", "edge_aware_demosaicing", "nearest_demosaicing")  # there or not
VAL = ("low_light_noise", "edge_aware_demosaicing", "s_curve", "colour_smear", "watercolour", "halo", "webp")
TEST = (
    "green_imbalance", "defect_pixels", "low_bit_depth", "wrong_black_level", "wrong_illuminant", "wrong_saturation",
    "local_contrast", "motion_blur", "double_jpeg",
)  # fmt: skip
SEEN = tuple(SUITES["seen"].faults)
WANTED = {
    "unseen-val": (VAL, (2, 3), "Other kinds than `seen`, two or three a picture. To develop and tune on."),
    "unseen-test": (TEST, (2, 3), "Other kinds again, two or three a picture. To report, never to tune."),
    "compound": (SEEN + VAL + TEST, (3, 5), "Three to five of all those kinds at once. To report, never to tune."),
    "wide": (None, (1, 5), "All kinds and strengths: what weights for use are trained on."),
}
STEPS = 9
ROUNDS = 4  # the last of them, and the final measurement, on all photographs
SOME = 6  # every sixth photograph while searching


def curve(name: str, photographs: list[torch.Tensor]) -> list[tuple[float, float]]:
    """(PSNR, strength) of a fault alone, from weak to strong; what a mosaic does by itself is not the fault's doing."""
    weak, strong = AXES[name]
    points = []
    for step in range(STEPS):
        value = weak * (strong / weak) ** (step / (STEPS - 1))
        alone = Suite("alone", 1, "", {name: ((value, value),) * 5})
        points.append((round(measure(alone, 1, photographs, against_mosaic=True), 2), value))
    return points


def strength(points: list[tuple[float, float]], psnr: float) -> float:
    """The strength at which the curve has come down to a PSNR; its ends where it never does."""
    for (above, weaker), (below, stronger) in pairwise(points):
        if above >= psnr > below:
            share = (above - psnr) / (above - below)
            return weaker * (stronger / weaker) ** share
    return points[0][1] if psnr >= points[0][0] else points[-1][1]


def measure(suite: Suite, severity: int, photographs: list[torch.Tensor], *, against_mosaic: bool = False) -> float:
    """Mean tone-matched PSNR of the spoiled photographs; one that comes back as it was counts as 60 dB.

    against_mosaic: not against the photograph but against what the same demosaicing makes of it.
    """
    values = []
    for index, clean in enumerate(photographs):
        settings = draw(suite, severity, str(index))
        right = clean
        if against_mosaic and settings["demosaic"] != "none":
            right = degrade(clean, ISPParams.from_settings([{"demosaic": settings["demosaic"]}]))
        spoiled = degrade(clean, ISPParams.from_settings([settings]), exact_jpeg=False)[0]
        values.append(min(60.0, psnr(match_tone(spoiled, right[0]), right[0])))
    return sum(values) / len(values)


def middle(picture: torch.Tensor) -> torch.Tensor:
    """At most 256 pixels a side: what a person would crop, and quick enough."""
    top, left = (max(0, (side - 256) // 2) for side in picture.shape[2:])
    return picture[..., top : top + 256, left : left + 256].contiguous()


def ordered(names: tuple[str, ...] | None) -> list[str]:
    """In the order in which a camera does them, as `FAULTS` lists them."""
    from dirnet.isp.faults import FAULTS

    return [name for name in FAULTS if names is None or name in names]


def ranges(name: str, points: dict, targets: list[float], gap: float) -> tuple:
    """The range of a fault at each severity: where its curve crosses the target, or an even share of its axis."""
    if name in FIXED:
        return ((0.0, 0.0),) * 5
    weak, strong = AXES[name]
    bounds = []
    for severity, target in zip(SEVERITIES, targets, strict=True):
        ends = []
        for psnr_wanted, place in ((target + gap / 2, severity - 0.5), (target - gap / 2, severity + 0.5)):
            most = weak + (strong - weak) * min(1.0, place / len(SEVERITIES))
            wanted = strength(points[name], psnr_wanted)
            ends.append(min(wanted, most) if strong > weak else max(wanted, most))
        bounds.append(tuple(sorted(float(f"{value:.3g}") for value in ends)))
    return tuple(bounds)


def calibrate(name: str, points: dict, goal: list[float], photographs: list[torch.Tensor]) -> Suite:
    names, pick, sentence = WANTED[name]
    gap = (goal[0] - goal[-1]) / (len(goal) - 1)
    alone = [psnr + 3 for psnr in goal]
    for turn in range(ROUNDS + 1):
        suite = Suite(name, 1, sentence, {fault: ranges(fault, points, alone, gap) for fault in ordered(names)}, pick)
        if turn < ROUNDS:
            used = photographs if turn == ROUNDS - 1 else photographs[::SOME]
            found = [measure(suite, severity, used) for severity in SEVERITIES]
            print(name, turn, [round(value, 2) for value in found], flush=True)
            alone = [was + (wanted - have) for was, wanted, have in zip(alone, goal, found, strict=True)]
    return suite


def write(suite: Suite, folder: Path) -> None:
    rows = [f"{name} = [{', '.join(f'[{a!r}, {b!r}]' for a, b in bounds)}]" for name, bounds in suite.faults.items()]
    head = f'name = "{suite.name}"\nversion = {suite.version}\nsentence = "{suite.sentence}"\n'
    text = head + f"pick = {list(suite.pick or ())}\n\n[faults]\n" + "\n".join(rows) + "\n"
    (folder / f"{suite.name}.toml").write_text(text, encoding="utf-8")


def main() -> None:
    here = Path(__file__).resolve().parent
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parents[1] / "shared" / "data" / "photos_train"
    read = Photographs([data], 64)
    photographs = [middle(read.photograph(i)[None].float() / 255) for i in range(len(read))]
    goal = [measure(SUITES["seen"], severity, photographs) for severity in SEVERITIES]
    print("seen", [round(value, 2) for value in goal], flush=True)
    file = here / "results" / "suites.json"
    points = json.loads(file.read_text(encoding="utf-8"))["curves"] if file.exists() else {}
    for name in AXES:
        if name not in points:
            points[name] = curve(name, photographs[:: 2 * SOME])
            print(name, points[name], flush=True)
    result = {"photographs": len(photographs), "seen": [round(value, 2) for value in goal]}
    for name in WANTED:
        suite = calibrate(name, points, goal, photographs)
        write(suite, here.parent / "src" / "dirnet" / "suites" / "frozen")
        result[name] = [round(measure(suite, severity, photographs), 2) for severity in SEVERITIES]
        print(name, result[name], flush=True)
    result["curves"] = points
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
