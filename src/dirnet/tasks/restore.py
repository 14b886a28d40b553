"""Blind restoration: detail, as y + (D(r+) - D(pilot)); then, where it is wanted, tone, as explicit numbers."""

from __future__ import annotations

from typing import Any, Literal

import torch

from dirnet.devices import trim_memory
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.nets.blocks import pad_to_multiple
from dirnet.nets.model import MONTAGE_SIDE, DiR, Representation, Statistics, montage
from dirnet.nets.tone import Tone, contact_sheet
from dirnet.pictures.picture import Picture
from dirnet.pictures.space import Space, space_of
from dirnet.pictures.tiles import apply_tiled
from dirnet.tasks.base import Batch, TaskLoss

ToneMode = Literal["keep", "repair"]
WHOLE_PIXELS = 4_000_000  # a larger picture is worked in pieces
TILE, SMALL_TILE = 640, 384  # their sides; the smaller, where the picture itself takes up much of the memory
LARGE_PIXELS = 64_000_000
MARGIN = 96  # at least as far as the networks can see around a pixel
FLOOR = 5e-4  # squared error of a picture in which as good as nothing is wrong


def find_tone(model: DiR, image: torch.Tensor, space: Space | None = None) -> Tone:
    """The tone that a whole picture (B, 3, H, W) of any size needs; of its own space, sRGB where None."""
    return model.tone(_in_srgb(model, contact_sheet(pad_to_multiple(image)), space).clamp(0, 1))


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


def restore(
    model: DiR,
    image: torch.Tensor,
    *,
    tone: ToneMode = "keep",
    strength: float = 1.0,
    tile: int | None = None,
    space: Space | None = None,
    into: torch.Tensor | None = None,
) -> torch.Tensor:
    """Restore pictures (B, 3, H, W) sRGB 0..1, any size -> the same shape, within 0..1 or as far beyond as they were.

    tone: "keep" leaves exposure and colour as they are, "repair" mends them too, once the detail is mended. strength:
    share of the change that is made; 0 gives exactly the picture. tile: side of the pieces a single large picture is
    worked in; chosen by itself where None. Beyond 512 pixels the global statistics come from a montage, so pieces and
    whole give the same picture. space: whose colours the pixels are, sRGB where None. into: where the result is
    written, `image` itself if it may be lost. The model may be on another device than the picture.
    """
    h, w = image.shape[2:]
    large = h * w > LARGE_PIXELS
    if tile is None and h * w > WHOLE_PIXELS:
        tile = SMALL_TILE if large else TILE
    if tile and len(image) > 1:
        each = [restore(model, one[None], tone=tone, strength=strength, tile=tile, space=space) for one in image]
        return torch.cat(each, out=into)
    statistics, found = None, find_tone(model, image, space) if tone == "repair" else None
    if tile or max(h, w) > MONTAGE_SIDE:
        statistics = model.statistics(_in_srgb(model, montage(image), space).clamp(0, 1))

    def work(part: torch.Tensor) -> torch.Tensor:
        if large:
            trim_memory()  # between pieces the C library would keep a quarter of a gigabyte
        given = _in_srgb(model, part, space)
        shown = given.clamp(0, 1)  # what sRGB has not is kept from the networks, and passed by
        mended = refine(model, shown, statistics)[0] + (given - shown)
        if found is not None:
            mended = found.repair(mended)
        mended, given = mended.to(part.device), given.to(part.device)
        if space:
            mended = part + (space.from_srgb(mended) - space.from_srgb(given))
        mended = torch.lerp(part, mended, strength)
        return torch.minimum(torch.maximum(mended, part.clamp(max=0)), part.clamp(min=1))

    if tile:
        return apply_tiled(work, image, tile, MARGIN, into)
    return work(image) if into is None else into.copy_(work(image))


@torch.inference_mode()
def restore_in_place(
    model: DiR, picture: Picture, *, tone: ToneMode = "keep", strength: float = 1.0, tile: int | None = None
) -> None:
    """Restore a picture in its own pixels, which saves the memory of a second; through the space of its profile."""
    image = torch.from_numpy(picture.pixels).permute(2, 0, 1)[None]
    restore(model, image, tone=tone, strength=strength, tile=tile, space=space_of(picture.icc), into=image)


def _in_srgb(model: DiR, image: torch.Tensor, space: Space | None) -> torch.Tensor:
    """The picture as sRGB, not clipped, where the model is."""
    return (space.to_srgb(image) if space else image).to(next(model.parameters()).device)


class Restoration:
    """The task as joint refinement sees it. floor: as of `share_left`."""

    name = "restore"

    def __init__(self, floor: float = FLOOR) -> None:
        self.floor = floor
        self.about: dict[str, Any] = {}

    def loss(self, model: DiR, batch: Batch) -> TaskLoss:
        """detail: what is left wrong in the refined crops, as a share of what was.

        The target is the clean crop in the tone that the camera gave it: tone is the tone head's work alone.
        """
        representation = model(batch.shown)
        h, w = batch.degraded.shape[2:]
        refined = batch.degraded + model.decode(representation, (h, w))
        detail = share_left(refined, batch.degraded, batch.ideal, self.floor)
        return TaskLoss(
            {"detail": detail}, representation.baseline, representation.refined, batch.degraded, batch.ideal
        )


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
