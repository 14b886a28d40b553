from __future__ import annotations

import tomllib
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import pytest

from dirnet.errors import UsageError
from dirnet.learn.recipe import Recipe, load_recipe
from dirnet.nets.model import PRESETS
from dirnet.suites.suites import SUITES

SHIPPED = sorted(item.name.removesuffix(".toml") for item in (files("dirnet.learn") / "recipes").iterdir())
NEEDED = 'name = "own"\npreset = "tiny"\nsuite = "seen"\n'
STEPS = "tone_steps = 4\ninformation_steps = 1\nreference_steps = 2\nrefinement_steps = 3\n"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_name_presets_and_suites_that_exist(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.preset in PRESETS
    assert set(recipe.suite.split("+")) <= set(SUITES)
    assert recipe.suite == "seen" or not name.endswith("-proof")  # proof weights know no other kinds


def test_a_recipe_is_read_from_a_file_and_defaults_fill_it_up(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(NEEDED + STEPS + "learning_rate = 1\n")
    recipe = load_recipe(str(path))
    assert recipe == Recipe("own", "tiny", "seen", 4, 1, 2, 3, learning_rate=1.0)
    assert isinstance(recipe.learning_rate, float)


def test_overrides_replace_by_name_the_last_one_counts() -> None:
    recipe = load_recipe("tiny-proof", ["batch = 8", "learning_rate=5e-4", "suite=clean", "batch=32"])
    expected = replace(load_recipe("tiny-proof"), batch=32, learning_rate=5e-4, suite="clean")
    assert recipe == expected


@pytest.mark.parametrize("name", ["own", 'quotes " and \\ backslash', "ü\n"])
def test_written_and_read_a_recipe_is_the_same(tmp_path: Path, name: str) -> None:
    recipe = replace(load_recipe("tiny-proof"), name=name, learning_rate=1e-5, weight_decay=1e-12, align=3.0)
    assert tomllib.loads(recipe.to_toml()) == asdict(recipe)
    path = tmp_path / "again.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("bach=8", "Unknown settings bach; wanted some of name, preset.*batch"),
        ("batch", "Cannot read --set; got 'batch'; wanted key=value"),
        ("batch=many", "setting batch does not fit; got 'many'; wanted a value of type int"),
        ("batch=8.5", "setting batch does not fit"),
        ("learning_rate=fast", "setting learning_rate does not fit"),
        ("batch=7", "does not divide into views; got batch 7, views 2"),
        ("batch=0", "does not divide into views"),
        ("views=1", "does not divide into views"),
        ("views=0", "does not divide into views"),
        ("crop=60", "Odd crop; got 60; wanted a multiple of 8"),
        ("crop=24", "Odd crop"),
        ("task=mine", "Unknown task; got 'mine'; wanted one of restore, recognise"),
        ("estimator=mine", "Unknown estimator; got 'mine'; wanted one of jsd, dv, infonce, nwj"),
        ("optimizer=mine", "Unknown optimizer; got 'mine'; wanted one of adamw, muon"),
        ("hard=0.6", "no such negatives; got hard 0.6, matched 1; wanted hard from 0 to 0.5, matched 0 or 1"),
        ("hard=-0.1", "no such negatives"),
        ("matched=2", "no such negatives"),
        ("leaves=1.1", "no such shares; got .*leaves 1.1"),
        ("cleaned=2", "cleaned or not; got cleaned 2; wanted 1 or 0"),
        ("floor=0", "The floor is above 0; got 0.0"),
        ("reference_steps=0 align=0.2", "no reference to align to; got reference_steps 0, align 0.2"),
        ("meta=0.1", "for the task's loss alone; got meta 0.1 beside other losses; wanted meta 0, or align"),
        ("meta=0.1 content=0 consistency=0.2", "for the task's loss alone"),
    ],
)
def test_a_senseless_override_is_a_sentence(override: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_recipe("tiny-proof", override.split())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NEEDED, "lacks tone_steps, information_steps, reference_steps, refinement_steps"),
        (NEEDED + STEPS + "batch = 16.5\n", "setting batch does not fit; got 16.5"),
        (NEEDED + STEPS + "batch = [1]\n", "setting batch does not fit"),
        (NEEDED + STEPS + "[more]\nx = 1\n", "Unknown settings more"),
        ("name = ", "Cannot read the recipe .*wanted a TOML file or one of .*tiny-proof"),
    ],
)
def test_a_file_that_is_no_recipe_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        load_recipe(str(path))


def test_a_recipe_that_is_not_there_is_a_sentence_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for source in ("huge", str(tmp_path / "missing.toml"), str(tmp_path), str(tmp_path / "binary.toml")):
        with pytest.raises(UsageError, match=r"Cannot read the recipe.*tiny-proof"):
            load_recipe(source)
