"""What a network wants to be given and what it answers, as data."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn

from dirnet.errors import UsageError

Output = Literal["torchvision-detection", "yolox", "classifier", "other"]
Colours = Literal["RGB", "BGR"]
Fit = Literal["own", "letterbox", "resize", "none"]
Triple = tuple[float, float, float]
_CHOICES = {"output": get_args(Output), "colours": get_args(Colours), "fit": get_args(Fit)}
_NUMBERS = (
    ("white", 1, (float, int)),
    ("fill", 1, (float, int)),
    ("mean", 3, (float, int)),
    ("std", 3, (float, int)),
    ("size", 2, (int,)),
    ("category_ids", 0, (int,)),
    ("features", 0, (str,)),
)


@dataclass(frozen=True)
class Spec:
    """A network's conventions; the default is a batch (B, 3, H, W) of RGB pictures 0..1.

    A picture p, sRGB 0..1, becomes (white p - mean) / std, mean and std in the order of `colours`. fit: "own" is a list
    of pictures that the network resizes itself; "letterbox" lies in the top left corner of `size` (H, W) pixels, and
    the rest has the value `fill` (as white: before mean and std); "resize" is stretched to size; "none" is as it is.
    category_ids: what label k is called in a data set; None where labels are such ids. features: names of the parts
    whose maps say what the network sees; by them an attachment is trained.
    """

    output: Output = "other"
    colours: Colours = "RGB"
    white: float = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    fit: Fit = "none"
    size: tuple[int, int] | None = None
    fill: float | None = None
    category_ids: tuple[int, ...] | None = None
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise UsageError(f"No such {key}", got=repr(getattr(self, key)), wanted=f"one of {', '.join(choices)}")
        for key, length, kinds in _NUMBERS:
            values = getattr(self, key)
            values = (values,) if length == 1 and values is not None else values
            fits = isinstance(values, tuple) and all(type(value) in kinds for value in values)
            if values is not None and (not fits or len(values) != (length or len(values))):
                raise UsageError(
                    f"{key} does not fit", got=repr(values), wanted=f"{length or 'a list of'} {kinds[0].__name__}"
                )
        if self.fit in ("letterbox", "resize") and self.size is None:
            raise UsageError(f"A network that wants a {self.fit} needs a size", cure="Add size = [H, W].")
        if self.fit == "letterbox" and self.fill is None:
            raise UsageError("A letterbox needs the value of its padding", cure="Add fill = 114, say.")
        if self.white <= 0 or min(self.std) <= 0 or (self.size and min(self.size) < 1):
            raise UsageError("white, std and size are above 0", got=f"{self.white}, {self.std}, {self.size}")


def read_spec(file: Path) -> tuple[Spec, dict[str, Any]]:
    """A SPEC.toml: the conventions, and what it says of the network itself (`network`, `weights`, `options`).

    The conventions of a torchvision name need not be repeated. UsageError for what is wrong with it.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"Cannot read the spec {file}", got=str(error)) from error
    about = {key: table.pop(key) for key in ("network", "weights", "options") if key in table}
    known = spec_named(str(about.get("network"))) or Spec()
    return spec_from(table, known), about


def spec_from(table: Mapping[str, Any], known: Spec | None = None) -> Spec:
    """Conventions from a table of plain values; what is not in it is as in `known`."""
    names = [field.name for field in fields(Spec)]
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0)[0]
            raise UsageError("The spec says what no spec does", got=repr(key), cure=f"The nearest is {near}.")
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return replace(known or Spec(), **given)


def spec_named(name: str) -> Spec | None:
    """The shipped conventions of a torchvision name, or of a file with this SHA-256; None where there are none."""
    for table in shipped().values():
        if name in table.get("names", ()) or name == table.get("sha256"):
            return _conventions(table)
    return None


def spec_of(network: nn.Module, spec: Spec | str | None) -> Spec:
    """The spec meant by a Spec, a torchvision name, a shipped spec's name or a SPEC.toml; None: as the network is."""
    if isinstance(spec, Spec):
        return spec
    if spec is None:
        return _conventions(shipped()["torchvision-detection"]) if resizes_itself(network) else Spec()
    if spec in shipped():
        return _conventions(shipped()[spec])
    if spec.endswith(".toml"):
        return read_spec(Path(spec))[0]
    named = spec_named(spec)
    if named is None:
        raise UsageError(
            "No such spec", got=repr(spec), wanted=f"{', '.join(shipped())}, a torchvision name or a .toml"
        )
    return named


def resizes_itself(network: nn.Module) -> bool:
    """Whether it is a torchvision detector, which takes a list of pictures of any size."""
    return type(getattr(network, "transform", None)).__name__ == "GeneralizedRCNNTransform"


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """The tables that come with the package, by name."""
    found = sorted((files("dirnet.tasks") / "specs").iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".toml"): tomllib.loads(file.read_text(encoding="utf-8")) for file in found}


def _conventions(table: Mapping[str, Any]) -> Spec:
    return spec_from({key: value for key, value in table.items() if key not in ("names", "sha256")})
