"""The results of a study as a page (Markdown) and as data (CSV), made from the runs' scores."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseglot.evaluation.comparison import paired_difference
from poseglot.evaluation.ensemble import GAP_WEIGHTS, fuse
from poseglot.evaluation.metrics import Accuracy, Correct, correct, mean_and_deviation
from poseglot.evaluation.scores import SavedScores, load_scores
from poseglot.files import write_atomically
from poseglot.safe_text import csv_cell
from poseglot.studies.runner import as_command
from poseglot.studies.state import is_done
from poseglot.studies.study import FUSED, Cell, Row, Study, Table
from poseglot.training.run_folder import RunFolder

COLUMNS = ("table", "row", "modality", "seed", "fold", "correct", "total", "percent", "paper", "run", "command")
_NOTHING = "-"


@dataclass(frozen=True, eq=False)
class Outcome:
    """The results behind a line of a table for one seed or fold, clip by clip."""

    names: tuple[str, ...]
    correct: Correct

    @property
    def accuracy(self) -> Accuracy:
        """The top-1 accuracy."""
        return Accuracy(int(self.correct.sum()), len(self.correct))


class Results:
    """The scores of the cells that are done; each file is read once."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._scores: dict[Path, SavedScores] = {
            cell.folder: load_scores(RunFolder(cell.folder).scores) for cell in cells if is_done(cell)
        }

    def of(self, cells: Sequence[Cell]) -> Outcome | None:
        """Return the outcome of a cell, or of several modalities' ensemble with GAP's fixed weights; None unless all are done."""
        found = [self._scores.get(cell.folder) for cell in cells]
        scores = [each for each in found if each is not None]
        if len(scores) < len(cells):
            return None
        first, logits = scores[0], scores[0].logits
        if len(scores) > 1:
            logits = fuse([each.logits for each in scores], [GAP_WEIGHTS[cell.recipe.data.modality] for cell in cells])
        return Outcome(first.names, correct(logits, first.labels))

    def of_seed(self, row: Row, line: str, seed: int) -> Outcome | None:
        """Return the outcome of all folds of a seed together; None unless all are done."""
        folds = [self.of(cells) for cells in row.cells_of(line, seed)]
        done = [fold for fold in folds if fold is not None]
        if len(done) < len(folds):
            return None
        names = tuple(name for fold in done for name in fold.names)
        return Outcome(names, np.concatenate([fold.correct for fold in done]))

    def data_set(self) -> str:
        """Return the data sets and splits of the scores."""
        return " and ".join(sorted({f"{scores.dataset}, split {scores.split}" for scores in self._scores.values()}))


def write_tables(study: Study, folder: Path) -> tuple[Path, Path]:
    """Write table.md and table.csv of what is done so far, atomically.

    Raises:
        FileError: The files could not be written.
    """
    results = Results(study.cells)
    page, numbers = folder / "table.md", folder / "table.csv"
    write_atomically(page, markdown(study, results))
    write_atomically(numbers, long_form(study, results))
    return page, numbers


def long_form(study: Study, results: Results) -> str:
    """Return CSV with a line per table, row, modality (or `fused`), seed and fold; results are empty until they are there."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in study.tables:
        for row in table.rows:
            for line in row.lines:
                for seed in study.seeds:
                    for cells in row.cells_of(line, seed):
                        outcome = results.of(cells)
                        numbers: list[object] = ["", "", ""]
                        if outcome is not None:
                            numbers = [outcome.accuracy.correct, outcome.accuracy.total, f"{outcome.accuracy.percent:.4f}"]
                        about = [table.title, row.name, line, seed, cells[0].recipe.data.fold]
                        folders = shlex.join(str(cell.folder) for cell in cells)
                        cells_of_line = [*about, *numbers, row.paper.get(line, ""), folders, _command(line, cells)]
                        writer.writerow(map(csv_cell, cells_of_line))
    return buffer.getvalue()


def markdown(study: Study, results: Results) -> str:
    """Return the page."""
    several_seeds = "; ± is the standard deviation between seeds" if len(study.seeds) > 1 else ""
    parts = [
        f"# {study.title}",
        *([study.about] if study.about else []),
        f"Accuracy (top-1) of the last epoch on {_subset(study, results)}, with the correct clips of each seed{several_seeds}. "
        "`poseglot study` made this page from the runs' scores.",
    ]
    for table in study.tables:
        parts += [f"## {table.title}", _table(study, table, results)]
        if table.compare_with is not None:
            parts.append(
                f"The difference is the mean of a row (B) minus that of {table.compare_with} (A), in points, with its 95 % interval: a "
                "bootstrap over clips and, if there are several, seeds, paired by both; clips of one person are treated as independent."
            )
    parts += ["## Commands", _commands(study), _machines(study.cells)]
    return "\n\n".join(parts) + "\n"


def _subset(study: Study, results: Results) -> str:
    folds = sorted({cell.recipe.data.folds for cell in study.cells})
    subsets = [
        "the test set" if not n else f"the held-out folds of the training set ({n}-fold cross-validation)" for n in folds
    ]
    data = results.data_set()
    return " or ".join(subsets) + (f" ({data})" if data else "")


def _table(study: Study, table: Table, results: Results) -> str:
    """Return a table without columns that are empty in every row."""
    reference = table.reference
    lines = [(row, line) for row in table.rows for line in row.lines]
    measured_on = f" ({table.paper})" if table.paper else ""
    columns: dict[str, list[str]] = {
        "row": [row.name for row, _ in lines],
        "modality": [line for _, line in lines],
        "accuracy": [_accuracy([results.of_seed(row, line, seed) for seed in study.seeds]) for row, line in lines],
        f"paper{measured_on}": [f"{row.paper[line]:g} %" if line in row.paper else _NOTHING for row, line in lines],
        f"difference to {table.compare_with}": [_difference(study.seeds, results, reference, row, line) for row, line in lines],
        "note": [row.note or _NOTHING for row, _ in lines],
    }
    if len({line for _, line in lines}) == 1:
        del columns["modality"]
    if not any(row.paper for row in table.rows):
        del columns[f"paper{measured_on}"]
    if reference is None:
        del columns[f"difference to {table.compare_with}"]
    if not any(row.note for row in table.rows):
        del columns["note"]
    rows = [list(columns), ["---"] * len(columns), *map(list, zip(*columns.values(), strict=True))]
    return "\n".join("| " + " | ".join(map(_in_a_cell, row)) + " |" for row in rows)


def _accuracy(outcomes: Sequence[Outcome | None]) -> str:
    """Return an accuracy as `84.61 ± 0.52 % (244/288, 240/288; 2 of 3 seeds)`."""
    counts = [outcome.accuracy for outcome in outcomes if outcome is not None]
    if not counts:
        return _NOTHING
    mean, deviation = mean_and_deviation(counts)
    spread = "" if math.isnan(deviation) else f" ± {deviation:.2f}"
    incomplete = f"; {len(counts)} of {len(outcomes)} seeds" if len(counts) < len(outcomes) else ""
    return f"{mean:.2f}{spread} % ({', '.join(f'{count.correct}/{count.total}' for count in counts)}{incomplete})"


def _difference(seeds: Sequence[int], results: Results, reference: Row | None, row: Row, line: str) -> str:
    """Return the difference of a row to the one that it is compared with, over the seeds that both have."""
    if reference is None or row is reference:
        return _NOTHING
    if line not in reference.lines:
        return f"- (no {line} in it)"
    if all(row.cells_of(line, seed) == reference.cells_of(line, seed) for seed in seeds):
        return "the same runs"
    both = [(results.of_seed(reference, line, seed), results.of_seed(row, line, seed)) for seed in seeds]
    pairs = [(a, b) for a, b in both if a is not None and b is not None]
    if not pairs:
        return _NOTHING
    if len({outcome.names for pair in pairs for outcome in pair}) > 1:
        return "other clips"
    a, b = (np.stack([pair[subset].correct for pair in pairs]) for subset in (0, 1))
    found = paired_difference(a, b, paired_runs=True)
    seen = f"; {len(pairs)} of {len(seeds)} seeds" if len(pairs) < len(seeds) else ""
    return f"{found.points:+.2f} [{found.low:+.2f}, {found.high:+.2f}{seen}]: {found.verdict}"


def _commands(study: Study) -> str:
    """Return the study's own command, and those behind every number."""
    every: list[str] = []
    seen: set[Path] = set()
    for table in study.tables:
        reference = table.reference
        for row in table.rows:
            for line in row.lines:
                every += [f"# {table.title} / {row.name} / {line}", *_commands_of(study, row, line, seen)]
                if (
                    reference is not None
                    and row is not reference
                    and line != FUSED
                    and line in reference.lines
                    and not _from_folds(row)
                ):
                    every.append(_comparison(study, reference, row, line))
    return "\n\n".join(
        [
            f"```\n{as_command(study.command)}\n```",
            f"<details><summary>Every number by itself</summary>\n\n```\n{chr(10).join(every)}\n```",
            "</details>",
        ]
    )


def _from_folds(row: Row) -> bool:
    """Tell whether a row's numbers are joined from folds."""
    return any(cell.recipe.data.folds for cell in row.cells)


def _commands_of(study: Study, row: Row, line: str, seen: set[Path]) -> list[str]:
    """Return the commands behind a line of a table; of a run that was listed before, only its folder."""
    commands = []
    for cells in (cells for seed in study.seeds for cells in row.cells_of(line, seed)):
        if line == FUSED:
            commands.append(_command(line, cells))
        elif cells[0].folder in seen:
            commands.append(f"# {cells[0].folder}, as above")
        else:
            seen.add(cells[0].folder)
            commands += [as_command(cells[0].train), as_command(cells[0].evaluate)]
    return commands


def _comparison(study: Study, reference: Row, row: Row, line: str) -> str:
    """Return the command behind a difference."""
    a, b = (
        [str(cell.folder) for seed in study.seeds for (cell,) in subset.cells_of(line, seed)] for subset in (reference, row)
    )
    return as_command(["compare", *b, "--baseline", *a])


def _command(line: str, cells: Sequence[Cell]) -> str:
    """Return the command that makes a number from nothing, or that of an ensemble from its runs."""
    if line == FUSED:
        return as_command(["ensemble", *(str(cell.folder) for cell in cells)])
    (cell,) = cells
    return f"{as_command(cell.train)} && {as_command(cell.evaluate)}"


def _machines(cells: Sequence[Cell]) -> str:
    """Return a table of the machines, versions and training times of the runs that are done."""
    runs: Counter[tuple[str, ...]] = Counter()
    seconds: Counter[tuple[str, ...]] = Counter()
    names = ("poseglot", "commit", "torch", "python", "system", "device", "processes", "threads", "texts")
    for cell in cells:
        run = RunFolder(cell.folder)
        if is_done(cell) and (machine := run.read_machine()):
            key = tuple(str(machine.get(name) or _NOTHING) for name in names)
            runs[key] += 1
            seconds[key] += round(sum(entry["seconds"] for entry in run.read_log()))
    if not runs:
        return "No run is done yet."
    header = ["runs", *names, "seconds of training, all runs"]
    rows = [[str(runs[key]), *key, f"{seconds[key]:,}"] for key in runs]
    return "\n".join("| " + " | ".join(map(_in_a_cell, row)) + " |" for row in [header, ["---"] * len(header), *rows])


def _in_a_cell(text: str) -> str:
    """Return a text that does not break a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())
