"""What has been done of a cell, as its run's folder tells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from poseglot.data.store import open_store
from poseglot.descriptions import load_descriptions
from poseglot.errors import PoseglotError
from poseglot.evaluation.scores import load_scores
from poseglot.models.encoders import check_options
from poseglot.studies.study import Cell
from poseglot.training.recipe import differences
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run_folder import RunFolder
from poseglot.training.subsets import class_split, subset_name, subsets


def commands_left(cell: Cell) -> list[list[str]]:
    """The arguments of `poseglot` that are still to be run, one after the other; none if the cell is done."""
    run = RunFolder(cell.folder)
    if not run.recognizer.exists():
        return [cell.train, cell.evaluate]
    return [] if _has_scores(cell) else [cell.evaluate]


def _has_scores(cell: Cell) -> bool:
    """Whole ones, of the clips that the recipe looks at (`poseglot evaluate` may have been told to look elsewhere since)."""
    data = cell.recipe.data
    try:
        scores = load_scores(RunFolder(cell.folder).scores)
    except PoseglotError:
        return False
    return (scores.split, scores.subset) == (data.split, subset_name(data))


def is_done(cell: Cell) -> bool:
    return not commands_left(cell)


def state(cell: Cell) -> str:
    """In words: done, trained, stopped after some epoch, or to do."""
    left = len(commands_left(cell))
    if left < 2:
        return "trained, to evaluate" if left else "done"
    log = RunFolder(cell.folder).read_log()
    return f"stopped after epoch {log[-1]['epoch']}/{cell.recipe.optim.epochs}" if log else "to do"


def refuse_other_runs(cells: Iterable[Cell]) -> None:
    """See that what lies in the cells' folders is theirs.

    Raises:
        PoseglotError: the folders that hold runs of other recipes, and what differs.
    """
    faults = []
    for cell in cells:
        run = RunFolder(cell.folder)
        if run.recipe.exists():
            # Reading fills in settings that are newer than the run.
            found = differences(read_recipe(run.recipe), cell.recipe)
            faults += [f"{cell.folder} differs in {', '.join(found)}"] if found else []
        elif run.recognizer.exists() or run.checkpoint.exists():
            faults.append(f"{cell.folder} has no recipe.yaml")
    if faults:
        raise PoseglotError(
            "\n  ".join(["the study's folders hold other runs; move them away, or choose another folder by --runs:", *faults])
        )


def refuse_what_cannot_run(cells: Iterable[Cell]) -> None:
    """See that what the recipes name is there: encoders with their options, stores with their splits and folds, descriptions.

    Raises:
        PoseglotError: what is not, run by run.
    """
    faults = []
    known: dict[object, str] = {}
    for cell in cells:
        recipe = cell.recipe
        names = (
            repr(recipe.data),
            recipe.model.encoder,
            tuple(recipe.model.encoder_kwargs),
            recipe.with_text,
            recipe.text.descriptions,
        )
        if names not in known:
            try:
                check_options(recipe.model.encoder, recipe.model.encoder_kwargs)
                store = open_store(Path(recipe.data.store))
                subsets(recipe.data, store)
                if recipe.with_text:
                    load_descriptions(recipe.text.descriptions).of(class_split(recipe.data, store).seen)
                known[names] = ""
            except PoseglotError as error:
                known[names] = str(error)
        if known[names]:
            faults.append(f"{cell.folder.name}: {known[names]}")
    if faults:
        more = [f"... and {len(faults) - 5} more runs"] if len(faults) > 5 else []
        raise PoseglotError("\n  ".join(["some runs of the study cannot be made, so nothing was begun:", *faults[:5], *more]))
