"""Running cells: each is trained and then evaluated by the command line in its own processes, several at once.

One thread watches all of them. Ctrl-C and SIGTERM stop them. If this process is killed, Linux kills them. The next call continues from
the checkpoints.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Protocol

from poseglot.errors import FileError
from poseglot.files import try_lock
from poseglot.studies.state import commands_left
from poseglot.studies.study import Cell

_PROGRAM = (sys.executable, "-m", "poseglot")
_POLL_EVERY = 0.2  # seconds
_STOP_TIMEOUT = 10  # seconds that a process has to end before it is killed
_LINES_OF_A_FAILURE = 10


class Work(Protocol):
    """A cell that is being run, here or on a cluster.

    Attributes:
        failure: What went wrong, once the work has ended; empty if nothing did.
    """

    cell: Cell
    failure: str

    def ended(self) -> bool:
        """Tell whether the work has ended, and continue it if not."""

    def stop(self) -> None:
        """Ask the work to end, without waiting."""

    def wait(self) -> None:
        """Wait until the work has ended after `stop`."""


def run_cells(
    cells: Sequence[Cell],
    start: Callable[[Cell], Work],
    *,
    jobs: int,
    started: Callable[[Work], None],
    ended: Callable[[Work, float], None],
    progress: Callable[[Sequence[Work]], None],
) -> list[Work]:
    """Run cells, `jobs` at once; one that fails does not stop the others.

    Args:
        start: Starts the work on a cell.
        started: Called for each work that was started.
        ended: Called for each work that has ended, with its seconds.
        progress: Called several times a second with all running work.

    Returns:
        The work that failed.
    """
    waiting, running, failed = deque(cells), dict[int, tuple[Work, float]](), list[Work]()
    with _stopped_by_kill():
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    work = start(waiting.popleft())
                    running[id(work)] = work, time.monotonic()
                    started(work)
                progress([work for work, _ in running.values()])
                for work, since in list(running.values()):
                    if work.ended():
                        del running[id(work)]
                        failed += [work] if work.failure else []
                        ended(work, time.monotonic() - since)
                if running:
                    time.sleep(_POLL_EVERY)
        finally:
            stop([work for work, _ in running.values()])
    return failed


def stop(running: Sequence[Work]) -> None:
    """Stop several works at the same time."""
    for work in running:
        work.stop()
    for work in running:
        work.wait()


class LocalWork:
    """The work on a cell in processes of this machine, which write to the cell's log.

    The log stays locked until the work has ended, so that two studies never write to one run; the second finds it done.

    Args:
        cell: The cell.
        threads: The threads of each process, unless OMP_NUM_THREADS is set.
    """

    def __init__(self, cell: Cell, threads: int | None = None) -> None:
        self.cell, self.failure = cell, ""
        self._environment = dict(os.environ)
        if threads is not None:
            self._environment.setdefault("OMP_NUM_THREADS", str(threads))
        try:
            cell.log.parent.mkdir(parents=True, exist_ok=True)
            self._log = cell.log.open("ab")
        except OSError as error:
            raise FileError(
                f"could not write {cell.log}: {error.strerror or error}. Choose another folder with --runs."
            ) from error
        self._started_at: int | None = None
        self._left: list[list[str]] = []
        self._process: subprocess.Popen[bytes] | None = None

    def ended(self) -> bool:
        if self._started_at is None:
            if not try_lock(self._log):
                return False
            self._started_at = self._log.seek(0, os.SEEK_END)
            self._left = commands_left(self.cell)
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return False
            if status:
                self.failure = self._failure_text(status)
                self._left = []
        if not self._left:
            self._log.close()
            return True
        self._process = self._start(self._left.pop(0))
        return False

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        if self._process is not None:
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        try:
            self._log.write(f"$ {as_command(arguments)}\n".encode(errors="backslashreplace"))
            self._log.flush()
        except OSError as error:
            raise FileError(
                f"could not write {self.cell.log}: {error.strerror or error}. Free some space, and run the study again."
            ) from error
        return subprocess.Popen(
            [*_PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=self._environment,
            # Ctrl-C goes to the study, which then stops its processes.
            start_new_session=True,
            preexec_fn=_dies_with_its_parent(),
        )

    def _failure_text(self, status: int) -> str:
        with self.cell.log.open("rb") as log:
            log.seek(self._started_at or 0)
            lines = log.read().decode(errors="replace").rstrip().split("\n")
        ending = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return "\n".join([f"{ending}; the end of {self.cell.log}:", *(f"  {line}" for line in lines[-_LINES_OF_A_FAILURE:])])


def as_command(arguments: Sequence[str]) -> str:
    """Return the command line of some arguments."""
    return shlex.join(["poseglot", *arguments])


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _dies_with_its_parent() -> Callable[[], None] | None:
    """Return a function for a new process that makes Linux kill it when this process is gone."""
    if sys.platform != "linux":
        return None
    set_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def in_the_child() -> None:
        prctl(set_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # gone already
            os._exit(1)

    return in_the_child


@contextlib.contextmanager
def _stopped_by_kill() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
