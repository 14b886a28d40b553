from __future__ import annotations

import pytest
import torch

from dirnet.objectives.negatives import Places, gather_places, negative_weights, pick_places

KINDS = {"another scene": 0, "the same degradation": 1, "the same picture": 2}


def shares(per_scene: int, groups: list[int]) -> list[float]:
    """How much of all weight each kind of negative has, told by counting pairs one by one."""
    weights = negative_weights(per_scene, torch.tensor(groups))
    n = per_scene * len(groups)
    assert weights.shape == (n, n)
    total = [0.0, 0.0, 0.0]
    for i in range(n):
        assert weights[i, i] == 0
        for j in range(n):
            a, b = i // per_scene, j // per_scene
            kind = 2 if a == b else int(groups[a] == groups[b])
            total[kind] += float(weights[i, j])
    return total


def test_each_kind_counts_a_third() -> None:
    assert shares(3, [0, 0, 1, 1]) == pytest.approx([1 / 3] * 3)
    assert shares(4, [0, 0, 0, 1, 2]) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("per_scene", "groups", "expected"),
    [
        (3, [0, 1, 2], [1 / 2, 0, 1 / 2]),  # no two scenes were spoiled alike
        (3, [5, 5], [0, 1 / 2, 1 / 2]),  # all were
        (1, [0, 0, 1], [1 / 2, 1 / 2, 0]),  # one place a picture
        (4, [0], [0, 0, 1]),  # one scene
        (1, [0, 1], [1, 0, 0]),
    ],
)
def test_a_kind_that_does_not_occur_leaves_its_share_to_the_others(
    per_scene: int, groups: list[int], expected: list[float]
) -> None:
    assert shares(per_scene, groups) == pytest.approx(expected)


def test_within_a_kind_all_count_the_same() -> None:
    weights = negative_weights(2, torch.tensor([0, 0, 1, 1]))
    assert len(weights.unique()) == 4  # the diagonal and three kinds


@pytest.mark.parametrize("size", [(4, 4), (40, 60), (1, 9)])
@pytest.mark.parametrize("per_scene", [1, 2, 3, 24, 25])
def test_places_lie_within_the_map(size: tuple[int, int], per_scene: int) -> None:
    places = pick_places(5, per_scene, *size, torch.Generator().manual_seed(1))
    for at, side in zip(places, size, strict=True):
        assert at.shape == (5, per_scene)
        assert at.dtype == torch.int64
        assert at.min() >= 0
        assert at.max() < side


@pytest.mark.parametrize("side", [32, 400])
def test_a_third_of_the_places_lie_8_to_32_pixels_from_another(side: int) -> None:
    rows, columns = pick_places(200, 24, side, side, torch.Generator().manual_seed(2))
    at = 2.0 * torch.stack((rows, columns), -1)  # a cell is two pixels wide
    distance = (at[:, 16:] - at[:, :8]).norm(dim=-1)
    assert distance.min() >= 8 - 1.5  # rounded to cells
    assert distance.max() <= 32 + 1.5
    assert distance.mean() == pytest.approx(20, abs=0.5)
    steps = (at[:, 16:] - at[:, :8]).flatten(0, 1)
    assert steps.mean(0).abs().max() < 1  # in every direction alike


@pytest.mark.parametrize(("hard", "near"), [(0.0, 0), (0.25, 2), (0.5, 4)])
def test_so_many_of_nine_places_lie_near_another(hard: float, near: int) -> None:
    places = pick_places(300, 9, 4000, 4000, torch.Generator().manual_seed(4), hard)
    at = torch.stack(places, -1).float()
    apart = torch.cdist(at, at) + 1e6 * torch.eye(9)
    assert float((apart[:, 9 - near :].amin(2) < 18).float().sum(1).mean()) == pytest.approx(near, abs=0.05)
    assert float((apart.amin(2) < 18).float().sum(1).mean()) == pytest.approx(
        2 * near, abs=0.05
    )  # and those they lie near


def test_the_others_lie_anywhere() -> None:
    rows, columns = pick_places(300, 24, 20, 30, torch.Generator().manual_seed(3))
    counts = torch.bincount((rows[:, :16] * 30 + columns[:, :16]).flatten(), minlength=600).float()
    assert counts.mean() == 8
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.25)  # Poisson


def test_places_are_a_function_of_the_generator() -> None:
    first, again, other = (pick_places(2, 9, 30, 30, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first.rows, again.rows)
    assert torch.equal(first.columns, again.columns)
    assert not torch.equal(first.rows, other.rows)


def test_features_are_gathered_scene_by_scene() -> None:
    features = torch.randn(2, 5, 6, 7)
    rows, columns = torch.tensor([[0, 5, 2], [1, 1, 4]]), torch.tensor([[6, 0, 3], [2, 2, 5]])
    gathered = gather_places(features, Places(rows, columns))
    assert gathered.shape == (6, 5)
    for scene in range(2):
        for place in range(3):
            expected = features[scene, :, rows[scene, place], columns[scene, place]]
            assert torch.equal(gathered[3 * scene + place], expected)
