"""Cross-validation: one recipe trained on every fold, and the mean over the folds.

The folds are a family of the store's splits (`leave-one-out/1`, ...), or parts of the training set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poseglot.data.folds import family
from poseglot.data.store import open_store
from poseglot.errors import SettingError
from poseglot.evaluation.metrics import Accuracy, mean_and_deviation
from poseglot.studies.study import Cell, parse_settings
from poseglot.studies.table import Results
from poseglot.training.recipe_io import parse_recipe


@dataclass(frozen=True)
class FoldResult:
    """The accuracy of one fold, by its name."""

    fold: str
    accuracy: Accuracy


@dataclass(frozen=True)
class CrossValidation:
    """The folds of a recipe that are done.

    Attributes:
        results: One for each fold, in order.
    """

    results: tuple[FoldResult, ...]

    @property
    def together(self) -> Accuracy:
        """All clips of all folds together."""
        accuracies = [result.accuracy for result in self.results]
        return Accuracy(sum(each.correct for each in accuracies), sum(each.total for each in accuracies))

    @property
    def mean(self) -> tuple[float, float]:
        """The mean of the folds in percent, and their standard deviation."""
        return mean_and_deviation([result.accuracy for result in self.results])

    def markdown(self) -> str:
        """Return a table with a line for each fold, the mean, and all clips together."""
        mean, deviation = self.mean
        rows = [f"| {result.fold} | {result.accuracy} |" for result in self.results]
        last = [f"| mean of {len(rows)} folds | {mean:.2f} ± {deviation:.2f} % |", f"| all clips together | {self.together} |"]
        return "\n".join(["| fold | accuracy |", "|---|---|", *rows, *last, ""])


def fold_cells(
    config: str | Path,
    out: Path,
    *,
    settings: Sequence[str] = (),
    split: str | None = None,
    folds: int | None = None,
    accelerator: str = "auto",
) -> list[Cell]:
    """Return the trainings of a cross-validation, one in each folder OUT/FOLD.

    Args:
        config: A packaged recipe, or the path of one.
        out: The folder of the runs.
        settings: Settings on top of the recipe, as on a command line.
        split: A family of splits, or one of its splits; by default that of the recipe.
        folds: Divide the training set into so many parts instead.
        accelerator: What every run trains on.

    Raises:
        SettingError: Too few folds.
        NotFoundError: The store has no such family of splits.
    """
    given = parse_settings(settings)
    base = parse_recipe(["--config", str(config), *settings])
    if folds is not None:
        if folds < 2:
            raise SettingError(f"--folds takes a number from 2, not {folds}.")
        varied = [(f"fold-{fold}", {"data.folds": str(folds), "data.fold": str(fold)}) for fold in range(1, folds + 1)]
    else:
        splits = family(open_store(Path(base.data.store)).info.splits, split or base.data.split)
        varied = [(each.replace("/", "-"), {"data.split": each}) for each in splits]
    cells = []
    for name, own in varied:
        together = given | own
        words = [word for key, value in together.items() for word in (f"--{key}", value)]
        cells.append(Cell(parse_recipe(["--config", str(config), *words]), Path(config), together, out / name, accelerator))
    return cells


def collect(cells: Sequence[Cell]) -> CrossValidation:
    """Return the results of the cells that are done."""
    results = Results(cells)
    outcomes = [(cell.folder.name, results.of([cell])) for cell in cells]
    return CrossValidation(tuple(FoldResult(name, outcome.accuracy) for name, outcome in outcomes if outcome is not None))
