from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dirnet.suites import grain as of_grain
from dirnet.suites.grain import DENOISED, MOST_COLOUR, NEAR, REACH, STRONGEST, WEAKEST, _denoised, _grain, add_grain

NAMES = [f"crop/{i}" for i in range(200)]
GREY = torch.full((200, 3, 40, 40), 0.4)


def test_a_draw_depends_on_the_name_alone() -> None:
    whole = add_grain(GREY, GREY, NAMES, 1.0)[0]
    torch.rand(5)
    assert torch.equal(add_grain(GREY[7:9], GREY[7:9], NAMES[7:9], 1.0)[0], whole[7:9])
    assert not torch.equal(add_grain(GREY[7:9], GREY[7:9], ["other", "names"], 1.0)[0], whole[7:9])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_many_have_it_and_the_others_stay_spoiled(share: float) -> None:
    spoiled = GREY + 0.2
    found = add_grain(spoiled, GREY, NAMES, share)[0]
    stayed = (found == spoiled).flatten(1).all(1)
    assert float(stayed.double().mean()) == pytest.approx(1 - share, abs=3 * math.sqrt(share * (1 - share) / 200))
    assert float(found[~stayed].mean() if share else GREY.mean()) == pytest.approx(0.4, abs=2e-3)


def test_before_a_denoiser_strengths_are_spread_evenly_in_their_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_grain, "DENOISED", 0.0)
    strengths = ((add_grain(GREY, GREY, NAMES, 1.0)[0] - GREY).flatten(1).std(1) * 255).log().sort().values
    low, high = math.log(0.9 * WEAKEST), math.log(1.1 * STRONGEST)
    assert low < float(strengths[0]) < float(strengths[-1]) < high
    assert float(strengths.median()) == pytest.approx((low + high) / 2, abs=0.3)


def test_in_the_light_it_may_be_stronger_but_never_weaker() -> None:
    split = GREY.clone()
    split[..., 20:] = 0.05
    grain = add_grain(split, split, NAMES, 1.0)[0] - split
    ratio = grain[..., :20].flatten(1).std(1) / grain[..., 20:].flatten(1).std(1)
    assert float(ratio.quantile(0.05)) > 0.8
    assert float(ratio.quantile(0.95)) > 1.6


@pytest.mark.parametrize("coarse", [0.0, 0.7, of_grain.COARSEST])
@pytest.mark.parametrize("wide", [0.0, of_grain.WIDEST])
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
    grain = add_grain(GREY, GREY, NAMES, 1.0)[0] - GREY
    brightness, reds = grain.sum(1) / math.sqrt(3), (grain[:, 0] - grain[:, 2]) / math.sqrt(2)
    ratio = reds.flatten(1).std(1) / brightness.flatten(1).std(1)
    assert float(ratio.min()) < 0.1
    assert float(ratio.median()) == pytest.approx(MOST_COLOUR / 2, abs=0.15)
    fine = [(part[..., 1:] * part[..., :-1]).mean((1, 2)) / part.square().mean((1, 2)) for part in (brightness, reds)]
    assert float((fine[1] - fine[0]).quantile(0.05)) > -0.15


def test_a_picture_stays_within_0_and_1() -> None:
    for value in (0.0, 1.0):
        found = add_grain(GREY, torch.full_like(GREY, value), NAMES, 1.0)[0]
        assert 0 <= float(found.min()) <= float(found.max()) <= 1


@pytest.mark.parametrize("patch", [1, 3])
def test_non_local_means_are_as_they_are_defined(patch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 4, 4, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    images += 0.05 * torch.randn(2, 3, 16, 16, generator=generator)
    width, half = 0.08, patch // 2

    def mean_at(image: np.ndarray, y: int, x: int) -> np.ndarray:
        def patch_at(y: int, x: int) -> np.ndarray:
            return image[:, y - half : y + half + 1, x - half : x + half + 1]

        near = range(-NEAR, NEAR + 1)
        places = [(y + down, x + right) for down in near for right in near]
        apart = [np.square(patch_at(*place) - patch_at(y, x)).mean() for place in places]
        return np.average([image[:, v, u] for v, u in places], axis=0, weights=np.exp(-np.divide(apart, width**2)))

    found = _denoised(images, width, patch)
    for image, denoised in zip(images.numpy(), found.numpy(), strict=True):
        for y, x in ((4, 4), (7, 8), (11, 5)):
            np.testing.assert_allclose(denoised[:, y, x], mean_at(image, y, x), atol=1e-6)


def half_detailed(n: int) -> torch.Tensor:
    """(n, 3, 40, 40): plain on the left, checks of pixels on the right."""
    pictures = GREY[:n].clone()
    pictures[..., ::2, 20::2] += 0.3
    pictures[..., 1::2, 21::2] += 0.3
    return pictures


def test_behind_a_denoiser_the_scene_is_what_the_denoiser_makes_of_it() -> None:
    pictures = half_detailed(200)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(of_grain, "DENOISED", 0.0)
        plain, as_it_is = add_grain(pictures, pictures, NAMES, 1.0)
    assert torch.equal(as_it_is, pictures)
    found, wanted = add_grain(pictures, pictures, NAMES, 1.0)
    gone = (found != plain).flatten(1).any(1)
    assert float(gone.double().mean()) == pytest.approx(DENOISED, abs=0.1)
    assert torch.equal(wanted[~gone], pictures[~gone])
    left, was = ((image - of).flatten(1).std(1)[gone] for image, of in ((found, wanted), (plain, pictures)))
    assert bool((left < was).all())


@pytest.mark.parametrize("patch", [1, 3])
def test_a_denoiser_leaves_grain_where_the_scene_has_detail(patch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.full((3, 64, 64), 0.5)
    picture[..., 32:] = torch.rand(1, 64, 32, generator=generator)
    grain = 0.02 * torch.randn(3, 64, 64, generator=generator)
    noisy, clean = _denoised(torch.stack((picture + grain, picture)), 0.03, patch)
    plain, detailed = ((noisy - clean)[..., columns].std() for columns in (slice(4, 28), slice(36, 60)))
    assert 2 * plain < detailed < 1.1 * grain.std()
