"""Packaged YAML files by name, one's own by path, and the paths that a recipe names, from any folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from poseglot.errors import PoseglotError
from poseglot.files import find_yaml, resolve_path
from poseglot.studies.study import find_study, list_studies
from poseglot.training.recipe import DataRecipe, Recipe, TextRecipe, differences
from poseglot.training.recipe_io import find_recipe, list_recipes, parse_recipe, read_recipe, recipe_yaml


def test_recipes_and_studies_are_found_by_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"demo", "nw-ucla/paper", "ntu60/cross-view"} <= set(list_recipes())
    assert {"demo-quick", "nw-ucla-ablation"} <= set(list_studies())
    assert all(find_recipe(name).is_file() for name in list_recipes())
    assert all(find_study(name).is_file() for name in list_studies())
    assert find_recipe(Path("nw-ucla") / "paper") == find_recipe("nw-ucla/paper")


def test_ones_own_is_found_by_its_path(tmp_path: Path) -> None:
    assert find_recipe(tmp_path / "mine.yaml") == tmp_path / "mine.yaml"
    assert find_study("mine.yml") == Path("mine.yml")


@pytest.mark.parametrize("find", [find_recipe, find_study])
@pytest.mark.parametrize("name", ["nowhere", "nw-ucla", "../recipes/demo", "demo/", ""])
def test_an_unknown_name_lists_what_there_is(find: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert callable(find)
    with pytest.raises(PoseglotError) as caught:
        find(name)
    assert "demo" in str(caught.value) and ("nw-ucla/paper" in str(caught.value) or "nw-ucla-ablation" in str(caught.value))


def test_a_file_of_another_ending_is_no_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").touch()
    with pytest.raises(PoseglotError):
        find_recipe("mine")
    with pytest.raises(PoseglotError):
        find_yaml("poseglot", "recipes", "mine.yaml", kind="recipe", own=False)


def test_a_path_is_found_from_here_or_from_where_the_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "project" / "runs" / "study" / "first"
    run.mkdir(parents=True)
    store = tmp_path / "project" / "data" / "mine"
    store.mkdir(parents=True)
    (tmp_path / "too-high").touch()
    monkeypatch.chdir(tmp_path)
    assert resolve_path("data/mine", run) == str(store)
    assert resolve_path("data/mine", Path("project")) == str(store)
    assert resolve_path(str(store), run) == str(store)
    for missing in ("data/other", "too-high"):
        assert resolve_path(missing, run) == missing
    monkeypatch.chdir(tmp_path / "project")
    assert resolve_path("data/mine", run) == "data/mine"
    monkeypatch.chdir(run)
    (run / "data").mkdir()
    (run / "data" / "mine").mkdir()
    assert resolve_path("data/mine", run) == "data/mine"


def test_a_recipe_of_ones_own_is_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    for name in ("data/mine", "texts/encoder", "runs/first"):
        (project / name).mkdir(parents=True)
    (project / "words.yaml").touch()
    recipe = Recipe(DataRecipe("data/mine", "by-subject"), text=TextRecipe(descriptions="words.yaml", encoder="texts/encoder"))
    path = project / "runs" / "first" / "recipe.yaml"
    path.write_text(recipe_yaml(recipe))
    monkeypatch.chdir(project)
    assert read_recipe(path) == recipe
    monkeypatch.chdir(tmp_path)
    found = read_recipe(path)
    assert found.data.store == str(project / "data" / "mine")
    assert (found.text.descriptions, found.text.encoder) == (str(project / "words.yaml"), str(project / "texts" / "encoder"))
    assert found.text.vocabulary == "hake"
    assert parse_recipe(["--config", str(path), "--data.store", "elsewhere"]).data.store == "elsewhere"
    monkeypatch.chdir(project)
    assert differences(recipe, found) == []
    assert differences(recipe, replace(found, data=replace(found.data, store="data")))


def test_the_paths_of_a_packaged_recipe_are_those_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_recipe("demo").data.store == "data/demo"
