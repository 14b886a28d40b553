from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dirnet.errors import PictureError
from dirnet.report.pictures import Embedded, embed, paint, read_examples

Edit = Callable[[Callable[[dict[str, Any]], object]], None]
Features = dict[str, np.ndarray]


def decoded(embedded: Embedded) -> np.ndarray:
    data = base64.b64decode(embedded.uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_equal_features_have_equal_colours_whatever_their_name(features: Features) -> None:
    painted = paint(features | {"pilot": features["reference"], "refined": features["reference"]})
    assert np.array_equal(painted["pilot"], painted["reference"])
    assert np.array_equal(painted["refined"], painted["reference"])


def test_near_features_have_near_colours(features: Features) -> None:
    painted = {name: image.astype(float) for name, image in paint(features).items()}
    refined, pilot = (np.abs(painted[name] - painted["reference"]).mean() for name in ("refined", "pilot"))
    assert refined < 5 < pilot


def test_the_colours_are_the_leading_singular_vectors(features: Features) -> None:
    samples = features["reference"].reshape(6, -1).T.astype(float)
    centred = samples - samples.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    channels = paint(features)["reference"].reshape(-1, 3).astype(float)
    for channel, along in zip(channels.T, (centred @ axes.T).T, strict=True):
        assert abs(np.corrcoef(channel, along)[0, 1]) > 0.99


def test_the_colours_do_not_depend_on_rotation_offset_or_size_of_the_space(features: Features) -> None:
    rotation = np.linalg.qr(np.random.default_rng(4).normal(size=(6, 6)))[0]
    same_space = ("pilot", "refined", "reference")
    moved = {name: 3.0 * np.einsum("dc,chw->dhw", rotation, features[name].astype(float)) + 7.0 for name in same_space}
    before, after = paint(features), paint(moved)
    for name in same_space:
        assert np.abs(before[name].astype(int) - after[name]).max() <= 1


def test_the_baseline_neither_takes_nor_gives_colours(features: Features) -> None:
    alone = paint({"baseline": features["baseline"]})["baseline"]
    assert np.array_equal(paint(features)["baseline"], alone)
    others = {name: features[name] for name in ("pilot", "refined", "reference")}
    assert np.array_equal(paint(features)["pilot"], paint(others)["pilot"])


def test_without_a_reference_the_pilot_gives_the_colours(features: Features) -> None:
    without = {name: features[name] for name in ("pilot", "refined")}
    assert np.array_equal(paint(without)["pilot"], paint({"reference": features["pilot"]})["reference"])


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_few_channels_leave_the_missing_directions_grey(channels: int) -> None:
    feature = np.random.default_rng(0).normal(size=(channels, 8, 8))
    painted = paint({"reference": feature})["reference"]
    assert (painted[..., channels:] == 128).all()
    assert all(painted[..., channel].std() > 20 for channel in range(channels))


def test_rounding_noise_is_not_blown_up_to_colour() -> None:
    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    feature = np.stack([ramp, 2 * ramp, -ramp, ramp]) + 1e-9 * np.random.default_rng(0).normal(size=(4, 8, 8))
    assert (paint({"reference": feature})["reference"][..., 1:] == 128).all()
    assert (paint({"reference": np.ones((4, 8, 8))})["reference"] == 128).all()


def test_another_number_of_channels_is_a_sentence(features: Features) -> None:
    with pytest.raises(PictureError, match="pilot lies in another space"):
        paint(features | {"pilot": features["pilot"][:3]})


def test_small_pictures_are_embedded_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    embedded = embed(pixels, 768)
    assert (embedded.width, embedded.height, embedded.scale) == (30, 20, 1.0)
    assert embedded.uri.startswith("data:image/png;base64,")
    assert np.array_equal(decoded(embedded), pixels)


def test_large_pictures_are_made_smaller_and_stay_the_same_picture() -> None:
    rows, columns = np.mgrid[0:600, 0:1536] / 1536
    pixels = (np.stack([rows, columns, 1 - columns], axis=2) * 255).astype(np.uint8)
    embedded = embed(pixels, 768)
    assert (embedded.width, embedded.height, embedded.scale) == (768, 300, 0.5)
    assert embedded.uri.startswith("data:image/webp;base64,")
    assert np.abs(decoded(embedded).astype(int) - pixels[::2, ::2]).mean() < 3


def test_a_whole_folder_is_read(folder: Path) -> None:
    first, second = read_examples(folder)
    assert (first.name, first.suite, first.severity, first.model) == ("kodim01", "seen", "3", "small")
    assert first.figures == (24.1, 27.02)
    assert list(first.views) == ["clean", "degraded", "restored"]
    assert list(first.representations) == ["baseline", "pilot", "refined", "reference"]
    assert np.array_equal(decoded(first.views["clean"]), np.asarray(Image.open(folder / "seen-3-kodim01-clean.png")))
    assert not second.representations
    assert not first.complaints
    assert not second.complaints


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "a/../../secret.png", "/etc/hostname", "C:\\secret.png", "..\\secret.png", "", None, 7, "a\0b"],
)
def test_a_name_that_leads_out_is_refused(folder: Path, edit_index: Edit, name: object) -> None:
    Image.new("RGB", (4, 4)).save(folder.parent / "secret.png")
    edit_index(lambda entry: entry["files"].update(degraded=name))
    example = read_examples(folder)[0]
    assert list(example.views) == ["clean", "restored"]
    assert "degraded picture cannot be shown" in example.complaints[0]


def test_a_link_that_leads_out_is_refused(folder: Path, edit_index: Edit) -> None:
    Image.new("RGB", (4, 4)).save(folder.parent / "secret.png")
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    edit_index(lambda entry: entry["files"].update(degraded="link.png"))
    assert "degraded" not in read_examples(folder)[0].views


def test_the_list_itself_may_not_be_a_link_that_leads_out(folder: Path) -> None:
    (folder / "index.json").rename(folder.parent / "elsewhere.json")
    (folder / "index.json").symlink_to(folder.parent / "elsewhere.json")
    with pytest.raises(PictureError, match="leads out"):
        read_examples(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_no_picture(folder: Path, edit_index: Edit) -> None:
    os.mkfifo(folder / "pipe.png")
    edit_index(lambda entry: entry["files"].update(degraded="pipe.png"))
    assert "degraded" not in read_examples(folder)[0].views


def test_a_broken_picture_costs_only_itself(folder: Path) -> None:
    path = folder / "seen-3-kodim01-clean.png"
    path.write_bytes(path.read_bytes()[:200])
    first, second = read_examples(folder)
    assert list(first.views) == ["degraded", "restored"]
    assert "broken" in first.complaints[0]
    assert len(second.views) == 3


def test_a_picture_of_absurd_size_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 60 - 1)
    assert not read_examples(folder)[0].views


@pytest.mark.parametrize("broken", ["missing", "cut", "shape", "nan", "names"])
def test_broken_features_cost_only_themselves(folder: Path, features: Features, broken: str) -> None:
    path = folder / "kodim01.safetensors"
    if broken == "missing":
        path.unlink()
    elif broken == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        pilot = np.full((6, 12, 16), np.nan, np.float16)
        wrong: dict[str, Features] = {
            "shape": {"pilot": features["pilot"][0]},
            "nan": {"pilot": pilot},
            "names": {"other": features["pilot"]},
        }
        save_file(wrong[broken], path)
    example = read_examples(folder)[0]
    assert len(example.views) == 3
    assert not example.representations
    assert "representations cannot be shown" in example.complaints[0]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pictures": 3}', "[" * 100_000, "\xff"])
def test_a_list_that_is_none_is_a_sentence(folder: Path, text: str) -> None:
    (folder / "index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(PictureError, match="No pictures"):
        read_examples(folder)


def test_no_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no folder"):
        read_examples(tmp_path / "absent.pictures")


def test_fields_of_the_wrong_kind_do_no_harm(folder: Path, edit_index: Edit) -> None:
    edit_index(
        lambda entry: entry.update(
            name=[1], severity=None, why={"a": 1}, psnr=[1, 2], files="x", features=4, settings=[["a"]]
        )
    )
    example = read_examples(folder)[0]
    assert (example.name, example.figures, example.settings, example.views) == ("[1]", (None, None), {}, {})
