from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from dirnet.errors import DirnetError
from dirnet.learn.grain import own_grain, without_grain


def sky(grain: float, side: int = 96) -> torch.Tensor:
    """A slope from dark to light, and Gaussian grain on it, the same in all channels."""
    slope = np.linspace(60, 190, side)[None, None].repeat(side, 1).repeat(3, 0)
    noise = np.random.default_rng(0).normal(0, grain, (1, side, side))
    return torch.from_numpy((slope + noise).round().clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("grain", [1.0, 2.0, 4.0])
def test_the_grain_of_a_slope_is_what_was_put_on_it(grain: float) -> None:
    # The flattest tenth of 64 normal values, less a plane: 9 % under; rounding adds 1/12 to the variance.
    assert own_grain(sky(grain)) == pytest.approx(0.9 * np.hypot(grain, 12**-0.5), rel=0.06)


def test_where_all_is_cut_off_there_is_no_grain() -> None:
    assert own_grain(torch.full((3, 40, 40), 255, dtype=torch.uint8)) == 0.0
    assert own_grain(torch.zeros(3, 4, 4, dtype=torch.uint8)) == 0.0


def test_grain_goes_and_edges_stay() -> None:
    clean, grainy = sky(0.0), sky(3.0)
    for picture in (clean, grainy):
        picture[:, 30:60, 30:60] = 220
    smooth = without_grain(grainy)
    assert smooth.dtype == torch.uint8
    assert smooth.shape == grainy.shape
    before, after = (peak_signal_noise_ratio(clean.numpy(), picture.numpy()) for picture in (grainy, smooth))
    assert after > before + 6
    assert own_grain(smooth) < 0.4 * own_grain(grainy)
    assert int(smooth[:, 32:58, 32:58].min()) - int(smooth[:, :28, :28].max()) > 100


def test_a_photograph_keeps_all_but_its_grain(photographs: dict[str, torch.Tensor]) -> None:
    for photograph in photographs.values():
        given = (photograph[0, :, 60:220, 60:220] * 255).round().to(torch.uint8)
        kept = without_grain(given).float() - given.float()
        assert float(kept.std()) < 1.6 * max(own_grain(given), 0.8)


def test_without_scikit_image_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    find = builtins.__import__

    def none_of_it(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("skimage"):
            raise ImportError(name)
        return find(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", none_of_it)
    with pytest.raises(DirnetError, match=r"dirnet-isp\[train\]"):
        without_grain(sky(1.0))


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 1, 60), (3, 60, 1)])
def test_a_side_of_one_pixel_stays_one(shape: tuple[int, ...]) -> None:
    assert without_grain(torch.full(shape, 90, dtype=torch.uint8)).shape == shape
