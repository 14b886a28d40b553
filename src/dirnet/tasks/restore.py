"""Blind restoration: detail, as y + (D(r+) - D(pilot)); then, where it is wanted, tone, as explicit numbers."""

from __future__ import annotations

from typing import Literal

import torch

from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.nets.blocks import pad_to_multiple
from dirnet.nets.model import MONTAGE_SIDE, DiR, Representation, Statistics
from dirnet.nets.tone import Tone, contact_sheet
from dirnet.pictures.tiles import apply_tiled
from dirnet.tasks.base import Batch, TaskLoss

ToneMode = Literal["keep", "repair"]
WHOLE_PIXELS = 4_000_000  # a larger picture is worked in pieces
TILE = 1024
MARGIN = 128  # more than the networks can see around a pixel
FLOOR = 5e-4  # squared error of a picture in which as good as nothing is wrong


def find_tone(model: DiR, image: torch.Tensor) -> Tone:
    """The tone that a whole picture (B, 3, H, W) of any size needs."""
    return model.tone(contact_sheet(pad_to_multiple(image)))


def tone_loss(model: DiR, sheets: torch.Tensor, spoiled: torch.Tensor, params: ISPParams) -> torch.Tensor:
    """How far off the tone is that is found in spoiled contact sheets (N, 3, 128, 128) of clean ones.

    In the numbers themselves, which are known: in pixels alone the head learns slowly (docs/training.md). And in
    pixels, as the picture will be judged: the logarithm of what tone and half the damaged detail leave wrong.
    """
    found = model.tone(spoiled)
    numbers = charbonnier(found.numbers(), Tone.against(params).numbers(), epsilon=0.03)
    some = (..., slice(3, None, 8), slice(3, None, 8))
    toned = degrade(sheets[some], params.tone_only())
    detail = (spoiled[some] - toned).square().mean((1, 2, 3))
    tone = (found.repair(toned) - sheets[some]).square().mean((1, 2, 3))
    return numbers + 0.1 * (tone + 0.5 * detail + 1e-4).log().mean()


def refine(
    model: DiR, image: torch.Tensor, statistics: Statistics | None = None
) -> tuple[torch.Tensor, Representation]:
    """Mend the detail of a picture (B, 3, H, W), tone as it is; exactly the picture where the model is untrained."""
    representation = model(image, statistics)
    return image + model.decode(representation, (image.shape[2], image.shape[3])), representation


def mend(model: DiR, image: torch.Tensor, tile: int | None = None) -> torch.Tensor:
    """`refine` for pictures (B, 3, H, W) of any size; exactly the picture where the model is untrained.

    tile: side of the pieces a single large picture is worked in; chosen by itself where None. Beyond 512 pixels the
    global statistics come from a montage, so pieces and whole give the same picture.
    """
    h, w = image.shape[2:]
    if tile is None and h * w > WHOLE_PIXELS:
        tile = TILE
    if tile and len(image) > 1:
        return torch.cat([mend(model, one[None], tile) for one in image])
    statistics = model.statistics(image) if tile or max(h, w) > MONTAGE_SIDE else None
    if tile:
        return apply_tiled(lambda part: refine(model, part, statistics)[0], image, tile, MARGIN)
    return refine(model, image, statistics)[0]


def restore(model: DiR, image: torch.Tensor, *, tone: ToneMode = "keep", tile: int | None = None) -> torch.Tensor:
    """Restore pictures (B, 3, H, W) sRGB 0..1, any size -> the same shape, clipped to 0..1.

    tone: "keep" leaves exposure and colour as they are, "repair" mends them too, once the detail is mended; tile: see
    `mend`.
    """
    refined = mend(model, image, tile)
    if tone == "repair":
        refined = find_tone(model, image).repair(refined)
    return refined.clamp(0, 1)


class Restoration:
    """The task as joint refinement sees it."""

    name = "restore"

    def loss(self, model: DiR, batch: Batch) -> TaskLoss:
        """detail: what is left wrong in the refined crops, as a share of what was.

        The target is the clean crop in the tone that the camera gave it: tone is the tone head's work alone.
        """
        representation = model(batch.shown)
        h, w = batch.degraded.shape[2:]
        refined = batch.degraded + model.decode(representation, (h, w))
        return TaskLoss({"detail": share_left(refined, batch.degraded, batch.ideal)}, representation, batch.ideal)


def share_left(
    restored: torch.Tensor, spoiled: torch.Tensor, ideal: torch.Tensor, floor: float = FLOOR
) -> torch.Tensor:
    """Squared error of each picture (B, C, H, W) over that of its input (and a floor), mean over pictures.

    So every picture counts as it does in the mean of PSNRs: a noisy one no more than a nearly clean one.
    """
    left, was = ((image - ideal).square().mean((1, 2, 3)) for image in (restored, spoiled))
    return (left / (was + floor)).mean()


def charbonnier(a: torch.Tensor, b: torch.Tensor, epsilon: float = 1e-3) -> torch.Tensor:
    """Mean of sqrt((a - b)^2 + epsilon^2), less epsilon: absolute difference, smooth at 0."""
    return ((a - b).square() + epsilon**2).sqrt().mean() - epsilon
