"""Cells as jobs of a cluster, by submitit (which is used nowhere else): SLURM, or local jobs in the same way, to try it out.

A job does what `LocalWork` does. It may be stopped and started again at any time, by preemption or at its time limit, because the
training inside goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import submitit
from submitit.helpers import DelayedSubmission

from poseglot.errors import PoseglotError
from poseglot.studies.runner import LocalWork, stop
from poseglot.studies.study import Cell

# submitit's parameters that every kind of cluster has; all others are SLURM's own.
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
_WEEK = 7 * 24 * 60  # minutes; submitit stops local jobs after a few otherwise
_PATIENCE = 10  # seconds for a cancelled job to end


class Cluster:
    """Where to submit to."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        parameters: Mapping[str, str],
        threads: int | None = None,
    ) -> None:
        """
        Args:
            kind: slurm or local.
            folder: for submitit's own files.
            parameters: of the jobs, by submitit's names or SLURM's (`partition`, `time`, `gpus_per_node`, ...).
            threads: of each process, unless OMP_NUM_THREADS says it.

        Raises:
            PoseglotError: there is no such cluster here, or it does not have these parameters.
        """
        self.threads = threads
        given = {_name(name): _value(text) for name, text in parameters.items()}
        usual = {"name": "poseglot", **({"timeout_min": _WEEK} if kind == "local" else {})}
        try:
            self.executor = submitit.AutoExecutor(folder=folder, cluster=kind)
            self.executor.update_parameters(**{**usual, **given})
        except (RuntimeError, ValueError, NameError, AssertionError, TypeError) as error:
            raise PoseglotError(f"cannot submit to {kind} with {dict(parameters) or 'no parameters'}: {error}") from error

    def start(self, cell: Cell) -> SubmittedWork:
        return SubmittedWork(cell, self.executor.submit(_Job(), cell, self.threads))


class SubmittedWork:
    """A cell worked on by a job."""

    def __init__(self, cell: Cell, job: submitit.Job[str]) -> None:
        self.cell, self.failure, self.job = cell, "", job

    def ended(self) -> bool:
        if not self.job.done():
            return False
        try:
            self.failure = self.job.result()
        except Exception as error:  # whatever became of the job: cancelled, out of memory, ...
            self.failure = f"job {self.job.job_id} did not end well: {error}"
        return True

    def stop(self) -> None:
        self.job.cancel(check=False)

    def wait(self) -> None:
        until = time.monotonic() + _PATIENCE
        while not self.job.done() and time.monotonic() < until:
            time.sleep(0.1)


class _Job:
    """What runs in the job; returns what went wrong, or nothing."""

    def checkpoint(self, cell: Cell, threads: int | None) -> DelayedSubmission:
        """What submitit submits when it has to stop the job: the same again."""
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
    """A parameter as submitit wants it: numbers as numbers."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
