"""What a recipe's runs confuse, on clips of the training set that they held out. The test set is not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseglot.errors import InputError
from poseglot.evaluation.metrics import confusion
from poseglot.training.evaluate import evaluate
from poseglot.training.recipe import differing
from poseglot.training.run import Run, as_run

# Settings in which runs of one recipe may differ.
_FREE = ("data.fold", "seed", "checkpoint_every", "evaluate_every", "data.store")


def held_out_confusions(runs: Sequence[Run | str | Path]) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Add up the confusion matrices of runs.

    Args:
        runs: Runs of one recipe that held out folds of the training set (`data.folds`), or their folders.

    Returns:
        The class names, and (classes, classes) clips; rows are true classes, columns predicted ones.

    Raises:
        InputError: A run held out nothing, or the runs are of different recipes.
    """
    opened = [as_run(run) for run in runs]
    for run in opened:
        if not run.recipe.data.folds:
            raise InputError(
                f"{run.folder} was trained on the whole training set. What it confuses shows on the test set alone, which texts must not "
                "be written for. Train the same recipe with --data.folds 3 --data.fold 1 (2, 3)."
            )
        if unlike := [name for name, _, _ in differing(opened[0].recipe, run.recipe) if name not in _FREE]:
            raise InputError(f"{run.folder} is of another recipe than {opened[0].folder}: {', '.join(unlike)} differ.")
    scores = [evaluate(run).scores for run in opened]
    return opened[0].classes, np.sum([confusion(each.logits, each.labels) for each in scores], axis=0)
