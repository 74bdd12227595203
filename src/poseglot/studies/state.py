"""The state of a cell, read from its run's folder, and checks before a study runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from poseglot.data.store import open_store
from poseglot.descriptions import load_descriptions
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.evaluation.scores import load_scores
from poseglot.models.encoders import check_encoder_kwargs
from poseglot.studies.study import Cell
from poseglot.training.recipe import differences
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run_folder import RunFolder
from poseglot.training.subsets import class_split, subset_name, subsets


def commands_left(cell: Cell) -> list[list[str]]:
    """Return the arguments of the `poseglot` commands that remain to be run, in order; none if the cell is done."""
    run = RunFolder(cell.folder)
    if not run.recognizer.exists():
        return [cell.train, cell.evaluate]
    return [] if _has_scores(cell) else [cell.evaluate]


def _has_scores(cell: Cell) -> bool:
    """Tell whether the scores are of the clips that the recipe evaluates (`poseglot evaluate` can be told to use others)."""
    data = cell.recipe.data
    try:
        scores = load_scores(RunFolder(cell.folder).scores)
    except PoseglotError:
        return False
    return (scores.split, scores.subset) == (data.split, subset_name(data))


def is_done(cell: Cell) -> bool:
    """Tell whether a cell is trained and evaluated."""
    return not commands_left(cell)


def state(cell: Cell) -> str:
    """Return the state in words: done, trained, stopped after some epoch, or to do."""
    left = len(commands_left(cell))
    if left < 2:
        return "trained, to evaluate" if left else "done"
    log = RunFolder(cell.folder).read_log()
    return f"stopped after epoch {log[-1]['epoch']}/{cell.recipe.optim.epochs}" if log else "to do"


def progress(cell: Cell) -> str:
    """Return how far the training of a cell is, from its log."""
    log, epochs = RunFolder(cell.folder).read_log(), cell.recipe.optim.epochs
    if not log:
        return f"{cell.folder.name} 0/{epochs}"
    return f"{cell.folder.name} {log[-1]['epoch']}/{epochs}, loss {log[-1]['loss']:.3f}"


def refuse_other_runs(cells: Iterable[Cell]) -> None:
    """Check that the runs in the cells' folders are of their recipes.

    Raises:
        FileError: Folders hold runs of other recipes; the message lists them and what differs.
    """
    faults = []
    for cell in cells:
        run = RunFolder(cell.folder)
        if run.recipe.exists():
            found = differences(read_recipe(run.recipe), cell.recipe)
            faults += [f"{cell.folder} differs in {', '.join(found)}"] if found else []
        elif run.recognizer.exists() or run.has_checkpoint:
            faults.append(f"{cell.folder} has no recipe.yaml")
    if faults:
        raise FileError(
            "\n  ".join(["the study's folders hold other runs; move them, or choose another folder with --runs:", *faults])
        )


def refuse_what_cannot_run(cells: Iterable[Cell]) -> None:
    """Check that what the recipes name exists: encoders and their options, stores and their splits and folds, descriptions.

    Raises:
        SettingError: Something is missing; the message lists it run by run.
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
                check_encoder_kwargs(recipe.model.encoder, recipe.model.encoder_kwargs)
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
        raise SettingError("\n  ".join(["some runs of the study cannot be made, so none was started:", *faults[:5], *more]))
