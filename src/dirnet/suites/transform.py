"""Spoilings as data augmentation: a transform after torchvision's v2, and a wrapper for data sets."""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten  # torchvision's v2 takes samples apart with these two
from torch.utils.data import Dataset, get_worker_info

from dirnet.errors import UsageError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.suites.draw import draw, draw_for_training
from dirnet.suites.suites import Suite, suite_named

Settings = dict[str, Any]
_OVERSHOOT = 0.25  # what resizing may leave outside 0..1


class Degrade:
    """Spoil pictures as a camera does; stands in `v2.Compose` before `v2.Normalize`.

    A picture is an RGB PIL image, a `tv_tensors.Image` or a tensor, (3, H, W) or (B, 3, H, W), uint8 or float 0..1, and
    stays what it is; every one of a batch has settings of its own. It comes alone or in tuples, lists and dicts, whose
    other members (boxes, masks, labels) come back as they were; of plain tensors, as in v2, the first is a picture
    where nothing else is. severity: 1..5, or None: drawn too, as by `draw_for_training`. generator: on the CPU; every
    call moves it on. Workers of a data loader have copies of it, so the worker's seed counts there too; for spoilings
    that do not depend on workers, see `DegradedDataset`. exact_jpeg: see `degrade`. UsageError for other pictures.
    """

    def __init__(
        self,
        suite: str | Suite = "seen",
        severity: int | None = None,
        *,
        generator: torch.Generator,
        exact_jpeg: bool = False,
    ) -> None:
        self.suite, self.severity = _checked(suite, severity)
        self.generator, self.exact_jpeg = generator, exact_jpeg

    def __call__(self, *inputs: Any) -> Any:
        """The sample with its pictures spoiled."""
        worker = get_worker_info()
        item = str(worker.seed) if worker else "main"

        def settings() -> Settings:
            seed = int(torch.randint(2**62, (), generator=self.generator))
            return _settings(self.suite, self.severity, item, seed=seed)

        return _spoil(inputs[0] if len(inputs) == 1 else inputs, settings, self.exact_jpeg)

    def __repr__(self) -> str:
        return f"Degrade({self.suite.name!r}, severity={self.severity}, exact_jpeg={self.exact_jpeg})"


class DegradedDataset(Dataset):
    """A map-style data set with its pictures spoiled; samples, and what is a picture in them, as for `Degrade`.

    How sample i is spoiled depends on (suite, severity, seed, i, epoch) alone, not on workers, order or batches. Every
    epoch begins with `set_epoch(e)`, or is like the one before.
    """

    def __init__(
        self,
        dataset: Any,
        suite: str | Suite = "seen",
        severity: int | None = None,
        *,
        seed: int = 0,
        exact_jpeg: bool = False,
    ) -> None:
        self.suite, self.severity = _checked(suite, severity)
        self.dataset, self.seed, self.exact_jpeg = dataset, seed, exact_jpeg
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that outlive an epoch see it too

    def set_epoch(self, epoch: int) -> None:
        """Spoil every sample in another way; to be called between epochs."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        place = operator.index(index)
        place += len(self) if place < 0 else 0
        names = (f"{place}/{number}" for number in itertools.count())

        def settings() -> Settings:
            return _settings(self.suite, self.severity, next(names), view=int(self._epoch), seed=self.seed)

        return _spoil(self.dataset[index], settings, self.exact_jpeg)


def _checked(suite: str | Suite, severity: int | None) -> tuple[Suite, int | None]:
    """The suite; what is wrong with either is said here, not in the middle of an epoch."""
    suite = suite_named(suite) if isinstance(suite, str) else suite
    _settings(suite, severity, "")
    return suite, severity


def _settings(suite: Suite, severity: int | None, item: str, *, view: int = 0, seed: int = 0) -> Settings:
    if severity is None:
        return draw_for_training(suite, item, view=view, seed=seed)
    return draw(suite, severity, item, view=view, seed=seed)


def _spoil(sample: Any, settings: Callable[[], Settings], exact_jpeg: bool) -> Any:
    leaves, structure = tree_flatten(sample)
    chosen = [place for place, leaf in enumerate(leaves) if _is_image(leaf)]
    if not chosen:
        chosen = [place for place, leaf in enumerate(leaves) if _is_plain_tensor(leaf)][:1]
    for place in chosen:
        leaves[place] = _spoil_picture(leaves[place], settings, exact_jpeg)
    return tree_unflatten(leaves, structure)


def _spoil_picture(picture: Any, settings: Callable[[], Settings], exact_jpeg: bool) -> Any:
    """The picture as the same type, size and device."""
    if isinstance(picture, torch.Tensor):
        pixels = _spoil_tensor(picture.as_subclass(torch.Tensor), settings, exact_jpeg)
        return pixels if _is_plain_tensor(picture) else _loaded("torchvision.tv_tensors").wrap(pixels, like=picture)
    if picture.mode != "RGB":
        raise _unfit(f"a PIL image of mode {picture.mode!r}", "RGB", "Convert it first: image.convert('RGB').")
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    pixels = _spoil_tensor(pixels, settings, exact_jpeg).permute(1, 2, 0)
    return _loaded("PIL.Image").fromarray(pixels.contiguous().numpy())


def _spoil_tensor(image: torch.Tensor, settings: Callable[[], Settings], exact_jpeg: bool) -> torch.Tensor:
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or not image.numel():
        cure = "Put v2.RGB() before it." if image.ndim in (3, 4) and image.shape[-3] == 1 else ""
        raise _unfit(f"a tensor of shape {tuple(image.shape)}", "(3, H, W) or (B, 3, H, W)", cure)
    batch = _as_float(image if image.ndim == 4 else image[None])
    params = ISPParams.from_settings([settings() for _ in batch]).to(image.device)
    spoiled = degrade(batch, params, exact_jpeg=exact_jpeg).reshape(image.shape)
    return spoiled.to(image.dtype) if image.is_floating_point() else (spoiled * 255).round().to(torch.uint8)


def _as_float(image: torch.Tensor) -> torch.Tensor:
    """Values 0..1, float32 or float64."""
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise _unfit(f"a tensor of {image.dtype}", "uint8 or floats 0..1", "")
    low, high = image.detach().aminmax()
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):
        values = f"values from {float(low):.3g} to {float(high):.3g}"
        raise _unfit(values, "0..1", "Put it before Normalize and after v2.ToDtype(torch.float32, scale=True).")
    return (image if image.dtype == torch.float64 else image.float()).clamp(0, 1)


def _unfit(got: str, wanted: str, cure: str) -> UsageError:
    return UsageError("No RGB picture to spoil", got=got, wanted=wanted, cure=cure)


def _loaded(module: str) -> Any:
    """A module that whoever hands in one of its objects has imported; None where nobody has."""
    return sys.modules.get(module)


def _is_image(leaf: Any) -> bool:
    pillow, tv_tensors = _loaded("PIL.Image"), _loaded("torchvision.tv_tensors")
    if tv_tensors and isinstance(leaf, tv_tensors.Video):
        raise _unfit("a tv_tensors.Video", "pictures", "Take its frames one by one.")
    return bool(pillow and isinstance(leaf, pillow.Image)) or bool(tv_tensors and isinstance(leaf, tv_tensors.Image))


def _is_plain_tensor(leaf: Any) -> bool:
    tv_tensors = _loaded("torchvision.tv_tensors")
    return isinstance(leaf, torch.Tensor) and not (tv_tensors and isinstance(leaf, tv_tensors.TVTensor))
