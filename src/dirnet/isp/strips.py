"""A picture in strips of rows: what is made on the way stays in the processor's cache, and memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

# Pixels in a strip: a picture of them and a few like it fit the cache of a core.
STRIP_PIXELS = 2**15
# A strip is at least this many times higher than what it shares with the next, unless it has this many pixels.
STRIP_OVER_REACH, WIDE_STRIP_PIXELS = 8, 2**20


class Strip(NamedTuple):
    """Rows `first` to `last` of a picture, which are needed for rows `top` to `bottom`; all but the last are even."""

    first: int
    top: int
    bottom: int
    last: int

    def of(self, picture: torch.Tensor) -> torch.Tensor:
        """Rows `first` to `last`, a view."""
        return picture[..., self.first : self.last, :]

    def wanted(self, done: torch.Tensor) -> torch.Tensor:
        """Rows `top` to `bottom` of an image of rows `first` to `last`."""
        return done[..., self.top - self.first : self.bottom - self.first, :]


class Work(NamedTuple):
    """apply(strip, image, *settings) with image = `strip.of` a picture: rows `top` to `bottom` of the result.

    rows: of the whole result. reach: from how many rows away, an even number, a pixel of it depends on the picture.
    """

    apply: Callable[..., torch.Tensor]
    rows: int
    reach: int


def in_strips(work: Work, picture: torch.Tensor, *settings: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """Work on picture (1, C, H, W) strip by strip, to the last bit as if on the whole -> (1, C', rows, W').

    Differentiable in picture and settings: the backward pass does the work on every strip again, so that nothing but
    the picture is kept. Off the CPU the whole is one strip. How the picture lies in memory does not matter. inplace:
    where gradients are off, the result, which must be of the same shape, takes the picture's memory.
    """
    if inplace and not torch.is_grad_enabled():
        return _done(work, picture, settings, picture)
    return _InStrips.apply(work, picture, *settings)


def pixelwise(
    apply: Callable[..., torch.Tensor], pictures: tuple[torch.Tensor, ...], into: torch.Tensor
) -> torch.Tensor:
    """apply(*pictures), each value of which depends on those at its place alone, strip by strip -> `into`.

    `into` may be one of the pictures (B, C, H, W). Where gradients are on, at once and into new memory instead.
    """
    if torch.is_grad_enabled() or into.device.type != "cpu":
        return apply(*pictures)
    rows = max(1, STRIP_PIXELS // into.shape[-1])
    for to, *pieces in zip(*(picture.split(rows, -2) for picture in (into, *pictures)), strict=True):
        to.copy_(apply(*pieces))
    return into


def _strips(work: Work, picture: torch.Tensor) -> Iterator[Strip]:
    width = 2 * picture.shape[-1]
    shared = max(work.reach // 2, min(STRIP_OVER_REACH * work.reach // 2, WIDE_STRIP_PIXELS // width))
    step = 2 * max(1, STRIP_PIXELS // width, shared)
    if picture.device.type != "cpu":
        step = work.rows
    for top in range(0, work.rows, step):
        bottom = min(top + step, work.rows)
        yield Strip(max(0, top - work.reach), top, bottom, min(work.rows, bottom + work.reach))


def _done(
    work: Work, picture: torch.Tensor, settings: tuple[torch.Tensor, ...], into: torch.Tensor | None
) -> torch.Tensor:
    """The work on every strip, without gradients, into new memory or that of the picture."""
    above = picture[..., :0, :]  # what the next strip shares with this one, as it was before it was written over
    for strip in _strips(work, picture):
        piece = _compact(strip.of(picture), picture)
        if into is picture:
            below = piece[..., strip.top - strip.first :, :]
            piece = torch.cat((above, below), -2) if strip.first < strip.top else piece
            above = piece[..., max(0, strip.bottom - work.reach) - strip.first : strip.bottom - strip.first, :].clone()
        done = work.apply(strip, piece, *settings)
        into = done.new_empty(1, done.shape[1], work.rows, done.shape[3]) if into is None else into
        into[..., strip.top : strip.bottom, :] = done
    assert into is not None
    return into


def _compact(strip: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Rows of a picture, each plane by itself in memory: what is computed from them must not depend on that."""
    return strip if picture.is_contiguous() else strip.contiguous()


class _InStrips(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, work: Work, picture: torch.Tensor, *settings: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(picture, *settings)
        ctx.work = work
        return _done(work, picture, settings, None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        work, (picture, *settings) = ctx.work, ctx.saved_tensors
        _, wanted, *needed = ctx.needs_input_grad
        settings = [value.detach().requires_grad_(need) for value, need in zip(settings, needed, strict=True)]
        by_picture = torch.zeros_like(picture) if wanted else None
        found: list[torch.Tensor | None] = [None for _ in settings]
        for strip in _strips(work, picture):
            piece = _compact(strip.of(picture), picture).detach().requires_grad_(wanted)
            inputs = [piece, *settings]
            with torch.enable_grad():
                done = work.apply(strip, piece, *settings)
            places = [place for place, value in enumerate(inputs) if value.requires_grad]
            by = torch.autograd.grad(
                done, [inputs[place] for place in places], grad[..., strip.top : strip.bottom, :], allow_unused=True
            )
            for place, value in zip(places, by, strict=True):
                if place == 0 and by_picture is not None:
                    strip.of(by_picture).add_(value)
                elif value is not None:
                    before = found[place - 1]
                    found[place - 1] = value if before is None else before + value
        return None, by_picture, *found
