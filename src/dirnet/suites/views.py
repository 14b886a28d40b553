"""Several spoiled views of one scene, cropped apart, with degradations that some scenes share."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch
import torch.nn.functional as F

from dirnet.errors import UsageError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.suites.draw import draw_for_training
from dirnet.suites.grain import add_grain
from dirnet.suites.randomise import randomise
from dirnet.suites.suites import Suite

STEP = 2  # pixels: one cell of a half-resolution representation


@dataclass(frozen=True)
class Views:
    """K spoiled views of each of B scenes.

    degraded, clean, ideal: (B, K, 3, S, S), the same crop of the photograph: as the camera gave it, before the camera,
    and in the camera's tone but with nothing else wrong (with grain, as `add_grain` wants it).
    params: B * K rows, scene-major. offsets: (B, K, 2) int, row and column of each crop in the scene.
    """

    degraded: torch.Tensor
    clean: torch.Tensor
    ideal: torch.Tensor
    params: ISPParams
    offsets: torch.Tensor


def make_views(
    scenes: torch.Tensor,
    suite: str | Suite,
    names: list[str],
    *,
    views: int,
    size: int,
    matched: bool,
    randomised: float = 0.0,
    grained: float = 0.0,
    seed: int = 0,
) -> Views:
    """Photograph scenes (B, 3, H, W) `views` times each, every exposure with settings and noise of its own.

    Crops of `size` are offset independently in steps of `STEP` pixels, so that neither position, nor the phase of the
    networks' 8-pixel grid, nor that of the JPEG blocks ties two views. matched: every second scene
    takes the settings of the one before it (with noise and random transfer of its own), which gives negatives that
    differ in the scene alone. randomised: the share of exposures that `randomise` changes; grained: the share in which
    nothing is wrong but grain of no camera in particular.
    """
    if min(scenes.shape[-2:]) < size:
        sides = " x ".join(map(str, scenes.shape[-2:]))
        raise UsageError("The scenes are too small", got=sides, wanted=f"at least {size} x {size}")
    settings, offsets = [], []
    room = [(side - size) // STEP for side in scenes.shape[-2:]]
    for index, name in enumerate(names):
        random = Random(f"offsets/{seed}/{name}")
        source = names[index - 1] if matched and index % 2 else name
        for view in range(views):
            row = draw_for_training(suite, source, view=view, seed=seed)
            row["noise_seed"] = int(random.random() * 2**32)
            settings.append(row)
            offsets.append([STEP * int(random.random() * (steps + 1)) for steps in room])
    params = ISPParams.from_settings(settings)
    crops = [
        scenes[index // views, :, top : top + size, left : left + size] for index, (top, left) in enumerate(offsets)
    ]
    clean = torch.stack(crops)
    params = params.to(str(clean.device))
    degraded = degrade(clean, params, exact_jpeg=False)
    ideal = degrade(clean, params.tone_only())
    keys = [f"{seed}/{name}/{view}" for name in names for view in range(views)]
    if randomised:
        degraded = randomise(degraded, ideal, keys, randomised)
    if grained:
        degraded, ideal = add_grain(degraded, ideal, keys, grained)
    shape = (len(names), views)
    degraded, clean, ideal = (pictures.unflatten(0, shape) for pictures in (degraded, clean, ideal))
    return Views(degraded, clean, ideal, params, torch.tensor(offsets).unflatten(0, shape))


def enlarge(views: Views, factor: int) -> Views:
    """Views as of pictures that were enlarged after the camera, bicubic: grain, blocks and seams grow by factor."""
    b, k = views.clean.shape[:2]

    def larger(pictures: torch.Tensor) -> torch.Tensor:
        flat = F.interpolate(pictures.flatten(0, 1), scale_factor=factor, mode="bicubic")
        return flat.clamp(0, 1).unflatten(0, (b, k))

    return Views(larger(views.degraded), larger(views.clean), larger(views.ideal), views.params, factor * views.offsets)
