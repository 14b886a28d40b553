from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from dirnet.learn import loop
from dirnet.learn.data import ROOM, Scenes

CROP = 48


@pytest.fixture(scope="module")
def quick_loop() -> Iterator[None]:
    """One thread, and a line in the log for every step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "use_all_cores", lambda: None)
        patch.setattr(loop, "LOG_EVERY_STEPS", 1)
        yield


@pytest.fixture
def scenes_of(photographs: dict[str, torch.Tensor]) -> Callable[[int], Scenes]:
    """Four scenes of three photographs, of as many pixels a side as are asked for."""
    pictures = [*photographs.values()]

    def take(size: int) -> Scenes:
        wholes = [pictures[i % 3] for i in range(4)]
        crops = [whole[0, :, 90 : 90 + size, 40 * i + 60 : 40 * i + 60 + size] for i, whole in enumerate(wholes)]
        return Scenes(torch.stack(crops), [f"scene/{i}" for i in range(4)])

    return take


@pytest.fixture
def scenes(scenes_of: Callable[[int], Scenes]) -> Scenes:
    """Four scenes for crops of 48 pixels."""
    return scenes_of(CROP + ROOM)
