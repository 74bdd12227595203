"""Filling a store from files that are read in chunks: in several processes, in a fixed order, able to go on after a stop.

What is written does not depend on the number of processes, nor on how often the filling was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from poseglot.data.processes import in_order
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.store import StoreWriter
from poseglot.skeletons.clip import Clip

T = TypeVar("T")
Found = Clip | ClipIssue


class Bar(Protocol):
    """What shows how far a preparation is (tqdm's bars do)."""

    def reset(self, total: float | None = None) -> object: ...

    def update(self, n: float | None = 1) -> object: ...


def fill(
    writer: StoreWriter,
    read: Callable[[Sequence[T]], Iterable[Found]],
    chunks: Sequence[Sequence[T]],
    *,
    workers: int,
    bar: Bar,
) -> list[ClipIssue]:
    """Read the chunks that the writer has not noted yet, and store their clips.

    Args:
        read: a function that other processes can import.
        workers: how many processes read; 1 reads in this one.

    Returns:
        What is wrong with the clips that were not stored, of this filling and of those it goes on from.

    Raises:
        PoseglotError: a process that reads was killed.
        OSError: the disk refused.
    """
    done, left = chunks[: len(writer.notes)], chunks[len(writer.notes) :]
    bar.reset(total=sum(map(len, chunks)))
    bar.update(sum(map(len, done)))
    for chunk, results in zip(left, in_order(read, left, workers=workers), strict=True):
        writer.checkpoint([fault.as_dict() for fault in add_all(writer, results)])
        bar.update(len(chunk))
    return [ClipIssue(**fault) for note in writer.notes for fault in note]


def add_all(writer: StoreWriter, results: Iterable[Found]) -> Iterator[ClipIssue]:
    """Store clips, and hand on the faults, those of the clips that the store refuses among them."""
    for result in results:
        if isinstance(result, ClipIssue):
            yield result
            continue
        try:
            writer.add(result)
        except ClipError as error:
            yield ClipIssue(result.name, result.name, error.kind, str(error))
