"""Calibration of a run: the temperature, fitted on clips that were not trained on.

The clips are those of the training set that runs of the same recipe held out (`data.folds`, `data.fold`). The test set is not used, so
its probabilities can be evaluated afterwards. The runs of folds were trained on fewer clips than the calibrated run; the temperature is
assumed to be the same. It stays 1 if the evidence for another is no more than noise. The
thresholds of conformal sets are those of the folds' runs, too, so their coverage is approximate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from poseglot.data.splits import person_groups
from poseglot.errors import InputError
from poseglot.evaluation.calibration import BINS, fit_by_group, reliability
from poseglot.evaluation.conformal import left_out_coverage, set_threshold
from poseglot.evaluation.scores import SavedScores
from poseglot.evaluation.temperature import COVERAGES, Calibration
from poseglot.files import sha256_of
from poseglot.training.evaluate import evaluate
from poseglot.training.recipe import differing
from poseglot.training.run import Run, as_run

# Settings that may differ: what is held out, and what does not change what is learned.
_FREE = ("data.folds", "data.fold", "data.store", "seed", "checkpoint_every", "evaluate_every")


def calibrate(run: Run | str | Path, folds: Sequence[Run | str | Path]) -> Calibration:
    """Fit the temperature of a run.

    Args:
        run: A run that was trained on the whole training set, or its folder.
        folds: Runs of the same recipe that held out different folds of it, or their folders.

    Returns:
        The calibration; its method `write` puts it into the run's folder.

    Raises:
        InputError: The runs do not fit each other.
    """
    run, held_out = as_run(run), [as_run(fold) for fold in folds]
    total = check_folds(run, held_out)
    scores = [evaluate(fold).scores for fold in held_out]
    if any(each.classes != scores[0].classes for each in scores):
        raise InputError("the runs of the folds do not know the same classes.")
    logits = np.concatenate([each.logits for each in scores])
    labels = np.concatenate([each.labels for each in scores])
    groups, unit = _groups(held_out, scores)
    fit = fit_by_group(logits, labels, groups, unit=unit)
    reason = fit.unsupported_reason
    temperature = 1.0 if reason else fit.temperature
    before, after = reliability(logits, labels), reliability(logits, labels, temperature)
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    held = {coverage: left_out_coverage(probabilities, labels, groups, coverage) for coverage in COVERAGES}
    return Calibration(
        temperature=temperature,
        how=f"smallest negative log-likelihood on {len(held_out)} of {total} held-out folds of the training set",
        unsupported_reason=reason,
        interval=fit.interval,
        groups=fit.groups,
        unit=unit,
        clips=len(labels),
        bins=BINS,
        ece=(before.ece, after.ece),
        nll=(before.nll, after.nll),
        nll_of_left_out=fit.nll,
        brier=(before.brier, after.brier),
        set_thresholds={str(coverage): set_threshold(probabilities, labels, coverage) for coverage in COVERAGES},
        set_coverage={str(coverage): (found.correct, found.total) for coverage, found in held.items()},
        runs=tuple(str(fold.folder) for fold in held_out),
        recognizer=sha256_of(run.files.recognizer),
    )


def _groups(runs: Sequence[Run], scores: Sequence[SavedScores]) -> tuple[list[str], str]:
    """Return the group of every clip and what the groups are: people, clips if people are not known, or some of each."""
    groups: list[int | str] = []
    for run, own in zip(runs, scores, strict=True):
        rows = {str(name): row for row, name in enumerate(run.store.clips["name"])}
        groups += person_groups(run.store, np.array([rows[name] for name in own.names]), at_least=1)
    if len({group for group in groups if isinstance(group, int)}) < 2:
        return [name for own in scores for name in own.names], "clips"
    alone = any(isinstance(group, str) for group in groups)
    return list(map(repr, groups)), "people and clips of unknown people" if alone else "people"


def check_folds(run: Run, folds: Sequence[Run]) -> int:
    """Check that runs held out different folds and are otherwise of the run's recipe; return the number of folds of the division.

    Raises:
        InputError: They did not, or are not.
    """
    if run.recipe.data.folds:
        raise InputError(f"{run.folder} held out a fold itself; calibrate a run that was trained on the whole training set.")
    seen: dict[int, Path] = {}
    totals: set[int] = set()
    for fold in folds:
        data = fold.recipe.data
        if not data.folds:
            raise InputError(
                f"{fold.folder} was trained on the whole training set, so its probabilities there say nothing. Train the same recipe with "
                "--data.folds 3 --data.fold 1 (2, 3)."
            )
        if data.fold in seen:
            raise InputError(f"{fold.folder} and {seen[data.fold]} held out the same fold.")
        seen[data.fold] = fold.folder
        totals.add(data.folds)
        found = differing(run.recipe, fold.recipe)
        if unlike := [f"{name} {its} for {wanted}" for name, wanted, its in found if name not in _FREE]:
            raise InputError(f"{fold.folder} is of another recipe than {run.folder}: {', '.join(unlike)}.")
    if len(totals) > 1:
        raise InputError(
            f"the training set was divided into {' and '.join(map(str, sorted(totals)))} folds; take runs of one division."
        )
    return totals.pop()
