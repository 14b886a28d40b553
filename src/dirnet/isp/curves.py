"""What bends the light of a pixel, with slopes by hand: the sRGB curve, gamma, shot noise, the limits of the sensor.

In place where it can be, and with masks of 0 and 1: on a CPU, comparing and choosing pixel by pixel, as `torch.where`
does and the gradient of `clamp`, takes ten times as long as arithmetic.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

# IEC 61966-2-1: above the knee the curve is a power, below it a line through black. These are the knees at which both
# meet; those of the standard are rounded and leave a step of 3e-8.
_DECODE_KNEE, _ENCODE_KNEE, _RISE = 0.04044823627710709, 0.003130668442500549, 12.92
# 0-dimensional, for `torch.add`, which scales and shifts in one pass: 0.055 / 1.055 and -0.055.
_DECODE_SHIFT, _ENCODE_SHIFT = (
    torch.tensor(0.055 / 1.055, dtype=torch.float64),
    torch.tensor(-0.055, dtype=torch.float64),
)
# Powers of exactly 0 have no useful gradient; this is far under one 16-bit step.
SMALLEST = 1e-6
# Variances below this are none: far under any sensor's noise.
_SMALLEST_VARIANCE = 1e-20
_threshold_backward, _hardtanh_backward = torch.ops.aten.threshold_backward, torch.ops.aten.hardtanh_backward


class _Decode(torch.autograd.Function):
    """sRGB -> linear light, any shape."""

    @staticmethod
    def forward(ctx: Any, encoded: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(encoded)
        power = encoded.clamp(min=_DECODE_KNEE)
        under = encoded - power
        # A hair steeper than the line, so that rounding leaves black at 0 or just below.
        rise = (1 + 4 * torch.finfo(encoded.dtype).eps) / _RISE
        return _decode_power(power).add_(under, alpha=rise)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (encoded,) = ctx.saved_tensors
        power = encoded.clamp(min=_DECODE_KNEE)
        steeper = _decode_power(power.clone()).mul_(2.4).div_(power.add_(0.055)).sub_(1 / _RISE).mul_(grad)
        return _threshold_backward(steeper, encoded, _DECODE_KNEE).add_(grad, alpha=1 / _RISE)


class _Encode(torch.autograd.Function):
    """Linear light -> sRGB, any shape."""

    @staticmethod
    def forward(ctx: Any, linear: torch.Tensor) -> torch.Tensor:
        power = _encode_power(linear.clamp(min=_ENCODE_KNEE))
        encoded = torch.minimum(linear * _RISE, power, out=power)  # the line is the lower one below the knee
        ctx.save_for_backward(linear, encoded)
        return encoded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        linear, encoded = ctx.saved_tensors
        return _back_through_encode(grad, linear, encoded)


class _Display(torch.autograd.Function):
    """Linear light (B, C, H, W), clipped to 0..1, -> sRGB ** ratio, ratio (B, 1, 1, 1)."""

    @staticmethod
    def forward(ctx: Any, linear: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
        power = _encode_power(linear.clamp(_ENCODE_KNEE, 1))
        line = linear.clamp(min=0).mul_(_RISE)
        encoded = torch.minimum(line, power, out=line)
        if not ctx.needs_input_grad[1] and bool((ratio == 1).all()):
            ctx.save_for_backward(linear, encoded, None, ratio)
            return encoded
        # As encoded * encoded ** (ratio - 1): exact at the right gamma and at black, gradients included.
        factor = torch.clamp(encoded, min=SMALLEST, out=power).log_().mul_(ratio - 1).exp_()
        if not any(ctx.needs_input_grad):
            return encoded.mul_(factor)
        ctx.save_for_backward(linear, encoded, factor, ratio)
        return encoded * factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        linear, encoded, factor, ratio = ctx.saved_tensors
        grad = grad if factor is None else factor * grad
        by_ratio = None
        if ctx.needs_input_grad[1]:
            log = encoded.clamp(min=SMALLEST).log_()
            by_ratio = log.mul_(encoded).mul_(grad).sum((1, 2, 3), keepdim=True)
        grad = _back_through_encode(grad * ratio, linear, encoded)
        return _hardtanh_backward(grad, linear, 0, 1), by_ratio


class _Noise(torch.autograd.Function):
    """Samples + noise * sqrt(shot * samples + read), shot and read (B, 1, 1, 1); not differentiable in noise."""

    @staticmethod
    def forward(
        ctx: Any, samples: torch.Tensor, shot: torch.Tensor, read: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        deviation = samples.clamp(min=0).mul_(shot).add_(read).sqrt_()
        if not any(ctx.needs_input_grad):
            return deviation.mul_(noise).add_(samples)
        ctx.save_for_backward(samples, shot, noise, deviation)
        return torch.addcmul(samples, noise, deviation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        samples, shot, noise, deviation = ctx.saved_tensors
        by_variance = deviation / (2 * deviation.square()).clamp_(min=_SMALLEST_VARIANCE)  # 0 where there is none
        by_variance.mul_(noise).mul_(grad)
        dims = (1, 2, 3)
        by_read = by_variance.sum(dims, keepdim=True)
        by_shot = (samples.clamp(min=0).mul_(by_variance)).sum(dims, keepdim=True)
        return _threshold_backward(by_variance.mul_(shot), samples, 0).add_(grad), by_shot, by_read, None


class _Limit(torch.autograd.Function):
    """Samples between lowest (B, 1, 1, 1) and 1."""

    @staticmethod
    def forward(ctx: Any, samples: torch.Tensor, lowest: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(samples, lowest)
        kept = samples.clamp(max=1)
        return torch.maximum(kept, lowest, out=kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        samples, lowest = ctx.saved_tensors
        under = torch.lt(samples, lowest, out=torch.empty_like(samples)).mul_(grad)
        within = torch.le(samples, 1, out=torch.empty_like(samples)).mul_(grad).sub_(under)
        return within, under.sum((1, 2, 3), keepdim=True)


def _decode_power(encoded: torch.Tensor) -> torch.Tensor:
    return torch.add(_DECODE_SHIFT, encoded, alpha=1 / 1.055, out=encoded).log_().mul_(2.4).exp_()


def _encode_power(linear: torch.Tensor) -> torch.Tensor:
    power = linear.log_().mul_(1 / 2.4).exp_()
    return torch.add(_ENCODE_SHIFT, power, alpha=1.055, out=power)


def _back_through_encode(grad: torch.Tensor, linear: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
    flatter = encoded.add(0.055).div_(linear.clamp(min=_ENCODE_KNEE)).mul_(1 / 2.4).sub_(_RISE).mul_(grad)
    return _threshold_backward(flatter, linear, _ENCODE_KNEE).add_(grad, alpha=_RISE)


decode, encode, display, add_noise, limit = (f.apply for f in (_Decode, _Encode, _Display, _Noise, _Limit))
