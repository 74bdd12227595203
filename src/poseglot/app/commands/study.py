"""`poseglot study`: a grid of recipes into a table; runs what is not yet done."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.studies.runner import Work
    from poseglot.studies.study import Cell, Study


def add(command: AddCommand) -> None:
    study = command("study", run, "train and evaluate a grid of recipes, and write their table")
    study.epilog = "Settings given besides (--optim.epochs 2 --data.store DIR) are set in every run."
    study.add_argument("study", help="a packaged study by its name (nw-ucla-ablation), or a YAML file")
    study.add_argument("--runs", type=Path, help="folder of the runs (runs/STUDY)")
    study.add_argument("--out", type=Path, help="folder for table.md and table.csv (that of the runs)")
    study.add_argument("--jobs", type=int, help="runs at once (1; on SLURM: all of them)")
    study.add_argument("--accelerator", default="auto", help="of every training: auto, cpu, cuda or mps")
    study.add_argument("--list", action="store_true", help="print every run, how far it is, and its command; run nothing")
    study.add_argument("--table-only", action="store_true", help="write the table of what is done; run nothing")
    study.add_argument("--executor", choices=("local", "submitit-local", "slurm"), default="local", help="what runs the runs")
    study.add_argument(
        "--slurm",
        nargs="+",
        metavar="KEY=VALUE",
        default=[],
        help="of the jobs: partition=gpu time=240 gpus_per_node=1 ... (submitit-local shows its jobs only as many GPUs as gpus_per_node)",
    )


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.studies.state import is_done, refuse_other_runs
        from poseglot.studies.study import load_study
        from poseglot.studies.table import write_tables
    except ImportError as error:
        raise PoseglotError(missing_package("a study", error)) from error

    if parsed.jobs is not None and parsed.jobs < 1:
        raise PoseglotError(f"--jobs takes a number from 1, not {parsed.jobs}.")
    study = load_study(parsed.study, runs=parsed.runs, settings=parsed.rest, accelerator=parsed.accelerator)
    refuse_other_runs(study.cells)
    if parsed.slurm and parsed.executor == "local":
        raise PoseglotError("--slurm goes with --executor slurm or submitit-local.")
    if parsed.list:
        _list(study)
        return
    out = parsed.out or study.runs
    failed: list[Work] = []
    if not parsed.table_only:
        left = [cell for cell in study.cells if not is_done(cell)]
        print(f"{parsed.study}: {len(study.cells)} runs, {len(study.cells) - len(left)} done already, {len(left)} to do")
        failed = _work(study, left, out, parsed)
    page, numbers = write_tables(study, out)
    print(f"table: {page}, {numbers}")
    if failed:
        names = ", ".join(work.cell.folder.name for work in failed)
        raise PoseglotError(f"{len(failed)} of {len(study.cells)} runs failed: {names}. The same command tries them again.")


def _work(study: Study, left: Sequence[Cell], out: Path, parsed: argparse.Namespace) -> list[Work]:
    """Run what is left, with a bar and a line for every beginning and end; returns what failed."""
    from tqdm import tqdm

    from poseglot.studies.runner import run_cells
    from poseglot.studies.state import refuse_what_cannot_run
    from poseglot.studies.table import Results, write_tables

    if not left:
        return []
    refuse_what_cannot_run(left)
    start, jobs = _executor(study, left, parsed)
    all_runs = len(study.cells)
    with tqdm(total=all_runs, initial=all_runs - len(left), unit="run", disable=not sys.stderr.isatty()) as bar:

        def say(line: str) -> None:
            bar.write(line, file=sys.stdout)
            sys.stdout.flush()

        def started(work: Work) -> None:
            say(f"started   {work.cell.folder.name}")

        def ended(work: Work, seconds: float) -> None:
            bar.update()
            took = tqdm.format_interval(seconds)
            if work.failure:
                say(f"failed    {work.cell.folder.name}, {took}: {work.failure}")
                return
            outcome = Results([work.cell]).of([work.cell])
            say(f"finished  {work.cell.folder.name}, {took}: {outcome.count if outcome else 'no scores'}")
            write_tables(study, out)

        def look(running: Sequence[Work]) -> None:
            if not bar.disable:
                shown = "; ".join(_progress(work.cell) for work in running[:4])
                bar.set_postfix_str(shown + ("; ..." if len(running) > 4 else ""))

        try:
            return run_cells(left, start, jobs=jobs, started=started, ended=ended, look=look)
        except KeyboardInterrupt:
            bar.close()
            print("poseglot: the study was stopped; the same command goes on from its runs' checkpoints.", file=sys.stderr)
            raise SystemExit(130) from None


def _executor(study: Study, left: Sequence[Cell], parsed: argparse.Namespace) -> tuple[Callable[[Cell], Work], int]:
    """What begins the work on a cell, and how many at once."""
    from poseglot.studies.runner import LocalWork, cores

    if parsed.executor == "slurm":
        threads, jobs = None, parsed.jobs or len(left)
    else:
        jobs = parsed.jobs or 1
        threads = max(1, cores() // jobs)
    if parsed.executor == "local":
        return lambda cell: LocalWork(cell, threads), jobs
    try:
        from poseglot.studies.cluster import Cluster
    except ImportError as error:
        raise PoseglotError(
            f"--executor {parsed.executor} needs the package submitit, which is not installed. "
            "Install it: pip install 'poseglot[train,cluster]'"
        ) from error
    kind = "slurm" if parsed.executor == "slurm" else "local"
    return Cluster(kind, study.runs / "submitit", _parameters(parsed.slurm), threads).start, jobs


def _parameters(given: Sequence[str]) -> Mapping[str, str]:
    parameters = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise PoseglotError(f"--slurm takes KEY=VALUE, like partition=gpu time=240; not {each!r}.")
        parameters[key] = value
    return parameters


def _progress(cell: Cell) -> str:
    """How far a training is, by its log."""
    from poseglot.training.run import Run

    log = Run(cell.folder).read_log()
    epochs = cell.recipe.optim.epochs
    return (
        f"{cell.folder.name} {log[-1]['epoch']}/{epochs}, loss {log[-1]['loss']:.3f}"
        if log
        else f"{cell.folder.name} 0/{epochs}"
    )


def _list(study: Study) -> None:
    from poseglot.studies.runner import as_command
    from poseglot.studies.state import state

    for cell in study.cells:
        print(f"{cell.folder}: {state(cell)}")
        print(f"    {as_command(cell.train)} && {as_command(cell.evaluate)}")
