"""The task of a frozen network behind DiR: to see in a spoiled photograph what it sees in the clean one. No labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.errors import UsageError
from dirnet.nets.blocks import pad_to_multiple
from dirnet.nets.model import DiR
from dirnet.tasks.attach import card_of
from dirnet.tasks.base import Batch, TaskLoss
from dirnet.tasks.inputs import Placed, prepare, scale
from dirnet.tasks.inside import Inside
from dirnet.tasks.restore import share_left
from dirnet.tasks.spec import Spec
from dirnet.tasks.taps import demand_finite, find_part, tapped

ROWS, COLUMNS = 2, 3  # crops that are laid together to a photograph of 3:2
DETAIL = 0.2  # weight of the picture itself beside what the network makes of it


class Recognition:
    """The task as joint refinement sees it: knowledge distillation from the clean picture to the mended one.

    network: frozen, its own teacher; spec: its conventions, of which `features` are the parts whose maps are compared.
    UsageError where neither maps nor an answer that is known can be.
    """

    name = "recognise"

    def __init__(self, network: nn.Module, spec: Spec, inside: Inside | None = None) -> None:
        for part in spec.features:
            find_part(network, part)
        if not spec.features and spec.output not in ("yolox", "classifier"):
            raise UsageError(
                "Nothing of what the network sees can be compared", got=f"output {spec.output!r}, and no features",
                cure="Name parts that give maps in its SPEC.toml: features = [...].",
            )  # fmt: skip
        self.network, self.spec = network.requires_grad_(False).eval(), spec
        self.about = card_of(inside, spec)

    def loss(self, model: DiR | Inside, batch: Batch) -> TaskLoss:
        """features, answer: how far off the network is, in its maps and its answer; detail: as of `Restoration`.

        The network's view is wanted as of the clean picture, the picture in the camera's tone. Crops are laid together
        to photographs, shown to the network as it is shown any; so the batch is a multiple of `ROWS * COLUMNS`.
        """
        degraded, clean, ideal, shown = (scale(lay_out(crops), self.spec) for crops in batch)
        with torch.no_grad():
            wanted = self.look(clean)
        losses = {}
        if isinstance(model, Inside):
            with model.aligning(self.network, self._placed(shown)) as baselines:
                found = self.look(degraded)
            baseline, refined = torch.stack(baselines), None
        else:
            representation = model(shown)
            baseline, refined = representation.baseline, representation.refined
            mended = degraded + model.decode(representation, (shown.shape[2], shown.shape[3]))
            losses["detail"] = DETAIL * share_left(mended, degraded, ideal)
            found = self.look(mended)
        if self.spec.features:
            losses["features"] = maps_apart(found[0], wanted[0])
        if self.spec.output == "yolox":
            losses["answer"] = yolox_apart(found[1], wanted[1])
        if self.spec.output == "classifier":
            logits, targets = found[1].log_softmax(1), wanted[1].log_softmax(1)
            losses["answer"] = F.kl_div(logits, targets, reduction="batchmean", log_target=True)
        return TaskLoss(losses, baseline, refined, pad_to_multiple(degraded), pad_to_multiple(ideal))

    def look(self, pictures: torch.Tensor) -> tuple[list[torch.Tensor], Any]:
        """The maps of the features, and the answer, of pictures (N, 3, H, W) already of the network's size."""
        with tapped(self.network, self.spec.features) as maps:
            answer = self.network(prepare(list(pictures), self.spec))
        demand_finite(answer)
        return [found for part in self.spec.features for found in maps[part]], answer

    def _placed(self, pictures: torch.Tensor) -> list[Placed]:
        """Where pictures of the network's size lie in what it is given."""
        frame = self.spec.size if self.spec.fit == "letterbox" else None
        return [Placed(picture, (0, 0), frame or (picture.shape[1], picture.shape[2])) for picture in pictures]


def lay_out(crops: torch.Tensor) -> torch.Tensor:
    """Crops (N, 3, S, S), laid together in order: (N / 6, 3, 2 S, 3 S). UsageError where N is no multiple of 6."""
    n, c, s, _ = crops.shape
    if n % (ROWS * COLUMNS):
        wanted = f"a multiple of {ROWS * COLUMNS}, which make a photograph"
        raise UsageError("The batch makes no whole photographs", got=f"{n} crops", wanted=wanted)
    rows = crops.reshape(-1, ROWS, COLUMNS, c, s, s).permute(0, 3, 1, 4, 2, 5)
    return rows.reshape(-1, c, ROWS * s, COLUMNS * s)


def maps_apart(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> torch.Tensor:
    """Squared difference of maps (N, C, h, w), as a share of the variance of each channel that is wanted; the mean.

    A channel that hardly varies counts as if it had a tenth of the mean variance.
    """
    shares = []
    for map_, target in zip(found, wanted, strict=True):
        variance = target.var((0, 2, 3))
        shares.append(((map_ - target).square().mean((0, 2, 3)) / (variance + 0.1 * variance.mean() + 1e-8)).mean())
    return torch.stack(shares).mean()


def yolox_apart(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """How far YOLOX's raw answer (N, n, 5 + classes) is from another: share of the scores' energy, and the boxes.

    Boxes count by how sure the wanted answer is that something is there; their error is in cells and in log size.
    """
    scores, targets = (raw[..., 4:5] * raw[..., 5:] for raw in (found, wanted))
    sure = targets.amax(2, keepdim=True)
    floor = len(wanted)  # as if there were one more thing to find in every picture
    whether = (scores - targets).square().sum() / (targets.square().sum() + floor)
    where = (sure * (found[..., :4] - wanted[..., :4]).abs()).sum() / (sure.sum() + floor)
    return whether + where
