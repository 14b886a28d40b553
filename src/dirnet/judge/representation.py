"""What a representation holds: measures of features alone, and of features that should be alike.

Rows of features are cells of its maps, or patches: a cell with its neighbours, flattened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from dirnet.judge.statistics import paired_interval
from dirnet.objectives.information import jsd, xi

STEPS = 200  # of the fresh critic; one as strong as this learns little more, and begins to know its scenes by heart
ROWS = 256  # patches a step


def feature_std(features: torch.Tensor) -> float:
    """Mean over channels of the standard deviation over rows of features (N, c): 0 where all has collapsed."""
    return float(features.double().std(0, correction=0).mean())


def effective_rank(features: torch.Tensor) -> float:
    """How many directions features (N, c) really use, 1 to c: exp of the entropy of the normalised singular values.

    Roy and Vetterli, 2007; of centred features. 0 where they do not vary at all.
    """
    centred = features.double() - features.double().mean(0)
    values = torch.linalg.svdvals(centred)
    if not bool(values[0] > 1e-12 * features.abs().max()):
        return 0.0
    return float(torch.special.entr(values / values.sum()).sum().exp())


def standardised(features: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Features (..., k c) about the mean of the rows `like` (N, c), in units of their spread; constant ones are 0."""
    mean, std = like.double().mean(0), like.double().std(0, correction=0)
    scale = torch.where(std > 1e-6 * std.max().clamp(min=1e-30), 1 / std.clamp(min=1e-30), 0)
    by_cell = features.float().unflatten(-1, (-1, len(mean)))
    return ((by_cell - mean.float()) * scale.float()).flatten(-2)


def ranking(queries: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Cosine similarity (Q, G) of each query (Q, d) with its own gallery (Q, G, d)."""
    return torch.einsum("qd,qgd->qg", F.normalize(queries, dim=-1), F.normalize(gallery, dim=-1))


def patch_r1(queries: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Whether each query (Q, d) finds its partner, the first of its gallery (Q, G, d): (Q,) of 0 and 1.

    By cosine similarity; a tie is no find, so features that are all the same find nothing. Chance is 1 / G.
    """
    similarity = ranking(queries, gallery)
    return (similarity[:, 0] > similarity[:, 1:].amax(1)).float()


def pair_cross_entropy(views: torch.Tensor, seed: int) -> torch.Tensor:
    """Binary cross entropy by which a fresh critic tells two views of one place from places of two scenes: (S,).

    views: (S, V, P, d), standardised features of P places in V views of S scenes, S at least 4. A critic is trained on
    every second scene and judged on the others, then the reverse. The mean over scenes is the cross entropy; scene by
    scene the figures are such (a U-statistic's influence) that resampling them resamples the scenes.
    """
    entropy = torch.empty(len(views))
    for part in (slice(0, None, 2), slice(1, None, 2)):
        judged = torch.arange(len(views))[part]
        others = torch.tensor(sorted(set(range(len(views))) - set(judged.tolist())))
        entropy[judged] = _judge(_train(views[others], seed), views[judged])
    return entropy


def nats(cross_entropy: torch.Tensor) -> tuple[float, float, float]:
    """Lower bound on the mutual information in nats from `pair_cross_entropy` (S,), and its 95 % interval.

    Xi of the Jensen-Shannon divergence; the interval is that of the cross entropy, bootstrapped over scenes.
    """
    values = cross_entropy.double()
    low, high = paired_interval(values.tolist(), [0.0] * len(values))
    ends = torch.tensor([float(values.mean()), high, low], dtype=torch.float64)
    value, least, most = xi(math.log(2) - ends).tolist()
    return value, least, most


class _FreshCritic(nn.Module):
    """One shared embedding; the score of a pair is a scaled dot product and a term for each of the two."""

    def __init__(self, width: int, embedded: int = 64) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Dropout(0.2), nn.Linear(128, embedded + 1))
        self.scale = nn.Parameter(torch.tensor(0.1))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Features a (N, d), b (M, d) -> scores (N, M)."""
        (a, own_a), (b, own_b) = (self.embed(x).tensor_split([-1], dim=1) for x in (a, b))
        return self.scale * (a @ b.T) + own_a + own_b.T + self.bias


def _train(views: torch.Tensor, seed: int) -> _FreshCritic:
    scenes, n, places, width = views.shape
    generator = torch.Generator().manual_seed(seed)
    each = max(2, ROWS // scenes)
    scene = torch.arange(scenes).repeat_interleave(each)
    other = (scene[:, None] != scene).float()
    with _seeded(seed), torch.enable_grad():
        critic = _FreshCritic(width)
        optimiser = torch.optim.AdamW(critic.parameters(), lr=2e-3, weight_decay=0.05)
        for _ in range(STEPS):
            first, second = torch.randperm(n, generator=generator)[:2].tolist()
            place = torch.randint(places, (len(scene),), generator=generator)
            loss = -jsd(critic(views[scene, first, place], views[scene, second, place]), other)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return critic.eval()


@torch.no_grad()
def _judge(critic: _FreshCritic, views: torch.Tensor) -> torch.Tensor:
    """The cross entropy of each scene, over the pairs of views 0 and 1, 2 and 3, ..."""
    scenes, n, places, _ = views.shape
    entropy = torch.zeros(scenes)
    pairs = [(view, view + 1) for view in range(0, n - 1, 2)]
    for first, second in pairs:
        scores = critic(views[:, first].flatten(0, 1), views[:, second].flatten(0, 1))
        joint = F.logsigmoid(scores.diagonal()).view(scenes, places).mean(1)
        blocks = F.logsigmoid(-scores).view(scenes, places, scenes, places).mean((1, 3)).fill_diagonal_(0)
        rows, columns = blocks.sum(1) / (scenes - 1), blocks.sum(0) / (scenes - 1)
        entropy -= (joint + rows + columns - rows.mean()) / 2
    return entropy / len(pairs)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's own generator set to a seed inside, and as it was outside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
