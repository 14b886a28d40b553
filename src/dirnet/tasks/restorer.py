"""Loaded weights at work on pictures as Python programs hold them: arrays, tensors, Pillow's images, our own."""

from __future__ import annotations

from typing import Any, TypeVar, cast, get_args

import numpy as np
import torch
from PIL import Image

from dirnet.nets.model import DiR
from dirnet.nets.weights import DEFAULT, Loaded
from dirnet.nets.weights import load as load_weights
from dirnet.pictures.picture import Picture
from dirnet.pictures.read import picture_of
from dirnet.pictures.write import image_of
from dirnet.tasks.restore import ToneMode, restore, restore_in_place

T = TypeVar("T", bound="np.ndarray | torch.Tensor | Image.Image | Picture")
_MODES = ("L", "LA", "RGB", "RGBA")
_WHITE = {torch.uint8: 255, torch.uint16: 65535}


class Restorer(Loaded):
    """What `Loaded` tells of a model, and `restore`. `model.to(device)` moves it; pictures may stay where they are."""

    def restore(self, image: T, *, tone: ToneMode = "keep", strength: float = 1.0, tile: int | None = None) -> T:
        """Restore a picture of any size -> a new one of the same kind, shape, number format and range.

        image: a NumPy array (H, W, 3) or a tensor (3, H, W) or (B, 3, H, W), sRGB, of uint8, uint16 or floats 0..1; a
        Pillow image (L, LA, RGB or RGBA; its profile is heeded); or a `Picture`. Options as of `dirnet.restore`.
        Raises TypeError for another kind; ValueError for another shape, mode, number format or range.
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"strength: got {strength}; wanted 0 to 1")
        if tone not in get_args(ToneMode):
            raise ValueError(f"tone: got {tone!r}; wanted one of {', '.join(get_args(ToneMode))}")
        options: dict[str, Any] = {"tone": tone, "strength": strength, "tile": tile}
        for kind, work in _KINDS.items():
            if isinstance(image, kind):
                return cast("T", work(self.model, image, options))
        raise TypeError(f"image: got {type(image).__name__}; wanted an array, a tensor, a Pillow image or a Picture")


def load(source: str = DEFAULT) -> Restorer:
    """Load weights by shipped name ("tiny-proof"), by path, or from the Hugging Face hub ("owner/name").

    Raises WeightsError where there are none, or where they are broken, not ours, or not finite.
    """
    return Restorer(**vars(load_weights(source)))


def _picture(model: DiR, picture: Picture, options: dict[str, Any]) -> Picture:
    restored = picture.with_pixels(picture.pixels.copy())
    restore_in_place(model, restored, **options)
    return restored


def _pillow(model: DiR, image: Image.Image, options: dict[str, Any]) -> Image.Image:
    if image.mode not in _MODES:
        raise ValueError(f"image: got mode {image.mode}; wanted one of {', '.join(_MODES)}")
    restored = image_of(_picture(model, picture_of(image), options)).convert(image.mode)
    restored.info = dict(image.info)
    return restored


def _array(model: DiR, array: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"image: got shape {array.shape}; wanted (H, W, 3)")
    image = torch.from_numpy(array.astype(array.dtype.newbyteorder("="))).permute(2, 0, 1)
    return np.ascontiguousarray(_tensor(model, image, options).permute(1, 2, 0).numpy(), array.dtype)


@torch.inference_mode()
def _tensor(model: DiR, image: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or not image.numel():
        raise ValueError(f"image: got shape {tuple(image.shape)}; wanted 3 colours: (3, H, W) or (B, 3, H, W)")
    white = _WHITE.get(image.dtype)
    if white is None and not image.is_floating_point():
        raise ValueError(f"image: got numbers of {image.dtype}; wanted uint8, uint16 or floats 0..1")
    given = image.float() / (white or 1)
    least, most = float(given.min()), float(given.max())
    if not (least >= 0 and most <= 1):  # what is no number is caught too
        raise ValueError(f"image: got floats of {least:g} to {most:g}; wanted 0 to 1")
    restored = restore(model, given.reshape(-1, *image.shape[-3:]), **options).reshape(image.shape)
    if white:
        return (restored * white).round().to(image.dtype)
    return (image + (restored - given)).clamp(0, 1).to(image.dtype)  # where nothing changes, to the last bit


_KINDS: dict[type, Any] = {Picture: _picture, Image.Image: _pillow, np.ndarray: _array, torch.Tensor: _tensor}
