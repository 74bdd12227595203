"""`poseglot calibrate`: the temperature at which a run's probabilities mean what they say, found on clips that were not learned from.

The clips are those of the training set that runs of the same recipe held out (`data.folds`, `data.fold`). The test set is not looked
at: what `poseglot evaluate` says of the probabilities there is said of clips that had no part in it. The runs of the folds learned from
fewer clips than the run that is calibrated; the temperature is taken to be the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, check_run_folder
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.training.recipe import Recipe

# Settings in which the runs may differ: what is held out, and what changes nothing that is learned.
_FREE = ("data.folds", "data.fold", "data.store", "seed", "checkpoint_every", "evaluate_every")


def add(command: AddCommand) -> None:
    calibrate = command("calibrate", run, "make a run's probabilities mean what they say, by runs that held out folds")
    calibrate.add_argument("run", type=Path, help="the run to calibrate, trained on the whole training set")
    calibrate.add_argument(
        "folds", type=Path, nargs="+", help="runs of the same recipe with --data.folds N --data.fold 1, 2, ..."
    )


def run(parsed: argparse.Namespace) -> None:
    import numpy as np

    from poseglot.app.commands.evaluate import scores_and_repeated
    from poseglot.evaluation.calibration import BINS, fit_temperature, reliability
    from poseglot.files import sha256_of
    from poseglot.inference import Predictor
    from poseglot.inference.calibration import Calibration
    from poseglot.models.recognizer import RECOGNIZER_FILE
    from poseglot.training.recipe_io import read_recipe
    from poseglot.training.run import Run

    recipes: dict[Path, Recipe] = {}
    for folder in (parsed.run, *parsed.folds):
        check_run_folder(folder, "calibrate")
        if not Run(folder).recipe.exists():
            raise PoseglotError(f"{folder} has no recipe.yaml that says what it learned from.")
        recipes[folder] = read_recipe(Run(folder).recipe)
    whole = check_folds(parsed.run, {folder: recipes[folder] for folder in parsed.folds}, recipes[parsed.run])
    held_out = [scores_and_repeated(Predictor(folder, engine="torch"), folder, None, None)[0] for folder in parsed.folds]
    if any(scores.classes != held_out[0].classes for scores in held_out):
        raise PoseglotError("the runs of the folds do not know the same classes.")
    logits = np.concatenate([scores.logits for scores in held_out])
    labels = np.concatenate([scores.labels for scores in held_out])
    temperature = fit_temperature(logits, labels)
    before, after = reliability(logits, labels), reliability(logits, labels, temperature)
    which = f"{len(parsed.folds)} of {whole} held-out folds of the training set"
    made = Calibration(
        temperature=temperature,
        how=f"smallest negative log-likelihood on {which}",
        clips=len(labels),
        bins=BINS,
        ece=(before.ece, after.ece),
        nll=(before.nll, after.nll),
        runs=tuple(map(str, parsed.folds)),
        recognizer=sha256_of(parsed.run / RECOGNIZER_FILE),
    )
    path = made.write(parsed.run)
    print(f"temperature {temperature:.4f} on {which}, {len(labels)} clips")
    print(f"  ECE {before.ece:.2%} -> {after.ece:.2%} ({BINS} bins of equal width), NLL {before.nll:.4f} -> {after.nll:.4f}")
    print(f"{path}: `poseglot predict` and `poseglot evaluate` use it from now on")


def check_folds(run: Path, folds: Mapping[Path, Recipe], recipe: Recipe) -> int:
    """See that runs held out different folds and are otherwise of the run's recipe; returns into how many folds its side was divided.

    Raises:
        PoseglotError: they are not.
    """
    from poseglot.training.recipe import differing

    if recipe.data.folds:
        raise PoseglotError(f"{run} held out a fold itself; calibrate a run that learned from the whole training set.")
    seen: dict[int, Path] = {}
    wholes: set[int] = set()
    for folder, other in folds.items():
        if not other.data.folds:
            raise PoseglotError(
                f"{folder} learned from the whole training set; what it is sure of there says nothing. Train the same recipe with "
                "--data.folds 3 --data.fold 1 (2, 3)."
            )
        if other.data.fold in seen:
            raise PoseglotError(f"{folder} and {seen[other.data.fold]} held out the same fold.")
        seen[other.data.fold] = folder
        wholes.add(other.data.folds)
        if unlike := [f"{name} {its} for {wanted}" for name, wanted, its in differing(recipe, other) if name not in _FREE]:
            raise PoseglotError(f"{folder} is of another recipe than {run}: {', '.join(unlike)}.")
    if len(wholes) > 1:
        raise PoseglotError(
            f"the side was divided into {' and '.join(map(str, sorted(wholes)))} folds; take runs of one division."
        )
    return wholes.pop()
