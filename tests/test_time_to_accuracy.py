"""benchmarks/time_to_accuracy.py: curves from logs made by hand, and the whole script on finished runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from poseglot.training.recipe import DataRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run import open_run
from poseglot.training.run_folder import RunFolder

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "time_to_accuracy.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks look at memory in Linux's way")
RECIPE = Recipe(DataRecipe("data/none", "cross-person"), text=TextRecipe(prompt="none", partition="none"))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import time_to_accuracy

    return time_to_accuracy


def make_run(folder: Path, correct: list[int | None], *, seed: int, recipe: Recipe = RECIPE, elapsed: bool = True) -> Path:
    """Write a run of epochs of 50 clips, 60 seconds of training and 30 more of validation; None: not validated."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    run.recipe.write_text(recipe_yaml(replace(recipe, seed=seed)))
    for number, count in enumerate(correct, start=1):
        entry: dict[str, Any] = {"epoch": number, "train": {"correct": 1, "total": 50}, "seconds": 60.0}
        if elapsed:
            entry["elapsed"] = 90.0 * number
        if count is not None:
            entry["test"] = {"correct": count, "total": 100}
        run.add_to_log(entry)
    return folder


def test_the_mean_of_seeds_reaches_the_target(script: ModuleType, tmp_path: Path) -> None:
    make_run(tmp_path / "a" / "seed0", [None, 80, None, 93, None, 95], seed=0)
    make_run(tmp_path / "a" / "seed1", [None, 90, None, 96, None, 94], seed=1)
    (curve,) = script.curves_of([open_run(tmp_path / "a" / name) for name in ("seed0", "seed1")])
    assert [(point.epoch, point.clips, point.correct) for point in curve.mean] == [(2, 100, 85), (4, 200, 94.5), (6, 300, 94.5)]
    first = curve.first(94)
    assert (first.epoch, first.clips, first.minutes, first.percent) == (4, 200, 6, 94.5)
    assert curve.first(95) is None and curve.complete and curve.name.endswith("a")
    (row,) = script.rows_of([curve], 94)
    assert "94.50 ± 0.71 % (95/100, 94/100)" in row.values() and row["last epoch"] == "6"


def test_recipes_are_curves_of_their_own(script: ModuleType, tmp_path: Path) -> None:
    other = replace(RECIPE, optim=replace(RECIPE.optim, lr=0.05))
    folders = [
        make_run(tmp_path / "a", [50], seed=0),
        make_run(tmp_path / "b", [60], seed=0, recipe=other),
        make_run(tmp_path / "c", [70], seed=1),
    ]
    curves = script.curves_of([open_run(folder) for folder in folders])
    assert [[run.folder.name for run, _ in curve.runs] for curve in curves] == [["a", "c"], ["b"]]
    with pytest.raises(SystemExit, match="same seed"):
        script.curves_of([open_run(folders[0]), open_run(make_run(tmp_path / "d", [50], seed=0))])
    with pytest.raises(SystemExit, match="validated"):
        script.curves_of([open_run(make_run(tmp_path / "e", [None], seed=0))])


def test_old_logs_have_the_minutes_of_training_alone(script: ModuleType, tmp_path: Path) -> None:
    (curve,) = script.curves_of([open_run(make_run(tmp_path / "a", [50, 60], seed=0, elapsed=False))])
    assert [point.minutes for point in curve.mean] == [1, 2] and not curve.complete


def test_the_script_writes_table_and_picture(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"seed{seed}", [50, 96 + seed], seed=seed) for seed in (0, 1)]
    (runs[0] / "process.json").write_text('{"seconds": 240}')
    (runs[1] / "process.json").write_text('{"seconds": 360}')
    command = [sys.executable, str(SCRIPT), *map(str, runs), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "out" / "table.json").read_text())
    (row,) = data["rows"]
    assert (row["first epoch at 94 %"], row["clips seen"], row["minutes"]) == ("2", "100", "3.0")
    assert row["minutes of the whole process"] == "5.0"
    assert data["schedules"]["GAP"] == 556_160
    assert (tmp_path / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "is no result" in " ".join((tmp_path / "out" / "table.md").read_text().split())
