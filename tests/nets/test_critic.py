from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dirnet.nets.critic import Critic
from dirnet.objectives.information import jsd


@pytest.fixture
def critic() -> Critic:
    return Critic(5, projected=7)


def test_patches_are_means_over_the_square_around_each_cell(critic: Critic) -> None:
    features = torch.randn(2, 5, 9, 12)
    for scale, patches in zip(critic.SCALES, critic.patches(features), strict=True):
        assert patches.shape == features.shape
        before, after = (scale - 1) // 2, scale // 2
        for row, column in ((0, 0), (4, 5), (8, 11), (3, 0)):
            rows = torch.arange(row - before, row + after + 1).clamp(0, 8)
            columns = torch.arange(column - before, column + after + 1).clamp(0, 11)
            expected = features[:, :, rows][..., columns].mean((2, 3))
            torch.testing.assert_close(patches[:, :, row, column], expected)


def test_projections_are_unit_vectors_one_for_each_scale(critic: Critic) -> None:
    patches = [torch.randn(6, 5) for _ in critic.SCALES]
    for vectors, layer, patch in zip(critic.project(patches), critic.projections, patches, strict=True):
        assert vectors.shape == (6, 7)
        torch.testing.assert_close(vectors, F.normalize(layer(patch), dim=1))


def test_scores_are_scaled_cosines_of_all_pairs(critic: Critic) -> None:
    a, b = F.normalize(torch.randn(4, 7), dim=1), F.normalize(torch.randn(6, 7), dim=1)
    scores = critic(a, b)
    temperature, bias = critic.log_temperature.exp().item(), critic.bias.item()
    for i in range(4):
        for j in range(6):
            assert scores[i, j].item() == pytest.approx(temperature * float(a[i] @ b[j]) + bias, rel=1e-5)
    torch.testing.assert_close(critic(b, a), scores.T)


def test_what_is_the_same_scores_positive_and_what_is_not_negative(critic: Critic) -> None:
    vector = F.normalize(torch.randn(1, 7), dim=1)
    assert critic(vector, vector) > 0 > critic(vector, -vector)


def test_it_learns_to_tell_pairs_from_strangers_by_one_shared_projection() -> None:
    """From r0 of two views: the scene's code in half the channels, each view's own noise in the other half."""
    critic = Critic(16)
    scene = torch.randn(64, 8)

    def view() -> list[torch.Tensor]:
        return [torch.cat((scene + 0.2 * torch.randn(64, 8), 2 * torch.randn(64, 8)), 1)] * 2

    a, b = view(), view()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        embedded = zip(critic.project(a), critic.project(b), strict=True)
        loss = math.log(2) - torch.stack([jsd(critic(*pair)) for pair in embedded]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * math.log(2)
    assert losses[-1] < losses[0] / 2
