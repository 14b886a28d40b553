"""The core, in few passes, against the same stages one by one."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from dirnet.isp import strips
from dirnet.isp.camera import degrade, render
from dirnet.isp.color import apply_gains, apply_matrix
from dirnet.isp.core import even
from dirnet.isp.mosaic import DEMOSAICS, demosaic, gain_mosaic, imbalance_greens, mosaic
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.isp.sensor import add_noise, digitise, noise_like
from dirnet.isp.sensor_data import CFA_PATTERNS
from dirnet.isp.tone import apply_gamma, srgb_decode, srgb_encode
from dirnet.suites.draw import draw

KINDS = [("none", "RGGB"), *itertools.product(DEMOSAICS[1:], CFA_PATTERNS)]
SETTINGS = (
    "ccm", "white_balance", "iso_gain", "green_imbalance", "shot_noise", "read_noise", "black_level",
    "black_level_error", "white_balance_ratio", "exposure", "ccm_used", "gamma_ratio",
)  # fmt: skip


def stage_by_stage(image: torch.Tensor, params: ISPParams, method: str, cfa: str) -> torch.Tensor:
    raw = apply_gains(apply_matrix(srgb_decode(image), torch.linalg.inv(params.ccm)), 1 / params.white_balance)
    gains = params.white_balance * params.white_balance_ratio * params.exposure[:, None]
    samples = raw if method == "none" else imbalance_greens(mosaic(even(raw), cfa), params.green_imbalance, cfa)
    samples = samples * params.iso_gain[:, None, None, None]
    noise = noise_like(samples, params.noise_seed)
    samples = add_noise(samples, params.shot_noise, params.read_noise, noise)
    samples = digitise(samples, params.black_level, params.black_level_error, params.bit_depth)
    if method == "none":
        camera = apply_gains(samples, gains)
    else:
        h, w = image.shape[-2:]
        camera = demosaic(gain_mosaic(samples, gains, cfa)[..., :h, :w], cfa, method)
    return apply_gamma(srgb_encode(apply_matrix(camera, params.ccm_used).clamp(0, 1)), params.gamma_ratio)


def settings_for(method: str, cfa: str) -> dict:
    row = draw("clean", 0, method + cfa) | {"demosaic": method, "cfa": cfa, "green_imbalance": 0.03, "iso_gain": 1.3}
    row |= {"shot_noise": 2e-3, "read_noise": 1e-4, "black_level_error": 0.01, "exposure": 0.9, "gamma_ratio": 1.2}
    return row | {"white_balance_ratio": [1.1, 1.0, 0.9], "ccm_used": clean_settings()["ccm"], "noise_seed": 5}


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (31, 33), (64, 90)])
@pytest.mark.parametrize(("method", "cfa"), KINDS)
def test_it_is_the_stages_one_by_one(
    coffee: torch.Tensor, monkeypatch: pytest.MonkeyPatch, method: str, cfa: str, size: tuple[int, int]
) -> None:
    params = ISPParams.from_settings([settings_for(method, cfa)])
    scene = coffee[..., 120 : 120 + size[0], 300 : 300 + size[1]].double()
    doubles = {name: getattr(params, name).double() for name in SETTINGS}
    params = dataclasses.replace(params, **doubles)
    plain = stage_by_stage(scene, params, method, cfa)
    torch.testing.assert_close(degrade(scene, params), plain, atol=2e-7, rtol=0)  # the knees of the sRGB curve
    single = dataclasses.replace(params, **{name: value.float() for name, value in doubles.items()})
    assert (degrade(scene.float(), single) - plain).abs().max() < 2e-5  # dark colours are 13 times as steep
    monkeypatch.setattr(strips, "STRIP_PIXELS", 4 * size[1])
    monkeypatch.setattr(strips, "STRIP_OVER_REACH", 1)
    torch.testing.assert_close(degrade(scene, params), plain, atol=2e-7, rtol=0)


@pytest.mark.parametrize(
    ("method", "cfa"), [*KINDS[:2], ("malvar", "GBRG"), ("nearest", "GRBG"), ("edge_aware", "BGGR")]
)
@pytest.mark.parametrize("pixels", [64, 2**15])
def test_so_are_its_gradients(
    coffee: torch.Tensor, monkeypatch: pytest.MonkeyPatch, method: str, cfa: str, pixels: int
) -> None:
    monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
    monkeypatch.setattr(strips, "STRIP_OVER_REACH", 1)
    params = ISPParams.from_settings([settings_for(method, cfa)])
    values = [getattr(params, name).double().requires_grad_() for name in SETTINGS]
    params = dataclasses.replace(params, **dict(zip(SETTINGS, values, strict=True)))
    scene = coffee[..., 120:151, 300:322].double().requires_grad_()
    weight = torch.rand_like(scene)
    ours, plain = (
        torch.autograd.grad((image * weight).sum(), [scene, *values], materialize_grads=True)
        for image in (degrade(scene, params), stage_by_stage(scene, params, method, cfa))
    )
    for name, one, other in zip(("scene", *SETTINGS), ours, plain, strict=True):
        scale = max(float(other.abs().max()), 1e-9)
        torch.testing.assert_close(
            one / scale, other / scale, atol=1e-5, rtol=0, msg=lambda text, name=name: name + text
        )


@pytest.mark.parametrize("rendering", [degrade, render])
def test_strips_are_the_whole_to_the_last_bit(
    astronaut: torch.Tensor, monkeypatch: pytest.MonkeyPatch, rendering: type(degrade)
) -> None:
    """With every stage on, at once and one kind of sensor after the other."""
    on = {
        "vignetting": 0.3,
        "colour_shading": [0.1, 0.0, -0.1],
        "motion_blur": 4.5,
        "motion_angle": 0.7,
        "row_noise": 0.01,
    }
    on |= {"tukey_scale": 0.002, "tukey_shape": 0.1, "colour_bias": [0.01, 0.0, -0.01, 0.0], "defect_pixels": 0.001}
    on |= {"bit_depth": 10, "luma_smear": 0.5, "chroma_smear": 0.5, "s_curve": 0.2, "local_contrast": 0.3}
    on |= {"saturation": 1.2, "sharpening": 0.6, "resize": 0.7, "first_jpeg_quality": 40, "first_jpeg_shift": [3, 5]}
    on |= {"jpeg_quality": 70, "webp_quality": 60}
    rows = [settings_for(method, "GRBG") | changes for method in DEMOSAICS for changes in ({}, on)]
    params = ISPParams.from_settings(rows)
    scene = astronaut[..., 50:201, 100:167].expand(len(rows), -1, -1, -1)
    whole = rendering(scene, params)
    before = scene.clone()
    for pixels, over in ((64, 1), (700, 1), (2000, 2)):
        monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
        monkeypatch.setattr(strips, "STRIP_OVER_REACH", over)
        assert torch.equal(rendering(scene, params), whole)
        with torch.no_grad():  # in place where it can be
            assert torch.equal(rendering(scene, params), whole)
    assert torch.equal(scene, before)
