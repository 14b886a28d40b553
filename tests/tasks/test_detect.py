from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from dirnet.errors import DirnetError, UsageError
from dirnet.tasks.detect import STRIDES, Detections, decode, detect
from dirnet.tasks.spec import Spec, spec_named

pytest.importorskip("torchvision")

SPEC = Spec("yolox", "BGR", 255.0, fit="letterbox", size=(64, 96), fill=114.0, category_ids=(1, 5, 90))
Object = tuple[Sequence[float], int, float]


def answer(objects: Sequence[Object], ratio: float = 1.0) -> torch.Tensor:
    """What a YOLOX of 3 classes says that sees these: a box in the picture's pixels, a class and a score.

    Written from the description of its format: the row of the cell that the centre lies in, coarsest stride last.
    """
    rows = []
    for stride in STRIDES:
        for y in range(SPEC.size[0] // stride):  # type: ignore[index]
            for x in range(SPEC.size[1] // stride):  # type: ignore[index]
                row = [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5]
                for (x0, y0, x1, y1), label, score in objects:
                    centre = [ratio * (x0 + x1) / 2 / stride, ratio * (y0 + y1) / 2 / stride]
                    if stride == 8 and (int(centre[0]), int(centre[1])) == (x, y):
                        size = [math.log(ratio * side / stride) for side in (x1 - x0, y1 - y0)]
                        row = [centre[0] - x, centre[1] - y, *size, score, 0.0, 0.0, 0.0]
                        row[5 + label] = 1.0
                rows.append(row)
    return torch.tensor(rows)


class Answers(nn.Module):
    """A detector that has made up its mind."""

    def __init__(self, said: object) -> None:
        super().__init__()
        self.said, self.seen = said, []

    def forward(self, images: object) -> object:
        self.seen.append(images)
        return self.said


def test_a_yolox_is_read_back_in_the_pictures_pixels() -> None:
    objects = [((10.0, 20.0, 50.0, 60.0), 2, 0.9), ((100.0, 30.0, 140.0, 100.0), 0, 0.4)]
    network = Answers(answer(objects, 0.5)[None])
    (found,) = detect(network, SPEC, [torch.rand(3, 128, 192)])
    assert network.seen[0].shape == (1, 3, 64, 96)
    assert torch.allclose(found.boxes, torch.tensor([box for box, _, _ in objects]), atol=1e-3)
    assert found.labels.tolist() == [90, 1]
    assert torch.allclose(found.scores, torch.tensor([0.9, 0.4]))
    assert found.masks is None


def test_of_two_boxes_of_one_class_the_better_stays() -> None:
    near = (18.0, 20.0, 58.0, 60.0)  # overlaps by two thirds: IoU .67
    objects = [((10.0, 20.0, 50.0, 60.0), 2, 0.5), (near, 2, 0.9), ((10.0, 20.0, 50.0, 76.0), 1, 0.3)]
    (found,) = decode(answer(objects)[None], [(64, 96)], SPEC)
    assert found.labels.tolist() == [90, 5]
    assert found.boxes[0].tolist() == pytest.approx(near, abs=1e-3)


def test_boxes_end_with_the_picture() -> None:
    (found,) = decode(answer([((-20.0, 10.0, 30.0, 90.0), 1, 0.5)])[None], [(64, 96)], SPEC)
    assert found.boxes.tolist() == [pytest.approx([0, 10, 30, 64], abs=1e-3)]


def test_nothing_found_is_no_detections() -> None:
    (found,) = decode(answer([])[None], [(64, 96)], SPEC)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_torchvision_answers_with_masks() -> None:
    masks = torch.zeros(2, 1, 6, 8)
    masks[1, 0, 2:4, 3:] = 0.6
    said = {
        "boxes": torch.rand(2, 4),
        "scores": torch.tensor([0.9, 0.1]),
        "labels": torch.tensor([3, 90]),
        "masks": masks,
    }
    spec = spec_named("maskrcnn_resnet50_fpn")
    assert spec is not None
    network = Answers([said])
    (found,) = detect(network, spec, [torch.rand(3, 6, 8)])
    assert isinstance(network.seen[0], list)
    assert isinstance(found, Detections)
    assert found.labels.tolist() == [3, 90]
    assert found.masks is not None
    assert found.masks.sum((1, 2)).tolist() == [0, 10]


@pytest.mark.parametrize("shape", [(2, 6, 8), (2, 1, 28, 28), (1, 1, 6, 8)])
def test_masks_of_another_size_are_a_sentence(shape: tuple[int, ...]) -> None:
    said = {"boxes": torch.rand(2, 4), "scores": torch.rand(2), "labels": torch.ones(2), "masks": torch.rand(shape)}
    with pytest.raises(UsageError, match=r"masks are not those of what it found.*wanted \(2, 1, 6, 8\)"):
        decode([said], [(6, 8)], Spec("torchvision-detection", fit="own"))


def test_what_is_not_finite_is_a_sentence() -> None:
    broken = answer([])[None]
    broken[0, 3, 2] = torch.nan
    with pytest.raises(DirnetError, match="What the network gives is not finite; got 1 NaN"):
        detect(Answers(broken), SPEC, [torch.rand(3, 64, 96)])


@pytest.mark.parametrize(
    ("said", "spec", "sentence"),
    [
        (torch.rand(1, 10, 8), SPEC, r"not that of a YOLOX of its spec; got 10 rows of 8; wanted 126 rows"),
        (torch.rand(1, 126, 85), SPEC, r"got 126 rows of 85"),
        (torch.rand(1, 1000), SPEC, r"not that of a YOLOX; got numbers of shape \(1000,\)"),
        (torch.rand(1, 126, 8), replace(SPEC, fit="resize", fill=None), "how pictures were laid; got fit 'resize'"),
        (
            torch.rand(1, 1000),
            Spec("torchvision-detection", fit="own"),
            "not that of a torchvision detector",
        ),
        (torch.rand(1, 1000), Spec("classifier"), "no detector whose answer is known; got output 'classifier'"),
    ],
)
def test_an_answer_of_another_kind_is_a_sentence(said: torch.Tensor, spec: Spec, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        decode(said, [(64, 96)], spec)


def test_a_label_without_a_category_is_a_sentence() -> None:
    said = {"boxes": torch.rand(1, 4), "scores": torch.rand(1), "labels": torch.tensor([1])}
    with pytest.raises(UsageError, match="more labels than its spec has category_ids; got label 1"):
        decode([said], [(6, 8)], Spec("torchvision-detection", fit="own", category_ids=(7,)))


@pytest.mark.parametrize(("fit", "across", "down"), [("letterbox", 0.25, 0.25), ("resize", 0.25, 0.5)])
def test_boxes_of_a_fitted_picture_are_read_back_in_its_own_pixels(fit: str, across: float, down: float) -> None:
    """A detector of torchvision's answer behind a letterbox or a stretch of 100 x 100."""
    box = torch.tensor([200.0, 100.0, 300.0, 180.0])
    seen = box * torch.tensor([across, down, across, down])
    said = {"boxes": torch.stack((seen, torch.tensor([-5.0, 0.0, 400.0, 300.0]))), "scores": torch.tensor([0.9, 0.1])}
    network = Answers([said | {"labels": torch.tensor([1, 2])}])
    (found,) = detect(
        network, Spec("torchvision-detection", fit=fit, size=(100, 100), fill=0.3), [torch.rand(3, 200, 400)]
    )
    assert torch.allclose(found.boxes, torch.stack((box, torch.tensor([0.0, 0.0, 400.0, 200.0]))))
