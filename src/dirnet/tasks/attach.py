"""DiR put in front of, or inside, a network that exists."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dirnet.errors import UsageError
from dirnet.nets.model import DiR
from dirnet.nets.weights import Stored, fill, read_weights, save_weights
from dirnet.tasks.inputs import add_change, place, prepare, together
from dirnet.tasks.inside import Inside
from dirnet.tasks.restore import refine
from dirnet.tasks.spec import Spec, resizes_itself, spec_from, spec_of
from dirnet.tasks.taps import find_part, tapped

_BLANK = (64, 64)


def attach(
    network: nn.Module,
    model: DiR | str | Path | None = None,
    at: str | Sequence[str] | None = None,
    spec: Spec | str | Path | None = None,
) -> Attached:
    """The network, seeing through a bad camera: called as it was, answering as it did. It is itself not changed.

    model: weights or a saved attachment, by name or file; or a DiR; None is an untrained one, of the preset tiny, which
    changes nothing, exactly. at: None to mend the picture before the network sees it, or the names of parts whose maps
    (B, C, h, w) are corrected instead. spec: the network's conventions, if it wants anything but RGB 0..1 (`spec_of`).
    UsageError where a part or a spec is unknown, WeightsError where weights are.
    """
    model = str(model) if isinstance(model, Path) else model
    spec = str(spec) if isinstance(spec, Path) else spec
    parts = None if at is None else (at,) if isinstance(at, str) else tuple(at)
    if parts and any(hasattr(part, "_orig_mod") or part._compiled_call_impl for part in network.modules()):
        raise UsageError("Maps inside a compiled network cannot be corrected", cure="Attach first, then compile.")
    if isinstance(model, str):
        attached = _stored(network, read_weights(model), parts, spec)
    else:
        own, meant = model or DiR("tiny").train(network.training), spec_of(network, spec)
        attached = Attached(network, own.preset, _attachment(network, own, parts, meant), meant)
    parameter = next(network.parameters(), None)
    if parameter is not None:
        attached.attachment.to(parameter.device)
    attached.training = network.training
    return attached


class Attached(nn.Module):
    """A network with DiR in front of it or inside it. `attachment` is all that was added, and all that learns.

    attachment: a DiR, which mends the pictures; or `Inside`, which corrects the network's maps.
    """

    def __init__(self, network: nn.Module, preset: str, attachment: DiR | Inside, spec: Spec) -> None:
        super().__init__()
        self.network, self.preset, self.attachment, self.spec = network, preset, attachment, spec

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Attached:
        """To another device or number format; what was added goes on computing in float32."""
        super()._apply(fn, recurse)
        self.attachment.float()
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the network: pictures first, a batch (B, 3, H, W) or a list of (3, H, W), then whatever else it takes."""
        key = None if args else _first_name(self.network, kwargs)
        images = args[0] if key is None else kwargs[key]
        inputs = _each(images)
        if not inputs:
            return self.network(*args, **kwargs)
        pictures = [place(picture, self.spec) for picture in inputs]
        if isinstance(self.attachment, Inside):
            if len({placed.frame for placed in pictures}) > 1 and not resizes_itself(self.network):
                raise UsageError("Where a list's pictures lie in the network's maps is not known", wanted="a batch")
            with self.attachment.aligning(self.network, pictures):
                return self.network(*args, **kwargs)
        model = self.attachment
        whole = [placed.picture.float() for placed in pictures]
        changes = together(lambda batch: refine(model, batch)[0] - batch, whole)
        mended = [add_change(*each, self.spec) for each in zip(inputs, changes, pictures, strict=True)]
        seen = torch.stack(mended) if isinstance(images, torch.Tensor) else type(images)(mended)
        return self.network(seen, *args[1:], **kwargs) if key is None else self.network(**kwargs | {key: seen})

    def detach(self) -> nn.Module:
        """The network as it was: nothing was ever done to it, hooks live only while a call lasts."""
        return self.network

    def save(self, path: Path | str, card: dict[str, Any] | None = None) -> None:
        """Write what was added, as weights that `attach` takes for a model, and not the network itself."""
        inside = self.attachment if isinstance(self.attachment, Inside) else None
        save_weights(Path(path), self.preset, self.attachment.state_dict(), (card or {}) | card_of(inside, self.spec))


def card_of(inside: Inside | None, spec: Spec) -> dict[str, Any]:
    """What the card of a saved attachment says of it: where it belongs, if inside, and the network's conventions."""
    at, widths = (list(inside.at), [list(part) for part in inside.widths]) if inside else (None, None)
    return {"attachment": {"at": at, "widths": widths, "spec": asdict(spec)}}


def _attachment(network: nn.Module, model: DiR, at: tuple[str, ...] | None, spec: Spec) -> DiR | Inside:
    return model if at is None else Inside(model.encoder, at, _widths(network, at, spec))


def _stored(network: nn.Module, stored: Stored, at: tuple[str, ...] | None, spec: Spec | str | None) -> Attached:
    """From a saved attachment, or from a restorer's weights."""
    model, about = DiR(stored.preset), stored.card.get("attachment", {})
    meant = spec_from(about["spec"]) if spec is None and about else spec_of(network, spec)
    if spec is None and about and meant.fit != "own" and resizes_itself(network):
        raise UsageError(
            f"{stored.name} was saved for a network of other conventions", got=f"fit {meant.fit!r}",
            cure=f"Give spec=, the conventions of {type(network).__name__}.",
        )  # fmt: skip
    misfit = f"{stored.name} does not fit what it is to be attached with"
    if not about.get("at"):
        fill(model, stored.state, misfit)
        return Attached(network, stored.preset, _attachment(network, model, at, meant), meant)
    for name in about["at"]:
        find_part(network, name)
    if at not in (None, tuple(about["at"])):
        raise UsageError(f"{stored.name} belongs at other parts", got=", ".join(at), wanted=", ".join(about["at"]))
    inside = Inside(model.encoder, about["at"], about["widths"])
    fill(inside, stored.state, misfit)
    return Attached(network, stored.preset, inside, meant)


def _widths(network: nn.Module, at: Sequence[str], spec: Spec) -> list[list[int]]:
    """How many channels each map of each part has, by running the network on a blank picture."""
    for name in at:
        find_part(network, name)
    parameter = next(network.parameters(), torch.zeros(()))
    blank = torch.full((3, *(spec.size or _BLANK)), 0.5, device=parameter.device, dtype=parameter.dtype)
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), tapped(network, at) as maps:
            network(prepare([blank], spec))
    except Exception as error:  # whatever a network says to a blank picture, it is one sentence to the user
        raise UsageError(
            f"{type(network).__name__} could not be tried on a blank picture of {blank.shape[2]}x{blank.shape[1]}",
            got=(str(error) or type(error).__name__).splitlines()[0],
            cure="Give a spec that says what it wants.",
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    for name, found in maps.items():
        if not found:
            raise UsageError(f"{name} gives no maps", wanted="a part that gives tensors (B, C, h, w)")
    return [[found.shape[1] for found in maps[name]] for name in at]


def _first_name(network: nn.Module, kwargs: dict[str, Any]) -> str:
    name = next(iter(inspect.signature(network.forward).parameters), "")
    if name not in kwargs:
        raise UsageError("The network was called without pictures", wanted=f"them first, or as {name}=")
    return name


def _each(images: Any) -> list[torch.Tensor]:
    """The pictures (3, H, W) of a batch or a list."""
    batch = isinstance(images, torch.Tensor) and images.ndim == 4
    if batch or isinstance(images, (list, tuple)):
        pictures = list(images)
        if all(isinstance(p, torch.Tensor) and p.is_floating_point() and p.ndim == 3 and len(p) == 3 for p in pictures):
            return pictures
    got = f"{tuple(images.shape)} {images.dtype}" if isinstance(images, torch.Tensor) else type(images).__name__
    raise UsageError(
        "The first thing a network is called with are its pictures",
        got=got, wanted="floats: a batch (B, 3, H, W) or a list of (3, H, W)",
    )  # fmt: skip
