"""Stages of a camera: one thing each that is done to the exposures that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

import torch

from dirnet.isp.params import ISPParams
from dirnet.isp.strips import Strip, Work, in_strips


class Stage(NamedTuple):
    """One thing that a camera does to some exposures: apply(image, *settings), where the first setting is not neutral.

    reach: from how many rows away a pixel depends on the image, or that as a function of the settings; None: on all of
    it. placed: it matters where in its picture a strip lies, which apply is told by `top` and `height`.
    """

    apply: Callable[..., torch.Tensor]
    settings: tuple[str, ...]
    reach: int | Callable[..., int] | None = 0
    placed: bool = False

    def concerns(self, params: ISPParams) -> bool:
        """Whether the first setting of one row of params is not a clean one's, or its gradient is asked for."""
        first = getattr(params, self.settings[0])
        return first.requires_grad or not torch.equal(first[0], _clean_value(self.settings[0]).to(first))


def run(stages: Iterable[Stage], image: torch.Tensor, params: ISPParams, top: int = 0, height: int = 0) -> torch.Tensor:
    """One exposure (1, C, H, W) through the stages that concern it; the others leave it untouched, to the last bit.

    A strip says at which row of what height it begins.
    """
    for stage in stages:
        if stage.concerns(params):
            place = {"top": top, "height": height or image.shape[-2]} if stage.placed else {}
            image = stage.apply(image, *(getattr(params, name) for name in stage.settings), **place)
    return image


def run_in_strips(
    stages: Iterable[Stage],
    image: torch.Tensor,
    params: ISPParams,
    before: Callable[[torch.Tensor, ISPParams], torch.Tensor] | None = None,
    after: Callable[[torch.Tensor, ISPParams], torch.Tensor] | None = None,
    margin: int = 0,
    *,
    inplace: bool = False,
) -> torch.Tensor:
    """One exposure through those stages that concern it and need not see the whole, strip by strip.

    Where there are any, `before` is done to each strip first, which sees `margin` rows far, and `after` last. inplace:
    see `in_strips`.
    """
    stages = [stage for stage in stages if stage.reach is not None and stage.concerns(params)]
    if not stages:
        return image
    names, height = list(vars(params)), image.shape[-2]

    def apply(strip: Strip, image: torch.Tensor, *settings: torch.Tensor) -> torch.Tensor:
        own = ISPParams(**dict(zip(names, settings, strict=True)))
        image = before(image, own) if before else image
        image = strip.wanted(run(stages, image, own, strip.first, height))
        return after(image, own) if after else image

    work = Work(apply, height, margin + reach(stages, params))
    return in_strips(work, image, *vars(params).values(), inplace=inplace)


def reach(stages: Iterable[Stage], params: ISPParams) -> int:
    """From how many rows away, rounded up to an even number, a pixel depends on the image before all these stages."""
    rows = 0
    for stage in stages:
        if stage.concerns(params) and stage.reach is not None:
            settings = (getattr(params, name)[0].detach() for name in stage.settings)
            rows += stage.reach if isinstance(stage.reach, int) else stage.reach(*settings)
    return rows + rows % 2


@cache
def _clean_value(name: str) -> torch.Tensor:
    return getattr(ISPParams.clean(), name)[0]
