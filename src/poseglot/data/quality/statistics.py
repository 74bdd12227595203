"""Statistics of a store's skeletons: a few numbers for each person of each clip, and for each clip.

The store is read once, a few megabytes at a time. Lengths are in the units of the store. A *body* is the diagonal of the box around a
person. Lengths are compared with it, because a set may be in metres or in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.store import PackedStore
from poseglot.skeletons.clip import evenly_spaced, seen_joints
from poseglot.skeletons.layout import Layout

Array = npt.NDArray[Any]

_PERSON = [
    ("clip", "i8"),  # the clip's index in the table
    ("person", "i4"),  # from 0
    ("frames", "i4"),  # frames in which half of the joints are seen
    ("stuck", "i4"),  # joints that never move while others do
    ("collapsed", "i4"),  # frames in which the person is smaller than a tenth of the typical body
    ("size", "f8"),  # the median size
    ("jump", "f8"),  # the longest step of a joint between two frames
    ("speed", "f8"),  # the median over the frames of the longest step
    ("bones", "f8"),  # the variation of the bones' lengths
    ("apart", "f8"),  # the mean distance to the clip's first person
]
_CLIP = [
    ("infinite", "i8"),  # coordinates that are NaN or infinite
    ("absent", "f8"),  # the share of the frames in the longest run with nobody present
    ("still", "f8"),  # the share of the frames in the longest run in which nobody moves
]


def typical_body(store: PackedStore, *, sample: int = 500) -> float:
    """Return the median size of the people in a store, from some frames of clips spread evenly over it."""
    sizes = []
    for index in evenly_spaced(len(store), sample):
        row = store.clips[index]
        length = int(row["frames"]) * int(row["num_persons"])
        rows = store.joints[int(row["offset"]) + evenly_spaced(length, 8)]
        joints, seen = seen_joints(rows, has_scores=store.info.has_scores)
        sizes.append(_size(joints, seen)[_present(seen)])
    everything = np.concatenate(sizes)
    return float(np.median(everything)) if len(everything) else 0.0


def chunks(store: PackedStore, rows: int = 8192) -> Iterator[tuple[Array, Array]]:
    """Read a store from front to back in chunks of at least one clip, else at most `rows` frames.

    Yields the indices of the clips, and their frames: person by person, in the order of the indices.
    """
    order = np.argsort(store.clips["offset"], kind="stable")
    table = store.clips[order]
    ends = table["offset"] + table["frames"].astype(np.int64) * table["num_persons"]
    begin = 0
    while begin < len(order):
        start = int(table["offset"][begin])
        end = max(begin + 1, int(np.searchsorted(ends, start + rows, side="right")))
        yield order[begin:end], store.joints[start : int(ends[end - 1])]
        begin = end


def store_statistics(store: PackedStore, body: float) -> tuple[Array, Array]:
    """Return a row for each person of each clip (`_PERSON`), and one for each clip (`_CLIP`).

    Args:
        store: The store.
        body: Its typical body.
    """
    persons, clips = [], np.zeros(len(store), dtype=_CLIP)
    for indices, rows in chunks(store):
        table = store.clips[indices]
        frames = np.repeat(table["frames"], table["num_persons"]).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(frames)[:-1]])
        person = np.zeros(len(frames), dtype=_PERSON)
        person["clip"] = np.repeat(indices, table["num_persons"])
        person["person"] = np.arange(len(frames)) - np.repeat(
            np.cumsum(table["num_persons"]) - table["num_persons"], table["num_persons"]
        )
        joints, seen = seen_joints(rows, has_scores=store.info.has_scores)
        present = _present(seen)
        step = steps(joints, seen, starts)
        _measure_persons(person, joints, seen, present, step, starts, store.layout, body)
        _measure_pairs(person, joints, seen, starts, frames)
        clips[indices] = _measure_clips(table, rows, present, step, frames, starts, body)
        persons.append(person)
    return np.concatenate(persons), clips


def _present(seen: Array) -> Array:
    """Return (R,) bool: whether at least half of the joints are seen."""
    present: Array = 2 * np.count_nonzero(seen, axis=0) >= len(seen)
    return present


def _size(joints: Array, seen: Array) -> Array:
    """Return (R,): the diagonal of the box around the seen joints."""
    all_seen = bool(seen.all())
    squares = np.zeros(seen.shape[1], dtype=np.float32)
    for axis in joints:
        highest = (axis if all_seen else np.where(seen, axis, -np.inf)).max(axis=0)
        lowest = (axis if all_seen else np.where(seen, axis, np.inf)).min(axis=0)
        squares += np.where(highest >= lowest, highest - lowest, 0) ** 2
    size: Array = np.sqrt(squares)
    return size


def _distance(one: Array, other: Array) -> Array:
    """Return the distance between points (D, ...) as (...)."""
    distance: Array = np.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
    return distance


def steps(joints: Array, seen: Array, starts: Array) -> Array:
    """Return (V, R): the distance each joint moved since the previous frame.

    It is 0 where the joint is not seen in both frames, and in the first frame of a person.
    """
    step = np.zeros(seen.shape, dtype=np.float32)
    step[:, 1:] = _distance(joints[:, :, 1:], joints[:, :, :-1])
    step[:, 1:] *= seen[:, 1:] & seen[:, :-1]
    step[:, starts] = 0
    return step


def _measure_persons(
    person: Array, joints: Array, seen: Array, present: Array, step: Array, starts: Array, layout: Layout, body: float
) -> None:
    """Fill in the statistics of single persons."""
    size, fastest, farthest = _size(joints, seen), step.max(axis=0), np.maximum.reduceat(step, starts, axis=1)
    moving = present.copy()
    moving[1:] &= present[:-1]
    moving[starts] = False
    person["frames"] = np.add.reduceat(present, starts, dtype=np.int64)
    person["size"] = _median(size, present, starts)
    person["collapsed"] = np.add.reduceat(present & (size < body / 10), starts, dtype=np.int64)
    person["jump"] = farthest.max(axis=0)
    person["speed"] = _median(fastest, moving, starts)
    unmoved = (farthest == 0) & np.logical_and.reduceat(seen, starts, axis=1)
    person["stuck"] = np.where(person["jump"] > 0, np.count_nonzero(unmoved, axis=0), 0)
    person["bones"] = np.nan
    if len(joints) == 3:
        child, parent = np.array(layout.bone_pairs).T
        both = seen[child] & seen[parent]
        length = _distance(joints[:, child], joints[:, parent]) * both
        count = np.maximum(np.add.reduceat(both, starts, axis=1, dtype=np.float32), 1)
        mean = np.add.reduceat(length, starts, axis=1) / count
        variance = np.add.reduceat(length**2, starts, axis=1) / count - mean**2
        total = mean.sum(axis=0)
        np.divide(np.sqrt(np.maximum(variance, 0)).sum(axis=0), total, out=person["bones"], where=total > 0)


def _measure_pairs(person: Array, joints: Array, seen: Array, starts: Array, frames: Array) -> None:
    """Fill in the mean distance of each further person to the clip's first; NaN where they are rarely seen together."""
    person["apart"] = np.nan
    further = np.flatnonzero(person["person"] > 0)
    if not len(further):
        return
    begins = np.concatenate([[0], np.cumsum(frames[further])[:-1]])
    rows = np.arange(frames[further].sum()) + np.repeat(starts[further] - begins, frames[further])
    first = rows - np.repeat(person["person"][further] * frames[further], frames[further])
    both = seen[:, rows] & seen[:, first]
    distance = _distance(joints[:, :, rows], joints[:, :, first]) * both
    common = np.add.reduceat(np.count_nonzero(both, axis=0), begins)
    total = np.add.reduceat(distance.sum(axis=0), begins)
    person["apart"][further] = np.where(common >= 4 * len(seen), total / np.maximum(common, 1), np.nan)


def _measure_clips(table: Array, rows: Array, present: Array, step: Array, frames: Array, starts: Array, body: float) -> Array:
    """Return the statistics of clips (`_CLIP`)."""
    clips = np.zeros(len(table), dtype=_CLIP)
    length = table["frames"].astype(np.int64)
    begins = np.concatenate([[0], np.cumsum(length)[:-1]])
    # The frame of each row, counted over all clips of the chunk.
    frame = np.arange(len(present)) - np.repeat(starts, frames) + np.repeat(np.repeat(begins, table["num_persons"]), frames)
    anybody = np.bincount(frame, weights=present) > 0
    moved = np.bincount(frame, weights=step.max(axis=0) > body / 1000) > 0
    moved[begins] = True  # a first frame has no previous one
    clips["absent"] = _longest_run(~anybody, begins) / length
    clips["still"] = _longest_run(anybody & ~moved, begins) / length
    if not np.isfinite(rows).all():
        infinite = np.count_nonzero(~np.isfinite(rows), axis=(1, 2))
        ends = np.cumsum(length * table["num_persons"])
        clips["infinite"] = np.add.reduceat(infinite, ends - length * table["num_persons"])
    return clips


def _median(values: Array, counted: Array, starts: Array) -> Array:
    """Return the median of the counted values in each segment that begins at `starts`; NaN if there are none."""
    segment = np.repeat(np.arange(len(starts)), np.diff([*starts, len(values)]))
    order = np.lexsort((np.where(counted, values, np.inf), segment))
    count = np.add.reduceat(counted, starts, dtype=np.int64)
    low, high = (values[order[starts + np.maximum(half, 0)]] for half in ((count - 1) // 2, count // 2))
    median: Array = np.where(count > 0, (low + high.astype(np.float64)) / 2, np.nan)
    return median


def _longest_run(flags: Array, starts: Array) -> Array:
    """Return the longest run of true flags in each segment that begins at `starts`."""
    index = np.arange(len(flags))
    begin = np.zeros(len(flags), dtype=bool)
    begin[starts] = True
    last_false = np.maximum.accumulate(np.where(~flags, index, np.where(begin, index - 1, -1)))
    longest: Array = np.maximum.reduceat(index - last_false, starts)
    return longest
