from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck

from dirnet.isp.sensor import add_noise, digitise, noise_like

LEVELS = torch.tensor([0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize(
    ("shot", "read"), [(1e-4, 6.3e-9), (2.2e-3, 5.4e-6), (1.2e-2, 2.2e-4), (0.0, 1e-4), (5e-2, 0.0)]
)
def test_mean_and_variance_are_those_of_shot_and_read_noise(shot: float, read: float) -> None:
    n = 300 * 300
    samples = LEVELS[:, None, None, None].expand(-1, 1, 300, 300)
    noise = noise_like(samples, torch.arange(10) + 77)
    noisy = add_noise(samples, torch.full((10,), shot), torch.full((10,), read), noise).double().flatten(1)
    variance = shot * LEVELS.double() + read
    errors = (noisy.mean(1) - LEVELS).abs() - 1e-8
    assert (errors <= 4 * (variance / n).sqrt()).all()
    off = ((noisy - LEVELS[:, None]).pow(2).mean(1) - variance).abs()
    assert (off <= 4 * variance * (2 / n) ** 0.5 + 1e-14).all()


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
    digitised = digitise(samples, torch.tensor([black]), torch.tensor([0.03]))
    np.testing.assert_allclose(digitised.numpy(), expected, atol=2e-7)


def test_gradients() -> None:
    samples = torch.rand(2, 1, 3, 4, dtype=torch.float64) * 0.9 + 0.05
    noise = torch.randn_like(samples)
    shot, read = torch.tensor([[1e-3, 2e-2], [1e-4, 3e-3]], dtype=torch.float64)
    black, error = torch.tensor([[0.0625, 0.1], [0.0, 0.02]], dtype=torch.float64)
    inputs = [value.requires_grad_() for value in (samples, shot, read)]
    assert gradcheck(lambda s, a, b: add_noise(s, a, b, noise), inputs)
    wide = (samples.detach() * 3 - 1).requires_grad_()  # some are cut on either side
    assert gradcheck(digitise, (wide, black.requires_grad_(), error.requires_grad_()))


def test_gradients_are_finite_where_there_is_nothing() -> None:
    samples, shot, read = (torch.zeros(shape, requires_grad=True) for shape in [(2, 1, 3, 3), (2,), (2,)])
    add_noise(samples, shot, read, torch.randn(2, 1, 3, 3)).sum().backward()
    for value in (samples, shot, read):
        assert value.grad is not None
        assert value.grad.isfinite().all()
