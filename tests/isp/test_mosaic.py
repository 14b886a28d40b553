from __future__ import annotations

import colour_demosaicing
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from dirnet.isp.color import apply_gains
from dirnet.isp.mosaic import DEMOSAICS, demosaic, gain_mosaic, imbalance_greens, mosaic
from dirnet.isp.sensor_data import CFA_PATTERNS

METHODS = ("bilinear", "malvar")
THEIRS = {
    "bilinear": colour_demosaicing.demosaicing_CFA_Bayer_bilinear,
    "malvar": colour_demosaicing.demosaicing_CFA_Bayer_Malvar2004,
}
linear_ways = pytest.mark.parametrize(("cfa", "method"), [(cfa, method) for cfa in CFA_PATTERNS for method in METHODS])
every_way = pytest.mark.parametrize(
    ("cfa", "method"), [(cfa, method) for cfa in CFA_PATTERNS for method in DEMOSAICS[1:]]
)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return -10 * float(torch.log10(torch.mean((a.double() - b.double()) ** 2)))


# Whole picture, every channel, astronaut of scikit-image 0.26; by scipy.ndimage.convolve of SciPy 1.17 with the filters
# of colour-demosaicing 0.2.7 and mode="mirror". Bilinear also by kornia 0.9's raw_to_rgb.
@pytest.mark.parametrize(
    ("method", "cfa", "unclipped", "clipped"),
    [
        ("bilinear", "RGGB", 30.6060, 30.6060),
        ("bilinear", "BGGR", 30.6491, 30.6491),
        ("bilinear", "GRBG", 30.6478, 30.6478),
        ("bilinear", "GBRG", 30.6007, 30.6007),
        ("malvar", "RGGB", 34.3566, 34.6473),
        ("malvar", "BGGR", 34.3503, 34.6635),
        ("malvar", "GRBG", 34.3665, 34.6775),
        ("malvar", "GBRG", 34.3561, 34.6473),
    ],
)
def test_psnr_of_the_astronaut(
    astronaut: torch.Tensor, method: str, cfa: str, unclipped: float, clipped: float
) -> None:
    image = demosaic(mosaic(astronaut, cfa), cfa, method)
    assert psnr(image, astronaut) == pytest.approx(unclipped, abs=0.005)
    assert psnr(image.clamp(0, 1), astronaut) == pytest.approx(clipped, abs=0.005)


@linear_ways
def test_away_from_the_edges_it_is_colour_demosaicing(chelsea: torch.Tensor, cfa: str, method: str) -> None:
    samples = mosaic(chelsea, cfa)
    theirs = THEIRS[method](samples[0, 0].double().numpy(), cfa)
    inside = np.s_[2:-2, 2:-2]
    for dtype, within in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        ours = demosaic(samples.to(dtype), cfa, method)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(ours[inside], theirs[inside], atol=within)


@linear_ways
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 6), (5, 1), (2, 3), (4, 4)])
def test_edges_are_mirrored_about_the_outer_pixel(cfa: str, method: str, size: tuple[int, int]) -> None:
    """Oracle: colour-demosaicing, far inside a picture that NumPy has mirrored."""
    h, w = size
    samples = np.random.default_rng(h * w).random(size)
    period = [2 * max(n - 1, 1) for n in size]
    y, x = ([min(i % p, p - i % p) % n for i in range(-8, n + 8)] for n, p in zip(size, period, strict=True))
    theirs = THEIRS[method](samples[np.ix_(y, x)], cfa)[8:-8, 8:-8]
    ours = demosaic(torch.from_numpy(samples)[None, None], cfa, method)[0].permute(1, 2, 0).numpy()
    if 1 not in size:  # a single row or column has no neighbour of the other phase to mirror
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert np.isfinite(ours).all()
    assert ours.shape == (h, w, 3)


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
def test_along_edges_is_nearer_than_malvar_and_menon(astronaut: torch.Tensor, coffee: torch.Tensor, cfa: str) -> None:
    """Menon's by colour-demosaicing: 35.93 dB on the astronaut, 34.08 on the coffee."""
    for photograph, menon in ((astronaut, 35.93), (coffee, 34.08)):
        image = demosaic(mosaic(photograph, cfa), cfa, "edge_aware")
        malvar = demosaic(mosaic(photograph, cfa), cfa, "malvar")
        assert psnr(image, photograph) > menon + 0.2
        assert psnr(image, photograph) > psnr(malvar, photograph) + 1.4


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 6), (5, 1)])
def test_nearest_repeats_what_its_cell_has(cfa: str, size: tuple[int, int]) -> None:
    h, w = size
    samples = torch.rand(1, 1, h, w)
    image = demosaic(samples, cfa, "nearest")[0]
    for y, x in np.ndindex(h - h % 2, w - w % 2):
        corner = (y - y % 2, x - x % 2)
        for colour in "RGB":
            sites = [divmod(site, 2) for site in range(4) if cfa[site] == colour]
            dy, dx = next(place for place in sites if len(sites) == 1 or place[0] == y % 2)
            assert image["RGB".index(colour), y, x] == samples[0, 0, corner[0] + dy, corner[1] + dx]
    assert image.isfinite().all()
    assert image.shape == (3, h, w)


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
def test_the_second_green_is_stronger(cfa: str) -> None:
    samples, ratio = torch.rand(2, 1, 6, 8), torch.tensor([0.1, -0.2])
    changed = imbalance_greens(samples, ratio, cfa) / samples - 1
    y, x = divmod(cfa.rindex("G"), 2)
    torch.testing.assert_close(changed[..., y::2, x::2], ratio.view(2, 1, 1, 1).expand(2, 1, 3, 4))
    changed[..., y::2, x::2] = 0
    assert not changed.any()
    assert torch.equal(imbalance_greens(samples, torch.zeros(2), cfa), samples)


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
def test_mosaic_keeps_one_colour_a_pixel(chelsea: torch.Tensor, cfa: str) -> None:
    theirs = colour_demosaicing.mosaicing_CFA_Bayer(chelsea[0].permute(1, 2, 0).double().numpy(), cfa)
    np.testing.assert_array_equal(mosaic(chelsea.double(), cfa)[0, 0].numpy(), theirs)


@every_way
@pytest.mark.parametrize("size", [(33, 47), (2, 2), (3, 8)])
def test_measured_samples_stay_and_flat_colours_stay_flat(cfa: str, method: str, size: tuple[int, int]) -> None:
    samples = torch.rand(2, 1, *size)
    assert torch.equal(mosaic(demosaic(samples, cfa, method), cfa), samples)
    flat = torch.rand(2, 3, 1, 1).expand(-1, -1, *size)
    torch.testing.assert_close(demosaic(mosaic(flat, cfa), cfa, method), flat, atol=5e-7, rtol=0)


@every_way
def test_a_sample_does_not_depend_on_its_batch(cfa: str, method: str) -> None:
    for size in [(1, 1), (1, 7), (3, 5), (33, 47), (64, 64), (512, 512)]:
        samples = torch.rand(3, 1, *size)
        alone = torch.cat([demosaic(sample, cfa, method) for sample in samples.split(1)])
        assert torch.equal(demosaic(samples, cfa, method), alone), size


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
def test_gains_before_and_after_the_mosaic_are_one(cfa: str) -> None:
    image, gains = torch.rand(3, 3, 6, 10), torch.rand(3, 3) * 3
    assert torch.equal(gain_mosaic(mosaic(image, cfa), gains, cfa), mosaic(apply_gains(image, gains), cfa))


@every_way
def test_gradients(cfa: str, method: str) -> None:
    samples = torch.rand(2, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda s: demosaic(s, cfa, method), samples)
    even = torch.rand(2, 1, 4, 6, dtype=torch.float64, requires_grad=True)
    gains = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda s, g: gain_mosaic(s, g, cfa), (even, gains))
    ratio = torch.rand(2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda s, r: imbalance_greens(s, r, cfa), (even, ratio))


def test_an_unknown_pattern_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"'RGBG'.*RGGB, BGGR, GRBG, GBRG"):
        demosaic(torch.zeros(1, 1, 4, 4), "RGBG", "bilinear")
