from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dirnet.isp import strips
from dirnet.isp.strips import Strip, Work, in_strips, pixelwise


def blur(image: torch.Tensor) -> torch.Tensor:
    """Mean of the rows up to three away; edges are mirrored."""
    padded = F.pad(image, (0, 0, 3, 3), mode="reflect")
    return sum(padded[..., row : row + image.shape[-2], :] for row in range(7)) / 7


def blur_strip(strip: Strip, image: torch.Tensor) -> torch.Tensor:
    return strip.wanted(blur(image))


@pytest.mark.parametrize("height", [5, 38, 39])
@pytest.mark.parametrize(("pixels", "over", "most"), [(1, 1, 2**20), (1, 4, 2**20), (1, 8, 1), (300, 1, 2**20)])
@pytest.mark.parametrize("turned", [False, True])
def test_strips_are_the_whole_in_new_memory_and_in_the_old(
    monkeypatch: pytest.MonkeyPatch, height: int, pixels: int, over: int, most: int, turned: bool
) -> None:
    image = torch.rand(1, 3, height, 11)
    image = image.to(memory_format=torch.channels_last) if turned else image
    whole, before, work = blur(image), image.clone(), Work(blur_strip, height, 4)
    monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
    monkeypatch.setattr(strips, "STRIP_OVER_REACH", over)
    monkeypatch.setattr(strips, "WIDE_STRIP_PIXELS", most)
    assert torch.equal(in_strips(work, image), whole)
    assert torch.equal(image, before)
    with torch.no_grad():
        assert in_strips(work, image, inplace=True) is image
    assert torch.equal(image, whole)


def test_with_gradients_nothing_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_PIXELS", 22)
    image = torch.rand(1, 3, 20, 11)
    before, work = image.clone(), Work(blur_strip, 20, 4)
    assert torch.equal(in_strips(work, image, inplace=True), blur(before))
    assert torch.equal(pixelwise(torch.add, (image, image), image), before + before)
    assert torch.equal(image, before)


def test_what_is_done_pixel_by_pixel_may_take_the_place_of_one_of_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_PIXELS", 22)
    one, other = torch.rand(2, 3, 7, 11), torch.rand(2, 3, 7, 11)
    expected = torch.hypot(one, other)
    with torch.no_grad():
        assert pixelwise(torch.hypot, (one, other), other) is other
    assert torch.equal(other, expected)
