"""What can be read out of features: fitted on some scenes, judged on others."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.isp.params import ISPParams

FOLDS = 4
PENALTIES = tuple(10.0**power for power in range(-6, 2))  # of the ridge, in units of the features' variance
STEPS, LOOK = 200, 10  # of the small network, and how often it is compared

# How a picture was spoiled: settings (N, ...) by name -> columns (N, e).
SETTINGS: dict[str, Callable[[ISPParams], torch.Tensor]] = {
    "shot noise": lambda params: params.shot_noise.clamp(min=1e-5).log(),
    "gamma": lambda params: params.gamma_ratio.log(),
    "exposure": lambda params: params.exposure.log(),
    "white balance": lambda params: params.white_balance_ratio[:, ::2].log(),
    "colour matrix": lambda params: (params.ccm_used - params.ccm).flatten(1).norm(dim=1),
    "JPEG quality": lambda params: torch.where(params.jpeg_quality > 0, params.jpeg_quality, 100),
    "WebP quality": lambda params: torch.where(params.webp_quality > 0, params.webp_quality, 100),
    "demosaicing": lambda params: F.one_hot(params.demosaic),
    "S-curve": lambda params: params.s_curve,
    "sharpening": lambda params: params.sharpening,
    "luma smear": lambda params: params.luma_smear,
    "chroma smear": lambda params: params.chroma_smear,
}


def probed_settings(params: ISPParams) -> dict[str, torch.Tensor]:
    """The settings that vary over these N exposures, as columns (N, e) by name."""
    columns = {name: read(params).float().reshape(len(params), -1) for name, read in SETTINGS.items()}
    return {name: column for name, column in columns.items() if bool((column.std(0) > 1e-6).any())}


def r2_by_scene(columns: torch.Tensor, predicted: torch.Tensor, scenes: torch.Tensor) -> torch.Tensor:
    """Figures (S,) of scenes 0..S-1 whose mean is R^2 of predictions (N, e) of columns (N, e), all columns together.

    1: told exactly; 0: as good as the mean; below 0: worse. scenes: (N,) int.
    """
    error = (columns - predicted).double().square().sum(1)
    variation = (columns - columns.mean(0)).double().square().sum()
    n = int(scenes.max()) + 1
    return 1 - n * torch.zeros(n, dtype=torch.float64).index_add_(0, scenes, error) / variation


def ridge_predictions(x: torch.Tensor, y: torch.Tensor, scenes: torch.Tensor) -> torch.Tensor:
    """Predictions (N, e) of y from x (N, d) by ridge regression, each by a fit that saw no row of the same scene.

    Scenes (N,) int are dealt to `FOLDS` folds. The penalty of each column is chosen on inner folds, by scene too.
    """
    x = _spread(x)
    fold = scenes % FOLDS
    everything = torch.cat((torch.ones(len(x), 1, dtype=x.dtype), x, y.double()), 1)
    moments = torch.stack([everything[fold == one].T @ everything[fold == one] for one in range(FOLDS)])
    predicted = torch.empty_like(y, dtype=torch.float64)
    for outer in range(FOLDS):
        error = torch.zeros(len(PENALTIES), y.shape[1], dtype=torch.float64)
        for inner in set(range(FOLDS)) - {outer}:
            rest = [one for one in range(FOLDS) if one not in (outer, inner)]
            weights, offsets = _ridge(moments[rest].sum(0), x.shape[1])
            error += (x[fold == inner] @ weights + offsets - y[fold == inner]).square().sum(1)
        weights, offsets = _ridge(moments.sum(0) - moments[outer], x.shape[1])
        best, column = error.argmin(0), torch.arange(y.shape[1])
        predicted[fold == outer] = x[fold == outer] @ weights[best, :, column].T + offsets[best, 0, column]
    return predicted.to(y)


def mlp_predictions(x: torch.Tensor, y: torch.Tensor, scenes: torch.Tensor, seed: int) -> torch.Tensor:
    """Like `ridge_predictions`, by a network with one hidden layer that stops early, column by column.

    In each turn one fold is predicted, another says when to stop, and the rest is learned from.
    """
    x = _spread(x).float()
    mean, std = y.mean(0), y.std(0).clamp(min=1e-6)
    fold, wanted = scenes % FOLDS, (y - mean) / std
    predicted = torch.zeros_like(wanted)
    for outer in range(FOLDS):
        held, stop = fold == outer, fold == (outer + 1) % FOLDS
        learn = ~held & ~stop
        network = _network(x.shape[1], y.shape[1], seed + outer)
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.1)
        best = wanted[stop].square().mean(0)  # that of the mean
        for step in range(STEPS):
            if step % LOOK == 0:
                with torch.no_grad():
                    error = (network(x[stop]) - wanted[stop]).square().mean(0)
                    better = error < best
                    predicted[held] = torch.where(better, network(x[held]), predicted[held])
                    best = torch.minimum(best, error)
            optimiser.zero_grad()
            with torch.enable_grad():
                (network(x[learn]) - wanted[learn]).square().mean().backward()
            optimiser.step()
    return predicted * std + mean


def _network(inputs: int, outputs: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, 32), nn.GELU(), nn.Linear(32, outputs))


def _spread(x: torch.Tensor) -> torch.Tensor:
    """Each column about 0 with standard deviation 1; constant ones 0."""
    x = x.double() - x.double().mean(0)
    return x / x.std(0).clamp(min=1e-9)


def _ridge(moments: torch.Tensor, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """From the moments of [1, x, y]: weights (A, d, e) and offsets (A, 1, e), one for each penalty."""
    moments = moments / moments[0, 0]
    mean_x, mean_y = moments[0, 1 : d + 1], moments[0, d + 1 :]
    covariance = moments[1 : d + 1, 1 : d + 1] - mean_x[:, None] * mean_x
    cross = moments[1 : d + 1, d + 1 :] - mean_x[:, None] * mean_y
    values, vectors = torch.linalg.eigh(covariance)
    penalties = torch.tensor(PENALTIES, dtype=values.dtype)[:, None]
    weights = vectors @ ((vectors.T @ cross) / (values.clamp(min=0) + penalties)[:, :, None])
    return weights, (mean_y - mean_x @ weights)[:, None]
