"""How fast the camera is, whole and stage by stage, beside what others offer: megapixels a CPU second, on one thread.

    .venv/bin/python benchmarks/isp.py [ROUNDS]

Four photographs of 512 x 512 (the package's astronaut, turned); process CPU time, the median of ROUNDS (9). Peers that
are not installed are named as absent. Writes results/isp.json and docs/gallery/isp-speed.png.
"""

import dataclasses
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dirnet.isp import camera, codec, color, mosaic, sensor, tone
from dirnet.isp.params import ISPParams
from dirnet.pictures.read import read_picture
from dirnet.suites.draw import draw

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 9
MEGAPIXELS = 4 * 512 * 512 / 1e6
ON = {
    "motion_blur": 5.0, "motion_angle": 0.5, "vignetting": 0.3, "colour_shading": [0.1, 0.0, -0.1],
    "tukey_scale": 2e-3, "tukey_shape": 0.1, "row_noise": 2e-3, "colour_bias": [1e-3, 0.0, 0.0, -1e-3],
    "defect_pixels": 1e-3, "chroma_smear": 0.5, "luma_smear": 0.5, "s_curve": 0.3, "local_contrast": 0.3,
    "saturation": 1.2, "gamma_ratio": 1.1, "sharpening": 0.5, "sharpening_radius": 1.0, "resize": 0.7,
}  # fmt: skip
WANTED = (
    "white_balance",
    "white_balance_ratio",
    "exposure",
    "iso_gain",
    "ccm",
    "ccm_used",
    "gamma_ratio",
    "shot_noise",
)
PEERS = (
    "kornia", "torchvision", "albumentations", "colour-demosaicing", "imagecorruptions", "rawpy", "torch", "pillow"
)  # fmt: skip


def speed(work: Callable[[], Any]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return round(MEGAPIXELS / statistics.median(times), 2)


def both(work: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> dict[str, float]:
    """work(*inputs) without gradients, and with gradients to every input of floats."""
    leaves = [value.detach().requires_grad_(value.is_floating_point()) for value in inputs]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    gradient = torch.ones_like(work(*inputs))

    def forward() -> None:
        with torch.no_grad():
            work(*inputs)

    def backward() -> None:
        torch.autograd.grad(work(*leaves), wanted, gradient, allow_unused=True)

    return {"forward": speed(forward), "forward and backward": speed(backward)}


def chain(images: torch.Tensor, params: ISPParams) -> dict[str, float]:
    """The camera of params: backward to the pictures alone, and to eight of the settings as well."""

    def work(images: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return camera.degrade(images, dataclasses.replace(params, **dict(zip(WANTED, values, strict=True))))

    settings = both(work, images, *(getattr(params, name) for name in WANTED))["forward and backward"]
    return both(lambda images: camera.degrade(images, params), images) | {"backward to settings too": settings}


def exposures(**changes: Any) -> ISPParams:
    """Four exposures with noise and wrong colours, each its own; the gamma is right unless `changes` say otherwise."""
    rows = []
    for index in range(4):
        wrong = {"white_balance_ratio": [1.1, 1.0, 0.9], "exposure": 1.0 + 0.05 * index}
        noise = {"shot_noise": 1e-3, "read_noise": 1e-4, "noise_seed": index, "iso_gain": 1.05}
        rows.append(draw("clean", 0, f"benchmark {index}") | wrong | noise | changes)
    return ISPParams.from_settings(rows)


def ours(images: torch.Tensor) -> dict[str, Any]:
    params = exposures(demosaic="malvar", cfa="RGGB", **ON)
    raw = camera.unprocess(images, params)
    samples, gains = mosaic.mosaic(raw, "RGGB"), params.white_balance
    noise = sensor.noise_like(samples, params.noise_seed)
    found: dict[str, Any] = {}
    for method in mosaic.DEMOSAICS:
        found[f"core, {method}"] = chain(images, exposures(demosaic=method))
    found["every stage"] = chain(images, params)
    for tables, stages in ((raw, camera.LENS), (samples, camera.SENSOR), (images, camera.FINISH)):
        for stage in stages:
            settings = (getattr(params, name) for name in stage.settings)
            found[stage.apply.__name__] = both(stage.apply, tables, *settings)
    rggb: dict[str, tuple[Any, ...]] = {
        "srgb_decode": (tone.srgb_decode, images),
        "srgb_encode": (tone.srgb_encode, images),
        "apply_gamma": (tone.apply_gamma, images, params.gamma_ratio),
        "display": (tone.display, images, params.gamma_ratio),
        "apply_matrix": (color.apply_matrix, images, params.ccm),
        "apply_gains": (color.apply_gains, images, gains),
        "mosaic": (lambda raw: mosaic.mosaic(raw, "RGGB"), raw),
        "gain_mosaic": (lambda s, g: mosaic.gain_mosaic(s, g, "RGGB"), samples, gains),
        "imbalance_greens": (lambda s, r: mosaic.imbalance_greens(s, r, "RGGB"), samples, params.exposure),
        "noise_like": (lambda s, seeds: s * 0 + sensor.noise_like(s, seeds), samples, params.noise_seed),
        "add_noise": (sensor.add_noise, samples, params.shot_noise, params.read_noise, noise),
        "digitise": (sensor.digitise, samples, params.black_level, params.black_level_error, params.bit_depth),
    }
    for method in mosaic.DEMOSAICS[1:]:
        rggb[f"demosaic, {method}"] = (lambda s, method=method: mosaic.demosaic(s, "RGGB", method), samples)
    quality, layout = torch.full((4,), 75), torch.zeros(4, dtype=torch.int64)
    rggb["jpeg, exact"] = (lambda image: codec.jpeg(image, quality, layout), images)
    rggb["jpeg, fast"] = (lambda image: codec.jpeg(image, quality, layout, exact=False), images)
    shift = torch.full((4, 2), 3)
    rggb["double_jpeg, exact"] = (lambda image: codec.double_jpeg(image, quality, shift, quality, layout), images)
    rggb["webp"] = (lambda image: codec.webp(image, quality), images)
    return found | {name: both(*work) for name, work in rggb.items()}


def of_kornia(images: torch.Tensor) -> dict[str, Any]:
    import kornia.augmentation as augmentation
    from kornia.color import CFA, raw_to_rgb
    from kornia.enhance import jpeg_codec_differentiable

    jiggle = augmentation.ColorJiggle(0.2, 0.2, 0.2, 0.05, p=1.0)
    jpeg = augmentation.RandomJPEG(jpeg_quality=(30.0, 90.0), p=1.0)
    chain = augmentation.AugmentationSequential(jiggle, augmentation.RandomGaussianNoise(0.0, 0.03, p=1.0), jpeg)
    samples, quality = mosaic.mosaic(images, "RGGB"), torch.full((4,), 75.0)
    return {
        "ColorJiggle, GaussianNoise, JPEG": both(chain, images),
        "jpeg_codec_differentiable": both(lambda images: jpeg_codec_differentiable(images, quality), images),
        "raw_to_rgb": both(lambda samples: raw_to_rgb(samples, CFA.BG), samples),
    }


def of_torchvision(images: torch.Tensor) -> dict[str, Any]:
    from torchvision.transforms import v2

    jitter, noise, jpeg = v2.ColorJitter(0.2, 0.2, 0.2, 0.05), v2.GaussianNoise(0.0, 0.03), v2.JPEG((30, 90))

    def chain() -> None:
        for image in images:
            jpeg((noise(jitter(image)) * 255).to(torch.uint8))

    return {"ColorJitter, GaussianNoise, JPEG": {"forward": speed(chain)}}


def of_albumentations(images: torch.Tensor) -> dict[str, Any]:
    import albumentations

    pictures = [(image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for image in images]
    jitter, noise = albumentations.ColorJitter(p=1.0), albumentations.GaussNoise(p=1.0)
    compose = albumentations.Compose([jitter, noise, albumentations.ImageCompression(quality_range=(30, 90), p=1.0)])
    iso = albumentations.ISONoise(p=1.0)
    return {
        "ColorJitter, GaussNoise, ImageCompression": {"forward": speed(lambda: [compose(image=p) for p in pictures])},
        "ISONoise": {"forward": speed(lambda: [iso(image=picture) for picture in pictures])},
    }


def of_colour_demosaicing(images: torch.Tensor) -> dict[str, Any]:
    import colour_demosaicing

    samples = mosaic.mosaic(images, "RGGB")[:, 0].double().numpy()
    found = {}
    for name in ("bilinear", "Malvar2004", "Menon2007"):
        fill = getattr(colour_demosaicing, f"demosaicing_CFA_Bayer_{name}")
        found[name] = {"forward": speed(lambda fill=fill: [fill(plane, "RGGB") for plane in samples])}
    return found


def of_imagecorruptions(images: torch.Tensor) -> dict[str, Any]:
    from imagecorruptions import corrupt

    pictures = [(image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for image in images]
    names = ("shot_noise", "gaussian_noise", "motion_blur", "jpeg_compression")
    return {n: {"forward": speed(lambda n=n: [corrupt(p, 3, corruption_name=n) for p in pictures])} for n in names}


def of_rawpy(images: torch.Tensor) -> dict[str, Any]:
    import rawpy

    from dirnet.pictures.dng import write_dng

    path = Path(os.environ.get("TMPDIR", "/tmp")) / "benchmark-isp.dng"
    write_dng(path, camera.expose(images[:1], exposures()[:1]), force=True)
    found = {}
    for name in ("LINEAR", "AHD"):

        def develop(name: str = name) -> None:
            for _ in range(4):
                with rawpy.imread(str(path)) as raw:
                    raw.postprocess(demosaic_algorithm=rawpy.DemosaicAlgorithm[name], use_camera_wb=True)

        found[f"read and develop, {name}"] = {"forward": speed(develop)}
    path.unlink()
    return found


def versions() -> dict[str, str]:
    found = {}
    for peer in PEERS:
        try:
            found[peer] = importlib.metadata.version(peer)
        except importlib.metadata.PackageNotFoundError:
            found[peer] = "absent"
    return found


def plot(speeds: dict[str, dict[str, Any]], path: Path) -> None:
    """Bars of every operation, ours above the peers', on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [
        (f"{who}: {what}" if who != "dirnet" else what, who, row) for who in speeds for what, row in speeds[who].items()
    ]
    figure, axes = pyplot.subplots(figsize=(9, 0.19 * len(rows) + 1))
    for at, (label, who, row) in enumerate(reversed(rows)):
        axes.barh(at, row["forward"], 0.75, color="#8fb3d9" if who == "dirnet" else "#d9c08f")
        axes.barh(at, row.get("forward and backward", 0), 0.3, color="#23527c" if who == "dirnet" else "#7c5a23")
        axes.text(0.08, at, label, ha="right", va="center", fontsize=7)
    axes.set(xscale="log", xlim=(0.1, 500), ylim=(-0.7, len(rows) - 0.3), yticks=[])
    axes.set_xlabel("megapixels a CPU second, one thread; thin and dark: forward and backward")
    axes.grid(axis="x", which="major", alpha=0.4)
    figure.savefig(path, bbox_inches="tight", dpi=110)


def main() -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with resources.as_file(resources.files("dirnet") / "samples" / "astronaut.jpg") as path:
        photograph = read_picture(path).to_tensor()[0]
    images = torch.stack([photograph.rot90(k, (1, 2)) for k in range(4)]).contiguous()
    speeds: dict[str, dict[str, Any]] = {"dirnet": ours(images)}
    peers = {
        "kornia": of_kornia, "torchvision": of_torchvision, "albumentations": of_albumentations,
        "colour-demosaicing": of_colour_demosaicing, "imagecorruptions": of_imagecorruptions, "rawpy": of_rawpy,
    }  # fmt: skip
    installed = versions()
    for name, measure in peers.items():
        if installed[name] != "absent":
            speeds[name] = measure(images)
    results = Path(__file__).parent / "results" / "isp.json"
    record = {"unit": "MP/s of CPU time, one thread", "rounds": ROUNDS, "versions": installed, "speeds": speeds}
    results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    plot(speeds, Path(__file__).parents[1] / "docs" / "gallery" / "isp-speed.png")
    print(results.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
