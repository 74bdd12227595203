"""Comparison of evaluated runs: test whether the difference between two recipes is significant.

comparison = compare_runs(["runs/a-seed0", "runs/a-seed1"], ["runs/b-seed0", "runs/b-seed1"])
print(comparison.difference.points, comparison.difference.verdict)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poseglot.errors import InputError
from poseglot.evaluation.comparison import Comparison, compare
from poseglot.evaluation.scores import SavedScores
from poseglot.training.run import Run, open_run


def compare_runs(
    folders_a: Sequence[str | Path], folders_b: Sequence[str | Path], *, min_difference: float = 4.0
) -> Comparison:
    """Compare the evaluated runs of two sides. Runs with the same seeds on both sides are paired.

    Args:
        folders_a, folders_b: The runs of A and of B; every difference is B minus A.
        min_difference: Classes that differ by more percentage points are listed in `Comparison.beyond`.

    Raises:
        InputError: A run is given twice, or the runs were not evaluated on the same clips.
        FileError: A folder is missing, or its run was not evaluated.
    """
    runs_a, runs_b = ([open_run(folder) for folder in folders] for folders in (folders_a, folders_b))
    for runs in (runs_a, runs_b):
        names = [str(run.folder) for run in runs]
        if repeated := [name for index, name in enumerate(names) if name in names[:index]]:
            raise InputError(f"{repeated[0]} is given twice for one side; a run counts once.")
    if same := {run.folder.resolve() for run in runs_a} & {run.folder.resolve() for run in runs_b}:
        raise InputError(f"{min(same)} is on both sides; a run does not differ from itself.")
    runs_b, paired = _paired_by_seed(runs_a, runs_b)
    return compare(scores_of(runs_a), scores_of(runs_b), paired_runs=paired, min_difference=min_difference)


def scores_of(runs: Sequence[Run | str | Path]) -> dict[str, SavedScores]:
    """Return the folder of each run -> its scores.

    Raises:
        InputError: A run is given twice.
        FileError: A run was not evaluated.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    scores = {str(run.folder): run.scores for run in opened}
    if len(scores) < len(runs):
        raise InputError("a run is given twice; give every run once.")
    return scores


def _paired_by_seed(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> tuple[list[Run], bool]:
    """Return the runs of B in the order of the seeds of A, and whether the runs are paired: one a side, or the same seeds."""
    if len(runs_a) == len(runs_b) == 1:
        return list(runs_b), True
    seeds_a, seeds_b = ([_seed(run) for run in runs] for runs in (runs_a, runs_b))
    distinct = len(set(seeds_a)) == len(seeds_a) == len(seeds_b)
    if None in seeds_a or not distinct or set(seeds_a) != set(seeds_b):
        return list(runs_b), False
    return [runs_b[seeds_b.index(seed)] for seed in seeds_a], True


def _seed(run: Run) -> int | None:
    """Return the seed of a run; None without a recipe (imported weights)."""
    return run.recipe.seed if run.has_recipe else None
