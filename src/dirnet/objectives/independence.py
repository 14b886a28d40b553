"""Asking that the baseline does not tell how a picture was spoiled; mutual information does not ask it."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def invariance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of two views' features (N, d) in units of their spread (VICReg's invariance term)."""
    spread = torch.cat((a, b)).detach().std(0) + 1e-4
    return ((a - b) / spread).square().mean()


def variance_hinge(features: torch.Tensor) -> torch.Tensor:
    """How far each feature's standard deviation over (N, d) is under 1: keeps features from collapsing (VICReg)."""
    return (1 - (features.var(0) + 1e-4).sqrt()).clamp(min=0).mean()


def hsic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Normalised Hilbert-Schmidt independence criterion of paired rows a (N, d), b (N, e): 0 independent, 1 the same.

    Gaussian kernels, their width the median distance; Gretton et al., 2005, normalised as in centred kernel alignment.
    """
    ka, kb = _centred_kernel(a), _centred_kernel(b)
    return (ka * kb).sum() / (ka.square().sum() * kb.square().sum() + 1e-12).sqrt()


def standardise(columns: Sequence[torch.Tensor]) -> torch.Tensor:
    """Settings (N,) or (N, e) side by side, each column to mean 0 and standard deviation 1; constant ones become 0."""
    table = torch.cat([column.float().reshape(len(column), -1) for column in columns], 1)
    table = table - table.mean(0)
    return table / table.std(0).clamp(min=1e-6)


def _centred_kernel(x: torch.Tensor) -> torch.Tensor:
    n = len(x)
    squared = (x[:, None] - x).square().sum(-1)
    others = squared[~torch.eye(n, dtype=torch.bool, device=x.device)]
    kernel = torch.exp(-squared / others.detach().median().clamp(min=1e-12))
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
