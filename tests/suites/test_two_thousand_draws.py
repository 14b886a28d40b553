"""Two thousand exposures of real photographs, of every suite and of every fault by itself at every severity."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import pytest
import torch

from dirnet.isp.camera import degrade
from dirnet.isp.faults import FAULTS
from dirnet.isp.params import ISPParams
from dirnet.pictures.read import read_picture
from dirnet.suites.draw import draw
from dirnet.suites.suites import SEVERITIES, SUITES, Suite

DRAWS, BATCH, OTHER_BATCH = 2000, 40, 13
SIZES = ((48, 56), (57, 49), (64, 64), (51, 63), (60, 47))
SAMPLES = ("astronaut", "chelsea", "coffee", "rocket")


def alone(fault: str) -> Suite:
    """A suite of one fault, at the strengths of the last of the frozen suites that has it."""
    ranges = [suite.faults[fault] for suite in SUITES.values() if fault in suite.faults]
    return Suite(fault, 1, FAULTS[fault].sentence, {fault: ranges[-1]})


def settings() -> list[dict[str, Any]]:
    """Suites and faults, each at every severity, in turn."""
    kinds = list(itertools.product([*SUITES.values(), *map(alone, FAULTS)], SEVERITIES))
    assert len(kinds) == (8 + 29) * 5
    return [draw(*kinds[index % len(kinds)], f"{index}.jpg", view=index % 3, seed=index % 2) for index in range(DRAWS)]


def crops(photographs: Sequence[torch.Tensor], batch: int) -> torch.Tensor:
    """BATCH pieces of the photographs, of a size and from places of their own for each batch."""
    (h, w), random = SIZES[batch % len(SIZES)], torch.Generator().manual_seed(batch)

    def place(room: int) -> int:
        return int(torch.randint(room + 1, (), generator=random))

    def crop(photograph: torch.Tensor) -> torch.Tensor:
        top, left = place(photograph.shape[1] - h), place(photograph.shape[2] - w)
        return photograph[:, top : top + h, left : left + w]

    return torch.stack([crop(photographs[index % len(photographs)]) for index in range(BATCH)])


@pytest.fixture(scope="module")
def samples() -> list[torch.Tensor]:
    """The photographs of the demo, (3, H, W)."""
    folder = resources.files("dirnet") / "samples"
    with resources.as_file(folder) as path:
        return [read_picture(path / f"{name}.jpg").to_tensor()[0] for name in SAMPLES]


def test_two_thousand_draws_give_pictures_and_their_records_the_same_again(samples: list[torch.Tensor]) -> None:
    rows, seen = settings(), 0
    for batch, first in enumerate(range(0, DRAWS, BATCH)):
        images, own = crops(samples, batch), rows[first : first + BATCH]
        shown = degrade(images, params := ISPParams.from_settings(own))
        assert shown.shape == images.shape
        wrong = ~((shown >= 0) & (shown <= 1)).flatten(1).all(1)  # NaN is neither
        assert [row for row, is_wrong in zip(own, wrong, strict=True) if is_wrong] == []
        recorded = [json.loads(json.dumps(row, allow_nan=False)) for row in params.to_settings()]
        for some in torch.arange(BATCH).split(OTHER_BATCH):
            again = degrade(images[some], ISPParams.from_settings([recorded[index] for index in some]))
            assert torch.equal(again, shown[some])
        seen += len(shown)
    assert seen == DRAWS
