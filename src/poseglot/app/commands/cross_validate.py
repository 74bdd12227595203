"""`poseglot cross-validate`: train and evaluate a recipe on every fold, and print the mean; folds that are done are kept."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.app.commands.train import OWN_RECIPE
from poseglot.errors import MissingPackageError, PoseglotError, SettingError


def add(command: AddCommand) -> None:
    validate = command("cross-validate", run, "train and evaluate a recipe on every fold, and print the mean")
    validate.epilog = (
        "Further settings (--optim.epochs 2) are set in every run. `poseglot init --split leave-one-out` (or a file of folds) makes the "
        "splits; without them, --folds divides the training set."
    )
    validate.add_argument("--config", type=Path, help=f"a packaged recipe, or a YAML file ({OWN_RECIPE} in a project)")
    validate.add_argument("--out", type=Path, default=Path("runs/cross-validation"), help="folder of the runs and of table.md")
    validate.add_argument("--split", help="the family of splits: leave-one-out, folds, ... (default: the recipe's)")
    validate.add_argument("--folds", type=int, help="divide the training set by people into this many parts instead")
    validate.add_argument("--jobs", type=int, default=1, help="runs at once (1)")
    validate.add_argument("--accelerator", default="auto", help="of every training: auto, cpu, cuda or mps")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.files import write_atomically
        from poseglot.studies.cross_validation import collect, fold_cells
        from poseglot.studies.runner import LocalWork, cores, run_cells
        from poseglot.studies.state import is_done, refuse_other_runs, refuse_what_cannot_run
    except ImportError as error:
        raise MissingPackageError(missing_package("cross-validation", error)) from error

    if parsed.config is None and not Path(OWN_RECIPE).is_file():
        raise SettingError(f"cross-validation needs a recipe: --config RECIPE, or a folder with {OWN_RECIPE}.")
    if parsed.jobs < 1:
        raise SettingError(f"--jobs takes a number from 1, not {parsed.jobs}.")
    cells = fold_cells(
        parsed.config or OWN_RECIPE,
        parsed.out,
        settings=parsed.rest,
        split=parsed.split,
        folds=parsed.folds,
        accelerator=parsed.accelerator,
    )
    refuse_other_runs(cells)
    left = [cell for cell in cells if not is_done(cell)]
    refuse_what_cannot_run(left)
    print(f"{len(cells)} folds, {len(cells) - len(left)} done already", flush=True)
    failed = run_cells(
        left,
        lambda cell: LocalWork(cell, max(1, cores() // parsed.jobs)),
        jobs=parsed.jobs,
        started=lambda work: None,
        ended=lambda work, seconds: print(f"{work.cell.folder.name}: {work.failure or f'{seconds:.0f} s'}", flush=True),
        progress=lambda running: None,
    )
    found = collect(cells)
    if found.results:
        print(found.markdown(), end="")
        write_atomically(parsed.out / "table.md", found.markdown())
        print(f"table: {parsed.out / 'table.md'}")
    if failed:
        names = ", ".join(work.cell.folder.name for work in failed)
        raise PoseglotError(f"{len(failed)} of {len(cells)} folds failed: {names}. The same command tries them again.")
