"""The shipped studies: every recipe in them can be read, and - slow tier - takes its first steps on the real clips."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.studies.study import Study, list_studies, load_study
from poseglot.training.build import build
from poseglot.training.engine import Trainer
from poseglot.training.recipe import Recipe
from poseglot.training.run_folder import RunFolder
from tests.conftest import ROOT
from tests.training.test_shipped_recipes import fabric_of_a_cpu

STUDIES = list_studies()


def load(name: str) -> Study:
    return load_study(name)


def rows_of(study: Study) -> Iterator[tuple[str, Recipe]]:
    """Every row once, as its first stream, seed and fold."""
    for table in study.tables:
        for row in table.rows:
            yield f"{table.title}: {row.name}", row.cells[0].recipe


@pytest.mark.parametrize("name", STUDIES)
def test_a_shipped_study_is_read_to_its_last_recipe(name: str) -> None:
    study = load(name)
    recipes = [cell.recipe for cell in study.cells]
    assert len(recipes) >= 4
    assert len({repr(recipe) for recipe in recipes}) == len(recipes)


def test_the_example_of_the_docs_is_a_study(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "studies.md").read_text(), re.M | re.S)
    (tmp_path / "example.yaml").write_text(example)
    first, modalities, grid = load_study(tmp_path / "example.yaml").tables
    assert [row.name for row in first.rows] == ["fixed", "learned"]
    assert [row.fuse for row in modalities.rows] == [True]
    assert len(grid.rows) == 4


@pytest.mark.parametrize("data", ["nw-ucla", "ntu120"])
def test_the_ablation_has_every_row_of_the_papers_table_1(data: str) -> None:
    study = load(f"{data}-ablation")
    assert {cell.recipe.data.store for cell in study.cells} == {f"data/{data}"}
    figures = {
        table.title[:2]: [row.paper.get("joint") for row in table.rows]
        for table in study.tables
        if "with text" not in table.title
    }
    assert figures == {
        "1a": [84.6, 85.2, 85.3, 85.4, 85.4],
        "1b": [84.6, 84.8, 85.2, 85.2, 85.4, 85.5],
        "1c": [85.2, 85.1, 85.2, 85.2, None],
        "1d": [82.6, 83.7, 84.6, 84.9],
        "1e": [84.2, 85.2, 85.3, 85.5],
        "1f": [84.8, 85.1, 85.2, 85.5],
    }
    (with_text,) = (table for table in study.tables if "with text" in table.title)
    assert [row.paper["joint"] for row in with_text.rows] == [83.8, 84.6, 85.5, 85.5]
    # Rows that are the same experiment share one run.
    assert len(study.cells) < sum(len(row.cells) for table in study.tables for row in table.rows)


def test_searches_never_look_at_the_test_side() -> None:
    for name in ("nw-ucla-lambda", "nw-ucla-fusion"):
        assert {cell.recipe.data.folds for cell in load(name).cells} == {5}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if name.startswith("nw-ucla")])
def test_every_row_takes_its_first_steps_on_real_clips(name: str, real_store: Path) -> None:
    for row, recipe in rows_of(load(name)):
        recipe = replace(
            recipe,
            data=replace(recipe.data, store=str(real_store)),
            # The hub's weights are not here; MiniLM stands in for them. Narrow, and in 32 bits, to be quick on any CPU.
            text=replace(recipe.text, encoder="minilm"),
            model=replace(recipe.model, base_channels=8),
            precision="32-true",
        )
        training = Trainer(fabric_of_a_cpu(), recipe, build(recipe), RunFolder(Path("unused")))
        losses = [float(training.step(torch.arange(16) * 47, epoch)["loss"]) for epoch in range(2)]
        assert np.isfinite(losses).all(), row
