from __future__ import annotations

import itertools
from typing import Any

import colour_demosaicing
import numpy as np
import pytest
import torch

from dirnet.isp.camera import degrade, expose, render, unprocess
from dirnet.isp.color import apply_gains, apply_matrix
from dirnet.isp.develop import develop
from dirnet.isp.mosaic import demosaic, mosaic
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic
from dirnet.isp.tone import display
from dirnet.judge.metrics import psnr
from dirnet.suites.draw import draw

Rows = list[dict[str, Any]]
FILL = {
    "bilinear": colour_demosaicing.demosaicing_CFA_Bayer_bilinear,
    "malvar": colour_demosaicing.demosaicing_CFA_Bayer_Malvar2004,
}


def exposures(*changes: dict[str, Any]) -> ISPParams:
    return ISPParams.from_settings([{**clean_settings(), **change} for change in changes])


# The perfect camera


def test_a_perfect_camera_gives_the_photograph_back(photographs: dict[str, torch.Tensor]) -> None:
    for index, photograph in enumerate(photographs.values()):
        for settings in (clean_settings(), draw("clean", 0, str(index))):
            again = degrade(photograph, ISPParams.from_settings([settings]))
            assert (again - photograph).abs().max() < 1e-5
            assert torch.equal((again * 255).round(), (photograph * 255).round())


def test_every_colour_survives_every_camera() -> None:
    """Nothing that an sRGB photograph holds is cut by the sensor of any camera that is drawn."""
    cube = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).T.reshape(1, 3, 2, 4)
    params = ISPParams.from_settings([draw("clean", 0, str(index)) for index in range(500)])
    assert (degrade(cube.expand(500, -1, -1, -1), params) - cube).abs().max() < 1e-5


def test_unprocess_undoes_render_on_raw(coffee: torch.Tensor) -> None:
    params = ISPParams.from_settings([draw("clean", 0, "coffee")])
    raw = unprocess(coffee, params)
    torch.testing.assert_close(unprocess(render(raw, params), params), raw, atol=2e-6, rtol=0)


# Against the same camera in NumPy


def by_numpy(image: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """The noiseless chain by the book in float64: image (H, W, 3) sRGB."""
    to_camera, used = np.linalg.inv(settings["ccm"]), np.array(settings["ccm_used"])
    balance, ratio = np.array(settings["white_balance"]), np.array(settings["white_balance_ratio"])
    linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    raw = linear @ to_camera.T / balance * settings["iso_gain"]
    pedestal = settings["black_level"]
    raw = np.clip(raw, -pedestal / (1 - pedestal), 1) - settings["black_level_error"]
    camera = raw * balance * ratio * settings["exposure"]
    if settings["demosaic"] != "none":
        cfa = settings["cfa"]
        camera = FILL[settings["demosaic"]](colour_demosaicing.mosaicing_CFA_Bayer(camera, cfa), cfa)
    linear = np.clip(camera @ used.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return encoded ** settings["gamma_ratio"]


@pytest.mark.parametrize("suite", ["seen", "unseen-severity"])
def test_the_stages_are_in_order(chelsea: torch.Tensor, suite: str) -> None:
    rows = []
    for index, (method, cfa) in enumerate(itertools.product(("none", *FILL), CFA_PATTERNS)):
        row = draw(suite, 1 + index % 5, f"numpy {index}")
        row |= {"demosaic": method, "cfa": cfa, "jpeg_quality": 0, "shot_noise": 0.0, "read_noise": 0.0}
        rows.append(row | {"iso_gain": 1 + 0.2 * index, "black_level_error": 0.004 * index})
    scene = chelsea[..., 100:180, 150:241]
    ours = degrade(scene.expand(len(rows), -1, -1, -1), ISPParams.from_settings(rows)).permute(0, 2, 3, 1).numpy()
    image = scene[0].permute(1, 2, 0).double().numpy()
    for row, picture in zip(rows, ours, strict=True):
        expected = by_numpy(image, row)[2:-2, 2:-2]
        off = np.abs(picture[2:-2, 2:-2] - expected)
        assert off[expected > 0.01].max() < 2e-5
        assert off.max() < 1e-3  # next to black, a gamma magnifies the rounding of float32 without bound


def test_noise_reaches_raw_before_clipping_and_gains() -> None:
    """A gray patch by a three-colour sensor: the variance in raw is shot * x + read of what the sensor saw."""
    shot, read, wb = 2e-3, 1e-5, 2.0
    row = {"ccm": torch.eye(3).tolist(), "ccm_used": torch.eye(3).tolist(), "white_balance": [wb] * 3}
    row |= {"shot_noise": shot, "read_noise": read, "iso_gain": 1.5, "noise_seed": 9}
    raw = torch.full((1, 3, 200, 200), 0.2)
    shown = unprocess(render(raw, params := exposures(row)), params).double()
    n, variance = raw.numel(), shot * 0.3 + read
    assert abs(shown.mean() - 0.3) < 4 * (variance / n) ** 0.5
    assert abs(shown.var() - variance) < 4 * variance * (2 / n) ** 0.5


# Sample i depends on row i alone


def scenes_for(rows: Rows, photograph: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    h, w = size
    return torch.cat([photograph[..., 3 * i : 3 * i + h, 5 * (i % 90) :][..., :w] for i in range(len(rows))])


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16), (33, 47)])
def test_a_sample_alone_is_the_same_sample_in_a_mixed_batch(
    every_kind: Rows, astronaut: torch.Tensor, size: tuple[int, int], exact: bool
) -> None:
    scenes, params = scenes_for(every_kind, astronaut, size), ISPParams.from_settings(every_kind)
    together = degrade(scenes, params, exact_jpeg=exact)
    alone = [degrade(scenes[i : i + 1], params[i : i + 1], exact_jpeg=exact) for i in range(len(params))]
    differing = [i for i in range(len(params)) if not torch.equal(alone[i][0], together[i])]
    assert differing == []


def test_order_does_not_matter_and_the_same_settings_give_the_same_picture(
    every_kind: Rows, astronaut: torch.Tensor
) -> None:
    scenes, params = scenes_for(every_kind, astronaut, (33, 47)), ISPParams.from_settings(every_kind)
    first = degrade(scenes, params)
    assert torch.equal(degrade(scenes, params), first)
    order = torch.randperm(len(params))
    assert torch.equal(degrade(scenes[order], params[order]), first[order])


def test_another_noise_seed_is_another_picture(astronaut: torch.Tensor) -> None:
    row = draw("seen", 3, "seeds")
    first, second = degrade(astronaut.expand(2, -1, -1, -1), ISPParams.from_settings([row, {**row, "noise_seed": 1}]))
    assert (first - second).abs().mean() > 0.002


def test_how_a_tensor_lies_in_memory_does_not_matter(every_kind: Rows, astronaut: torch.Tensor) -> None:
    scenes, params = scenes_for(every_kind, astronaut, (33, 46)), ISPParams.from_settings(every_kind)
    turned = scenes.to(memory_format=torch.channels_last)
    assert torch.equal(degrade(turned, params), degrade(scenes, params))


# Other inputs


def test_double_in_double_out(coffee: torch.Tensor) -> None:
    params = ISPParams.from_settings([draw("seen", 4, "double")])
    image = degrade(coffee.double(), params)
    assert image.dtype == torch.float64
    assert (image - degrade(coffee, params)).abs().mean() < 1e-3  # some values round to the other side


def test_balancing_before_malvar_is_worth_decibels(photographs: dict[str, torch.Tensor]) -> None:
    """Its filters take one colour's detail for another's, which holds of balanced samples alone."""
    lead = []
    for name, photograph in photographs.items():
        params = ISPParams.from_settings([draw("clean", 0, name) | {"demosaic": "malvar", "cfa": "RGGB"}])
        samples = mosaic(unprocess(photograph, params), "RGGB")
        late = apply_gains(demosaic(samples, "RGGB", "malvar"), params.white_balance)
        after = display(apply_matrix(late, params.ccm), params.gamma_ratio)
        lead.append(psnr(degrade(photograph, params)[0], photograph[0]) - psnr(after[0], photograph[0]))
    assert min(lead) > 0.5
    assert sum(lead) / len(lead) > 1.5


# A real RAW


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
@pytest.mark.parametrize("size", [(40, 56), (41, 55)])
def test_develop_is_the_textbook_chain(coffee: torch.Tensor, cfa: str, size: tuple[int, int]) -> None:
    params = exposures({})
    scene = coffee[..., 200 : 200 + size[0], 300 : 300 + size[1]]
    samples = mosaic(unprocess(scene, params), cfa)[0, 0]
    exposure = Mosaic(samples, cfa, 512.0, 16383.0, params.white_balance[0], params.ccm[0])
    row = {**clean_settings(), "demosaic": "malvar", "cfa": cfa}
    expected = by_numpy(scene[0].permute(1, 2, 0).double().numpy(), row)
    developed = develop(exposure)
    assert developed.shape == (1, 3, *size)
    np.testing.assert_allclose(developed[0].permute(1, 2, 0)[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-5)


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_the_raw_of_an_exposure_develops_to_the_picture_of_it(coffee: torch.Tensor, cfa: str, severity: int) -> None:
    """`render` does the same where nothing but the sensor, the colours and Malvar's demosaicing have a say."""
    row = draw("seen", severity, cfa) | {"cfa": cfa, "demosaic": "malvar", "gamma_ratio": 1.0, "jpeg_quality": 0}
    row["exposure"] = 1 / row["white_balance"][1]  # a RAW's gains leave green alone
    params, scene = ISPParams.from_settings([row]), 0.7 * coffee[..., 200:260, 300:380]  # nothing blown out
    raw = expose(scene, params)
    assert (raw.cfa, tuple(raw.samples.shape)) == (cfa, (60, 80))
    assert raw.black_level / raw.white_level == pytest.approx(row["black_level"])
    assert raw.noise_profile == pytest.approx((row["shot_noise"], row["read_noise"]))
    torch.testing.assert_close(develop(raw), degrade(scene, params), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
def test_a_gray_card_is_gray_and_what_is_blown_out_is_white(cfa: str) -> None:
    gains = torch.tensor([2.2, 1.0, 1.6])
    card = mosaic((0.18 / gains)[None, :, None, None].expand(1, 3, 9, 11), cfa)[0, 0]
    ccm = torch.tensor(clean_settings()["ccm"])
    gray = develop(Mosaic(card, cfa, 0.0, 1023.0, gains, ccm))
    torch.testing.assert_close(gray, torch.full_like(gray, 0.4613561), atol=2e-6, rtol=0)  # sRGB of 18 %
    white = develop(Mosaic(torch.ones(9, 11), cfa, 0.0, 1023.0, gains, ccm))
    torch.testing.assert_close(white, torch.ones_like(white), atol=2e-6, rtol=0)
