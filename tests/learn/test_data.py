from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dirnet.errors import TrainingError, UsageError
from dirnet.learn import data as module
from dirnet.learn.data import Photographs
from dirnet.learn.grain import own_grain
from dirnet.nets.tone import contact_sheet
from dirnet.pictures.picture import Picture
from dirnet.pictures.write import write_picture


@pytest.fixture
def folder(tmp_path: Path, photographs: dict[str, torch.Tensor]) -> Path:
    """Three photographs of 90 x 110."""
    for name, photograph in photographs.items():
        picture = Picture(photograph[0, :, 100:190, 150:260].permute(1, 2, 0).numpy())
        write_picture(tmp_path / "photos" / f"{name}.png", picture)
    return tmp_path / "photos"


def test_photographs_are_kept_as_they_are_in_the_file(folder: Path, photographs: dict[str, torch.Tensor]) -> None:
    found = Photographs([folder], 64)
    assert [path.name for path in found.paths] == ["astronaut.png", "chelsea.png", "coffee.png"]
    for index, path in enumerate(found.paths):
        expected = (photographs[path.stem][0, :, 100:190, 150:260] * 255).round().to(torch.uint8)
        assert torch.equal(found.photograph(index), expected)


def test_what_is_small_or_broken_is_left_out_and_counted(folder: Path, coffee: torch.Tensor) -> None:
    write_picture(folder / "small.png", Picture(coffee[0, :, :70, :63].permute(1, 2, 0).numpy()))
    write_picture(folder / "fits.png", Picture(coffee[0, :, :70, :64].permute(1, 2, 0).numpy()))
    (folder / "broken.jpg").write_bytes((folder / "coffee.png").read_bytes()[:300])
    (folder / "notes.txt").write_text("no picture, and not counted")
    told: list[tuple[int, int]] = []
    found = Photographs([folder], 64, on_read=lambda done, of: told.append((done, of)))
    assert (len(found), found.left_out) == (4, 2)
    assert told == [(i, 6) for i in range(1, 7)]


def test_no_photograph_at_all_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"No photograph.*3 files.*photos; wanted pictures of at least 91 pixels"):
        Photographs([folder], 91)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="0 files"):
        Photographs([tmp_path / "empty"], 8)
    with pytest.raises(UsageError, match="missing"):
        Photographs([tmp_path / "missing"], 8)


def test_scenes_are_a_function_of_the_key_alone(folder: Path) -> None:
    found = Photographs([folder], 64)
    first = found.crops(6, 64, "0/information/3")
    found.crops(2, 64, "something else in between")
    torch.rand(1)
    again, other = (p.crops(6, 64, f"0/information/{step}") for p, step in ((Photographs([folder], 64), 3), (found, 4)))
    assert torch.equal(first.pictures, again.pictures)
    assert torch.equal(found.sheets(3, "key").pictures, found.sheets(3, "key").pictures)
    assert first.names == again.names == [f"0/information/3/{i}" for i in range(6)]
    assert not torch.equal(first.pictures, other.pictures)


def test_what_does_not_fit_the_memory_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = Photographs([folder], 64).crops(8, 64, "key")
    monkeypatch.setattr(module, "CACHE_BYTES", 3 * 90 * 110 + 1)  # one fits
    read_again = Photographs([folder], 64)
    assert torch.equal(read_again.crops(8, 64, "key").pictures, cached.pictures)


def test_crops_are_turned_mirrored_or_smaller_copies_of_the_photographs(folder: Path) -> None:
    """Every crop that was not scaled is found in its photograph, in one of the eight ways round."""
    found = Photographs([folder], 64)
    wholes = [found.photograph(i).float() / 255 for i in range(3)]
    ways: set[tuple[int, bool]] = set()
    exact = 0
    scenes = found.crops(40, 64, "many")
    assert scenes.pictures.shape == (40, 3, 64, 64)
    assert scenes.pictures.min() >= 0
    assert scenes.pictures.max() <= 1
    for crop in scenes.pictures:
        match = where(crop, wholes)
        exact += match is not None
        ways |= {match} if match else set()
    assert 15 <= exact < 40  # three in four, where the photograph has room: half of them and those that are too short
    assert len(ways) >= 5


def test_enlarged_crops_are_softer_and_the_others_are_not_touched(folder: Path) -> None:
    found = Photographs([folder], 64)
    plain, half = found.crops(40, 64, "many"), found.crops(40, 64, "many", enlarged=0.5)
    finest = [(p.pictures[..., 1:] - p.pictures[..., :-1]).abs().mean((1, 2, 3)) for p in (plain, half)]
    wholes = [found.photograph(i).float() / 255 for i in range(3)]
    exact = [sum(where(crop, wholes) is not None for crop in p.pictures) for p in (plain, half)]
    assert 0 < exact[1] < exact[0]
    assert float(finest[1].mean()) < 0.9 * float(finest[0].mean())
    assert torch.equal(found.crops(8, 64, "few", enlarged=0.0).pictures, found.crops(8, 64, "few").pictures)


def where(crop: torch.Tensor, wholes: list[torch.Tensor]) -> tuple[int, bool] | None:
    """(quarter turns, mirrored) of a crop that is in one of the photographs, pixel by pixel."""
    for turns in range(4):
        for mirrored in (False, True):
            upright = (crop.flip(2) if mirrored else crop).rot90(-turns, (1, 2))
            for whole in wholes:
                corner = (whole[:, :27, :47] == upright[:, :1, :1]).all(0).nonzero().tolist()
                if any(torch.equal(whole[:, y : y + 64, x : x + 64], upright) for y, x in corner):
                    return turns, mirrored
    return None


@pytest.mark.parametrize("n", [1, 3, 9])
def test_contact_sheets_are_as_many_as_asked_for_and_none_like_another(folder: Path, n: int) -> None:
    sheets = Photographs([folder], 64).sheets(n, "sheets").pictures
    assert sheets.shape == (n, *contact_sheet(torch.rand(1, 3, 90, 110)).shape[1:])
    assert len({sheet.sum().item() for sheet in sheets}) == n


def test_a_photograph_of_just_the_size_is_its_own_crop(tmp_path: Path, coffee: torch.Tensor) -> None:
    pixels = coffee[0, :, :64, :64]
    write_picture(tmp_path / "a" / "only.png", Picture(pixels.permute(1, 2, 0).numpy()))
    for crop in Photographs([tmp_path / "a"], 64).crops(6, 64, "x").pictures:
        assert where(crop, [F.pad(pixels, (0, 40, 0, 40))]) is not None


def test_the_hash_changes_with_the_photographs_and_not_with_the_folder(folder: Path, tmp_path: Path) -> None:
    before = Photographs([folder], 64).hash()
    moved = folder.rename(tmp_path / "elsewhere")
    assert Photographs([moved], 64).hash() == before
    (moved / "coffee.png").unlink()
    assert Photographs([moved], 64).hash() != before


def test_a_share_of_the_scenes_is_of_no_photograph(folder: Path) -> None:
    found = Photographs([folder], 64)
    with_leaves, photographs = (found.crops(40, 64, "key", leaves=share).pictures for share in (1.0, 0.0))
    assert not any(torch.equal(a, b) for a, b in zip(with_leaves, photographs, strict=True))
    mixed = found.crops(40, 64, "key", leaves=0.3).pictures
    bare = sum(own_grain((scene * 255).round().to(torch.uint8)) < 0.5 for scene in mixed)
    assert 4 < bare < 22


def test_cleaned_photographs_have_no_grain(folder: Path, tmp_path: Path) -> None:
    grainy = np.random.default_rng(0).normal(128, 3, (70, 80, 1)).round().astype(np.uint8).repeat(3, 2)
    Image.fromarray(grainy).save(tmp_path / "grainy.png")
    grains = [own_grain(Photographs([tmp_path], 64, cleaned=cleaned).photograph(0)) for cleaned in (False, True)]
    assert grains[1] < 0.4 * grains[0]
