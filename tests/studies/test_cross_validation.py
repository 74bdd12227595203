"""Cross-validation: a training for every fold, the mean and all clips together; folds that are done are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from poseglot.app.cli import main
from poseglot.data.folds import fold_splits
from poseglot.data.store import open_store
from poseglot.errors import NotFoundError, SettingError
from poseglot.evaluation.metrics import Accuracy
from poseglot.studies.cross_validation import CrossValidation, FoldResult, collect, fold_cells
from poseglot.training.recipe_io import recipe_yaml
from tests.training.helpers import small_recipe

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
def config(store_path: Path, tmp_path: Path) -> Path:
    """A recipe on a store whose people are left out one at a time."""
    shutil.copytree(store_path, tmp_path / "store")
    store = open_store(tmp_path / "store")
    table = json.loads((tmp_path / "store" / "store.json").read_text())
    table["splits"] |= fold_splits("leave-one-out", store.clips, {"2": "ann/e"})
    (tmp_path / "store" / "store.json").write_text(json.dumps(table))
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_yaml(small_recipe(tmp_path / "store", Path("no-text-encoder"))))
    return path


def test_every_fold_is_trained_once_and_the_mean_is_said(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    given = ["cross-validate", "--config", str(config), "--out", str(out), "--split", "leave-one-out", "--jobs", "3"]
    assert main([*given, "--text.prompt", "none", "--optim.weight_decay", "0"]) == 0
    said = capsys.readouterr().out
    folders = sorted(path.name for path in out.iterdir() if path.is_dir())
    assert len(folders) == 10 and "leave-one-out-1" in folders and "leave-one-out-ann-e" in folders
    cells = fold_cells(config, out, split="leave-one-out", settings=["--text.prompt", "none", "--optim.weight_decay", "0"])
    found = collect(cells)
    assert [cell.recipe.data.split for cell in cells][1] == "leave-one-out/ann-e"
    assert found.together.total == 10 * 40 and str(found.together) in said
    assert (out / "table.md").read_text() == found.markdown() and found.markdown() in said
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*")}
    assert main([*given, "--text.prompt", "none", "--optim.weight_decay", "0"]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*")} == before
    assert main([*given, "--text.prompt", "none", "--optim.weight_decay", "0.1"]) == 1  # other runs are in the folders


def test_the_mean_is_over_folds_and_not_over_clips() -> None:
    found = CrossValidation((FoldResult("a", Accuracy(1, 2)), FoldResult("b", Accuracy(8, 8))))
    assert found.mean == (75.0, pytest.approx(35.355, abs=1e-3))
    assert found.together == Accuracy(9, 10)
    assert "| mean of 2 folds | 75.00 ± 35.36 % |" in found.markdown()


def test_the_training_set_can_be_divided_instead(config: Path, tmp_path: Path) -> None:
    cells = fold_cells(config, tmp_path, folds=3, settings=["--seed=4"])
    assert [(cell.folder.name, cell.recipe.data.fold, cell.recipe.data.folds) for cell in cells] == [
        ("fold-1", 1, 3),
        ("fold-2", 2, 3),
        ("fold-3", 3, 3),
    ]
    assert {cell.recipe.seed for cell in cells} == {4}
    with pytest.raises(SettingError):
        fold_cells(config, tmp_path, folds=1)
    with pytest.raises(NotFoundError, match="leave-one-out"):
        fold_cells(config, tmp_path)  # the recipe's split has no folds
