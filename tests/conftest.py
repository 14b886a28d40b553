"""What every room's tests share: three photographs, every kind of exposure, one seed and one thread."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import skimage.data
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def photographs() -> dict[str, torch.Tensor]:
    """Three photographs, (1, 3, H, W) float32 in 0..1; they ship with scikit-image."""
    pictures = {name: getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea")}
    return {name: torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 for name, pixels in pictures.items()}


@pytest.fixture
def astronaut(photographs: dict[str, torch.Tensor]) -> torch.Tensor:
    """512 x 512; never written to."""
    return photographs["astronaut"]


@pytest.fixture
def coffee(photographs: dict[str, torch.Tensor]) -> torch.Tensor:
    """400 x 600; never written to."""
    return photographs["coffee"]


@pytest.fixture
def chelsea(photographs: dict[str, torch.Tensor]) -> torch.Tensor:
    """300 x 451; never written to."""
    return photographs["chelsea"]


@pytest.fixture(scope="session")
def every_kind() -> list[dict[str, Any]]:
    """120 exposures, every demosaicing x CFA x chroma subsampling, coded or not; every seventh without noise."""
    from dirnet.isp.codec import SUBSAMPLINGS
    from dirnet.isp.mosaic import DEMOSAICS
    from dirnet.isp.sensor_data import CFA_PATTERNS
    from dirnet.suites.draw import draw

    rows = []
    for index, kind in enumerate(itertools.product(DEMOSAICS, CFA_PATTERNS, SUBSAMPLINGS, (False, True))):
        row = draw("seen", 1 + index % 5, f"kind {index}")
        row["demosaic"], row["cfa"], row["jpeg_subsampling"], coded = kind
        row["jpeg_quality"] *= coded
        if index % 7 == 0:
            row["shot_noise"] = row["read_noise"] = 0.0
        rows.append(row)
    return rows
