"""Fill a store from files that are read in chunks by several processes.

Clips are stored in the order of the files, so the store does not depend on the number of processes. A stopped ingest continues at its last
chunk.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.store import StoreWriter
from poseglot.devices import keep_freed_memory
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip

T = TypeVar("T")
Task = TypeVar("Task")
Result = TypeVar("Result")
# Tasks submitted ahead, per process.
_AHEAD = 3


class Bar(Protocol):
    """A progress bar, such as tqdm's."""

    def reset(self, total: float | None = None) -> object: ...

    def update(self, n: float | None = 1) -> object: ...


def fill(
    writer: StoreWriter,
    read: Callable[[Sequence[T]], Iterable[Clip | ClipIssue]],
    chunks: Sequence[Sequence[T]],
    *,
    workers: int,
    bar: Bar,
) -> list[ClipIssue]:
    """Read the chunks that the writer has not noted yet and store their clips.

    Args:
        writer: The store; its notes say which chunks are done.
        read: Reads a chunk. Other processes must be able to import it.
        chunks: All chunks of the set.
        workers: Number of reading processes; 1 reads in this process.
        bar: Told the total and every chunk.

    Returns:
        The issues of all clips that were not stored, including those of the stopped ingest.

    Raises:
        PoseglotError: A reading process was killed.
        OSError: The disk refused.
    """
    done, left = chunks[: len(writer.notes)], chunks[len(writer.notes) :]
    bar.reset(total=sum(map(len, chunks)))
    bar.update(sum(map(len, done)))
    for chunk, results in zip(left, in_order(read, left, workers=workers), strict=True):
        writer.checkpoint([issue.as_dict() for issue in add_all(writer, results)])
        bar.update(len(chunk))
    return [ClipIssue(**issue) for note in writer.notes for issue in note]


def add_all(writer: StoreWriter, results: Iterable[Clip | ClipIssue]) -> Iterator[ClipIssue]:
    """Store the clips and yield the issues, including those of clips that the store refuses."""
    for result in results:
        if isinstance(result, ClipIssue):
            yield result
            continue
        try:
            writer.add(result)
        except ClipError as error:
            yield ClipIssue(result.name, result.name, error.kind, str(error))


def in_order(function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int) -> Iterator[Result]:
    """Apply a function to tasks in several processes. Results come in the order of the tasks, few of them ahead of the consumer.

    Args:
        function: Other processes must be able to import it (a `functools.partial` of such a function works).
        tasks: Its arguments.
        workers: Number of processes; 1 works in this process.

    Raises:
        PoseglotError: A process was killed.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    # Spawned, because this process may have threads, and forked processes have hung on their locks.
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
            "a process was killed, perhaps because memory ran out. Run the command again; one process needs the least memory."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    keep_freed_memory()
