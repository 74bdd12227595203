"""Verification of a store against an array made by the field's scripts (`NTU60_CS.npz` and similar).

Rows of such an array have no names. A row is 300 frames of two people, padded with zeros, and a label; its order is not used. Rows are
matched to clips of the same subset, label, number of frames and number of people:

1. A row takes an identical clip.
2. Otherwise the row is tried with its people swapped and with its frames shifted.
3. Remaining rows take the nearest clip that is clearly the same recording.

Each clip is taken once. Rows come one by one and clips are read from disk, so memory holds a few numbers for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from poseglot.data.quality.statistics import Array, chunks, typical_body
from poseglot.data.store import PackedStore
from poseglot.errors import InputError

FRAMES, PERSONS = 300, 2  # of a row
TOLERANCE = 1e-4  # in the units of the store; a float16 store adds its rounding
_SHIFTS = (-2, -1, 1, 2)
_SAME_RECORDING = 0.02  # bodies; half of the coordinates of one recording differ by less
_MAX_CANDIDATES = 8  # clips kept for a row that equals none

Kind = Literal["coordinates", "people swapped", "frames shifted"]
_Key = tuple[str, int, int, int]  # subset ("" if no split is given), label, frames, num_persons


@dataclass(frozen=True)
class Difference:
    """A clip and a row that are the same recording, but not equal.

    Attributes:
        clip: The clip's name.
        subset, row: The position in the array; rows are counted from 0 within a subset.
        kind: What differs. Swapped people and shifted frames are otherwise equal.
        value: The largest difference of a coordinate (what remains after swapping people or shifting frames).
        position: Person, frame, joint and axis of the largest difference, each from 0.
        count: The number of coordinates that differ by more than the tolerance.
        shift: The number of frames by which the row is later than the clip.
    """

    clip: str
    subset: str
    row: int
    kind: Kind
    value: float
    position: tuple[int, int, int, int]
    count: int
    shift: int = 0


@dataclass(frozen=True)
class UnmatchedRow:
    """A row of the array that matches no clip of the store; `row` counts from 0 within its subset."""

    subset: str
    row: int
    label: int
    frames: int
    num_persons: int


@dataclass(frozen=True)
class ArrayVerification:
    """The result of a verification.

    Attributes:
        tolerance: The largest difference between equal coordinates.
        clips, rows: How many were compared.
        equal: The number of clips that equal a row; `bit_equal` of them to the last bit.
        differing: Differences, by clip name.
        unmatched_clips: The names of clips that match no row.
        unmatched_rows: Rows that match no clip.
        excluded: The number of clips in neither subset of the split.
        truncated_frames, truncated_persons: The number of clips with more frames, and with more people, than a row holds. The first
            ones are compared.
    """

    tolerance: float
    clips: int
    rows: int
    equal: int
    bit_equal: int
    differing: tuple[Difference, ...]
    unmatched_clips: tuple[str, ...]
    unmatched_rows: tuple[UnmatchedRow, ...]
    excluded: int
    truncated_frames: int
    truncated_persons: int

    @property
    def same(self) -> bool:
        """Whether every clip equals a row and every row a clip."""
        return self.equal == self.clips == self.rows


def default_tolerance(store: PackedStore) -> tuple[float, str]:
    """Return the largest difference between equal coordinates, in the units of the store, and its reason."""
    if store.joints.dtype != np.float16:
        return TOLERANCE, f"the default for a store of {store.joints.dtype}"
    largest = np.float16(0)
    for _, rows in chunks(store):
        largest = max(largest, np.abs(rows).max(initial=0, where=np.isfinite(rows)))
    rounding = float(np.spacing(largest)) / 2
    why = f"{TOLERANCE:g}, and the {rounding:.3g} by which float16 rounds the store's largest coordinate, {float(largest):.3g}"
    return TOLERANCE + rounding, why


def verify_against_array(
    store: PackedStore, rows: Iterable[tuple[str, int, Array]], *, split: str | None = None, tolerance: float | None = None
) -> ArrayVerification:
    """Compare the clips of a store with the rows of an array.

    Args:
        store: The store.
        rows: Subset (`train` or `test`), label, and (300, people * joints * 3) frames in the order person, joint, coordinate.
        split: The store's split, if a clip must be in the same subset as its row. Without one, subsets do not matter.
        tolerance: The largest difference between equal coordinates; `default_tolerance` by default.

    Raises:
        InputError: The store's joints are not those of the rows.
        NotFoundError: There is no such split.
    """
    joints = store.joints.shape[1]
    if store.info.has_scores or store.joints.shape[2] != 3:
        raise InputError(
            f"{store.info.name} does not hold x, y, z alone, as the arrays of NTU RGB+D do, so it cannot be compared."
        )
    search = _Search(store, split, default_tolerance(store)[0] if tolerance is None else tolerance)
    counted: dict[str, int] = defaultdict(int)
    for subset, label, flat in rows:
        if flat.shape != (FRAMES, PERSONS * joints * 3):
            raise InputError(
                f"a row of the array has shape {flat.shape}; with the {joints} joints of {store.info.name} it must be "
                f"{(FRAMES, PERSONS * joints * 3)}."
            )
        persons = flat.reshape(FRAMES, PERSONS, joints, 3).transpose(1, 0, 2, 3)
        search.add(subset, counted[subset], label, persons)
        counted[subset] += 1
    return search.result()


class _Search:
    """The clips of a store by the properties that a row must share with them, and which of them are taken."""

    def __init__(self, store: PackedStore, split: str | None, tolerance: float) -> None:
        self.store, self.tolerance = store, tolerance
        self.near = _SAME_RECORDING * typical_body(store)
        self.subsets = np.full(len(store), "", dtype="U5")
        if split is not None:
            for subset in ("train", "test"):
                self.subsets[store.subset_mask(split, subset)] = subset
        self.by_subset = split is not None
        self.frames, self.num_persons = _extents(store)
        self.indices: dict[_Key, list[int]] = defaultdict(list)
        for index in np.flatnonzero(self.subsets != "") if self.by_subset else range(len(store)):
            label, frames, count = (int(column[index]) for column in (store.clips["label"], self.frames, self.num_persons))
            self.indices[str(self.subsets[index]), label, frames, count].append(int(index))
        self.taken = np.zeros(len(store), dtype=bool)
        self.rows = self.bit_equal = 0
        self.unequal: list[UnmatchedRow] = []
        # An index into `unequal`, one into the store, and the difference between the two.
        self.candidates: list[tuple[int, int, Difference]] = []

    def add(self, subset: str, number: int, label: int, persons: Array) -> None:
        """Match one row (M, T, V, 3) to an equal clip, or else record its candidates."""
        frames, count = _extent(persons)
        row = persons[:count, :frames]
        key = (subset if self.by_subset else "", label, frames, count)
        self.rows += 1
        equal = self._equal(row, key)
        if equal:
            value, index = min(equal)
            self.taken[index] = True
            self.bit_equal += value == 0
            return
        found: list[tuple[int, Difference]] = []

        def note(index: int, kind: Kind, apart: Array, shift: int = 0) -> None:
            person, frame, joint, axis = map(int, np.unravel_index(int(apart.argmax()), apart.shape))
            position = (person, frame + max(-shift, 0), joint, axis)
            above = int(np.count_nonzero(apart > self.tolerance))
            name, value = str(self.store.clips["name"][index]), float(apart.max())
            found.append((index, Difference(name, subset, number, kind, value, position, above, shift)))

        for _, index in self._equal(row[::-1], key) if count > 1 else []:
            note(index, "people swapped", self._apart(row[::-1], index))
        for shift in _SHIFTS:
            for _, index in self._equal(row, key, shift):
                note(index, "frames shifted", self._apart(row, index, shift), shift)
        for index in self._free(key) if not found else []:
            apart = self._apart(row, index)
            present = (row != 0) | (self._clip(index) != 0)
            if np.median(apart[present]) <= self.near:
                note(index, "coordinates", apart)
        nearest = sorted(found, key=lambda pair: pair[1].value)[:_MAX_CANDIDATES]
        self.candidates += [(len(self.unequal), index, difference) for index, difference in nearest]
        self.unequal.append(UnmatchedRow(subset, number, label, frames, count))

    def result(self) -> ArrayVerification:
        """Match the rows that equal no clip, the nearest first, and count."""
        equal = int(self.taken.sum())
        differing: dict[int, Difference] = {}
        for row, index, difference in sorted(self.candidates, key=lambda candidate: candidate[2].value):
            if row not in differing and not self.taken[index]:
                differing[row] = difference
                self.taken[index] = True
        names, compared = self.store.clips["name"], (self.subsets != "") | (not self.by_subset)
        return ArrayVerification(
            tolerance=self.tolerance,
            clips=int(compared.sum()),
            rows=self.rows,
            equal=equal,
            bit_equal=self.bit_equal,
            differing=tuple(sorted(differing.values(), key=lambda difference: difference.clip)),
            unmatched_clips=tuple(map(str, names[compared & ~self.taken])),
            unmatched_rows=tuple(row for number, row in enumerate(self.unequal) if number not in differing),
            excluded=int((~compared).sum()),
            truncated_frames=int((compared & (self.store.clips["frames"] > FRAMES)).sum()),
            truncated_persons=int((compared & (self.store.clips["num_persons"] > PERSONS)).sum()),
        )

    def _free(self, key: _Key) -> list[int]:
        return [index for index in self.indices.get(key, ()) if not self.taken[index]]

    def _equal(self, row: Array, key: _Key, shift: int = 0) -> list[tuple[float, int]]:
        """Return the free clips that equal a row which is `shift` frames later, as largest difference and index.

        One frame is compared first, because it tells almost all clips apart.
        """
        subset, label, frames, count = key
        lengths = range(frames - abs(shift), frames + abs(shift) + 1)  # a frame that was shifted out may be lost
        indices = np.array(
            [index for length in lengths for index in self._free((subset, label, length, count))], dtype=np.int64
        )
        middle = frames // 2 - shift
        indices = indices[(middle >= 0) & (middle < self.frames[indices])]
        probe = self.store.joints[self.store.clips["offset"][indices] + middle]
        indices = indices[np.abs(probe - row[0, frames // 2]).max(axis=(1, 2), initial=0) <= self.tolerance]
        values = [(float(self._apart(row, index, shift).max()), index) for index in indices.tolist()]
        return [(value, index) for value, index in values if value <= self.tolerance]

    def _apart(self, row: Array, index: int, shift: int = 0) -> Array:
        """Return (M, T, V, 3): the absolute difference of a row and a clip, in the frames that both have."""
        row, clip = row[:, max(shift, 0) :], self._clip(index)[:, max(-shift, 0) :]
        frames = min(row.shape[1], clip.shape[1])
        apart: Array = np.abs(row[:, :frames] - clip[:, :frames])
        return apart

    def _clip(self, index: int) -> Array:
        """Return (M, T, V, 3): the people and frames of a clip that a row can hold."""
        return self.store[index].joints[: self.num_persons[index], : self.frames[index]]


def _extent(row: Array) -> tuple[int, int]:
    """Return the number of frames and people of a row (M, T, V, 3) up to the last that is not all zero; at least one of each."""
    seen = (row != 0).any(axis=(2, 3))
    frames, persons = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    return int(frames[-1]) + 1 if len(frames) else 1, int(persons[-1]) + 1 if len(persons) else 1


def _extents(store: PackedStore) -> tuple[Array, Array]:
    """Return the same for every clip of a store, up to what a row can hold."""
    frames, num_persons = np.ones(len(store), dtype=np.int64), np.ones(len(store), dtype=np.int64)
    for indices, rows in chunks(store):
        table = store.clips[indices]
        lengths = table["frames"].astype(np.int64) * table["num_persons"]
        starts = np.cumsum(lengths) - lengths
        row = np.arange(len(rows)) - np.repeat(starts, lengths)
        person, frame = np.divmod(row, np.repeat(table["frames"], lengths))
        counts = (rows != 0).any(axis=(1, 2)) & (frame < FRAMES) & (person < PERSONS)
        for extent, number in ((frames, frame), (num_persons, person)):
            extent[indices] = np.maximum(np.maximum.reduceat(np.where(counts, number + 1, 0), starts), 1)
    return frames, num_persons
