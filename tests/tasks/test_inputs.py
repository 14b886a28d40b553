from __future__ import annotations

import pytest
import torch

from dirnet.errors import UsageError
from dirnet.tasks.inputs import add_change, letterbox_size, place, prepare, together
from dirnet.tasks.spec import Spec, spec_of

BOX = Spec("yolox", "BGR", 255.0, fit="letterbox", size=(48, 64), fill=114.0)
NORMAL = Spec("classifier", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
BOTH = Spec("other", "BGR", 255.0, (103.5, 116.3, 123.7), (57.4, 57.1, 58.4), "letterbox", (48, 64), 114.0)
SPECS = {"plain": Spec(), "normalised": NORMAL, "letterbox": BOX, "normalised letterbox": BOTH}


def test_yolox_wants_blue_first_255_and_a_letterbox() -> None:
    picture = torch.zeros(3, 20, 40)
    picture[0] = 1  # red
    batch = prepare([picture], BOX)
    assert isinstance(batch, torch.Tensor)
    assert batch.shape == (1, 3, 48, 64)
    assert torch.allclose(batch[0, :, :32], torch.tensor([0.0, 0.0, 255.0])[:, None, None].expand(3, 32, 64))
    assert torch.allclose(batch[0, :, 32:], torch.tensor(114.0))


def test_classifiers_want_what_torchvision_gives_them(astronaut: torch.Tensor) -> None:
    transforms = pytest.importorskip("torchvision.transforms.v2.functional")
    batch = prepare([astronaut[0]], spec_of(torch.nn.Identity(), "torchvision-classifier"))
    small = transforms.resize(astronaut[0], [224, 224], antialias=True)
    theirs = transforms.normalize(small, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert isinstance(batch, torch.Tensor)
    assert torch.allclose(batch[0], theirs, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_a_picture_is_found_again_where_it_was_laid(name: str) -> None:
    spec = SPECS[name]
    picture = torch.rand(3, 48, 40)  # as high as the letterbox, which leaves it as it is
    batch = prepare([picture], spec)
    placed = place(batch[0], spec)
    assert placed.picture.shape == picture.shape
    assert torch.allclose(placed.picture, picture, atol=1e-5)
    assert (placed.corner, placed.frame) == ((0, 0), tuple(batch.shape[2:]))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SPECS)
def test_a_change_reaches_the_picture_and_not_its_padding(name: str) -> None:
    spec = SPECS[name]
    picture, change = torch.rand(3, 48, 40), 0.1 * torch.rand(3, 48, 40)
    before = prepare([picture], spec)[0]
    after = add_change(before, change, place(before, spec), spec)
    assert torch.allclose(after, prepare([picture + change], spec)[0], atol=2e-4)
    assert torch.equal(after[:, :, 40:], before[:, :, 40:])
    assert torch.equal(add_change(before, torch.zeros_like(change), place(before, spec), spec), before)


def test_a_letterbox_may_hold_its_picture_in_the_middle() -> None:
    box = torch.full((3, 48, 64), 114.0)
    box[:, 5:20, 10:50] = 255 * torch.rand(3, 15, 40)
    placed = place(box, BOX)
    assert (placed.corner, tuple(placed.picture.shape)) == ((5, 10), (3, 15, 40))
    after = add_change(box, torch.ones(3, 15, 40), placed, BOX)
    inside = torch.zeros(48, 64, dtype=torch.bool)
    inside[5:20, 10:50] = True
    assert torch.equal((after != box).all(0), inside)


def test_a_blank_letterbox_is_a_picture_as_well() -> None:
    assert place(torch.full((3, 48, 64), 114.0), BOX).picture.shape == (3, 48, 64)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (480, 640), (48, 64)])
def test_a_letterbox_holds_every_picture(size: tuple[int, int]) -> None:
    h, w, ratio = letterbox_size(size, BOX)
    assert 1 <= h <= 48
    assert 1 <= w <= 64
    assert h == 48 or w == 64 or size == (1, 1)
    assert ratio == pytest.approx(min(48 / size[0], 64 / size[1]))
    assert prepare([torch.rand(3, *size)], BOX)[0].shape == (3, 48, 64)


@pytest.mark.parametrize(
    ("values", "spec"),
    [
        (255 * torch.rand(3, 8, 8), Spec()),
        (torch.randn(3, 8, 8) * 3, Spec()),
        (torch.full((3, 8, 8), torch.nan), NORMAL),
    ],
)
def test_values_that_are_not_the_specs_are_a_sentence(values: torch.Tensor, spec: Spec) -> None:
    with pytest.raises(UsageError, match=r"not what the network's spec says; got values from .* Give a spec"):
        place(values, spec)


def test_pictures_of_different_sizes_are_no_batch() -> None:
    with pytest.raises(UsageError, match="different sizes make no batch"):
        prepare([torch.rand(3, 8, 8), torch.rand(3, 8, 9)], Spec())


@pytest.mark.parametrize("sizes", [((8, 8), (8, 8)), ((8, 8), (4, 6))])
def test_together_is_one_by_one(sizes: tuple[tuple[int, int], ...]) -> None:
    pictures = [torch.rand(3, *size) for size in sizes]
    for picture, answer in zip(pictures, together(lambda batch: batch.flip(3) * 2, pictures), strict=True):
        assert torch.equal(answer, picture.flip(2) * 2)
