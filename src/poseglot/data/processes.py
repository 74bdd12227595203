"""A function over many tasks, in several processes, its results in the order of the tasks and never far ahead of who takes them."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from poseglot.devices import keep_freed_memory
from poseglot.errors import PoseglotError

Task = TypeVar("Task")
Result = TypeVar("Result")
# Tasks that are begun ahead, for each process.
_AHEAD = 3


def in_order(function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int) -> Iterator[Result]:
    """What a function makes of each task.

    Args:
        function: one that other processes can import (`functools.partial` of such a one will do).
        workers: how many processes; 1 works in this one.

    Raises:
        PoseglotError: a process was killed.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    # Not forked: the process that asks may have threads, and forked ones have hung on their locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) == _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise PoseglotError(
            "a process was killed, perhaps for want of memory. Run the command again; with one process it needs the least memory."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's matter
    keep_freed_memory()
