"""Working through cells: each is trained and then evaluated by the command line itself, in processes of its own, several at once.

One thread watches them all. Stopped by Ctrl-C or a kill, it stops them; killed so that it cannot, Linux kills them. Either way the next
call goes on from the checkpoints.
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

from poseglot.files import try_lock
from poseglot.studies.state import commands_left
from poseglot.studies.study import Cell

_PROGRAM = (sys.executable, "-m", "poseglot")
_LOOK_EVERY = 0.2  # seconds
_PATIENCE = 10  # seconds that a process has to end before it is killed
_LINES_OF_A_FAILURE = 10


class Work(Protocol):
    """A cell that is being worked on, here or on a cluster."""

    cell: Cell
    # What went wrong, once it has ended; empty if nothing did.
    failure: str

    def ended(self) -> bool:
        """Look how it is going."""

    def stop(self) -> None:
        """Ask it to end, without waiting."""

    def wait(self) -> None:
        """See that it has ended after `stop`."""


def run_cells(
    cells: Sequence[Cell],
    start: Callable[[Cell], Work],
    *,
    jobs: int,
    started: Callable[[Work], None],
    ended: Callable[[Work, float], None],
    look: Callable[[Sequence[Work]], None],
) -> list[Work]:
    """Work through cells, `jobs` at once; one that fails does not stop the others.

    Args:
        start: begins the work on a cell.
        started, ended, look: told of every beginning, of every end with its seconds, and several times a second of all running.

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
                look([work for work, _ in running.values()])
                for work, since in list(running.values()):
                    if work.ended():
                        del running[id(work)]
                        failed += [work] if work.failure else []
                        ended(work, time.monotonic() - since)
                if running:
                    time.sleep(_LOOK_EVERY)
        finally:
            stop([work for work, _ in running.values()])
    return failed


def stop(running: Sequence[Work]) -> None:
    """End all of them, at the same time."""
    for work in running:
        work.stop()
    for work in running:
        work.wait()


class LocalWork:
    """A cell worked on by processes of this machine, which write to the cell's log.

    The log is locked as long as one of them lives: two studies never write to one run, and the second finds it done.
    """

    def __init__(self, cell: Cell, threads: int | None = None) -> None:
        """Begin; `threads` of each process unless OMP_NUM_THREADS already says it."""
        self.cell, self.failure = cell, ""
        self._environment = dict(os.environ)
        if threads is not None:
            self._environment.setdefault("OMP_NUM_THREADS", str(threads))
        cell.log.parent.mkdir(parents=True, exist_ok=True)
        self._log = cell.log.open("ab")
        self._begun_at: int | None = None
        self._left: list[list[str]] = []
        self._process: subprocess.Popen[bytes] | None = None

    def ended(self) -> bool:
        if self._begun_at is None:
            if not try_lock(self._log):
                return False
            self._begun_at = self._log.seek(0, os.SEEK_END)
            self._left = commands_left(self.cell)
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return False
            if status:
                self.failure = self._said(status)
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
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        self._log.write(f"$ {as_command(arguments)}\n".encode())
        self._log.flush()
        return subprocess.Popen(
            [*_PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=self._environment,
            # A Ctrl-C is for the study, which then stops its processes.
            start_new_session=True,
            preexec_fn=_dies_with_its_parent(),
        )

    def _said(self, status: int) -> str:
        with self.cell.log.open("rb") as log:
            log.seek(self._begun_at or 0)
            lines = log.read().decode(errors="replace").rstrip().split("\n")
        ending = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return "\n".join([f"{ending}; the end of {self.cell.log}:", *(f"  {line}" for line in lines[-_LINES_OF_A_FAILURE:])])


def as_command(arguments: Sequence[str]) -> str:
    """What a person types."""
    return shlex.join(["poseglot", *arguments])


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _dies_with_its_parent() -> Callable[[], None] | None:
    """For a new process on Linux: the kernel kills it when this one is gone, however that came about."""
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
    """A SIGTERM ends what we do as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
