from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dirnet.isp.jpeg import SUBSAMPLINGS, pull_back, roundtrip

# JFIF 1.02: red, green and blue to luma, blue and red difference.
TO_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=torch.float64
)


def coarse_chroma(image: torch.Tensor, subsampling: str) -> torch.Tensor:
    """The codec without transform, roundings and clamps, by other means: (3, H, W)."""
    h, w = image.shape[-2:]
    factor = (2 if subsampling == "4:2:0" else 1, 1 if subsampling == "4:4:4" else 2)
    luma, chroma = torch.einsum("kc,chw->khw", TO_YCC, image).split([1, 2])
    small = F.avg_pool2d(chroma[None], factor, ceil_mode=True, count_include_pad=False)
    mode = "bilinear" if small.shape[-1] > 2 else "nearest"
    coarse = F.interpolate(small, scale_factor=factor, mode=mode)[0, :, :h, :w]
    return torch.einsum("ck,khw->chw", torch.linalg.inv(TO_YCC), torch.cat((luma, coarse)))


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 2), (3, 4), (5, 5), (7, 1), (8, 6), (17, 23), (32, 31)])
def test_the_gradient_is_that_of_averaged_and_interpolated_chroma(size: tuple[int, int], subsampling: str) -> None:
    image = torch.rand(3, *size, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(3, *size, dtype=torch.float64)
    (expected,) = torch.autograd.grad(coarse_chroma(image, subsampling), image, gradient)
    torch.testing.assert_close(pull_back(gradient, subsampling), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_what_was_cropped_repeated_the_edge_and_its_gradient_goes_there(subsampling: str) -> None:
    image = torch.rand(3, 7, 9, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(3, 7, 9, dtype=torch.float64)
    whole = F.pad(image, (3, 0, 5, 0), mode="replicate")
    (expected,) = torch.autograd.grad(coarse_chroma(whole, subsampling)[:, 5:, 3:], image, gradient)
    torch.testing.assert_close(pull_back(gradient, subsampling, cropped=(5, 3)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("exact", [True, False])
def test_at_quality_100_only_fine_chroma_is_lost(coffee: torch.Tensor, subsampling: str, exact: bool) -> None:
    image = coffee[0, :, 100:203, 200:341]
    rgb = torch.cat([strip for _, strip in roundtrip(image, 100, subsampling, exact=exact)], 1)
    expected = coarse_chroma(image.double(), subsampling) * 255
    assert (rgb - expected).abs().max() < 6


def test_strips_are_rows_of_whole_units_in_order() -> None:
    image = torch.rand(3, 50, 9000)
    rows = [rows for rows, strip in roundtrip(image, 50, "4:2:0", exact=True)]
    assert [(strip.start, strip.stop) for strip in rows] == [(0, 16), (16, 32), (32, 48), (48, 50)]


def test_a_strip_at_a_time_gives_what_one_strip_gives(coffee: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [strip for _, strip in roundtrip(coffee[0, :, :101, :203], 60, "4:2:0", exact=True)]
    monkeypatch.setattr("dirnet.isp.jpeg._STRIP", 1)
    parts = [strip for _, strip in roundtrip(coffee[0, :, :101, :203], 60, "4:2:0", exact=True)]
    assert (len(whole), len(parts)) == (1, 7)
    assert torch.equal(torch.cat(parts, 1), whole[0])
