from __future__ import annotations

import math

import pytest
import torch

from dirnet.suites.grain import COARSEST, REACH, STRONGEST, WEAKEST, _grain, add_grain

NAMES = [f"crop/{i}" for i in range(200)]
GREY = torch.full((200, 3, 40, 40), 0.4)


def test_a_draw_depends_on_the_name_alone() -> None:
    whole = add_grain(GREY, GREY, NAMES, 1.0)
    torch.rand(5)
    assert torch.equal(add_grain(GREY[7:9], GREY[7:9], NAMES[7:9], 1.0), whole[7:9])
    assert not torch.equal(add_grain(GREY[7:9], GREY[7:9], ["other", "names"], 1.0), whole[7:9])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_many_have_it_and_the_others_stay_spoiled(share: float) -> None:
    spoiled = GREY + 0.2
    found = add_grain(spoiled, GREY, NAMES, share)
    stayed = (found == spoiled).flatten(1).all(1)
    assert float(stayed.double().mean()) == pytest.approx(1 - share, abs=3 * math.sqrt(share * (1 - share) / 200))
    assert float(found[~stayed].mean() if share else GREY.mean()) == pytest.approx(0.4, abs=2e-3)


def test_strengths_are_spread_evenly_in_their_logarithm() -> None:
    strengths = ((add_grain(GREY, GREY, NAMES, 1.0) - GREY).flatten(1).std(1) * 255).log().sort().values
    low, high = math.log(0.9 * WEAKEST), math.log(1.1 * STRONGEST)
    assert low < float(strengths[0]) < float(strengths[-1]) < high
    assert float(strengths.median()) == pytest.approx((low + high) / 2, abs=0.3)


def test_in_the_light_it_may_be_stronger_but_never_weaker() -> None:
    split = GREY.clone()
    split[..., 20:] = 0.05
    grain = add_grain(split, split, NAMES, 1.0) - split
    ratio = grain[..., :20].flatten(1).std(1) / grain[..., 20:].flatten(1).std(1)
    assert float(ratio.quantile(0.05)) > 0.8
    assert float(ratio.quantile(0.95)) > 1.6


@pytest.mark.parametrize("coarse", [0.0, 0.7, COARSEST])
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_its_spectrum_and_its_colour_are_what_is_asked_for(coarse: float, grey: float) -> None:
    noise = _grain((300, 300), coarse, grey, torch.Generator().manual_seed(0))
    assert float(noise.std()) == pytest.approx(1, abs=1e-3)
    # Noise through a Gaussian is correlated as a Gaussian of twice the variance; between channels, by the grey share.
    beside = float((noise[..., 1:] * noise[..., :-1]).mean())
    taps = torch.exp(-0.5 * (torch.arange(-REACH, REACH + 1) / max(coarse, 1e-2)) ** 2)
    assert beside == pytest.approx(float((taps[1:] * taps[:-1]).sum() / taps.square().sum()), abs=0.03)
    assert float((noise[0] * noise[1]).mean()) == pytest.approx(between_channels(grey), abs=0.05)


def between_channels(grey: float) -> float:
    """The correlation of two channels of which each is sqrt(1 - grey) a source of its own and sqrt(grey) the mean."""
    alike = math.sqrt(grey) / math.sqrt(3)
    own = [math.sqrt(1 - grey) + alike, alike, alike]  # of channel 0, in the three sources
    other = [alike, math.sqrt(1 - grey) + alike, alike]
    return sum(a * b for a, b in zip(own, other, strict=True)) / sum(a * a for a in own)


def test_most_of_it_is_nearly_grey() -> None:
    grain = (add_grain(GREY, GREY, NAMES, 1.0) - GREY).flatten(2)
    alike = (grain[:, 0] * grain[:, 1]).mean(1) / (grain[:, 0].std(1) * grain[:, 1].std(1))
    assert float(alike.median()) == pytest.approx(between_channels(0.5 ** (1 / 3)), abs=0.04)
    assert float(alike.min()) < 0.6


def test_a_picture_stays_within_0_and_1() -> None:
    for value in (0.0, 1.0):
        found = add_grain(GREY, torch.full_like(GREY, value), NAMES, 1.0)
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
