"""Loggers: TensorBoard and CSV on disk, trackers and given objects by what they are told."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from poseglot.errors import MissingPackageError, NotFoundError, SettingError
from poseglot.training.callbacks import FitState
from poseglot.training.engine import Runtime, train
from poseglot.training.loggers import create_loggers, metrics
from poseglot.training.recipe import Recipe
from poseglot.training.run_folder import RunFolder
from tests.training.helpers import small_recipe
from tests.training.test_engine import Interrupt

NAMES = {"train/lr", "train/loss", "train/classification", "train/alignment", "train/clips_per_second", "train/accuracy"}


@pytest.fixture
def recipe(few_clips: Path, tiny_bert: Path) -> Recipe:
    return small_recipe(few_clips, tiny_bert, evaluate_every=2)


class Given:
    """A logger as Lightning has them."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.status = ""

    def log_metrics(self, found: dict[str, float], step: int) -> None:
        self.rows.append((step, found))

    def finalize(self, status: str) -> None:
        self.status = status


def test_files_follow_the_log_when_resumed(recipe: Recipe, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, given = RunFolder(tmp_path / "run"), Given()
    runtime = Runtime("cpu", loggers=("tensorboard", "csv", given))
    with pytest.raises(KeyboardInterrupt):
        train(recipe, run.folder, runtime=runtime, callbacks=[Interrupt(step=12)])
    train(recipe, run.folder, resume=True, runtime=runtime)
    log = run.read_log()
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["train/loss"]) for row in rows] == [entry["loss"] for entry in log]
    assert [row["test/accuracy"] != "" for row in rows] == [False, True, True]
    assert [step for step, _ in given.rows] == [1, 2, 3]
    assert given.rows[0][1].keys() == NAMES
    assert given.status == "success"
    board = EventAccumulator(str(run.tensorboard)).Reload()
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2, 3]


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_trackers_are_told_every_epoch(recipe: Recipe, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = MagicMock()
    monkeypatch.setitem(sys.modules, name, package)
    state = FitState(recipe, RunFolder(tmp_path / "mine"), SimpleNamespace(), True, 1)  # type: ignore[arg-type]
    (tracker,) = create_loggers([name])
    tracker.on_fit_start(state)
    entry: dict[str, Any] = dict.fromkeys(("lr", "loss", "classification", "alignment", "clips_per_second"), 0.5)
    entry |= {"epoch": 3, "train": {"correct": 3, "total": 4}}
    tracker.on_epoch_end(state, entry)
    tracker.on_fit_end(state, None)
    wanted = ((metrics(entry),), {"step": 3})
    if name == "wandb":
        assert package.init.call_args.kwargs["name"] == "mine"
        assert package.init.return_value.log.call_args == wanted
        package.init.return_value.finish.assert_called_once()
    elif name == "mlflow":
        assert package.log_metrics.call_args == wanted
        package.end_run.assert_called_once()
    else:
        assert package.log.call_args == wanted
        package.finish.assert_called_once()
    # Processes beside the first stay silent.
    package.reset_mock()
    (tracker,) = create_loggers([name])
    tracker.on_fit_start(replace(state, is_main=False))
    tracker.on_epoch_end(state, entry)
    assert package.mock_calls == []


def test_unknown_and_missing_loggers_are_refused(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="tensorboard"):
        train(recipe, tmp_path / "run", runtime=Runtime("cpu", loggers=("tensorbord",)))
    with pytest.raises(SettingError, match="log_metrics"):
        create_loggers([3])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPackageError, match="wandb"):
        train(recipe, tmp_path / "run", runtime=Runtime("cpu", loggers=("wandb",)))
