"""The sensor: shot and read noise, black level and saturation."""

from __future__ import annotations

import torch


def noise_like(samples: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Standard normal noise of the shape of samples (B, C, H, W), each sample from its own seed (B,) int64.

    Drawn on the CPU by one generator a sample, so a picture's noise depends neither on its batch nor on the device.
    """
    shape, generator = samples.shape[1:], torch.Generator()
    noise = [torch.randn(shape, generator=generator.manual_seed(seed)) for seed in seeds.tolist()]
    return torch.stack(noise).to(samples)


def add_noise(samples: torch.Tensor, shot: torch.Tensor, read: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Shot and read noise: samples (B, C, H, W) linear, variance = shot * x + read with shot, read (B,), x in 0..1."""
    variance = samples.clamp(min=0) * _wide(shot) + _wide(read)
    # The square root of exactly 0 has an infinite gradient; 1e-20 is far below any sensor's noise.
    return samples + noise * torch.where(variance > 0, variance.clamp(min=1e-20).sqrt(), variance)


def digitise(samples: torch.Tensor, black_level: torch.Tensor, black_level_error: torch.Tensor) -> torch.Tensor:
    """What the converter keeps of samples (B, C, H, W), and what the ISP takes for black.

    black_level (B,): the pedestal as a share of the full range, which lets values below black survive down to
    -b / (1 - b); everything above white (1) is cut. black_level_error (B,): how far too much is subtracted.
    """
    lowest = _wide(-black_level / (1 - black_level))
    return samples.clamp(max=1).maximum(lowest) - _wide(black_level_error)


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]
