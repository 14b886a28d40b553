from __future__ import annotations

import copy
import pickle
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dirnet.errors import UsageError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.suites.draw import draw, draw_for_training
from dirnet.suites.transform import Degrade, DegradedDataset

Pair = namedtuple("Pair", "image label")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def crop(astronaut: torch.Tensor) -> torch.Tensor:
    """(3, 40, 56), uint8."""
    return (astronaut[0, :, 100:140, 200:256] * 255).round().to(torch.uint8)


@pytest.fixture
def samples(crop: torch.Tensor) -> list[tuple[torch.Tensor, int]]:
    """The same picture eight times, so that all that differs is how it was spoiled."""
    return [(crop, label) for label in range(8)]


# Python 3.12 and later warn of forks of processes with threads.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

# Degrade: what goes in comes out


def test_every_kind_of_picture_stays_what_it_is_and_gets_the_same_spoiling(crop: torch.Tensor) -> None:
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    array = crop.permute(1, 2, 0).numpy()
    expected = Degrade("seen", 4, generator=generator())(crop)
    assert expected.dtype == torch.uint8
    assert not torch.equal(expected, crop)
    pictures = [
        Image.fromarray(array), tv_tensors.Image(crop), crop[None], crop.float() / 255, crop.double() / 255,
    ]  # fmt: skip
    for picture in pictures:
        spoiled = Degrade("seen", 4, generator=generator())(picture)
        assert type(spoiled) is type(picture)
        if isinstance(picture, Image.Image):
            assert picture.size == spoiled.size
            spoiled = torch.from_numpy(np.array(spoiled)).permute(2, 0, 1)
        else:
            assert (spoiled.dtype, spoiled.shape) == (picture.dtype, picture.shape)
        values = spoiled.double() * (255 if spoiled.is_floating_point() else 1)
        assert ((values.view_as(expected) - expected).abs() < 0.01).double().mean() > 0.999


def test_half_precision_is_that_of_the_picture_alone(crop: torch.Tensor) -> None:
    image = (crop / 255).to(torch.bfloat16)
    spoiled = Degrade("seen", 4, generator=generator())(image)
    expected = Degrade("seen", 4, generator=generator())(image.float())
    assert torch.equal(spoiled, expected.to(torch.bfloat16))


def test_it_is_the_camera_with_settings_drawn_by_the_generator(crop: torch.Tensor) -> None:
    image = crop[None].float() / 255
    seed = int(torch.randint(2**62, (), generator=generator(5)))
    for severity, settings in [
        (2, draw("unseen-severity", 2, "main", seed=seed)),
        (None, draw_for_training("unseen-severity", "main", seed=seed)),
    ]:
        spoiled = Degrade("unseen-severity", severity, generator=generator(5), exact_jpeg=True)(image)
        assert torch.equal(spoiled, degrade(image, ISPParams.from_settings([settings])))


def test_clean_gives_the_picture_back(crop: torch.Tensor) -> None:
    assert torch.equal(Degrade("clean", generator=generator())(crop), crop)


def test_boxes_masks_labels_and_the_structure_are_carried_along(crop: torch.Tensor) -> None:
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    boxes = tv_tensors.BoundingBoxes([[1.0, 2, 30, 20]], format="XYXY", canvas_size=(40, 56))
    mask = tv_tensors.Mask(torch.ones(1, 40, 56, dtype=torch.bool))
    target = {"boxes": boxes, "masks": mask, "labels": torch.tensor([7]), "name": "a.png", "none": None}
    spoil = Degrade("seen", 5, generator=generator())
    for image in (tv_tensors.Image(crop), crop):
        spoiled, found = spoil(image, target)
        assert type(spoiled) is type(image)
        assert not torch.equal(spoiled, crop)
        assert found.keys() == target.keys()
        assert all(found[name] is target[name] for name in target)
    assert torch.equal(boxes, torch.tensor([[1.0, 2, 30, 20]]))
    pair = spoil(Pair(tv_tensors.Image(crop), 3))
    assert isinstance(pair, Pair)
    assert pair.label == 3
    two = spoil([{"image": tv_tensors.Image(crop)}, {"image": tv_tensors.Image(crop)}])
    assert not torch.equal(two[0]["image"], two[1]["image"])
    assert torch.equal(crop, tv_tensors.Image(crop))  # nothing was written into the original


def test_it_composes_with_v2(crop: torch.Tensor) -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    spoil = Degrade("seen", 3, generator=generator())
    chain = v2.Compose([v2.RGB(), spoil, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [2])])
    gray = Image.fromarray(crop[0].numpy())
    spoiled, label = chain(gray, 4)
    assert (spoiled.shape, spoiled.dtype, label) == ((3, 40, 56), torch.float32, 4)
    assert "Degrade('seen', severity=3" in repr(chain)


def test_gradients_go_through(crop: torch.Tensor) -> None:
    image = (crop.float() / 255).requires_grad_()
    Degrade("seen", 1, generator=generator())(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


# Degrade: randomness


def test_the_generator_alone_decides_and_every_call_moves_it_on(crop: torch.Tensor) -> None:
    first, second = Degrade("seen", 5, generator=generator()), Degrade("seen", 5, generator=generator())
    torch.manual_seed(1)
    one = [first(crop) for _ in range(3)]
    torch.manual_seed(2)
    two = [second(crop) for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert len({picture.sum().item() for picture in one}) == 3
    state = first.generator.get_state()
    again = first(crop)
    first.generator.set_state(state)
    assert torch.equal(first(crop), again)


def test_every_picture_of_a_batch_has_a_draw_of_its_own_as_if_it_came_alone(crop: torch.Tensor) -> None:
    batch = Degrade("seen", 5, generator=generator())(crop.expand(3, -1, -1, -1))
    alone = Degrade("seen", 5, generator=generator())
    assert torch.equal(batch, torch.stack([alone(crop) for _ in range(3)]))
    assert len({picture.sum().item() for picture in batch}) == 3


def test_workers_of_a_data_loader_do_not_draw_alike(crop: torch.Tensor) -> None:
    class Spoiled(torch.utils.data.Dataset):
        spoil = Degrade("seen", 5, generator=generator())

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.spoil(crop)

    sums = [
        picture.sum().item()
        for _ in range(2)
        for picture in DataLoader(Spoiled(), batch_size=None, num_workers=2, multiprocessing_context="fork")
    ]
    assert len(set(sums)) == 8


def test_it_can_be_copied_and_pickled(crop: torch.Tensor) -> None:
    spoil = Degrade("seen", None, generator=generator())
    copies = [copy.deepcopy(spoil), pickle.loads(pickle.dumps(spoil))]
    expected = spoil(crop)
    assert all(torch.equal(one(crop), expected) for one in copies)


# Degrade: what it refuses


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (torch.zeros(1, 8, 8), r"shape \(1, 8, 8\); wanted \(3, H, W\).*v2.RGB"),
        (torch.zeros(8, 8, 3), r"shape \(8, 8, 3\); wanted"),
        (torch.zeros(8, 8), r"shape \(8, 8\); wanted"),
        (torch.zeros(2, 2, 3, 8, 8), r"shape \(2, 2, 3, 8, 8\)"),
        (torch.zeros(3, 0, 8), r"shape \(3, 0, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "torch.int64; wanted uint8 or floats"),
        (torch.full((3, 8, 8), -2.1), r"values from -2.1 to -2.1; wanted 0..1\. .*Normalize"),
        (torch.full((3, 8, 8), 255.0), "values from 255"),
        (torch.full((3, 8, 8), float("nan")), "values from nan"),
        (Image.new("L", (8, 8)), r"mode 'L'; wanted RGB\. .*convert"),
        (Image.new("RGBA", (8, 8)), "mode 'RGBA'"),
    ],
)
def test_what_is_no_rgb_picture_is_refused_in_a_sentence(picture: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Degrade("seen", 3, generator=generator())(picture)


def test_videos_are_refused() -> None:
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    with pytest.raises(UsageError, match="Video"):
        Degrade("seen", 3, generator=generator())(tv_tensors.Video(torch.zeros(2, 3, 8, 8)))


def test_what_resizing_overshoots_is_cut(crop: torch.Tensor) -> None:
    image = crop.float() / 255
    image[0, 0, 0], image[0, 0, 1] = -0.04, 1.07
    spoiled = Degrade("seen", 3, generator=generator())(image)
    assert torch.equal(spoiled, Degrade("seen", 3, generator=generator())(image.clamp(0, 1)))


def test_a_wrong_suite_or_severity_is_refused_at_once() -> None:
    for suite, severity in (("fog", 3), ("seen", 6)):
        with pytest.raises(UsageError):
            Degrade(suite, severity, generator=generator())
        with pytest.raises(UsageError):
            DegradedDataset([], suite, severity)


# DegradedDataset


def test_a_sample_depends_on_its_number_the_epoch_and_the_seed_alone(samples: list) -> None:
    first, second = (DegradedDataset(samples, "seen", 4, seed=3) for _ in range(2))
    expected = [first[i] for i in range(8)]
    assert len(first) == 8
    assert [label for _, label in expected] == list(range(8))
    for i in (5, 0, 7, 0):
        assert torch.equal(second[i][0], expected[i][0])
    assert torch.equal(second[-1][0], expected[7][0])
    assert torch.equal(second[np.int64(2)][0], expected[2][0])
    second.set_epoch(1)
    others = [second[i] for i in range(8)] + [DegradedDataset(samples, "seen", 4, seed=4)[i] for i in range(8)]
    assert len({image.sum().item() for image, _ in expected + others}) == 24
    second.set_epoch(0)
    assert torch.equal(second[3][0], expected[3][0])
    with pytest.raises(IndexError):
        first[8]


def test_every_picture_of_a_sample_is_spoiled_in_its_own_way(crop: torch.Tensor) -> None:
    left, right = DegradedDataset([[Image.fromarray(crop.permute(1, 2, 0).numpy())] * 2], "seen", 5)[0]
    assert left.tobytes() != right.tobytes()


@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_change_nothing_and_see_the_epoch(samples: list, start: str, workers: int) -> None:
    data = DegradedDataset(samples, "seen", None, seed=1)
    expected = {}
    for epoch in range(2):
        data.set_epoch(epoch)
        expected[epoch] = [data[i][0] for i in range(8)]
    loader = DataLoader(
        data, batch_size=3, shuffle=True, num_workers=workers, persistent_workers=True, multiprocessing_context=start
    )
    for epoch in range(2):
        data.set_epoch(epoch)
        for images, labels in loader:
            for image, label in zip(images, labels.tolist(), strict=True):
                assert torch.equal(image, expected[epoch][label])
