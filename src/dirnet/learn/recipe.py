"""A training run as data: a TOML file, with settings that can be overridden by name."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from dirnet.errors import UsageError

CHOICES = {
    "task": ("restore", "recognise"),
    "optimizer": ("adamw", "muon"),
    "estimator": ("jsd", "dv", "infonce", "nwj"),
    "learns": ("attachment", "network", "both"),
}
SHARES = ("randomised", "grained", "leaves", "enlarged", "zoomed", "masking")


@dataclass(frozen=True)
class Recipe:
    """All that decides a run but its data and seed.

    task, optimizer, estimator, learns: as `CHOICES` has them; task is "recognise" where it is for a network. preset: of
    the model; suite: of the spoilings, or several joined by "+"; batch: crops a step, of `crop` pixels, from batch /
    views scenes; *_steps: of each stage; learning_rate: the peak of a cosine by step, after `warmup` steps; clip: of
    the gradient norm; ema: decay of the averaged weights. places: patches a scene that the critic compares, the share
    `hard` of them near another; matched: whether every second scene is spoiled as the one before it (1 or 0);
    estimator: of information. sheets: contact sheets a step of the tone stage. randomised: the share of crops that
    `suites.randomise` changes; grained: the share that have the grain of `suites.grain` instead. cleaned: whether
    photographs are rid of their own grain first (1 or 0); leaves: the share of scenes that are of no photograph but
    dead leaves; enlarged: the share of the others that are of an enlarged one; zoomed: the share of steps whose
    pictures are enlarged twice after the camera. floor: the squared error below which what is wrong in a picture counts
    for less and less.
    latent_noise: of stage 2, in units of the latent's spread. align, content, information, independence: weights beside
    the task's losses in stage 3; stage 1 uses `independence_alone`. Where align is 0, the reference encoder learns in
    stage 3 with the rest. Of the baselines, in stage 3 too: consistency, the weight of how far r+ of a scene's views
    are apart; masking, the largest share of cells that `learn.masking` hides from the networks; meta, the rate of the
    virtual step of `learn.dil`. learns: what changes where a network learns with labels.
    """

    name: str
    preset: str
    suite: str
    tone_steps: int
    information_steps: int
    reference_steps: int
    refinement_steps: int
    adaptation_steps: int = 0
    joint_steps: int = 0
    task: str = "restore"
    batch: int = 16
    crop: int = 96
    views: int = 2
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 0.5
    ema: float = 0.999
    places: int = 24
    hard: float = 1 / 3
    matched: int = 1
    estimator: str = "jsd"
    sheets: int = 96
    randomised: float = 0.5
    grained: float = 0.0
    cleaned: int = 0
    leaves: float = 0.0
    enlarged: float = 0.0
    zoomed: float = 0.0
    floor: float = 5e-4
    latent_noise: float = 0.02
    align: float = 0.0
    content: float = 0.2
    information: float = 0.0
    independence: float = 0.0
    independence_alone: float = 0.02
    consistency: float = 0.0
    masking: float = 0.0
    meta: float = 0.0
    learns: str = "attachment"

    def __post_init__(self) -> None:
        if self.views < 2 or self.batch < self.views or self.batch % self.views:
            raise UsageError(
                "The batch does not divide into views", got=f"batch {self.batch}, views {self.views}",
                wanted="at least 2 views, and a batch that is a multiple of them",
            )  # fmt: skip
        for key, known in CHOICES.items():
            if getattr(self, key) not in known:
                raise UsageError(f"Unknown {key}", got=repr(getattr(self, key)), wanted=f"one of {', '.join(known)}")
        shares = {key: getattr(self, key) for key in SHARES}
        if not all(0 <= share <= 1 for share in shares.values()) or self.enlarged == 1:
            raise UsageError(
                "There are no such shares", got=", ".join(f"{key} {share}" for key, share in shares.items()),
                wanted="each from 0 to 1, and enlarged under 1",
            )  # fmt: skip
        if self.floor <= 0:
            raise UsageError("The floor is above 0", got=str(self.floor))
        if self.cleaned not in (0, 1):
            raise UsageError("Photographs are cleaned or not", got=f"cleaned {self.cleaned}", wanted="1 or 0")
        if not 0 <= self.hard <= 0.5 or self.matched not in (0, 1):
            raise UsageError(
                "There are no such negatives", got=f"hard {self.hard}, matched {self.matched}",
                wanted="hard from 0 to 0.5, matched 0 or 1",
            )  # fmt: skip
        if not self.reference_steps and self.align:
            raise UsageError(
                "There is no reference to align to", got=f"reference_steps 0, align {self.align}",
                wanted="reference_steps above 0, or align 0",
            )  # fmt: skip
        if self.meta and (self.align or self.content or self.information or self.independence or self.consistency):
            raise UsageError(
                "A virtual step is for the task's loss alone", got=f"meta {self.meta} beside other losses",
                wanted="meta 0, or align, content, information, independence and consistency 0",
            )  # fmt: skip
        if self.crop % 8 or self.crop < 40:  # 32 pixels are room for the views to lie apart; what is left they share
            raise UsageError("Odd crop", got=str(self.crop), wanted="a multiple of 8, at least 40")

    def to_toml(self) -> str:
        """The recipe as it would stand in a file."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in asdict(self).items())


def load_recipe(source: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by the name of a shipped one or by path, with `key=value` overrides. UsageError says what is wrong."""
    given = {**_read(source), **dict(_split(text) for text in overrides)}
    known = {field.name: field.type for field in fields(Recipe)}
    if unknown := sorted(set(given) - set(known)):
        raise UsageError(f"Unknown settings {', '.join(unknown)}", wanted=f"some of {', '.join(known)}")
    if missing := [f.name for f in fields(Recipe) if f.name not in given and f.default is MISSING]:
        raise UsageError(f"The recipe {source} lacks {', '.join(missing)}")
    return Recipe(**{key: _convert(key, value, str(known[key])) for key, value in given.items()})


def _read(source: str) -> dict[str, Any]:
    shipped = files("dirnet.learn") / "recipes"
    path = Path(source)
    try:
        if not path.suffix and (shipped / f"{source}.toml").is_file():
            text = (shipped / f"{source}.toml").read_text(encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        names = sorted(item.name.removesuffix(".toml") for item in shipped.iterdir() if item.name.endswith(".toml"))
        raise UsageError(
            f"Cannot read the recipe {source}", got=str(error), wanted=f"a TOML file or one of {', '.join(names)}"
        ) from error


def _split(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError("Cannot read --set", got=repr(text), wanted="key=value")
    return key.strip(), value.strip()


def _convert(key: str, value: Any, kind: str) -> Any:
    try:
        return {"int": int, "float": float, "str": str}[kind](str(value))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The setting {key} does not fit", got=repr(value), wanted=f"a value of type {kind}"
        ) from error


def _toml(value: object) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)
