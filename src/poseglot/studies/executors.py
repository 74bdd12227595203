"""What runs the cells of a study: processes of this machine, or jobs of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from poseglot.errors import MissingPackageError, SettingError
from poseglot.studies.runner import LocalWork, Work, cores
from poseglot.studies.study import Cell, Study

EXECUTORS = ("local", "submitit-local", "slurm")


def check_executor(name: str, *, jobs: int | None = None, parameters: Sequence[str] = ()) -> None:
    """Check the options of an executor; the arguments are those of `make_executor`.

    Raises:
        SettingError: There are too few jobs, or a parameter is malformed or has no cluster.
    """
    if jobs is not None and jobs < 1:
        raise SettingError(f"--jobs takes a number from 1, not {jobs}.")
    if parameters and name == "local":
        raise SettingError("--slurm goes with --executor slurm or submitit-local.")
    _parsed(parameters)


def make_executor(
    study: Study, name: str, *, cells: int, jobs: int | None = None, parameters: Sequence[str] = ()
) -> tuple[Callable[[Cell], Work], int]:
    """Return a function that starts the work on a cell, and how many works run at once.

    Args:
        name: One of `EXECUTORS`.
        cells: The number of cells to run.
        jobs: How many run at once, by default one, and on SLURM all of them.
        parameters: Parameters of a cluster's jobs, as KEY=VALUE.

    Raises:
        SettingError: As `check_executor`, or the cluster refuses a parameter.
        MissingPackageError: submitit is not installed.
    """
    check_executor(name, jobs=jobs, parameters=parameters)
    if name == "slurm":
        threads, jobs = None, jobs or cells
    else:
        jobs = jobs or 1
        threads = max(1, cores() // jobs)
    if name == "local":
        return lambda cell: LocalWork(cell, threads), jobs
    try:
        from poseglot.studies.cluster import Cluster
    except ImportError as error:
        raise MissingPackageError(
            f"--executor {name} needs the package submitit, which is not installed. Install it: pip install 'poseglot[train,cluster]'"
        ) from error
    kind = "slurm" if name == "slurm" else "local"
    return Cluster(kind, study.runs / "submitit", _parsed(parameters), threads).start, jobs


def _parsed(given: Sequence[str]) -> Mapping[str, str]:
    parameters = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise SettingError(f"--slurm takes KEY=VALUE, like partition=gpu time=240; not {each!r}.")
        parameters[key] = value
    return parameters
