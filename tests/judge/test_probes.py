from __future__ import annotations

import pytest
import torch
from torchmetrics.functional import r2_score

from dirnet.isp.params import ISPParams
from dirnet.judge.probes import mlp_predictions, probed_settings, r2_by_scene, ridge_predictions
from dirnet.suites.draw import draw

SCENES = torch.arange(24).repeat_interleave(6)


def told(x: torch.Tensor, y: torch.Tensor, *, network: bool = False) -> float:
    guess = mlp_predictions(x, y, SCENES, 0) if network else ridge_predictions(x, y, SCENES)
    return float(r2_by_scene(y, guess, SCENES).mean())


@pytest.mark.parametrize("network", [False, True])
def test_a_setting_that_stands_in_the_features_is_told(network: bool) -> None:
    x = torch.randn(144, 8)
    y = x[:, :1] * 2 + x[:, 3:4] + 7
    assert told(x, y, network=network) > (0.8 if network else 0.99)


@pytest.mark.parametrize("network", [False, True])
def test_noise_tells_nothing(network: bool) -> None:
    assert told(torch.randn(144, 8), torch.randn(144, 2), network=network) < 0.08


def test_a_network_is_told_what_a_line_is_not() -> None:
    x = torch.randn(144, 2)
    y = x[:, :1].abs()
    assert told(x, y, network=True) > 0.3 > told(x, y)


def test_what_only_marks_the_scene_tells_nothing() -> None:
    by_scene = torch.eye(24)[SCENES]
    y = torch.randn(24, 1)[SCENES]
    assert told(by_scene, y) < 0.01


def test_r2_is_that_of_torchmetrics() -> None:
    y, guess = torch.randn(144, 3), torch.randn(144, 3)
    expected = r2_score((guess - y.mean(0)).flatten(), (y - y.mean(0)).flatten())
    values = r2_by_scene(y, guess, SCENES)
    assert values.shape == (24,)
    assert float(values.mean()) == pytest.approx(float(expected), rel=1e-4)


def test_r2_of_closed_forms() -> None:
    y = torch.randn(144, 2)
    assert r2_by_scene(y, y, SCENES).tolist() == pytest.approx([1.0] * 24)
    assert float(r2_by_scene(y, y.mean(0).expand_as(y), SCENES).mean()) == pytest.approx(0, abs=1e-6)


def test_only_settings_that_vary_are_probed() -> None:
    def drawn(suite: str, severity: int) -> ISPParams:
        return ISPParams.from_settings([draw(suite, severity, f"{i}.png") for i in range(40)])

    seen = probed_settings(drawn("seen", 3))
    assert list(seen) == [
        "shot noise", "gamma", "exposure", "white balance", "colour matrix", "JPEG quality", "demosaicing",
    ]  # fmt: skip
    assert {name: column.shape[1] for name, column in seen.items()}["white balance"] == 2
    assert {"S-curve", "sharpening", "WebP quality"} <= set(probed_settings(drawn("unseen-val", 3)))
    assert probed_settings(drawn("clean", 1)) == {}
