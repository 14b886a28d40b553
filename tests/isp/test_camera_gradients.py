"""The whole camera's gradients, and what it makes of hostile values."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch.autograd import gradcheck

from dirnet.isp.camera import degrade, render
from dirnet.isp.mosaic import DEMOSAICS
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.suites.draw import draw

FLOATS = [name for name, value in vars(ISPParams.clean()).items() if value.is_floating_point()]


# What has no gradient: it decides which pixels are stuck, or to how many pixels a side is rounded.
STEPS = ("defect_pixels", "resize")
SMOOTH = [name for name in FLOATS if name not in STEPS]


def spoiled(**changes: Any) -> dict[str, Any]:
    """One strong exposure with every float setting away from the right one, but for stages that are met elsewhere."""
    off = {"iso_gain": 1.2, "black_level_error": 0.02, "jpeg_quality": 0, "demosaic": "malvar", "green_imbalance": 0.02}
    return {**draw("seen", 5, "spoiled"), **off, **changes}


def spoiled_throughout(**changes: Any) -> dict[str, Any]:
    """`spoiled`, with every stage at work."""
    lens = {"vignetting": 0.3, "colour_shading": [0.1, 0.05, -0.1], "motion_blur": 3.3, "motion_angle": 0.6}
    sensor = {"tukey_scale": 2e-3, "tukey_shape": 0.1, "row_noise": 2e-3, "colour_bias": [1e-3, 2e-3, -1e-3, -2e-3]}
    finish = {"luma_smear": 0.3, "chroma_smear": 0.4, "s_curve": 0.2, "local_contrast": 0.3, "saturation": 0.8}
    finish |= {"sharpening": 0.4, "sharpening_radius": 0.9}
    return spoiled(**lens, **sensor, **finish, **changes)


def with_gradients(params: ISPParams, dtype: torch.dtype = torch.float32) -> ISPParams:
    return dataclasses.replace(
        params, **{name: getattr(params, name).to(dtype, copy=True).requires_grad_() for name in FLOATS}
    )


@pytest.mark.parametrize("method", DEMOSAICS)
def test_gradients_of_the_whole_camera(method: str) -> None:
    rows = [spoiled(demosaic=method, noise_seed=seed) for seed in (1, 2)]
    clean, params = ISPParams.clean(2), ISPParams.from_settings(rows)
    at_work = [name for name in FLOATS if not torch.equal(getattr(params, name), getattr(clean, name))]
    at_work = sorted({*at_work, "black_level", "ccm_used"})
    params = dataclasses.replace(params, **{name: getattr(params, name).double() for name in FLOATS})
    raw = (torch.rand(2, 3, 4, 5, dtype=torch.float64) * 0.1 + 0.1).requires_grad_()

    def camera(raw: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return render(raw, dataclasses.replace(params, **dict(zip(at_work, values, strict=True))))

    assert gradcheck(camera, (raw, *(getattr(params, name).clone().requires_grad_() for name in at_work)))


def test_gradients_of_every_stage_at_once() -> None:
    params = with_gradients(ISPParams.from_settings([spoiled_throughout(noise_seed=3)]), torch.float64)
    raw = (torch.rand(1, 3, 4, 6, dtype=torch.float64) * 0.1 + 0.15).requires_grad_()

    def camera(raw: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return render(raw, dataclasses.replace(params, **dict(zip(SMOOTH, values, strict=True))))

    assert gradcheck(camera, (raw, *(getattr(params, name) for name in SMOOTH)))


@pytest.mark.parametrize("exact", [True, False])
def test_every_float_setting_has_a_gradient(coffee: torch.Tensor, exact: bool) -> None:
    noisy = {"read_noise": 0.003, "jpeg_quality": 60}  # enough to fall below the pedestal
    rows = [spoiled_throughout(demosaic=method, **noisy) for method in DEMOSAICS]
    rows[0]["green_imbalance"] = 0.0  # a three-colour sensor has one green
    params = with_gradients(ISPParams.from_settings(rows))
    scene = (coffee[..., 100:164, 250:330] * torch.linspace(0, 1, 80)).expand(len(rows), -1, -1, -1)  # from black on
    scene = scene.clone().requires_grad_()
    image = degrade(scene, params, exact_jpeg=exact)
    (image * torch.randn_like(image)).sum().backward()
    for name, value in {**{name: getattr(params, name) for name in SMOOTH}, "scene": scene}.items():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        felt = value.grad.flatten(1).ne(0).any(1) if value.ndim > 1 else value.grad.ne(0)
        assert felt[name == "green_imbalance" :].all(), name


def test_the_search_for_a_setting_can_begin_at_the_right_one(coffee: torch.Tensor) -> None:
    params = with_gradients(ISPParams.clean())
    image = degrade(coffee[..., 100:164, 250:330], params)
    (image * torch.randn_like(image)).sum().backward()
    for name in ("white_balance_ratio", "exposure", "ccm_used", "gamma_ratio", "iso_gain", "black_level_error"):
        gradient = getattr(params, name).grad
        assert gradient.isfinite().all(), name
        assert gradient.ne(0).any(), name


@pytest.mark.parametrize("quality", [0, 75])
@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("exposure", 0.1),
        ("iso_gain", -0.1),
        ("white_balance_ratio", 0.08),
        ("ccm_used", 0.05),
        ("gamma_ratio", -0.1),
        ("black_level_error", 0.01),
        ("shot_noise", 0.004),
        ("read_noise", 0.0005),
    ],
)
def test_gradients_point_downhill(coffee: torch.Tensor, name: str, off: float, quality: int) -> None:
    """From a setting that is off, a step along the gradient brings the picture nearer to the right one."""
    scene = coffee[..., 200:296, 300:428]
    params = ISPParams.from_settings([spoiled(jpeg_quality=quality)])
    target = degrade(scene, params)

    def loss(setting: torch.Tensor) -> torch.Tensor:
        return (degrade(scene, dataclasses.replace(params, **{name: setting})) - target).pow(2).mean()

    start = (getattr(params, name) + off).requires_grad_()
    at_start = loss(start)
    (gradient,) = torch.autograd.grad(at_start, start)
    step = 0.3 * at_start.detach() / gradient.pow(2).sum()  # where a straight slope would be 30 % lower
    assert loss(start.detach() - step * gradient) < 0.9 * at_start


# What a hostile but valid caller may send

HOSTILE = {
    "no light": {"exposure": 0.0, "iso_gain": 0.0},
    "all light": {"exposure": 1e6, "iso_gain": 1e6},
    "all noise": {"shot_noise": 100.0, "read_noise": 1e4},
    "blind": {"black_level_error": 5.0},
    "inside out": {"ccm_used": [[-9.0, 5, 5], [5, -9, 5], [5, 5, -9]], "white_balance_ratio": [1e3, 1e-3, 1e3]},
    "steep": {"gamma_ratio": 50.0},
    "flat": {"gamma_ratio": 0.02},
    "no pedestal": {"black_level": 0.0, "read_noise": 1e-3},
}


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (9, 1), (2, 2), (17, 31)])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_values_give_pictures(case: str, size: tuple[int, int]) -> None:
    exposure = {**clean_settings(), "shot_noise": 1e-3, "read_noise": 1e-5, **HOSTILE[case]}
    kinds = itertools.product(DEMOSAICS, (0, 1, 100))
    rows = [{**exposure, "demosaic": method, "jpeg_quality": quality} for method, quality in kinds]
    params = with_gradients(ISPParams.from_settings(rows))
    for scene in (fill(len(rows), 3, *size) for fill in (torch.zeros, torch.ones, torch.rand)):
        scene.requires_grad_()
        image = degrade(scene, params)
        assert image.shape == scene.shape
        assert (image >= 0).all()
        assert (image <= 1).all()
        inputs = {"scene": scene, **{name: getattr(params, name) for name in FLOATS}}
        gradients = torch.autograd.grad(image.sum(), list(inputs.values()), allow_unused=True)
        for name, gradient in zip(inputs, gradients, strict=True):
            assert gradient is None or gradient.isfinite().all(), name
