from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sample_files import matrix_profile

import dirnet
from dirnet.pictures.picture import Picture
from dirnet.tasks.restorer import Restorer, load


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return load("tiny-proof")


@pytest.fixture(scope="module")
def noisy(photographs: dict[str, torch.Tensor]) -> np.ndarray:
    """(45, 61, 3) in 0..1."""
    clean = photographs["chelsea"][0, :, 100:145, 200:261]
    noise = 0.06 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return (clean + noise).clamp(0, 1).permute(1, 2, 0).numpy()


def of_kind(kind: str, values: np.ndarray) -> Any:
    """Values (H, W, 3) in 0..1 as the picture that the name tells."""
    eight, sixteen = np.rint(values * 255).astype(np.uint8), np.rint(values * 65535).astype(np.uint16)
    return {
        "array uint8": lambda: eight,
        "array uint16": lambda: sixteen,
        "array big-endian": lambda: sixteen.astype(">u2"),
        "array mirrored": lambda: eight[:, ::-1][:, ::-1],
        "array float16": lambda: values.astype(np.float16),
        "array float32": lambda: values.astype(np.float32),
        "array float64": lambda: values.astype(np.float64) * (1 - 1e-12),
        "tensor uint8": lambda: torch.from_numpy(eight).permute(2, 0, 1),
        "tensor uint16": lambda: torch.from_numpy(sixteen).permute(2, 0, 1),
        "tensor float32": lambda: torch.from_numpy(values).permute(2, 0, 1),
        "tensor float64": lambda: torch.from_numpy(values).permute(2, 0, 1).double(),
        "batch": lambda: torch.from_numpy(np.stack([values, values[:, ::-1]])).permute(0, 3, 1, 2),
        "pillow RGB": lambda: Image.fromarray(eight),
        "pillow RGBA": lambda: Image.fromarray(np.dstack([eight, eight[..., 0]])),
        "pillow L": lambda: Image.fromarray(eight[..., 1]),
        "pillow LA": lambda: Image.fromarray(eight[..., 1:]),
        "Picture": lambda: Picture(values.copy(), 16, alpha=values[..., 0].copy(), exif=b"Exif\0\0"),
    }[kind]()


KINDS = [
    *("array uint8", "array uint16", "array big-endian", "array mirrored"),
    *("array float16", "array float32", "array float64"),
    *("tensor uint8", "tensor uint16", "tensor float32", "tensor float64", "batch"),
    *("pillow RGB", "pillow RGBA", "pillow L", "pillow LA", "Picture"),
]


def numbers(image: Any) -> np.ndarray:
    if isinstance(image, Picture):
        return np.dstack([image.pixels, image.alpha if image.alpha is not None else image.pixels[..., 0]])
    return np.asarray(image)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_went_in(restorer: Restorer, noisy: np.ndarray, kind: str) -> None:
    image = of_kind(kind, noisy)
    before = numbers(image).copy()
    restored = restorer.restore(image)
    assert type(restored) is type(image)
    assert numbers(restored).shape == before.shape
    assert numbers(restored).dtype == before.dtype
    np.testing.assert_array_equal(numbers(image), before)  # the original is left alone
    assert (numbers(restored) != before).mean() > 0.2
    np.testing.assert_array_equal(numbers(restorer.restore(image, strength=0)), before)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("batch", "pillow L", "pillow LA")])
def test_every_kind_gets_the_same_pixels(restorer: Restorer, noisy: np.ndarray, kind: str) -> None:
    restored = restorer.restore(of_kind(kind, noisy))
    values = numbers(restored).astype(np.float64)
    values = values.transpose(1, 2, 0) if isinstance(restored, torch.Tensor) else values
    values /= {"uint8": 255, "uint16": 65535, ">u2": 65535}.get(str(numbers(restored).dtype), 1)
    np.testing.assert_allclose(values[..., :3], restorer.restore(noisy), atol=0.01)


def test_each_picture_of_a_batch_is_restored_as_if_alone(restorer: Restorer, noisy: np.ndarray) -> None:
    batch = of_kind("batch", noisy)
    restored = restorer.restore(batch, tone="repair")
    for one, together in zip(batch, restored, strict=True):
        torch.testing.assert_close(restorer.restore(one, tone="repair"), together, atol=1e-5, rtol=0)


def test_alpha_and_what_a_pillow_image_knows_are_kept(restorer: Restorer, noisy: np.ndarray) -> None:
    image = of_kind("pillow RGBA", noisy)
    image.info["icc_profile"] = matrix_profile()
    restored = restorer.restore(image)
    np.testing.assert_array_equal(np.asarray(restored)[..., 3], np.asarray(image)[..., 3])
    assert restored.info == image.info
    plain = restorer.restore(of_kind("pillow RGBA", noisy))
    assert (np.asarray(restored) != np.asarray(plain)).any()  # the profile is heeded


def test_load_is_public_and_still_tells_of_the_weights(restorer: Restorer) -> None:
    loaded = dirnet.load("tiny-proof")
    assert isinstance(loaded, Restorer)
    assert (loaded.name, loaded.sha256, loaded.card) == ("tiny-proof", restorer.sha256, restorer.card)
    assert isinstance(loaded.model, dirnet.DiR)


@pytest.mark.parametrize(
    ("image", "error", "sentence"),
    [
        (np.zeros((4, 5)), ValueError, r"got shape \(4, 5\); wanted \(H, W, 3\)"),
        (np.zeros((3, 4, 5)), ValueError, r"wanted \(H, W, 3\)"),
        (np.zeros((0, 4, 3)), ValueError, "got shape"),
        (np.full((4, 5, 3), 255.0), ValueError, "got floats of 255 to 255; wanted 0 to 1"),
        (np.full((4, 5, 3), np.nan), ValueError, "wanted 0 to 1"),
        (np.zeros((4, 5, 3), np.int32), ValueError, "wanted uint8, uint16 or floats"),
        (np.zeros((4, 5, 3), bool), ValueError, "wanted uint8, uint16 or floats"),
        (torch.zeros(4, 5), ValueError, "wanted 3 colours"),
        (torch.zeros(1, 4, 8, 8), ValueError, "wanted 3 colours"),
        (-torch.ones(3, 8, 8), ValueError, "wanted 0 to 1"),
        (Image.new("P", (4, 4)), ValueError, "got mode P; wanted one of L, LA, RGB, RGBA"),
        (Image.new("CMYK", (4, 4)), ValueError, "got mode CMYK"),
        ("picture.png", TypeError, "got str; wanted an array"),
        ([[0.5]], TypeError, "got list"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(
    restorer: Restorer, image: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        restorer.restore(image)


def test_a_strength_beyond_1_is_refused(restorer: Restorer, noisy: np.ndarray) -> None:
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="wanted 0 to 1"):
            restorer.restore(noisy, strength=strength)


def test_a_tone_that_is_none_is_refused(restorer: Restorer, noisy: np.ndarray) -> None:
    with pytest.raises(ValueError, match="tone: got 'Repair'; wanted one of keep, repair"):
        restorer.restore(noisy, tone="Repair")  # type: ignore[arg-type]
