"""What a store's skeletons measure: a few numbers for each person of each clip, and for each clip.

The store is read once, a few megabytes at a time. Lengths stay in the units of the store; a *body* is the diagonal of the box around
a person, which is what lengths are compared with, since a set may be in metres or in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.store import PackedStore
from poseglot.skeletons.layout import Layout

Array = npt.NDArray[Any]
SEEN_FROM = 0.3  # a joint with a lower score is not seen; without scores, one whose coordinates are all 0

# Of each person: the place of the clip in the table, which person (from 0); the frames in which half of the joints are seen; the joints
# that never move while others do; the frames smaller than a tenth of the typical body; the median size; the longest step of a joint
# between frames; the median over the frames of the longest step; how much the bones vary; the mean distance to the clip's first person.
_PERSON = [("clip", "i8"), ("person", "i4"), ("frames", "i4"), ("stuck", "i4"), ("collapsed", "i4")]
_PERSON += [(name, "f8") for name in ("size", "jump", "speed", "bones", "double")]
# Of each clip: how many coordinates are NaN or infinite; the share of its frames in the longest run with nobody there, and in the longest
# run in which nobody moves.
_CLIP = [("infinite", "i8"), ("absent", "f8"), ("still", "f8")]


def typical_body(store: PackedStore, *, sample: int = 500) -> float:
    """The median size of the people in a store, from some frames of clips spread evenly over it."""
    sizes = []
    for place in np.unique(np.linspace(0, len(store) - 1, sample).astype(int)):
        row = store.clips[place]
        length = int(row["frames"]) * int(row["num_persons"])
        rows = store.joints[int(row["offset"]) + np.unique(np.linspace(0, length - 1, 8).astype(int))]
        joints, seen = seen_joints(rows, has_scores=store.info.has_scores)
        sizes.append(_size(joints, seen)[_there(seen)])
    everything = np.concatenate(sizes)
    return float(np.median(everything)) if len(everything) else 0.0


def chunks(store: PackedStore, rows: int = 8192) -> Iterator[tuple[Array, Array]]:
    """The store from front to back: places of clips, and their frames (at least one clip, then at most `rows` frames).

    A clip's frames lie person by person, in the order of the places.
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


def store_statistics(store: PackedStore, layout: Layout, body: float) -> tuple[Array, Array]:
    """A row for each person of each clip (`_PERSON`), and one for each clip (`_CLIP`)."""
    people, clips = [], np.zeros(len(store), dtype=_CLIP)
    for places, rows in chunks(store):
        table = store.clips[places]
        frames = np.repeat(table["frames"], table["num_persons"]).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(frames)[:-1]])
        person = np.zeros(len(frames), dtype=_PERSON)
        person["clip"] = np.repeat(places, table["num_persons"])
        person["person"] = np.arange(len(frames)) - np.repeat(
            np.cumsum(table["num_persons"]) - table["num_persons"], table["num_persons"]
        )
        joints, seen = seen_joints(rows, has_scores=store.info.has_scores)
        there = _there(seen)
        step = steps(joints, seen, starts)
        _measure_people(person, joints, seen, there, step, starts, layout, body)
        _measure_pairs(person, joints, seen, starts, frames)
        clips[places] = _measure_clips(table, rows, there, step, frames, starts, body)
        people.append(person)
    return np.concatenate(people), clips


def seen_joints(rows: Array, *, has_scores: bool) -> tuple[Array, Array]:
    """Frames (R, V, C) as coordinates (D, V, R), so that what is done to all frames runs along the memory; and (V, R) who is seen."""
    columns = np.ascontiguousarray(rows.transpose(2, 1, 0), dtype=np.float32)
    joints = columns[:-1] if has_scores else columns
    seen = columns[-1] >= SEEN_FROM if has_scores else (joints != 0).any(axis=0)
    if not np.isfinite(columns).all():
        seen &= np.isfinite(joints).all(axis=0)
        joints = np.where(seen, joints, np.float32(0))
    return joints, seen


def _there(seen: Array) -> Array:
    """(R,) whether half of the joints are seen."""
    there: Array = 2 * np.count_nonzero(seen, axis=0) >= len(seen)
    return there


def _size(joints: Array, seen: Array) -> Array:
    """(R,) the diagonal of the box around the joints that are seen."""
    whole = bool(seen.all())
    squares = np.zeros(seen.shape[1], dtype=np.float32)
    for axis in joints:
        highest = (axis if whole else np.where(seen, axis, -np.inf)).max(axis=0)
        lowest = (axis if whole else np.where(seen, axis, np.inf)).min(axis=0)
        squares += np.where(highest >= lowest, highest - lowest, 0) ** 2
    size: Array = np.sqrt(squares)
    return size


def _distance(one: Array, other: Array) -> Array:
    """(D, ...) twice -> (...)."""
    distance: Array = np.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
    return distance


def steps(joints: Array, seen: Array, starts: Array) -> Array:
    """(V, R) how far each joint has come since the frame before; 0 where it was not seen in both, and where a person begins."""
    step = np.zeros(seen.shape, dtype=np.float32)
    step[:, 1:] = _distance(joints[:, :, 1:], joints[:, :, :-1])
    step[:, 1:] *= seen[:, 1:] & seen[:, :-1]
    step[:, starts] = 0
    return step


def _measure_people(
    person: Array, joints: Array, seen: Array, there: Array, step: Array, starts: Array, layout: Layout, body: float
) -> None:
    """Fill in what each person shows alone."""
    size, fastest, farthest = _size(joints, seen), step.max(axis=0), np.maximum.reduceat(step, starts, axis=1)
    moving = there.copy()
    moving[1:] &= there[:-1]
    moving[starts] = False
    person["frames"] = np.add.reduceat(there, starts, dtype=np.int64)
    person["size"] = _median(size, there, starts)
    person["collapsed"] = np.add.reduceat(there & (size < body / 10), starts, dtype=np.int64)
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
        whole = mean.sum(axis=0)
        np.divide(np.sqrt(np.maximum(variance, 0)).sum(axis=0), whole, out=person["bones"], where=whole > 0)


def _measure_pairs(person: Array, joints: Array, seen: Array, starts: Array, frames: Array) -> None:
    """Fill in how far each further person of a clip is from its first, on average; NaN where they are hardly ever seen at once."""
    person["double"] = np.nan
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
    person["double"][further] = np.where(common >= 4 * len(seen), total / np.maximum(common, 1), np.nan)


def _measure_clips(table: Array, rows: Array, there: Array, step: Array, frames: Array, starts: Array, body: float) -> Array:
    """What the people of each clip show together (`_CLIP`)."""
    clips = np.zeros(len(table), dtype=_CLIP)
    length = table["frames"].astype(np.int64)
    begins = np.concatenate([[0], np.cumsum(length)[:-1]])
    # Which frame of which clip each row is.
    frame = np.arange(len(there)) - np.repeat(starts, frames) + np.repeat(np.repeat(begins, table["num_persons"]), frames)
    anybody = np.bincount(frame, weights=there) > 0
    moved = np.bincount(frame, weights=step.max(axis=0) > body / 1000) > 0
    moved[begins] = True  # a first frame has none before it
    clips["absent"] = _longest_run(~anybody, begins) / length
    clips["still"] = _longest_run(anybody & ~moved, begins) / length
    if not np.isfinite(rows).all():
        infinite = np.count_nonzero(~np.isfinite(rows), axis=(1, 2))
        ends = np.cumsum(length * table["num_persons"])
        clips["infinite"] = np.add.reduceat(infinite, ends - length * table["num_persons"])
    return clips


def _median(values: Array, counted: Array, starts: Array) -> Array:
    """The median of each stretch of `values` that begins at `starts`, among those counted; NaN where there are none."""
    stretch = np.repeat(np.arange(len(starts)), np.diff([*starts, len(values)]))
    order = np.lexsort((np.where(counted, values, np.inf), stretch))
    count = np.add.reduceat(counted, starts, dtype=np.int64)
    low, high = (values[order[starts + np.maximum(half, 0)]] for half in ((count - 1) // 2, count // 2))
    median: Array = np.where(count > 0, (low + high.astype(np.float64)) / 2, np.nan)
    return median


def _longest_run(flags: Array, starts: Array) -> Array:
    """The longest run of true flags in each stretch that begins at `starts`."""
    place = np.arange(len(flags))
    begin = np.zeros(len(flags), dtype=bool)
    begin[starts] = True
    last_false = np.maximum.accumulate(np.where(~flags, place, np.where(begin, place - 1, -1)))
    longest: Array = np.maximum.reduceat(place - last_false, starts)
    return longest
