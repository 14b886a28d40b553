"""Denoisers by others, as benchmarks/peers.py runs them: nets, classical methods, and the settings each is given.

A picture is (3, H, W), sRGB 0..1, of any size; what comes out has its size and is not clipped.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

Work = Callable[[torch.Tensor, float], torch.Tensor]
SIGMAS = (5.0, 10.0, 15.0, 20.0, 30.0)  # of 255
TV_WEIGHTS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12)
IDF_WEIGHTS = "pretrained_models/idf_g_15.ckpt"


@dataclass(frozen=True)
class Method:
    """A way to mend a picture: `make` gives the function of a picture and a setting.

    source: hash of the weights, or package and version; None where it is not on this machine. settings: all that are
    tried; fixed: the one it has where nobody tells it.
    """

    source: str | None
    make: Callable[[], Work]
    settings: tuple[float, ...] = (0.0,)
    fixed: float = 0.0


def denoisers(weights: Path, checkout: Path) -> dict[str, Method]:
    """All peers, the slowest last. weights: the folder with DnCNN and FFDNet; checkout: that of IDF."""
    dncnn_file, ffdnet_file = weights / "dncnn_color_blind_fp16.safetensors", weights / "ffdnet_color_fp16.safetensors"
    skimage = packages("scikit-image")
    return {
        "nlm": Method(skimage, lambda: on_pixels(non_local_means), (0.03,), 0.03),
        "wavelet": Method(packages("scikit-image", "PyWavelets"), lambda: on_pixels(wavelet)),
        "tv": Method(skimage, lambda: on_pixels(total_variation), TV_WEIGHTS, 0.03),
        "ffdnet": Method(hash_of(ffdnet_file), lambda: ffdnet(ffdnet_file), SIGMAS, 10.0),
        "dncnn": Method(hash_of(dncnn_file), lambda: dncnn(dncnn_file)),
        "idf": Method(hash_of(checkout / IDF_WEIGHTS), lambda: idf(checkout)),
        "bm3d": Method(packages("bm3d"), lambda: on_pixels(bm3d), SIGMAS, 10.0),
    }


def packages(*names: str) -> str | None:
    """Names and versions; None where one is not installed."""
    try:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    except importlib.metadata.PackageNotFoundError:
        return None


def hash_of(file: Path) -> str | None:
    """sha256 of a file; None where there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def convolutions(file: Path) -> nn.Sequential:
    """3x3 convolutions with ReLU between them, as many and as wide as the tensors `model.N.weight` of the file say."""
    state = {name.removeprefix("model."): tensor.float() for name, tensor in load_file(file).items()}
    layers: list[nn.Module] = []
    for number in sorted(int(name.removesuffix(".weight")) for name in state if name.endswith(".weight")):
        wide_out, wide_in = state[f"{number}.weight"].shape[:2]
        layers += [nn.Conv2d(wide_in, wide_out, 3, padding=1), nn.ReLU(inplace=True)]
    net = nn.Sequential(*layers[:-1])
    net.load_state_dict(state)
    return net.requires_grad_(False).eval()


def dncnn(file: Path) -> Work:
    """DnCNN (Zhang et al., 2017), blind: finds the noise. Takes no setting."""
    net = convolutions(file)
    return lambda picture, _: picture - net(picture[None])[0]


def ffdnet(file: Path) -> Work:
    """FFDNet (Zhang et al., 2018), told the noise: sigma of 255."""
    net = convolutions(file)

    def work(picture: torch.Tensor, sigma: float) -> torch.Tensor:
        h, w = picture.shape[1:]
        cells = F.pixel_unshuffle(F.pad(picture[None], (0, w % 2, 0, h % 2), mode="replicate"), 2)
        level = torch.full_like(cells[:, :1], sigma / 255)
        return F.pixel_shuffle(net(torch.cat((cells, level), 1)), 2)[0, :, :h, :w]

    return work


class Setting:
    """Stands for the settings of training that IDF's file holds beside its weights; nothing of it is looked at."""


SETTINGS = (
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode",
    "omegaconf.base.Metadata", "omegaconf.base.ContainerMetadata", "typing.Any",
)  # fmt: skip


def idf(checkout: Path) -> Work:
    """IDF (Kim et al., ICCV 2025): net, settings and weights as the demo of its own checkout has them."""
    import yaml

    spec = importlib.util.spec_from_file_location("idf_arch", checkout / "idf" / "archs" / "idf_arch.py")
    assert spec is not None
    assert spec.loader is not None
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    config = yaml.safe_load((checkout / "configs" / "models" / "idfnet.yaml").read_text(encoding="utf-8"))["params"]
    net: nn.Module = theirs.IDFNet(**config["denoiser_config"]["params"]).eval()
    with torch.serialization.safe_globals([dict, list, int, defaultdict, *((Setting, name) for name in SETTINGS)]):
        state: dict[str, Any] = torch.load(checkout / IDF_WEIGHTS, map_location="cpu", weights_only=True)["state_dict"]
    net.load_state_dict({name.removeprefix("model."): tensor for name, tensor in state.items()})
    norm = config["data_config"]["norm"]
    mean, std = (torch.tensor(norm[name]).view(3, 1, 1) for name in ("raw_mean", "raw_std"))
    scale, shift = norm["sigma_data"] / std, norm["mu_data"]
    return lambda picture, _: (net(((picture - mean) * scale + shift)[None])[0] - shift) / scale + mean


def on_pixels(method: Callable[[np.ndarray, float], np.ndarray]) -> Work:
    """What works on arrays (H, W, 3), for pictures."""

    def work(picture: torch.Tensor, setting: float) -> torch.Tensor:
        pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        return torch.from_numpy(np.ascontiguousarray(method(pixels, setting))).permute(2, 0, 1).float()

    return work


def non_local_means(pixels: np.ndarray, h: float) -> np.ndarray:
    """Buades et al., 2005; patches of 5, searched for within 6."""
    from skimage.restoration import denoise_nl_means

    return denoise_nl_means(pixels, patch_size=5, patch_distance=6, h=h, channel_axis=-1)


def wavelet(pixels: np.ndarray, _: float) -> np.ndarray:
    """BayesShrink (Chang et al., 2000) in YCbCr; it finds the noise by itself."""
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(pixels, method="BayesShrink", convert2ycbcr=True, rescale_sigma=True, channel_axis=-1)


def total_variation(pixels: np.ndarray, weight: float) -> np.ndarray:
    """Chambolle, 2004."""
    from skimage.restoration import denoise_tv_chambolle

    return denoise_tv_chambolle(pixels, weight=weight, channel_axis=-1)


def bm3d(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Dabov et al., 2007, by its authors (for non-commercial use only); sigma of 255."""
    theirs = importlib.import_module("bm3d")
    return theirs.bm3d_rgb(pixels, sigma / 255)
