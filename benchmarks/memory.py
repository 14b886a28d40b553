"""Peak memory of the camera and of its commands on large pictures; every case in a process of its own.

    .venv/bin/python benchmarks/memory.py

About ten minutes on one thread; needs the extra `photo`. Prints a table and writes results/memory.json. The peak is
that of resident memory as the system counts it (Linux), PyTorch itself included: `import torch` alone is a case.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

LARGE, HUGE, FULL_HD = (4000, 6000), (8192, 12288), (1080, 1920)
LIMIT, LIMIT_OF_HUGE = 1536, 2048
EVERY_STAGE = {
    "vignetting": 0.3, "colour_shading": [0.2, 0.0, 0.1], "motion_blur": 5.0, "motion_angle": 0.7,
    "green_imbalance": 0.05, "shot_noise": 1e-3, "read_noise": 1e-4, "tukey_scale": 0.01, "tukey_shape": 0.1,
    "row_noise": 0.002, "colour_bias": [0.001, 0.0, 0.002, 0.0], "defect_pixels": 0.001, "bit_depth": 10,
    "demosaic": "malvar", "gamma_ratio": 1.1, "chroma_smear": 0.5, "luma_smear": 0.5, "s_curve": 0.3,
    "local_contrast": 0.3, "saturation": 1.2, "sharpening": 0.5, "sharpening_radius": 1.0, "resize": 0.7,
    "first_jpeg_quality": 40, "first_jpeg_shift": [3, 5], "jpeg_quality": 70, "webp_quality": 50,
}  # fmt: skip
CORE = {"shot_noise": 1e-3, "read_noise": 1e-4, "gamma_ratio": 1.1}


def photograph(size: tuple[int, int]) -> Any:
    """A sample repeated, (1, 3, *size)."""
    import torch

    import dirnet
    from dirnet.pictures.read import read_picture

    tile = read_picture(Path(dirnet.__file__).parent / "samples" / "astronaut.jpg").to_tensor()
    whole = torch.empty(1, 3, *size)
    for top in range(0, size[0], 512):
        for left in range(0, size[1], 512):
            part = whole[..., top : top + 512, left : left + 512]
            part.copy_(tile[..., : part.shape[-2], : part.shape[-1]])
    return whole


def spoil(size: tuple[int, int], settings: dict[str, Any]) -> None:
    import torch

    from dirnet.isp.camera import degrade
    from dirnet.isp.params import ISPParams

    with torch.no_grad():
        degrade(photograph(size), ISPParams.from_settings([settings]))


def drawn(suite: str, item: str, **changes: Any) -> Callable[[], None]:
    def work() -> None:
        from dirnet.suites.draw import draw

        spoil(LARGE, draw(suite, 5, item) | changes)

    return work


def command(*words: str) -> Callable[[], None]:
    def work() -> None:
        from dirnet.cli.app import main

        sys.argv = ["dirnet", *words]
        main()

    return work


def import_torch() -> None:
    import torch

    torch.zeros(1)


def write_inputs() -> None:
    """big.jpg and big.dng here, for the commands."""
    import torch

    from dirnet.isp.camera import expose
    from dirnet.isp.params import ISPParams
    from dirnet.pictures.dng import write_dng
    from dirnet.pictures.picture import Picture
    from dirnet.pictures.write import write_picture

    for name, size in (("huge.jpg", HUGE), ("big.jpg", LARGE)):
        image = photograph(size)
        write_picture(Path(name), Picture(image[0].permute(1, 2, 0).contiguous().numpy()))
    with torch.no_grad():
        write_dng(Path("big.dng"), expose(image, ISPParams.from_settings([CORE])))


CASES: dict[str, Callable[[], None]] = {
    "import torch": import_torch,
    "degrade, 24 MP: three-colour sensor": drawn("clean", "a", demosaic="none", **CORE),
    "degrade, 24 MP: Malvar": drawn("clean", "a", demosaic="malvar", **CORE),
    "degrade, 24 MP: edge-aware": drawn("clean", "a", demosaic="edge_aware", **CORE),
    "degrade, 24 MP: seen, severity 5": drawn("seen", "memory"),
    **{f"degrade, 24 MP: compound, severity 5, {item}": drawn("compound", item) for item in "abc"},
    "degrade, 24 MP: WebP": drawn("clean", "a", webp_quality=50),
    "degrade, 24 MP: every stage": drawn("clean", "a", **EVERY_STAGE),
    "degrade, 1080p: every stage": lambda: spoil(FULL_HD, EVERY_STAGE),
    "dirnet degrade, 24 MP JPEG": command("degrade", "big.jpg", "--out", "spoilt"),
    "dirnet degrade --dng, 24 MP JPEG, compound, severity 5": command(
        "degrade", "big.jpg", "--out", "more", "--dng", "--suite", "compound", "--severity", "5"
    ),
    "dirnet develop, 24 MP DNG": command("develop", "big.dng", "--out", "developed"),
    "dirnet restore, 24 MP JPEG": command("restore", "big.jpg", "--out", "restored"),
    "dirnet restore, 100 MP JPEG": command("restore", "huge.jpg", "--out", "restored"),
}


def peak_of(case: str, folder: str) -> int:
    """MiB at the fullest."""
    line = [sys.executable, str(Path(__file__).resolve()), case]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=folder, env=one_thread, capture_output=True, text=True, check=True)
    return round(int(done.stdout.split()[-1]) / 1024)


def do(case: str) -> None:
    try:
        (CASES | {"write inputs": write_inputs})[case]()
    except SystemExit as end:
        if end.code:
            raise
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    from importlib.metadata import version

    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        peak_of("write inputs", folder)
        for case in CASES:
            peaks[case] = peak_of(case, folder)
            over = peaks[case] > (LIMIT_OF_HUGE if "100 MP" in case else LIMIT)
            print(f"{case:60s} {peaks[case]:6d} MiB{'  over the limit' * over}", flush=True)
    record = {
        "unit": "MiB, peak of resident memory", "limit": LIMIT, "limit_100_mp": LIMIT_OF_HUGE,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "pillow", "rawpy")}, "peaks": peaks,
    }  # fmt: skip
    results = Path(__file__).parent / "results" / "memory.json"
    results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        do(sys.argv[1])
    else:
        main()
