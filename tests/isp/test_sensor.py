from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck

from dirnet.isp.sensor import (
    add_banding,
    add_colour_bias,
    add_noise,
    add_tukey_noise,
    digitise,
    noise_like,
    stick_pixels,
)

LEVELS = torch.cat([torch.tensor([0.0, 0.001, 0.01]), torch.linspace(0.05, 1, 17)])
SHAPES = [-0.3, -0.2, -0.1, -0.01, 0.0, 0.01, 0.1, 0.14, 0.3, 1.0]
NO_STEPS = torch.zeros(1, dtype=torch.int64)


@pytest.mark.parametrize(
    ("shot", "read"), [(1e-4, 6.3e-9), (2.2e-3, 5.4e-6), (1.2e-2, 2.2e-4), (0.0, 1e-4), (5e-2, 0.0)]
)
def test_mean_and_variance_are_those_of_shot_and_read_noise(shot: float, read: float) -> None:
    n = 300 * 300
    samples = LEVELS[:, None, None, None].expand(-1, 1, 300, 300)
    noise = noise_like(samples, torch.arange(20) + 77)
    noisy = add_noise(samples, torch.full((20,), shot), torch.full((20,), read), noise).double().flatten(1)
    variance = shot * LEVELS.double() + read
    errors = (noisy.mean(1) - LEVELS).abs() - 1e-8
    assert (errors <= 3 * (variance / n).sqrt()).all()
    off = ((noisy - LEVELS[:, None]).pow(2).mean(1) - variance).abs()
    assert (off <= 3 * variance * (2 / n) ** 0.5 + 1e-14).all()


def test_below_black_there_is_read_noise_alone() -> None:
    samples = torch.full((1, 1, 4, 4), -0.3)
    noise = torch.ones_like(samples)
    noisy = add_noise(samples, torch.tensor([0.01]), torch.tensor([0.0004]), noise)
    torch.testing.assert_close(noisy, samples + 0.02)


def test_no_noise_leaves_the_samples_alone() -> None:
    samples = torch.rand(2, 3, 5, 7)
    none = torch.zeros(2)
    assert torch.equal(add_noise(samples, none, none, torch.randn_like(samples)), samples)


def test_noise_is_normal_and_white() -> None:
    noise = noise_like(torch.zeros(4, 1, 128, 128), torch.tensor([0, 1, 2, 3])).double()
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.001
    n = 128 * 128
    pairs = [(noise[0], noise[1]), (noise[2], noise[3])]
    pairs += [(noise[..., 1:], noise[..., :-1]), (noise[..., 1:, :], noise[..., :-1, :])]
    for one, other in pairs:
        assert abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 4 / n**0.5


def test_the_noise_of_a_sample_depends_on_its_seed_and_shape_alone() -> None:
    samples, seeds = torch.zeros(5, 1, 9, 11), torch.tensor([3, 1, 4, 1, 2**32 - 1])
    noise = noise_like(samples, seeds)
    assert torch.equal(noise, noise_like(samples, seeds))
    assert torch.equal(noise[1], noise[3])
    for row, seed in zip(noise, seeds, strict=True):
        torch.manual_seed(int(seed) + 1)  # the global generator has no say
        assert torch.equal(noise_like(samples[:1], seed[None])[0], row)


@pytest.mark.parametrize("other", [6, 5 + 2**16, 5 + 2**31])
def test_every_bit_of_a_seed_counts(other: int) -> None:
    noise = noise_like(torch.zeros(2, 1, 8, 8), torch.tensor([5, other]))
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("black", [0.0, 0.0625, 0.2])
def test_digitise_keeps_what_the_converter_can_hold(black: float) -> None:
    """Oracle: the converter itself, with a pedestal, in 0..1 of its full range."""
    samples = torch.linspace(-0.5, 1.5, 401).view(1, 1, 1, -1)
    kept = np.clip(black + (1 - black) * samples.double().numpy(), 0, 1)
    expected = (kept - black) / (1 - black) - 0.03
    digitised = digitise(samples, torch.tensor([black]), torch.tensor([0.03]), NO_STEPS)
    np.testing.assert_allclose(digitised.numpy(), expected, atol=2e-7)


def test_gradients() -> None:
    samples = torch.rand(2, 1, 3, 4, dtype=torch.float64) * 0.9 + 0.05
    noise = torch.randn_like(samples)
    shot, read = torch.tensor([[1e-3, 2e-2], [1e-4, 3e-3]], dtype=torch.float64)
    black, error = torch.tensor([[0.0625, 0.1], [0.0, 0.02]], dtype=torch.float64)
    inputs = [value.requires_grad_() for value in (samples, shot, read)]
    assert gradcheck(lambda s, a, b: add_noise(s, a, b, noise), inputs)
    wide = (samples.detach() * 3 - 1).requires_grad_()  # some are cut on either side
    assert gradcheck(digitise, (wide, black.requires_grad_(), error.requires_grad_(), NO_STEPS.expand(2)))


def test_gradients_are_finite_where_there_is_nothing() -> None:
    samples, shot, read = (torch.zeros(shape, requires_grad=True) for shape in [(2, 1, 3, 3), (2,), (2,)])
    add_noise(samples, shot, read, torch.randn(2, 1, 3, 3)).sum().backward()
    for value in (samples, shot, read):
        assert value.grad is not None
        assert value.grad.isfinite().all()


@pytest.mark.parametrize("shape", SHAPES)
def test_tukey_noise_is_that_of_scipy(shape: float) -> None:
    samples = torch.zeros(1, 1, 200, 200)
    noise = add_tukey_noise(samples, torch.ones(1), torch.tensor([shape]), torch.tensor([11])).double().flatten()
    assert stats.kstest(noise.numpy(), "tukeylambda", args=(shape,)).pvalue > 0.001
    variance, kurtosis = (float(moment) for moment in stats.tukeylambda.stats(shape, moments="vk"))
    assert abs(noise.mean()) < 4 * (variance / 40000) ** 0.5
    if kurtosis < 20:  # else the fourth moment is not finite, or nearly so
        assert abs(noise.var() / variance - 1) < 4 * ((kurtosis + 2) / 40000) ** 0.5


def test_tukey_quantiles_are_exact_and_smooth_through_the_logit() -> None:
    """Shape 1 is uniform in -1..1 and gives away p; every other shape must be scipy's quantile at that p."""
    shapes = torch.tensor(
        [1.0, 2.0, 0.3, 0.0101, 0.0099, 1e-4, 1e-12, 0.0, -1e-12, -1e-4, -0.0099, -0.0101, -0.3, -1.5]
    )
    n = len(shapes)
    samples, seeds = torch.zeros(n, 1, 40, 50, dtype=torch.float64), torch.full((n,), 3)
    noise = add_tukey_noise(samples, torch.ones(n, dtype=torch.float64), shapes.double(), seeds).flatten(1).numpy()
    p = (noise[0] + 1) / 2
    assert p.min() > 0
    assert p.max() < 1
    for shape, row in zip(shapes.double().tolist(), noise, strict=True):
        expected = np.log(p / (1 - p)) if abs(shape) < 1e-10 else (p**shape - (1 - p) ** shape) / shape
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-10)


def test_tukey_noise_is_finite_at_extreme_shapes() -> None:
    shapes = torch.tensor([-4.0, -1.0, 0.0, 60.0, 1000.0])
    samples = torch.zeros(5, 3, 64, 64)
    shapes.requires_grad_()
    noise = add_tukey_noise(samples, torch.ones(5), shapes, torch.arange(5))
    assert noise.isfinite().all()
    (gradient,) = torch.autograd.grad(noise[1:].abs().sum(), shapes)
    assert gradient.isfinite().all()


def test_banding_is_one_normal_offset_a_row() -> None:
    samples = torch.rand(2, 3, 5000, 4, dtype=torch.float64)
    sigma = torch.tensor([0.02, 0.5], dtype=torch.float64)
    offset = add_banding(samples, sigma, torch.tensor([1, 2])) - samples
    torch.testing.assert_close(offset, offset[:, :1, :, :1].expand_as(offset))
    for rows, width in zip(offset[:, 0, :, 0].numpy(), sigma.tolist(), strict=True):
        assert stats.kstest(rows / width, "norm").pvalue > 0.001
        assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 4 / 5000**0.5


def test_colour_bias_by_site() -> None:
    bias = torch.tensor([[0.1, 0.2, 0.3, 0.4], [-0.1, 0.0, 0.0, 0.0]])
    samples = torch.rand(2, 1, 5, 7)
    offset = add_colour_bias(samples, bias) - samples
    for site in range(4):
        y, x = divmod(site, 2)
        torch.testing.assert_close(offset[..., y::2, x::2], bias[:, site, None, None, None].expand(2, 1, 3 - y, 4 - x))
    three = add_colour_bias(torch.zeros(2, 3, 4, 4), bias)
    torch.testing.assert_close(three[0, :, 1, 2], torch.tensor([0.1, 0.25, 0.4]))


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.1, 1.0])
def test_a_share_of_the_sites_is_stuck(share: float) -> None:
    samples = torch.full((1, 1, 500, 500), 0.5)
    stuck = stick_pixels(samples, torch.tensor([share]), torch.tensor([8]))
    n = samples.numel()
    for value in (0.0, 1.0):
        assert abs(int((stuck == value).sum()) - n * share / 2) <= 4 * (n * share / 2) ** 0.5
    assert ((stuck == 0) | (stuck == 0.5) | (stuck == 1)).all()
    if share < 1:  # what is stuck stays so as more come
        more = stick_pixels(samples, torch.tensor([min(2 * share, 1.0)]), torch.tensor([8]))
        assert torch.equal(more[stuck != 0.5], stuck[stuck != 0.5])


@pytest.mark.parametrize("black", [0.0, 0.0625, 800 / 16383])
@pytest.mark.parametrize("bits", [1, 4, 8, 12, 14, 16])
def test_a_converter_has_steps(bits: int, black: float) -> None:
    """Oracle: whole DN of the converter, pedestal included, computed with integers."""
    samples = torch.linspace(-0.5, 1.5, 4001, dtype=torch.float64).view(1, 1, 1, -1)
    white = 2**bits - 1
    numbers = np.rint(np.clip(black + (1 - black) * samples.numpy(), 0, 1) * white)
    levels = [torch.tensor([value], dtype=torch.float64) for value in (black, 0.01)]
    digitised = digitise(samples, *levels, torch.tensor([bits]))
    np.testing.assert_allclose(digitised.numpy(), (numbers / white - black) / (1 - black) - 0.01, atol=1e-12)
    assert len(digitised.unique()) == len(np.unique(numbers))


def test_steps_leave_rows_without_them_alone_and_let_gradients_through() -> None:
    samples = (torch.rand(3, 1, 6, 6) * 0.8 + 0.1).requires_grad_()
    black, error, bits = torch.full((3,), 0.0625), torch.zeros(3), torch.tensor([0, 4, 0])
    digitised = digitise(samples, black, error, bits)
    assert torch.equal(digitised[[0, 2]], samples[[0, 2]])
    assert not torch.equal(digitised[1], samples[1])
    (gradient,) = torch.autograd.grad(digitised.sum(), samples)
    assert torch.equal(gradient, torch.ones_like(samples))


def _spoilings(n: int, dtype: torch.dtype = torch.float32) -> dict[str, tuple[object, tuple[torch.Tensor, ...]]]:
    """Each kind by name: the function and its float settings; seeds where it draws."""
    amount = torch.linspace(0.01, 0.2, n, dtype=dtype)
    return {
        "tukey": (add_tukey_noise, (amount, amount - 0.105)),
        "banding": (add_banding, (amount,)),
        "defects": (stick_pixels, (amount,)),
        "bias": (add_colour_bias, (amount[:, None] * torch.tensor([1, -2, 3, 0.5], dtype=dtype),)),
    }


KINDS = list(_spoilings(1))


def _spoil(kind: str, samples: torch.Tensor, settings: tuple[torch.Tensor, ...], seeds: torch.Tensor) -> torch.Tensor:
    function = _spoilings(1)[kind][0]
    return function(samples, *settings) if kind == "bias" else function(samples, *settings, seeds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (6, 11)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sample_does_not_depend_on_its_batch(kind: str, size: tuple[int, int], channels: int) -> None:
    samples, seeds = torch.rand(4, channels, *size), torch.tensor([4, 2**32 - 1, 0, 4])
    _, settings = _spoilings(4)[kind]
    together = _spoil(kind, samples, settings, seeds)
    assert together.shape == samples.shape
    torch.manual_seed(99)  # the global generator has no say
    for i in range(4):
        alone = _spoil(kind, samples[i : i + 1], tuple(value[i : i + 1] for value in settings), seeds[i : i + 1])
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("kind", KINDS)
def test_none_of_it_leaves_the_samples_alone(kind: str) -> None:
    samples = torch.rand(2, 1, 9, 6) * 2 - 0.5
    _, settings = _spoilings(2)[kind]
    neutral = tuple(torch.zeros_like(value) for value in settings)
    assert torch.equal(_spoil(kind, samples, neutral, torch.tensor([1, 2])), samples)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_of_each_kind(kind: str, channels: int) -> None:
    samples = torch.rand(3, channels, 3, 4, dtype=torch.float64, requires_grad=True)
    settings = [value.clone().requires_grad_() for value in _spoilings(3, torch.float64)[kind][1]]
    seeds = torch.tensor([1, 2, 3])
    assert gradcheck(lambda s, *values: _spoil(kind, s, values, seeds), (samples, *settings))


def test_every_kind_has_a_stream_of_its_own() -> None:
    """With one seed, no kind's draws go with another's: ranks of rows and of sites do not correlate."""
    zeros, one, seeds = torch.zeros(1, 1, 4000, 1), torch.ones(1), torch.tensor([21])
    draws = [
        noise_like(zeros, seeds),
        add_tukey_noise(zeros, one, torch.zeros(1), seeds),
        add_banding(zeros, one, seeds),
        stick_pixels(zeros, one, seeds),
    ]
    ranks = np.corrcoef([stats.rankdata(draw.flatten().numpy()) for draw in draws])
    assert np.abs(ranks - np.eye(4)).max() < 4 / 4000**0.5


def test_every_bit_of_a_seed_counts_in_every_stream() -> None:
    samples, one = torch.zeros(1, 1, 8, 8), torch.ones(1)
    for function, settings in ((add_tukey_noise, (one, 0 * one)), (add_banding, (one,)), (stick_pixels, (one,))):
        drawn = [function(samples, *settings, torch.tensor([seed])) for seed in (5, 5 ^ 1, 5 ^ 2**16, 5 ^ 2**31)]
        assert all(not torch.equal(drawn[0], other) for other in drawn[1:])
