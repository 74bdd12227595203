"""A study's file: what it spreads out into, what is one run, and what is refused before anything runs."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from poseglot.errors import PoseglotError
from poseglot.studies.study import Cell, load_study
from poseglot.training.recipe_io import parse_recipe, read_recipe
from tests.studies.helpers import ROWS, loaded, write_study


def typed(cell: Cell) -> Any:
    """The recipe that the cell's printed command trains, by way of a shell's reading of it."""
    config, file, out, folder, resume, *settings = shlex.split(shlex.join(cell.train))[1:]
    assert (config, out, folder, resume) == ("--config", "--out", str(cell.folder), "--resume")
    return parse_recipe([config, file, *settings])


def test_rows_streams_and_seeds_spread_out(tmp_path: Path) -> None:
    table = {"title": "T", "rows": [*ROWS, {"name": "bones too", "modalities": ["bone", "joint"], "fuse": True}]}
    study = loaded(tmp_path, seeds=[3, 1], settings={"optim.epochs": 7, "optim.milestones": [2, 5]}, tables=[table])
    base = read_recipe(tmp_path / "recipes" / "base.yaml")
    without, four, bones = study.tables[0].rows
    for row, modalities, words in (
        (without, ["joint"], replace(base.text, prompt="none")),
        (four, ["joint"], replace(base.text, partition="four")),
        (bones, ["bone", "joint"], base.text),
    ):
        optim = replace(base.optim, epochs=7, milestones=[2, 5])
        assert [cell.recipe for cell in row.cells] == [
            replace(base, text=words, optim=optim, seed=seed, data=replace(base.data, modality=modality))  # type: ignore[arg-type]
            for seed in (3, 1)
            for modality in modalities
        ]
    assert bones.lines == ("bone", "joint", "fused")
    assert [[cell.recipe.data.modality for cell in fold] for fold in bones.cells_of("fused", 1)] == [["bone", "joint"]]
    assert [[cell.recipe.seed for cell in fold] for fold in bones.cells_of("bone", 1)] == [[1]]
    for cell in study.cells:
        assert typed(cell) == cell.recipe


def test_the_same_recipe_is_one_run_wherever_it_stands(tmp_path: Path) -> None:
    tables = [
        {
            "title": "Words",
            "rows": [*ROWS, {"name": "as the base says"}, {"name": "said", "settings": {"loss.alignment_weight": 0.8}}],
        },
        {"title": "lambda", "grid": {"loss.alignment_weight": [1, 0.8]}},
    ]
    study = loaded(tmp_path, seeds=[0, 1], tables=tables)
    assert [cell.folder.name for cell in study.cells] == [
        f"{name}-joint-seed{seed}" for seed in (0, 1) for name in ("without", "four-parts", "loss.alignment_weight-1")
    ]
    rows = {row.name: row for table in study.tables for row in table.rows}
    assert (
        rows["four parts"].cells
        == rows["as the base says"].cells
        == rows["said"].cells
        == rows["loss.alignment_weight 0.8"].cells
    )


def test_folds_make_every_run_several(tmp_path: Path) -> None:
    study = loaded(tmp_path, folds=3)
    (row, _) = study.tables[0].rows
    assert [(cell.recipe.data.folds, cell.recipe.data.fold) for cell in row.cells] == [(3, 1), (3, 2), (3, 3)]
    assert [cell.folder.name for cell in row.cells] == [f"without-joint-seed0-fold{fold}" for fold in (1, 2, 3)]
    assert [[cell.recipe.data.fold for cell in fold] for fold in row.cells_of("joint", 0)] == [[1], [2], [3]]
    assert [typed(cell) for cell in study.cells] == [cell.recipe for cell in study.cells]


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    grid = {"loss.alignment_weight": [1.0, 0.5], "optim.milestones": [[1], [1, 2]]}
    study = loaded(tmp_path, tables=[{"title": "G", "grid": grid, "paper": [80, 81.5, 82, 83]}])
    rows = study.tables[0].rows
    assert [row.name for row in rows] == [
        f"loss.alignment_weight {weight}, optim.milestones {steps}" for weight in (1.0, 0.5) for steps in ("[1]", "[1, 2]")
    ]
    assert [(row.cells[0].recipe.loss.alignment_weight, row.cells[0].recipe.optim.milestones) for row in rows] == [
        (weight, steps) for weight in (1.0, 0.5) for steps in ([1], [1, 2])
    ]
    assert [row.paper for row in rows] == [{"joint": figure} for figure in (80, 81.5, 82, 83)]


def test_runs_that_would_share_a_name_take_their_tables(tmp_path: Path) -> None:
    rows = [{"name": "a", "settings": {"loss.alignment_weight": 0.1}}]
    other = [{"name": "a", "settings": {"loss.alignment_weight": 0.2}}]
    study = loaded(tmp_path, tables=[{"title": "One", "rows": rows}, {"title": "Two (b)", "rows": other}])
    assert [cell.folder.name for cell in study.cells] == ["a-joint-seed0", "two-b-a-joint-seed0"]
    named = [
        {"name": name, "settings": {"loss.alignment_weight": weight}}
        for name, weight in (("a", 0.1), ("a?", 0.2), ("a !", 0.3))
    ]
    with pytest.raises(PoseglotError, match=r"row 3 \(a !\): its runs would have"):
        loaded(tmp_path, tables=[{"title": "One", "rows": named}])


def test_settings_of_the_command_line_are_set_in_every_run(tmp_path: Path) -> None:
    given = ("--optim.epochs", "2", "--text.lr_scale=0.25", "--data.store", "a folder/it's")
    study = loaded(tmp_path, *given, settings={"optim.epochs": 9})
    for cell in study.cells:
        assert (cell.recipe.optim.epochs, cell.recipe.text.lr_scale) == (2, 0.25)
        assert cell.recipe.data.store == "a folder/it's"
        assert typed(cell) == cell.recipe
        assert cell.train.count("--optim.epochs") == 1
    expected = ["study", str(tmp_path / "study.yaml"), "--optim.epochs", "2", "--text.lr_scale", "0.25"]
    assert list(study.command) == [*expected, "--data.store", "a folder/it's", "--runs", str(tmp_path / "runs")]


def test_values_survive_the_command_line(tmp_path: Path) -> None:
    settings = {
        "optim.lr": -1e-7,
        "text.encoder": "-odd 'name\" $HOME",
        "text.descriptions": "yes",
        "optim.milestones": [1, 2],
        "data.pipeline": "nw-ucla-scaled",
        "model.encoder_kwargs": {"kernel": 5},
    }
    cell = loaded(tmp_path, settings=settings).tables[0].rows[1].cells[0]
    assert typed(cell) == cell.recipe
    assert cell.recipe.optim.lr == -1e-7
    assert (cell.recipe.text.encoder, cell.recipe.text.descriptions) == ("-odd 'name\" $HOME", "yes")
    assert cell.recipe.data.pipeline == "nw-ucla-scaled"
    assert cell.recipe.model.encoder_kwargs == {"kernel": 5}


def test_paths_are_those_that_a_person_here_would_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path / "deep")
    (tmp_path / "deep" / "study.yaml").rename(tmp_path / "deep" / "recipes" / "study.yaml")
    text = (tmp_path / "deep" / "recipes" / "study.yaml").read_text()
    (tmp_path / "deep" / "recipes" / "study.yaml").write_text(text.replace("recipes/base", "../recipes/base"))
    monkeypatch.chdir(tmp_path)
    study = load_study(tmp_path / "deep" / "recipes" / "study.yaml")
    assert study.command == ("study", "deep/recipes/study.yaml")
    assert study.cells[0].train[:5] == [
        "train",
        "--config",
        "deep/recipes/base.yaml",
        "--out",
        "runs/study/without-joint-seed0",
    ]
    monkeypatch.chdir("/")
    (cell, _) = load_study(tmp_path / "deep" / "recipes" / "study.yaml").cells
    assert cell.config == tmp_path.relative_to("/") / "deep" / "recipes" / "base.yaml"


def test_a_row_may_have_a_recipe_of_its_own(tmp_path: Path) -> None:
    own = "nw-ucla/paper"
    study = loaded(tmp_path, tables=[{"title": "T", "rows": [*ROWS, {"name": "paper", "base": own}]}])
    assert study.tables[0].rows[2].cells[0].recipe == read_recipe(own)


def one_table(**changes: Any) -> dict[str, Any]:
    table: dict[str, Any] = {"title": "Words", "rows": ROWS, **changes}
    return {"tables": [{key: value for key, value in table.items() if value is not None}]}


def one_row(**row: Any) -> dict[str, Any]:
    return one_table(rows=[{"name": "r", **row}])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"format": "poseglot-study/1"}, "must begin with 'format: poseglot-study/2'"),
    ({"title": None}, "study.yaml has no title"),
    ({"title": 5}, "title takes a text .*found 5"),
    ({"color": "red"}, "unknown key: color"),
    ({"modality": ["joint"]}, "unknown key: modality. Did you mean modalities?"),
    ({"base": "recipes/absent.yaml"}, r"row 1 \(without\): could not read the recipe .*absent.yaml"),
    ({"seeds": []}, "seeds takes a list, not empty"),
    ({"seeds": [0, 0]}, "seeds takes a list of different whole numbers"),
    ({"seeds": [0, True]}, "seeds takes a list of different whole numbers"),
    ({"seeds": [-1]}, "seeds takes a list of different whole numbers"),
    ({"modalities": ["bones"]}, "modalities takes .*bones"),
    ({"modalities": ["bone", "bone"]}, "each at most once"),
    ({"folds": 1}, "folds takes .*; found 1"),
    ({"folds": "five"}, "folds takes a whole number; found 'five'"),
    ({"settings": ["optim.epochs"]}, "settings takes a mapping"),
    ({"settings": {"optim.epoch": 3}}, "unknown setting: --optim.epoch. Did you mean --optim.epochs?"),
    ({"settings": {"optim.epochs": "many"}}, r"row 1 \(without\): .*optim.epochs: Expected a whole number"),
    ({"settings": {"optim": {"epochs": 3}}}, "optim is a whole section"),
    ({"settings": {"seed": 3}}, "seed cannot .*seeds"),
    ({"settings": {"config": "x.yaml"}}, "config cannot .*base"),
    ({"settings": {"optim.lr": {1, 2}}}, "study.yaml is not valid YAML"),
    ({"tables": []}, "tables takes a list, not empty"),
    ({"tables": [3]}, "table 1: expected a mapping"),
    ({"tables": [{"title": "T", "rows": ROWS}] * 2}, "two tables with the title 'T'"),
    (one_table(rows=None), r"table 1 \(Words\) must have either rows or a grid"),
    (one_table(grid={"seed": [1]}), "either rows or a grid"),
    (one_table(rows=[ROWS[0], ROWS[0]]), "two rows named 'without'"),
    (one_table(compare_with="nobody"), r"compare_with takes the name of one of the table's rows \(without, four parts\)"),
    (one_table(paper=[1, 2]), "paper takes a text"),
    (one_table(rows=None, grid={}), "grid takes settings, each with the list of its values"),
    (one_table(rows=None, grid={"loss.alignment_weight": 0.8}), "grid takes settings, each with the list"),
    (one_table(rows=None, grid={"loss.alignment_weight": [1, 2]}, paper=[1]), "paper takes .*2 rows"),
    (one_table(rows=None, grid={"loss.weights": [1, 2]}), "unknown setting: --loss.weights"),
    (one_table(rows=[{"settings": {}}]), "row 1 has no name"),
    (one_row(color=1), "row 1 has an unknown key: color"),
    (one_row(name=True), "name takes a text .*found True"),
    (one_row(settings={"text.prompt": "loud"}), r"row 1 \(r\): .*text.prompt: Expected one of"),
    (one_row(settings={"data.fold": 1}), r"row 1 \(r\): data.fold cannot"),
    (one_row(fuse=True), "fuse needs .*joint"),
    (one_row(fuse="yes"), "fuse takes true or false"),
    (one_row(modalities=[]), "modalities takes a list"),
    (one_row(paper="85"), "paper takes .*found '85'"),
    (one_row(paper={"bone": 85}), "paper takes a number"),
    (one_row(paper=85, modalities=["joint", "bone"]), r"paper takes .*\(joint, bone\)"),
    (one_row(paper={"fused": 85}, modalities=["joint", "bone"]), r"by name \(joint, bone\)"),
    (one_row(base="recipes/nowhere.yaml"), r"row 1 \(r\): could not read the recipe"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_a_fault_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PoseglotError, match=message) as caught:
        loaded(tmp_path, **changes)
    assert "study.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["epochs"], "cannot use 'epochs'"),
        (["--optim.epochs"], "cannot use '--optim.epochs'"),
        (["--optim.epochs", "--optim.lr", "3"], "cannot use '--optim.epochs'"),
        (["--seed", "3"], "command line: seed cannot"),
        (["--optim.speed", "3"], "unknown setting: --optim.speed"),
        (["--optim.epochs", "few"], "optim.epochs: Expected a whole number"),
    ],
)
def test_a_fault_of_the_command_line_is_named(tmp_path: Path, given: list[str], message: str) -> None:
    with pytest.raises(PoseglotError, match=re.escape(message)):
        loaded(tmp_path, *given)


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    for name, content, message in (
        ("absent.yaml", None, "could not read the study"),
        ("broken.yaml", "a: [", "is not valid YAML"),
        ("list.yaml", "- 1", "is not a study"),
        ("recipe.yaml", yaml.safe_dump({"data": {}}), "is not a study"),
    ):
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(PoseglotError, match=f"{name}.*|{message}") as caught:
            load_study(tmp_path / name)
        assert message in str(caught.value) and name in str(caught.value)


def test_tables_of_another_study_on_another_base(tmp_path: Path) -> None:
    first = write_study(tmp_path)
    other = tmp_path / "other.yaml"
    content = {**yaml.safe_load(first.read_text()), "settings": {"optim.epochs": 3}, "tables_of": first.name}
    del content["tables"]
    other.write_text(yaml.safe_dump(content))
    ours, theirs = load_study(other), load_study(first)
    assert [[row.name for row in table.rows] for table in ours.tables] == [["without", "four parts"]]
    assert [cell.recipe for cell in ours.cells] == [
        replace(cell.recipe, optim=replace(cell.recipe.optim, epochs=3)) for cell in theirs.cells
    ]
    for change, message in (
        ({"tables": content.get("tables", [])}, "either tables or tables_of"),
        ({"tables_of": "absent.yaml"}, "could not read the study"),
        ({"tables_of": "other.yaml"}, "is not a study with tables"),
    ):
        other.write_text(yaml.safe_dump({**content, **change}))
        with pytest.raises(PoseglotError, match=re.escape(message)):
            load_study(other)
