from __future__ import annotations

import math

import pytest
import scipy.ndimage
import torch

from dirnet.suites import randomise as module
from dirnet.suites.randomise import LOUDER, WIDTHS, _mix, _streaks, _transfer, randomise

NAMES = [f"crop/{i}" for i in range(64)]


@pytest.fixture
def ideal(chelsea: torch.Tensor) -> torch.Tensor:
    return chelsea[..., 100:148, 200:256].expand(64, -1, -1, -1) * 0.8 + 0.1


@pytest.fixture
def spoiled(ideal: torch.Tensor) -> torch.Tensor:
    return (ideal + 0.05 * torch.randn(ideal.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)


def test_a_draw_depends_on_the_name_alone(spoiled: torch.Tensor, ideal: torch.Tensor) -> None:
    whole = randomise(spoiled, ideal, NAMES, 1.0)
    torch.rand(5)
    assert torch.allclose(randomise(spoiled[7:9], ideal[7:9], NAMES[7:9], 1.0), whole[7:9], atol=1e-5)
    assert not torch.allclose(randomise(spoiled[7:9], ideal[7:9], ["other", "names"], 1.0), whole[7:9], atol=1e-2)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_so_many_are_changed_and_the_others_are_not(share: float, spoiled: torch.Tensor, ideal: torch.Tensor) -> None:
    found = randomise(spoiled, ideal, NAMES, share)
    changed = (found != spoiled).flatten(1).any(1).double().mean()
    assert float(changed) == pytest.approx(share, abs=3 * math.sqrt(share * (1 - share) / 64))
    assert found.min() >= 0
    assert found.max() <= 1


def test_where_nothing_is_wrong_half_of_the_pictures_stay(ideal: torch.Tensor) -> None:
    """No noise, nothing to filter; every second picture beneath goes through a transfer function."""
    found = randomise(ideal, ideal, NAMES, 1.0)
    same = ((found - ideal).abs().amax((1, 2, 3)) < 1e-5).double().mean()
    assert 0.3 < same < 0.7


def test_noise_becomes_stronger_by_its_gain_and_comes_to_hang_together(
    spoiled: torch.Tensor, ideal: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRANSFER", 0.0)
    monkeypatch.setattr(module, "STREAKED", 0.0)
    noise, before = randomise(spoiled, ideal, NAMES, 1.0) - ideal, spoiled - ideal
    stronger = (noise.std((1, 2, 3)) / before.std((1, 2, 3))).log()
    assert float(stronger.mean()) == pytest.approx(LOUDER * math.sqrt(2 / math.pi), abs=0.15)
    assert float(stronger.min()) > -0.1
    assert neighbours(noise) > 5 * neighbours(before)


def neighbours(noise: torch.Tensor) -> float:
    """Mean absolute correlation of a pixel and the next."""
    left, right = noise[..., 1:].flatten(1), noise[..., :-1].flatten(1)
    return float(((left * right).mean(1) / (left.std(1) * right.std(1))).abs().mean())


def test_a_filter_without_chance_is_none(spoiled: torch.Tensor) -> None:
    assert torch.allclose(_mix(spoiled, torch.zeros(64, 3, 3, 3, 3)), spoiled)


@pytest.mark.parametrize("axis", [2, 3])
def test_streaks_run_along_their_axis(axis: int) -> None:
    noise = torch.randn(4, 3, 200, 200, generator=torch.Generator().manual_seed(2))
    streaks = _streaks(noise, axis)[..., 20:-20, 20:-20]
    assert float(streaks.std()) == pytest.approx(1, abs=0.1)
    along, across = (streaks.diff(dim=which).square().mean() for which in (axis, 5 - axis))
    assert along < across / 10


@pytest.mark.parametrize("which", range(len(WIDTHS)))
def test_the_transfer_is_an_unsharp_mask(which: int, chelsea: torch.Tensor) -> None:
    """Oracle: SciPy's Gaussian."""
    picture = chelsea[..., 60:140, 60:150]
    gains = torch.zeros(1, len(WIDTHS))
    gains[0, which] = 0.7
    blurred = scipy.ndimage.gaussian_filter(picture.double().numpy(), (0, 0, WIDTHS[which], WIDTHS[which]))
    expected = picture + 0.7 * (picture - torch.from_numpy(blurred))
    inner = (..., slice(16, -16), slice(16, -16))
    torch.testing.assert_close(_transfer(picture, gains)[inner].double(), expected[inner], atol=3e-3, rtol=0)
