"""Does a store hold what an array made by the field's scripts holds (`NTU60_CS.npz` and the like)?

Such an array has no names: a row is 300 frames of two people, padded with zeros, and a label. Nor is its order relied on. Rows and clips
of the same side, label, number of frames and number of people are held against each other; a row takes the clip that it equals. A row
that equals none is tried with its people swapped and with its frames shifted; what is left takes the nearest clip that is plainly the
same recording. Each clip is taken once. Rows come one by one and clips are read from the disk, so memory holds a few numbers for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from poseglot.data.quality.statistics import Array, chunks, typical_body
from poseglot.data.store import PackedStore
from poseglot.errors import PoseglotError

FRAMES, PEOPLE = 300, 2  # of a row
TOLERANCE = 1e-4  # in the units of the store, to which comes the rounding of a store of half precision
_SHIFTS = (-2, -1, 1, 2)
_NEAR = 0.02  # of a body: half of the coordinates of the same recording are nearer than that
_KEPT = 8  # clips that a row may come to differ from

Kind = Literal["coordinates", "people swapped", "frames shifted"]
_Key = tuple[str, int, int, int]  # side ("" when no split is given), label, frames, people


@dataclass(frozen=True)
class Difference:
    """A clip and the row that is the same recording, but not equal.

    Attributes:
        side, row: of the array, rows counted from 0 within a side.
        kind: what differs; swapped people and shifted frames are otherwise equal.
        value: the largest difference of a coordinate (what remains, for swapped people and shifted frames).
        place: person, frame, joint and axis of the largest difference, each from 0.
        count: how many coordinates differ by more than the tolerance.
        shift: by how many frames the row is later than the clip.
    """

    clip: str
    subset: str
    row: int
    kind: Kind
    value: float
    place: tuple[int, int, int, int]
    count: int
    shift: int = 0


@dataclass(frozen=True)
class LoneRow:
    """A row of the array that is no clip of the store; `row` counts from 0 within its side."""

    subset: str
    row: int
    label: int
    frames: int
    people: int


@dataclass(frozen=True)
class ArrayVerification:
    """What came of it.

    Attributes:
        tolerance: the largest difference of a coordinate between equal ones.
        clips, rows: how many were held against each other.
        equal: how many clips equal a row; `bit_equal` of them to the last bit.
        differing: by name.
        only_here: the names of clips that no row is.
        only_there: rows that no clip is.
        left_out: clips on neither side of the split.
        longer: clips of more frames than a row has, of which the first are compared; `crowded`: those of more people.
    """

    tolerance: float
    clips: int
    rows: int
    equal: int
    bit_equal: int
    differing: tuple[Difference, ...]
    only_here: tuple[str, ...]
    only_there: tuple[LoneRow, ...]
    left_out: int
    longer: int
    crowded: int

    @property
    def same(self) -> bool:
        """Whether every clip equals a row and every row a clip."""
        return self.equal == self.clips == self.rows


def default_tolerance(store: PackedStore) -> tuple[float, str]:
    """By how much a coordinate may differ and be equal, in the units of the store, and why so much."""
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
    """Hold the clips of a store against the rows of an array.

    Args:
        rows: side (`train` or `test`), label, and (300, people * joints * 3) frames: person, joint, coordinate.
        split: of the store, if a row's side is to be its clip's; without one, sides do not matter.
        tolerance: by how much a coordinate may differ and be equal; by default as in `default_tolerance`.

    Raises:
        PoseglotError: the store's joints are not those of the rows, or there is no such split.
    """
    joints = store.joints.shape[1]
    if store.info.has_scores or store.joints.shape[2] != 3:
        raise PoseglotError(
            f"{store.info.name} does not hold x, y, z alone, as the arrays of NTU RGB+D do; nothing to compare."
        )
    search = _Search(store, split, default_tolerance(store)[0] if tolerance is None else tolerance)
    counted: dict[str, int] = defaultdict(int)
    for subset, label, flat in rows:
        if flat.shape != (FRAMES, PEOPLE * joints * 3):
            raise PoseglotError(
                f"a row of the array has shape {flat.shape}; with the {joints} joints of {store.info.name} it must be "
                f"{(FRAMES, PEOPLE * joints * 3)}."
            )
        people = flat.reshape(FRAMES, PEOPLE, joints, 3).transpose(1, 0, 2, 3)
        search.take(subset, counted[subset], label, people)
        counted[subset] += 1
    return search.outcome()


class _Search:
    """The clips of a store by what a row must have in common with them, and which of them are taken."""

    def __init__(self, store: PackedStore, split: str | None, tolerance: float) -> None:
        self.store, self.tolerance = store, tolerance
        self.near = _NEAR * typical_body(store)
        self.subsets = np.full(len(store), "", dtype="U5")
        if split is not None:
            for subset in ("train", "test"):
                self.subsets[store.belongs(split, subset)] = subset
        self.by_side = split is not None
        self.frames, self.people = _extents(store)
        self.indices: dict[_Key, list[int]] = defaultdict(list)
        for place in np.flatnonzero(self.subsets != "") if self.by_side else range(len(store)):
            label, frames, people = (int(column[place]) for column in (store.clips["label"], self.frames, self.people))
            self.indices[str(self.subsets[place]), label, frames, people].append(int(place))
        self.taken = np.zeros(len(store), dtype=bool)
        self.rows = self.bit_equal = 0
        self.unequal: list[LoneRow] = []
        self.candidates: list[
            tuple[int, int, Difference]
        ] = []  # a place in `unequal`, one in the store, and what would be said

    def take(self, subset: str, number: int, label: int, people: Array) -> None:
        """Find the clip that one row, (M, T, V, 3), equals; otherwise note those it may have been."""
        frames, count = _extent(people)
        row = people[:count, :frames]
        key = (subset if self.by_side else "", label, frames, count)
        self.rows += 1
        equal = self._equal(row, key)
        if equal:
            value, place = min(equal)
            self.taken[place] = True
            self.bit_equal += value == 0
            return
        found: list[tuple[int, Difference]] = []

        def note(place: int, kind: Kind, apart: Array, shift: int = 0) -> None:
            person, frame, joint, axis = (int(index) for index in np.unravel_index(int(apart.argmax()), apart.shape))
            count = int(np.count_nonzero(apart > self.tolerance))
            name, value = str(self.store.clips["name"][place]), float(apart.max())
            difference = Difference(
                name, subset, number, kind, value, (person, frame + max(-shift, 0), joint, axis), count, shift
            )
            found.append((place, difference))

        for _, place in self._equal(row[::-1], key) if count > 1 else []:
            note(place, "people swapped", self._apart(row[::-1], place))
        for shift in _SHIFTS:
            for _, place in self._equal(row, key, shift):
                note(place, "frames shifted", self._apart(row, place, shift), shift)
        for place in self._free(key) if not found else []:
            apart = self._apart(row, place)
            there = (row != 0) | (self._clip(place) != 0)
            if np.median(apart[there]) <= self.near:
                note(place, "coordinates", apart)
        nearest = sorted(found, key=lambda pair: pair[1].value)[:_KEPT]
        self.candidates += [(len(self.unequal), place, difference) for place, difference in nearest]
        self.unequal.append(LoneRow(subset, number, label, frames, count))

    def outcome(self) -> ArrayVerification:
        """Settle the rows that equal no clip, the nearest first, and count."""
        equal = int(self.taken.sum())
        differing: dict[int, Difference] = {}
        for row, place, difference in sorted(self.candidates, key=lambda candidate: candidate[2].value):
            if row not in differing and not self.taken[place]:
                differing[row] = difference
                self.taken[place] = True
        names, compared = self.store.clips["name"], (self.subsets != "") | (not self.by_side)
        return ArrayVerification(
            tolerance=self.tolerance,
            clips=int(compared.sum()),
            rows=self.rows,
            equal=equal,
            bit_equal=self.bit_equal,
            differing=tuple(sorted(differing.values(), key=lambda difference: difference.clip)),
            only_here=tuple(map(str, names[compared & ~self.taken])),
            only_there=tuple(row for number, row in enumerate(self.unequal) if number not in differing),
            left_out=int((~compared).sum()),
            longer=int((compared & (self.store.clips["frames"] > FRAMES)).sum()),
            crowded=int((compared & (self.store.clips["num_persons"] > PEOPLE)).sum()),
        )

    def _free(self, key: _Key) -> list[int]:
        return [place for place in self.indices.get(key, ()) if not self.taken[place]]

    def _equal(self, row: Array, key: _Key, shift: int = 0) -> list[tuple[float, int]]:
        """The free clips that a row equals when it is `shift` frames later: largest difference and place.

        One frame is looked at first: it tells nearly all clips from each other.
        """
        subset, label, frames, people = key
        lengths = range(frames - abs(shift), frames + abs(shift) + 1)  # a frame that was shifted out may be lost
        places = np.array(
            [place for length in lengths for place in self._free((subset, label, length, people))], dtype=np.int64
        )
        middle = frames // 2 - shift
        places = places[(middle >= 0) & (middle < self.frames[places])]
        probe = self.store.joints[self.store.clips["offset"][places] + middle]
        places = places[np.abs(probe - row[0, frames // 2]).max(axis=(1, 2), initial=0) <= self.tolerance]
        values = [(float(self._apart(row, place, shift).max()), place) for place in places.tolist()]
        return [(value, place) for value, place in values if value <= self.tolerance]

    def _apart(self, row: Array, place: int, shift: int = 0) -> Array:
        """(M, T, V, 3) how far a row is from a clip, in the frames that both have."""
        row, clip = row[:, max(shift, 0) :], self._clip(place)[:, max(-shift, 0) :]
        frames = min(row.shape[1], clip.shape[1])
        apart: Array = np.abs(row[:, :frames] - clip[:, :frames])
        return apart

    def _clip(self, place: int) -> Array:
        """(M, T, V, 3): the people and frames of a clip that a row can hold."""
        people, frames, offset = (int(self.store.clips[field][place]) for field in ("num_persons", "frames", "offset"))
        clip = self.store.joints[offset : offset + people * frames]
        clip = clip.reshape(people, frames, *clip.shape[1:])[: self.people[place], : self.frames[place]]
        return np.asarray(clip, dtype=np.float32)


def _extent(people: Array) -> tuple[int, int]:
    """Frames and people of a row (M, T, V, 3) up to the last that is not all zero; at least one of each."""
    seen = (people != 0).any(axis=(2, 3))
    frames, persons = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    return int(frames[-1]) + 1 if len(frames) else 1, int(persons[-1]) + 1 if len(persons) else 1


def _extents(store: PackedStore) -> tuple[Array, Array]:
    """The same of every clip of a store, as far as a row can hold it."""
    frames, people = np.ones(len(store), dtype=np.int64), np.ones(len(store), dtype=np.int64)
    for places, rows in chunks(store):
        table = store.clips[places]
        lengths = table["frames"].astype(np.int64) * table["num_persons"]
        starts = np.cumsum(lengths) - lengths
        row = np.arange(len(rows)) - np.repeat(starts, lengths)
        person, frame = np.divmod(row, np.repeat(table["frames"], lengths))
        counts = (rows != 0).any(axis=(1, 2)) & (frame < FRAMES) & (person < PEOPLE)
        for extent, index in ((frames, frame), (people, person)):
            extent[places] = np.maximum(np.maximum.reduceat(np.where(counts, index + 1, 0), starts), 1)
    return frames, people
