"""`poseglot study`: train and evaluate a grid of recipes, and write their table; runs that are done are kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import MissingPackageError, PoseglotError

if TYPE_CHECKING:
    from poseglot.studies.runner import Work
    from poseglot.studies.study import Cell, Study


def add(command: AddCommand) -> None:
    study = command("study", run, "train and evaluate a grid of recipes, and write their table")
    study.epilog = "Further settings (--optim.epochs 2 --data.store DIR) are set in every run."
    study.add_argument("study", help="a packaged study by its name (nw-ucla-ablation), or a YAML file")
    study.add_argument("--runs", type=Path, help="folder of the runs (runs/STUDY)")
    study.add_argument("--out", type=Path, help="folder for table.md and table.csv (that of the runs)")
    study.add_argument("--jobs", type=int, help="runs at once (1; on SLURM: all of them)")
    study.add_argument("--accelerator", default="auto", help="of every training: auto, cpu, cuda or mps")
    study.add_argument("--list", action="store_true", help="print every run, its state and its command; run nothing")
    study.add_argument("--table-only", action="store_true", help="write the table of what is done; run nothing")
    study.add_argument("--executor", choices=("local", "submitit-local", "slurm"), default="local", help="what runs the runs")
    study.add_argument(
        "--slurm",
        nargs="+",
        metavar="KEY=VALUE",
        default=[],
        help="parameters of the jobs: partition=gpu time=240 ... (jobs of submitit-local see as many GPUs as gpus_per_node)",
    )


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.studies.executors import check_executor
        from poseglot.studies.state import is_done, refuse_other_runs
        from poseglot.studies.study import load_study
        from poseglot.studies.table import write_tables
    except ImportError as error:
        raise MissingPackageError(missing_package("a study", error)) from error

    check_executor(parsed.executor, jobs=parsed.jobs, parameters=parsed.slurm)
    study = load_study(parsed.study, runs=parsed.runs, settings=parsed.rest, accelerator=parsed.accelerator)
    refuse_other_runs(study.cells)
    if parsed.list:
        _list(study)
        return
    out = parsed.out or study.runs
    failed: list[Work] = []
    if not parsed.table_only:
        left = [cell for cell in study.cells if not is_done(cell)]
        print(f"{parsed.study}: {len(study.cells)} runs, {len(study.cells) - len(left)} done already, {len(left)} to do")
        failed = _run(study, left, out, parsed)
    page, numbers = write_tables(study, out)
    print(f"table: {page}, {numbers}")
    if failed:
        names = ", ".join(work.cell.folder.name for work in failed)
        raise PoseglotError(f"{len(failed)} of {len(study.cells)} runs failed: {names}. The same command tries them again.")


def _run(study: Study, left: Sequence[Cell], out: Path, parsed: argparse.Namespace) -> list[Work]:
    """Run the cells that are left, with a bar and a line for every start and end; return what failed."""
    from tqdm import tqdm

    from poseglot.studies.executors import make_executor
    from poseglot.studies.runner import run_cells
    from poseglot.studies.state import progress, refuse_what_cannot_run
    from poseglot.studies.table import Results, write_tables

    if not left:
        return []
    refuse_what_cannot_run(left)
    start, jobs = make_executor(study, parsed.executor, cells=len(left), jobs=parsed.jobs, parameters=parsed.slurm)
    total = len(study.cells)
    with tqdm(total=total, initial=total - len(left), unit="run", disable=not sys.stderr.isatty()) as bar:

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
            say(f"finished  {work.cell.folder.name}, {took}: {outcome.accuracy if outcome else 'no scores'}")
            write_tables(study, out)

        def show(running: Sequence[Work]) -> None:
            if not bar.disable:
                shown = "; ".join(progress(work.cell) for work in running[:4])
                bar.set_postfix_str(shown + ("; ..." if len(running) > 4 else ""))

        try:
            return run_cells(left, start, jobs=jobs, started=started, ended=ended, progress=show)
        except KeyboardInterrupt:
            bar.close()
            print("poseglot: the study was stopped; the same command continues from its runs' checkpoints.", file=sys.stderr)
            raise SystemExit(130) from None


def _list(study: Study) -> None:
    from poseglot.studies.runner import as_command
    from poseglot.studies.state import state

    for cell in study.cells:
        print(f"{cell.folder}: {state(cell)}")
        print(f"    {as_command(cell.train)} && {as_command(cell.evaluate)}")
