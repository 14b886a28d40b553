"""Grain of other sizes than a mosaic's: photographs enlarged before the camera, after it, or both, and who sees it.

    .venv/bin/python benchmarks/grain.py [WEIGHTS ...]

Four photographs of kodak24, 340 pixels a side, go through `ROWS`: enlarged so many times, as soft as a camera of many
pixels gives them; spoiled by a suite; enlarged again. The judge is what the same camera gives without noise and JPEG,
so smoothing and demosaicing count for nothing. Beside tiny-proof and any other weights stands non-local means, h = .03.
`noise_seen` is the share of the error that an estimator for white noise finds: the median of the finest diagonal Haar
coefficients (Donoho and Johnstone, 1994). Means of PSNR in dB; writes results/grain.json. Three minutes on one core.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from denoisers import non_local_means
from torch.nn import functional as F

from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.judge.metrics import psnr, to_8bit
from dirnet.nets.weights import load
from dirnet.pictures.folders import gather
from dirnet.pictures.read import read_picture
from dirnet.suites.draw import draw
from dirnet.tasks.restore import restore

ROWS = (  # suite, severity, enlarged before the camera, and after it
    ("everyday", 2, 1.0, 1.0), ("everyday", 2, 2.0, 1.0), ("everyday", 3, 2.0, 1.0), ("everyday", 2, 3.0, 1.5),
    ("everyday", 2, 3.0, 2.0), ("everyday", 3, 3.0, 2.0), ("seen", 3, 3.0, 2.0),
)  # fmt: skip
EVERY, SIDE = 6, 340
FAULTLESS = {"shot_noise": 0.0, "read_noise": 0.0, "jpeg_quality": 0.0}
HERE = Path(__file__).resolve().parent
KODAK = HERE.parent.parent / "shared" / "data" / "photos_dev" / "kodak24"


def larger(image: torch.Tensor, factor: float) -> torch.Tensor:
    return image if factor == 1 else F.interpolate(image, scale_factor=factor, mode="bicubic").clamp(0, 1)


def photographed(path: Path, name: str, suite: str, severity: int, before: float, after: float) -> list[torch.Tensor]:
    """A photograph, spoiled, and as the same camera gives it without noise and JPEG; (1, 3, H, W) of 8 bits."""
    scene = larger(read_picture(path).to_tensor()[..., :SIDE, :SIDE], before)
    scene = F.interpolate(scene, scale_factor=1 / after, mode="bicubic", antialias=True).clamp(0, 1)
    settings = draw(suite, severity, name)
    return [
        to_8bit(larger(degrade(scene, ISPParams.from_settings([row])), after))
        for row in (settings, settings | FAULTLESS)
    ]


def noise_seen(spoiled: torch.Tensor, whole: torch.Tensor) -> float:
    """Estimated over true standard deviation of the error."""
    h, w = (side // 2 * 2 for side in spoiled.shape[2:])
    cells = F.pixel_unshuffle(spoiled[..., :h, :w], 2).unflatten(1, (3, 4))  # each channel's four phases
    diagonal = (cells[:, :, 0] - cells[:, :, 1] - cells[:, :, 2] + cells[:, :, 3]) / 2
    estimate = float(diagonal.abs().median()) / 0.6745
    return estimate / float((spoiled - whole).square().mean().sqrt())


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    models = {Path(source).stem: load(source).model for source in ("tiny-proof", *sys.argv[1:])}
    inputs, rows = gather([KODAK]).inputs[::EVERY], []
    for suite, severity, before, after in ROWS:
        figures: dict[str, list[float]] = {name: [] for name in ("input", "non-local means", *models, "noise_seen")}
        for item in inputs:
            name = item.relative.as_posix()
            spoiled, whole = photographed(item.path, name, suite, severity, before, after)
            smooth = non_local_means(spoiled[0].permute(1, 2, 0).numpy(), 0.03)
            pictures = {"input": spoiled, "non-local means": torch.tensor(smooth).permute(2, 0, 1)[None]}
            pictures |= {key: restore(model, spoiled) for key, model in models.items()}
            for key, picture in pictures.items():
                figures[key].append(psnr(to_8bit(picture)[0], whole[0]))
            figures["noise_seen"].append(noise_seen(spoiled, whole))
        means = {key: round(float(np.mean(values)), 2) for key, values in figures.items()}
        rows.append({"suite": suite, "severity": severity, "enlarged": [before, after], **means})
        print(json.dumps(rows[-1]), flush=True)
    results = HERE / "results" / "grain.json"
    results.write_text(json.dumps({"pictures": len(inputs), "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
