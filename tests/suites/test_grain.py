from __future__ import annotations

import math

import pytest
import torch

from dirnet.suites.grain import COARSEST, MOST_COLOUR, REACH, STRONGEST, WEAKEST, WIDEST, _grain, add_grain

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
@pytest.mark.parametrize("wide", [0.0, WIDEST])
@pytest.mark.parametrize("colour", [0.3, 1.0])
def test_brightness_and_colour_have_the_strength_and_the_spectrum_that_are_asked_for(
    coarse: float, wide: float, colour: float
) -> None:
    noise = _grain((300, 300), coarse, wide, colour, torch.Generator().manual_seed(0))
    assert float(noise.std()) == pytest.approx(1, abs=1e-3)
    brightness, reds = noise.sum(0) / math.sqrt(3), (noise[0] - noise[2]) / math.sqrt(2)
    assert float(reds.std() / brightness.std()) == pytest.approx(colour, rel=0.1)
    for part, width in ((brightness, coarse), (reds, wide)):
        # What has gone through a Gaussian is correlated as its taps are with themselves.
        beside = float((part[:, 1:] * part[:, :-1]).mean() / part.square().mean())
        taps = torch.exp(-0.5 * (torch.arange(-REACH, REACH + 1) / max(width, 1e-2)) ** 2)
        assert beside == pytest.approx(float((taps[1:] * taps[:-1]).sum() / taps.square().sum()), abs=0.03)


def test_independent_channels_are_among_it() -> None:
    noise = _grain((300, 300), 0.0, 0.0, 1.0, torch.Generator().manual_seed(0)).flatten(1)
    torch.testing.assert_close(noise @ noise.T / noise.shape[1], torch.eye(3), atol=0.02, rtol=0)


def test_from_grey_to_coloured_and_its_colour_is_never_finer_than_its_brightness() -> None:
    grain = add_grain(GREY, GREY, NAMES, 1.0) - GREY
    brightness, reds = grain.sum(1) / math.sqrt(3), (grain[:, 0] - grain[:, 2]) / math.sqrt(2)
    ratio = reds.flatten(1).std(1) / brightness.flatten(1).std(1)
    assert float(ratio.min()) < 0.1
    assert float(ratio.median()) == pytest.approx(MOST_COLOUR / 2, abs=0.15)
    fine = [(part[..., 1:] * part[..., :-1]).mean((1, 2)) / part.square().mean((1, 2)) for part in (brightness, reds)]
    assert float((fine[1] - fine[0]).quantile(0.05)) > -0.15


def test_a_picture_stays_within_0_and_1() -> None:
    for value in (0.0, 1.0):
        found = add_grain(GREY, torch.full_like(GREY, value), NAMES, 1.0)
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
