import os
from pathlib import Path

import pytest
import torch

from dirnet.errors import PictureError, UsageError
from dirnet.pictures.folders import Input, Tally, for_each, gather, output_paths


def plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def given(*names):
    return [Input(Path("in") / name, Path(name)) for name in names]


def test_folders_are_walked_in_order_and_hidden_files_left(tmp_path):
    plant(tmp_path, "b.jpg", "a/z.PNG", "a/b/c.dng", "notes.txt", ".hidden.jpg", ".git/x.png", "a/._z.png", "noext")
    gathered = gather([tmp_path])
    assert [str(one.relative) for one in gathered.inputs] == ["b.jpg", "a/z.PNG", "a/b/c.dng"]
    assert all(one.path == tmp_path / one.relative for one in gathered.inputs)
    assert gathered.skipped == 2


def test_a_file_named_itself_is_tried_whatever_its_suffix(tmp_path):
    plant(tmp_path, "a/photo.bin", "a/.hidden")
    gathered = gather([tmp_path / "a/photo.bin", tmp_path / "a/.hidden"])
    assert [one.relative for one in gathered.inputs] == [Path("photo.bin"), Path(".hidden")]
    assert gathered.skipped == 0


def test_each_file_comes_once(tmp_path):
    plant(tmp_path, "a/x.jpg", "a/y.jpg")
    gathered = gather([tmp_path / "a/y.jpg", tmp_path, tmp_path / "a"])
    assert [one.relative for one in gathered.inputs] == [Path("y.jpg"), Path("a/x.jpg")]


def test_links_in_a_circle_end(tmp_path):
    plant(tmp_path, "a/x.jpg")
    (tmp_path / "a/again").symlink_to(tmp_path)
    (tmp_path / "a/broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert len(gather([tmp_path]).inputs) == 1


def test_what_is_missing_or_no_file_is_a_usage_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing.jpg", "pipe"):
        with pytest.raises(UsageError, match=name):
            gather([tmp_path / name])


def test_outputs_mirror_the_folders(tmp_path):
    assert output_paths(given("a/x.jpg", "y.tif"), tmp_path, ".png") == [tmp_path / "a/x.png", tmp_path / "y.png"]


def test_the_second_of_one_stem_keeps_its_whole_name(tmp_path):
    names = [path.name for path in output_paths(given("x.jpg", "x.png", "X.tif", "x.v2.jpg"), tmp_path, ".png")]
    assert names == ["x.png", "x.png.png", "X.tif.png", "x.v2.png"]


def test_equal_names_of_two_folders_are_numbered(tmp_path):
    inputs = [Input(Path(folder) / "x.jpg", Path("x.jpg")) for folder in "abcd"]
    names = [path.name for path in output_paths(inputs, tmp_path, ".png")]
    assert names == ["x.png", "x.jpg.png", "x.jpg.2.png", "x.jpg.3.png"]


def test_no_output_is_an_input(tmp_path):
    plant(tmp_path, "x.png", "y.jpg", "y.jpg.png", "Y.PNG")
    inputs = gather([tmp_path]).inputs
    outputs = output_paths(inputs, tmp_path, ".png")
    originals = {str(one.path).casefold() for one in inputs}
    written = [str(path).casefold() for path in outputs]
    assert len(set(written)) == len(inputs)
    assert not originals & set(written)


def test_composed_and_decomposed_letters_are_one_name(tmp_path):
    names = [path.name for path in output_paths(given("é.jpg", "e\u0301.jpg"), tmp_path, ".png")]
    assert names == ["é.png", "e\u0301.jpg.png"]


def test_one_failure_does_not_stop_the_rest():
    failures = {
        "b": PictureError("b is broken", cure="Mend it."),
        "c": OSError(28, "No space left on device"),
        "d": MemoryError(),
        "e": torch.OutOfMemoryError("CUDA out of memory"),
    }
    advanced = []

    def work(one):
        if one.path.name in failures:
            raise failures[one.path.name]

    tally = for_each(given("a", "b", "c", "d", "e", "f"), work, skipped=3, advance=lambda: advanced.append(1))
    assert (tally.done, tally.skipped, len(advanced)) == (2, 3, 6)
    assert [(path.name, reason) for path, reason in tally.failed][:2] == [
        ("b", "b is broken. Mend it."),
        ("c", "[Errno 28] No space left on device"),
    ]
    assert all("not enough memory" in reason for _, reason in tally.failed[2:])
    assert tally.sentence() == "2 done, 3 skipped, 4 failed"


@pytest.mark.parametrize("mistake", [KeyError("x"), RuntimeError("shapes do not fit"), KeyboardInterrupt()])
def test_mistakes_of_the_program_come_out(mistake):
    def work(one):
        raise mistake

    with pytest.raises(type(mistake)):
        for_each(given("a"), work)


def test_nothing_to_do_is_fine(tmp_path):
    assert gather([tmp_path]).inputs == []
    assert for_each([], lambda one: None) == Tally()


def test_files_beside_an_output_are_no_inputs_and_no_two_equal(tmp_path):
    plant(tmp_path, "a.tif", "a.compare.jpg", "b.jpg", "b.tif", "c.tif")
    inputs = gather([tmp_path]).inputs
    outputs = output_paths(inputs, tmp_path, ".png", beside=[".compare.jpg"])
    written = [path.name for path in outputs] + [path.with_suffix(".compare.jpg").name for path in outputs]
    assert len(set(written)) == 2 * len(inputs)
    assert not set(written) & {one.path.name for one in inputs}
    assert outputs[-1].name == "c.png"
