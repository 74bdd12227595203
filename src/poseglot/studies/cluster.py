"""Cells as jobs of a cluster, by submitit: SLURM, or local jobs to try it out.

A job runs a `LocalWork`. It may be stopped and restarted at any time, by preemption or at its time limit, because the training continues
from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import submitit
from submitit.helpers import DelayedSubmission

from poseglot.errors import SettingError
from poseglot.studies.runner import LocalWork, stop
from poseglot.studies.study import Cell

# submitit's parameters for every kind of cluster; all others are SLURM's own.
_GENERAL = (
    "name",
    "timeout_min",
    "mem_gb",
    "nodes",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "stderr_to_stdout",
)
_WEEK = 7 * 24 * 60  # minutes; submitit's default for local jobs is a few
_STOP_TIMEOUT = 10  # seconds for a cancelled job to end


class Cluster:
    """A cluster to submit cells to.

    Args:
        kind: `slurm` or `local`.
        folder: The folder for submitit's own files.
        parameters: The parameters of the jobs, by submitit's names or SLURM's (`partition`, `time`, `gpus_per_node`, ...).
        threads: The threads of each process, unless OMP_NUM_THREADS is set.

    Raises:
        SettingError: There is no such cluster here, or it does not accept these parameters.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        parameters: Mapping[str, str],
        threads: int | None = None,
    ) -> None:
        self.threads = threads
        given = {_name(name): _value(text) for name, text in parameters.items()}
        usual = {"name": "poseglot", **({"timeout_min": _WEEK} if kind == "local" else {})}
        try:
            self.executor = submitit.AutoExecutor(folder=folder, cluster=kind)
            self.executor.update_parameters(**{**usual, **given})
        except (RuntimeError, ValueError, NameError, AssertionError, TypeError) as error:
            raise SettingError(f"cannot submit to {kind} with {dict(parameters) or 'no parameters'}: {error}") from error

    def start(self, cell: Cell) -> SubmittedWork:
        """Submit a job for a cell."""
        return SubmittedWork(cell, self.executor.submit(_Job(), cell, self.threads))


class SubmittedWork:
    """The work on a cell in a job."""

    def __init__(self, cell: Cell, job: submitit.Job[str]) -> None:
        self.cell, self.failure, self.job = cell, "", job

    def ended(self) -> bool:
        if not self.job.done():
            return False
        try:
            self.failure = self.job.result()
        except Exception as error:  # cancelled, out of memory, ...
            self.failure = f"job {self.job.job_id} failed: {error}"
        return True

    def stop(self) -> None:
        self.job.cancel(check=False)

    def wait(self) -> None:
        until = time.monotonic() + _STOP_TIMEOUT
        while not self.job.done() and time.monotonic() < until:
            time.sleep(0.1)


class _Job:
    """The function of a job; returns what went wrong, or an empty text."""

    def checkpoint(self, cell: Cell, threads: int | None) -> DelayedSubmission:
        """Return what submitit submits after it had to stop the job: the same job."""
        return DelayedSubmission(self, cell, threads)

    def __call__(self, cell: Cell, threads: int | None) -> str:
        work = LocalWork(cell, threads)
        try:
            while not work.ended():
                time.sleep(0.2)
        finally:
            stop([work])
        return work.failure


def _name(name: str) -> str:
    return name if name in _GENERAL or name.startswith("slurm_") else f"slurm_{name}"


def _value(text: str) -> Any:
    """Return a parameter for submitit, with numbers as numbers."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
