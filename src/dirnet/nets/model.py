"""DiR: a picture in, its representation out. The presets, and how large pictures keep their global statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from dirnet.errors import UsageError
from dirnet.nets.aligner import Aligner
from dirnet.nets.blocks import pad_to_multiple
from dirnet.nets.encoder import DiRNet
from dirnet.nets.reference import ReferenceDecoder, ReferenceEncoder
from dirnet.nets.tone import ToneHead
from dirnet.nets.unet import LastLayer, NoAligner, NoReference


@dataclass(frozen=True)
class Preset:
    """width: channels of r0; reference_width: of pilot, r+ and r*; depth: residual blocks at 1/2, 1/4, 1/8.

    refinements: how often the aligner is applied, each time to what it made before. reference_width 0: a plain U-Net,
    for comparison. Nothing is aligned: the pilot is zero and r+ is r0.
    """

    width: int
    reference_width: int
    depth: tuple[int, int, int]
    refinements: int = 1


PRESETS = {
    "tiny": Preset(16, 16, (1, 1, 2)),
    "small": Preset(32, 24, (1, 2, 1)),
    "base": Preset(56, 32, (2, 2, 2)),
    "tiny-twice": Preset(16, 16, (1, 1, 2), refinements=2),
    "tiny-unet": Preset(18, 0, (12, 1, 1)),  # of the size of tiny, in parameters and in MACs a pixel
}


class Representation(NamedTuple):
    """What a model sees in a picture (B, 3, H, W): maps at half the size to which the picture is padded.

    baseline (B, c, h, w): r0, what all spoiled views of the scene share. pilot (B, c_ref, h, w): the reference
    encoder's view of the picture as it is. refined (B, c_ref, h, w): r+, the pilot corrected; what tasks use.
    """

    baseline: torch.Tensor
    pilot: torch.Tensor
    refined: torch.Tensor


class Statistics(NamedTuple):
    """Global statistics of a whole picture, handed to each of its tiles.

    Of DiRNet's deepest level; of [r0, pilot] and, where the aligner is applied again, of [r0, what it made before].
    """

    deepest: torch.Tensor
    channels: tuple[torch.Tensor, ...]


class DiR(nn.Module):
    """Baseline encoder, reference encoder and decoder, aligner and tone head, as one model.

    Untrained it changes nothing: refined is the pilot and the tone is zero, exactly.
    """

    def __init__(self, preset: str) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise UsageError("Unknown preset", got=repr(preset), wanted=f"one of {', '.join(PRESETS)}")
        sizes = PRESETS[preset]
        self.preset, self.refinements = preset, sizes.refinements
        self.encoder = DiRNet(sizes.width, sizes.depth)
        if sizes.reference_width:
            self.reference = ReferenceEncoder(sizes.width, sizes.reference_width)
            self.decoder = ReferenceDecoder(sizes.width, sizes.reference_width)
            self.aligner = Aligner(sizes.width, sizes.reference_width)
        else:
            self.reference, self.decoder = NoReference(sizes.width), LastLayer(sizes.width)
            self.aligner = NoAligner()
        self.tone = ToneHead()

    def forward(self, image: torch.Tensor, statistics: Statistics | None = None) -> Representation:
        """Picture (B, 3, H, W) sRGB 0..1 -> its Representation.

        statistics: of the whole picture, where this is a tile of it (`statistics`).
        """
        padded = pad_to_multiple(image).contiguous(memory_format=torch.channels_last)
        deepest, channels = statistics or (None, (None,) * self.refinements)
        baseline, _ = self.encoder(padded, deepest)
        pilot = self.reference(padded)
        refined = pilot
        for known in channels:
            refined, _ = self.aligner(baseline, refined, known)
        return Representation(baseline, pilot, refined)

    def statistics(self, image: torch.Tensor) -> Statistics:
        """Global statistics of a picture (B, 3, H, W) of any size, taken from its `montage`."""
        padded = pad_to_multiple(montage(image)).contiguous(memory_format=torch.channels_last)
        baseline, deepest = self.encoder(padded)
        refined, channels = self.reference(padded), []
        for _ in range(self.refinements):
            refined, found = self.aligner(baseline, refined)
            channels.append(found)
        return Statistics(deepest, tuple(channels))

    def decode(self, representation: Representation, size: tuple[int, int]) -> torch.Tensor:
        """The change of the picture that the refinement asks for: D(r+) - D(pilot), (B, 3, H, W) of `size`."""
        h, w = size
        change = self.decoder(representation.refined) - self.decoder(representation.pilot)
        # Plain layout: a channels_last change added to a plain picture makes the backward pass ten times as slow.
        return change[..., :h, :w].float().contiguous()


MONTAGE_SIDE = 512
_WINDOWS = 4


def montage(image: torch.Tensor) -> torch.Tensor:
    """At most 512 x 512 pixels that stand for a picture (B, 3, H, W) of any size; small ones are themselves.

    A larger side is cut to four windows, evenly spread and at full resolution, so that the noise stays what it is.
    """
    for axis in (2, 3):
        side = image.shape[axis]
        if side > MONTAGE_SIDE:
            window = MONTAGE_SIDE // _WINDOWS
            # Windows start on multiples of 8, as JPEG blocks do.
            starts = [(side - window) * i // (_WINDOWS - 1) // 8 * 8 for i in range(_WINDOWS)]
            image = torch.cat([image.narrow(axis, start, window) for start in starts], axis)
    return image
