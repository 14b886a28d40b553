from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dirnet.errors import DirnetError
from dirnet.judge.coco import Annotations, only, read_annotations, result_rows, write_results
from dirnet.judge.precision import average_precision
from dirnet.tasks.detect import Detections

rle = pytest.importorskip("faster_coco_eval").mask

SIZE = (40, 60)
POLYGON = [[5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0]]


def annotation(**changes: Any) -> dict[str, Any]:
    plain = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
    return plain | {"segmentation": POLYGON} | changes


def read(folder: Path, annotations: list[Any], **changes: Any) -> Annotations:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "a.jpg").touch()
    image = {"id": 7, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}
    categories = [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}]
    table = {"images": [image], "annotations": annotations, "categories": categories} | changes
    (folder / "all.json").write_text(json.dumps(table))
    return read_annotations(folder / "all.json", folder / "images")


def mask() -> np.ndarray:
    found = np.zeros(SIZE, np.uint8)
    found[5:25, 5:25] = 1
    return found


def compressed() -> dict[str, Any]:
    code = rle.encode(np.asfortranarray(mask()))
    counts = code["counts"]
    return {"size": list(SIZE), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def uncompressed() -> dict[str, Any]:
    flat = mask().flatten("F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    return {"size": list(SIZE), "counts": np.diff([0, *ends, flat.size]).tolist()}


def found(box: tuple[float, ...] = (5, 5, 25, 25), label: int = 3, score: float = 0.9, masks: Any = None) -> Detections:
    return Detections(torch.tensor([box]), torch.tensor([score]), torch.tensor([label]), masks)


@pytest.mark.parametrize("kind", ["polygon", "compressed", "uncompressed"])
def test_what_is_found_exactly_scores_one(tmp_path: Path, kind: str) -> None:
    masks = {"polygon": POLYGON, "compressed": compressed(), "uncompressed": uncompressed()}
    data = read(tmp_path, [annotation(segmentation=masks[kind])])
    assert data.notes == []
    assert data.pictures == {7: tmp_path / "images" / "a.jpg"}
    rows = result_rows(7, found(masks=torch.from_numpy(mask())[None].bool()))
    assert average_precision(data, rows)["ap"] == pytest.approx(1)
    assert average_precision(data, rows, "segm")["ap"] == pytest.approx(1)


def test_a_box_that_is_off_scores_at_the_overlaps_it_reaches(tmp_path: Path) -> None:
    data = read(tmp_path, [annotation()])
    rows = result_rows(7, found(box=(5, 5, 25, 20)))  # IoU .75: 6 of 10 thresholds
    figures = average_precision(data, rows)
    assert figures["ap"] == pytest.approx(0.6)
    assert (figures["ap50"], figures["ap75"]) == (pytest.approx(1), pytest.approx(1))
    assert average_precision(data, result_rows(7, found(label=9)))["ap"] == 0
    assert average_precision(data, [])["ap"] == 0


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    crowd = annotation(id=2, iscrowd=1, bbox=[30, 0, 30, 40], area=1200, segmentation=uncompressed())
    data = read(tmp_path, [annotation(), crowd])
    assert data.notes == []
    rows = result_rows(7, found(score=0.5)) + result_rows(7, found((32, 5, 40, 20), score=0.9))
    assert average_precision(data, rows)["ap"] == pytest.approx(1)
    assert math.isnan(average_precision(read(tmp_path, [crowd]), rows)["ap"])


def test_nothing_annotated_is_no_figure(tmp_path: Path) -> None:
    assert math.isnan(average_precision(read(tmp_path, []), result_rows(7, found()))["ap"])


@pytest.mark.parametrize("number", [0, 1])
def test_ids_that_the_matching_would_lose_are_made_new(tmp_path: Path, number: int) -> None:
    pair = [annotation(id=number), annotation(id=number, bbox=[30, 5, 20, 20])]
    data = read(tmp_path, pair)
    rows = result_rows(7, found()) + result_rows(7, found((30, 5, 50, 25)))
    assert average_precision(data, rows)["ap"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (annotation(image_id=8), "Annotation 1 is left out: there is no image 8."),
        (annotation(image_id=None), "Annotation 1 is left out: there is no image None."),
        (annotation(image_id=[7]), "Annotation 1 is left out: there is no image [7]."),
        (annotation(category_id=4), "Annotation 1 is left out: there is no category 4."),
        (annotation(bbox=[5, 5, 0, 20]), "Annotation 1 is left out: its box is empty, 0 by 20."),
        (annotation(bbox=[5, 5, -3, 20]), "Annotation 1 is left out: its box is empty, -3 by 20."),
        (annotation(bbox=[5, 5, 20]), "Annotation 1 is left out: its box is [5, 5, 20], not x, y, width and height."),
        (annotation(bbox=[5, 5, 20, math.nan]), "not x, y, width and height."),
        (annotation(bbox=[5, 5, 20, 10**400]), "not x, y, width and height."),
        ({"id": 1}, "Annotation 1 is left out: there is no image None."),
    ],
)
def test_an_annotation_that_is_of_no_use_is_left_out_and_told(tmp_path: Path, bad: Any, sentence: str) -> None:
    data = read(tmp_path, [annotation(id=5), bad])
    assert len(data.table["annotations"]) == 1
    assert len(data.notes) == 1
    assert sentence in data.notes[0]
    assert average_precision(data, result_rows(7, found()))["ap"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ([], "it has no mask."),
        (None, "it has no mask."),
        ([[]], "a polygon of its mask is broken; got []; wanted x and y of three corners or more."),
        ([[5, 5, 25, 5]], "a polygon of its mask is broken; got [5, 5, 25, 5]; wanted"),
        ({"size": [40, 61], "counts": [2340, 100]}, "its mask is of another size; got [40, 61]; wanted [40, 60]."),
        ({"size": [40, 60], "counts": [5, 5]}, "the run lengths of its mask are broken."),
        ({"size": [40, 60], "counts": [2400]}, "its mask is empty."),
    ],
)
def test_without_a_mask_an_object_keeps_its_box(tmp_path: Path, broken: Any, reason: str) -> None:
    data = read(tmp_path, [annotation(segmentation=broken)])
    (note,) = data.notes
    assert note.startswith(f"Annotation 1 is kept for its box alone: {reason}")
    assert average_precision(data, result_rows(7, found()))["ap"] == pytest.approx(1)
    assert math.isnan(average_precision(data, result_rows(7, found()), "segm")["ap"])


def test_without_masks_nothing_is_said_of_them(tmp_path: Path) -> None:
    read(tmp_path, [annotation(segmentation=[[5]]), annotation(), annotation(bbox=[])])
    data = read_annotations(tmp_path / "all.json", tmp_path / "images", masks=False)
    assert [row["segmentation"] for row in data.table["annotations"]] == [None, None]
    assert len(data.notes) == 1
    assert "not x, y, width and height" in data.notes[0]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"id": 8, "file_name": "gone.jpg", "height": 4, "width": 4}, "Image 8 is left out: there is no file gone.jpg"),
        ({"id": 8, "file_name": "../all.json", "height": 4, "width": 4}, "there is no file ../all.json"),
        ({"id": 8, "file_name": "a\0.jpg", "height": 4, "width": 4}, "Image 8 is left out: there is no file"),
        ({"id": 8, "file_name": "a" * 5000, "height": 4, "width": 4}, "Image 8 is left out: there is no file"),
        ({"id": 8, "file_name": "a.jpg", "height": 0, "width": 4}, "Image 8 is left out: it has no height or width."),
        ({"id": 7, "file_name": "a.jpg", "height": 4, "width": 4}, "Image 7 is left out: its id is another's."),
        ({"file_name": "a.jpg"}, "Image None is left out: it has no id or no file name."),
    ],
)
def test_an_image_that_is_of_no_use_is_left_out_and_told(tmp_path: Path, image: Any, reason: str) -> None:
    good = {"id": 7, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}
    data = read(tmp_path, [annotation(), annotation(id=2, image_id=8)], images=[good, image])
    assert list(data.pictures) == [7]
    assert data.table["images"] == [good]
    assert reason in data.notes[0]
    assert data.notes[1] == "Annotation 2 is left out: there is no image 8."


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": 3}', '{"images": [1]}', "[" * 100_000])
def test_a_file_that_holds_none_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "all.json").write_text(content)
    with pytest.raises(DirnetError, match="holds no COCO annotations"):
        read_annotations(tmp_path / "all.json", tmp_path)


def test_a_data_set_without_pictures_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DirnetError, match=r"None of the pictures.*no file b\.jpg"):
        read(tmp_path, [], images=[{"id": 1, "file_name": "b.jpg", "height": 1, "width": 1}])


def test_results_are_written_as_coco_has_them(tmp_path: Path) -> None:
    rows = result_rows(7, found((1.234, 2, 5, 8.5), masks=torch.from_numpy(mask())[None].bool()))
    write_results(tmp_path / "results.json", rows)
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert row["bbox"] == [1.23, 2, 3.77, 6.5]
    assert {key: row[key] for key in ("image_id", "category_id", "score")} == {
        "image_id": 7,
        "category_id": 3,
        "score": 0.9,
    }
    assert np.array_equal(rle.decode(row["segmentation"]), mask())


def test_of_some_pictures_only_their_own_annotations_are_kept(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").touch()
    images = [{"id": key, "file_name": name, "height": 40, "width": 60} for key, name in ((7, "a.jpg"), (8, "b.jpg"))]
    data = read(tmp_path, [annotation(), annotation(id=2, image_id=8)], images=images)
    part = only(data, {8})
    assert list(part.pictures) == [8]
    assert [row["id"] for row in part.table["images"]] == [8]
    assert [row["image_id"] for row in part.table["annotations"]] == [8]
    assert len(part.table["categories"]) == len(data.table["categories"]) == 2


def test_an_area_below_nothing_is_that_of_the_box(tmp_path: Path) -> None:
    table = read(tmp_path, [annotation(area=-5)]).table
    assert table["annotations"][0]["area"] == 400


def test_pictures_may_be_links_and_names_may_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.jpg").touch()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    image = {"id": 7, "file_name": "link.jpg", "height": SIZE[0], "width": SIZE[1]}
    assert read(tmp_path, [annotation()], images=[image]).pictures == {7: tmp_path / "images" / "link.jpg"}
    with pytest.raises(DirnetError, match="there is no file"):
        read(tmp_path, [annotation()], images=[image | {"file_name": "../elsewhere.jpg"}])


def test_of_two_images_of_one_file_the_second_is_left_out_and_told(tmp_path: Path) -> None:
    table = {
        "images": [{"id": key, "file_name": "a.png", "height": 4, "width": 6} for key in (1, 2)],
        "annotations": [{"id": key, "image_id": key, "category_id": 1, "bbox": [0, 0, 2, 2]} for key in (1, 2)],
        "categories": [{"id": 1, "name": "thing"}],
    }
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps(table))
    found = read_annotations(tmp_path / "a.json", tmp_path, masks=False)
    assert list(found.pictures) == [1]
    assert found.notes[0] == "Image 2 is left out: its file a.png is another's."
    assert "there is no image 2" in found.notes[1]


@pytest.mark.parametrize(
    ("turn", "size", "kept"), [(1, (6, 4), True), (3, (6, 4), False), (6, (6, 4), True), (6, (5, 5), False)]
)
def test_a_picture_that_may_be_turned_is_left_out_and_told(tmp_path: Path, turn: int, size: Any, kept: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", size).save(tmp_path / "a.jpg", exif=exif)
    table = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": size[0] if turn > 4 else size[1], "width": size[0]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(table))
    if kept:
        assert read_annotations(tmp_path / "a.json", tmp_path, masks=False).notes == []
    else:
        with pytest.raises(
            DirnetError, match=r"a\.jpg is turned by its EXIF, and which way it was annotated is not known"
        ):
            read_annotations(tmp_path / "a.json", tmp_path, masks=False)
