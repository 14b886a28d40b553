from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from dirnet.errors import UsageError
from dirnet.tasks import segmenter
from dirnet.tasks.spec import Spec, read_spec, shipped, spec_from, spec_named, spec_of


def test_every_shipped_spec_is_one() -> None:
    assert {spec_of(nn.Identity(), name).output for name in shipped()} == {
        "classifier",
        "torchvision-detection",
        "yolox",
    }


def test_names_are_those_of_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision")
    names = [name for table in shipped().values() for name in table.get("names", ())]
    assert len(names) == len(set(names)) > 40
    assert set(names) - {segmenter.NAME} <= set(torchvision.models.list_models())


def test_yolox_is_known_by_its_bytes() -> None:
    spec = spec_named(shipped()["yolox-nano"]["sha256"])
    assert spec is not None
    assert (spec.colours, spec.white, spec.size, spec.fill) == ("BGR", 255, (416, 416), 114)
    assert spec.category_ids is not None
    assert len(spec.category_ids) == 80
    assert list(spec.category_ids) == sorted(set(spec.category_ids))


def test_a_spec_file_starts_from_the_name_it_is_about(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('network = "resnet18"\nweights = "none"\nsize = [64, 96]\n')
    spec, about = read_spec(file)
    assert spec == Spec(
        "classifier", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), fit="resize", size=(64, 96)
    )
    assert about == {"network": "resnet18", "weights": "none"}
    assert spec_of(nn.Identity(), str(file)) == spec


def test_without_a_word_pictures_are_rgb_from_0_to_1() -> None:
    assert spec_of(nn.Identity(), None) == Spec()
    torchvision = pytest.importorskip("torchvision")
    detector = torchvision.models.get_model("ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None)
    assert spec_of(detector, None) == spec_named("ssdlite320_mobilenet_v3_large")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"colors": "BGR"}, r"got 'colors'. The nearest is colours\."),
        ({"colours": "GBR"}, "No such colours; got 'GBR'; wanted one of RGB, BGR"),
        ({"white": "255"}, "white does not fit"),
        ({"mean": [1, 2]}, "mean does not fit.*3 float"),
        ({"size": [416.5, 416]}, "size does not fit.*2 int"),
        ({"category_ids": ["cat"]}, "category_ids does not fit.*a list of int"),
        ({"std": [1, 1, 0]}, "above 0"),
        ({"fit": "resize"}, "needs a size"),
        ({"fit": "letterbox", "size": [8, 8]}, "value of its padding"),
    ],
)
def test_what_is_wrong_with_a_spec_is_a_sentence(table: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        spec_from(table)


@pytest.mark.parametrize("content", [b"size = [", b"\xff\xfe", None])
def test_a_file_that_is_no_spec_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "own.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match="Cannot read the spec"):
        read_spec(file)


def test_an_unknown_name_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="No such spec; got 'yolo'"):
        spec_of(nn.Identity(), "yolo")
