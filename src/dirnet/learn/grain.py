"""A photograph's own grain: how strong it is, and the photograph without it."""

from __future__ import annotations

import numpy as np
import torch

from dirnet.errors import DirnetError

SIDE = 8  # pixels of a patch
FLATTEST = 10  # per cent of a photograph's patches, in which all that varies is taken for grain
LEAST, MOST = 0.8, 4.0  # steps of 255 between which grain is believed
STRENGTH = 1.3  # of non-local means, in units of the grain
LUMA = (0.299, 0.587, 0.114)


def own_grain(photograph: torch.Tensor) -> float:
    """Standard deviation of luma, in steps of 255, about a plane in the flattest patches of (3, H, W) uint8."""
    luma = np.tensordot(LUMA, photograph.numpy().astype(np.float64), 1)
    h, w = (side // SIDE for side in luma.shape)
    patches = luma[: h * SIDE, : w * SIDE].reshape(h, SIDE, w, SIDE).swapaxes(1, 2).reshape(h * w, SIDE * SIDE)
    patches = patches[(patches.min(1) > 5) & (patches.max(1) < 250)]  # where it is cut off, grain is not to be seen
    if not len(patches):
        return 0.0
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    plane, _ = np.linalg.qr(np.stack([np.ones(SIDE * SIDE), x, y], 1))
    rest = patches - patches @ plane @ plane.T
    return float(np.percentile(rest.std(1), FLATTEST))


def without_grain(photograph: torch.Tensor) -> torch.Tensor:
    """The photograph (3, H, W) uint8 after non-local means (Buades et al., 2005) at the strength of its own grain."""
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError as error:
        raise DirnetError("scikit-image is not installed", cure="Install dirnet-isp[train].") from error
    grain = min(max(own_grain(photograph), LEAST), MOST) / 255
    smooth = denoise_nl_means(
        photograph.numpy() / 255, patch_size=5, patch_distance=7, h=STRENGTH * grain, sigma=grain, channel_axis=0
    )
    found = (smooth.clip(0, 1) * 255).round().astype(np.uint8)
    return torch.from_numpy(found).reshape(photograph.shape)  # a side of one pixel is dropped on the way
