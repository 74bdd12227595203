"""Clips whose content is also in another clip: equal to the last bit, in part, or nearly.

A copy can hide behind another name, a cut, a shift in time or place, another frame rate, or rounding. Three searches find it:

1. *Equal*: the coordinates of two clips are the same to the last bit.
2. *Frames*: half of a clip's frames are, to the last bit, frames of one other clip; so cuts and shifts in time are found.
3. *Near*: with the mean position removed and the time divided into the same number of frames, two clips differ by less than half a
   percent of a body. Two performances by one person are twice as far apart in the sets that were looked at (NW-UCLA, UTD-MHAD,
   MSR-Action3D).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from poseglot.data.quality.statistics import Array, chunks
from poseglot.data.store import Indices, PackedStore
from poseglot.skeletons.clip import seen_joints

MIN_SHARED = 0.5  # of a clip's frames
MAX_DISTANCE = 0.005  # bodies, root mean square over joints
_FRAMES = 16  # of a clip's shape
_BLOCK = 1024  # test clips compared at once

Kind = Literal["equal", "frames", "near"]


@dataclass(frozen=True)
class Copy:
    """A clip whose content is in another.

    Attributes:
        clip, source: The names of the two; of a split, a test clip and a training clip.
        kind: How they are alike (see the module).
        value: The share of the clip's frames that are shared (`equal`, `frames`), or the distance in bodies (`near`).
        label, source_label: Their labels.
    """

    clip: str
    source: str
    kind: Kind
    value: float
    label: int
    source_label: int


def equal_clips(store: PackedStore) -> list[Indices]:
    """Return groups of two and more clips that are equal to the last bit, in table order."""
    _, group = np.unique(store.content_hashes(np.arange(len(store))), return_inverse=True)
    order = np.argsort(group, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted((members for members in groups if len(members) > 1), key=lambda members: int(members[0]))


def shared_frames(store: PackedStore) -> list[tuple[int, int, float]]:
    """Return (clip, other clip, share) where at least `MIN_SHARED` of a clip's frames are, to the last bit, frames of another.

    Frames without anybody, and repetitions of a frame within a clip, do not count.
    """
    hashes, clip = _frame_hashes(store)
    order = np.lexsort((clip, hashes))
    hashes, clip = hashes[order], clip[order]
    begin, end = np.searchsorted(hashes, hashes, side="left"), np.searchsorted(hashes, hashes, side="right")
    several = end - begin > 1  # frames of more than one clip
    count, common = (np.bincount(each, minlength=len(store)) for each in (clip, clip[several]))
    found = []
    for index in np.flatnonzero((common > 0) & (common >= MIN_SHARED * count)).tolist():
        rows = np.flatnonzero(several & (clip == index))
        owners, shared = np.unique(np.concatenate([clip[begin[row] : end[row]] for row in rows]), return_counts=True)
        for owner, frames in zip(owners.tolist(), shared.tolist(), strict=True):
            if owner != index and frames >= MIN_SHARED * count[index]:
                found.append((index, owner, float(frames / count[index])))
    return found


def find_copies(
    store: PackedStore, train: Indices, test: Indices, *, body: float, shared: list[tuple[int, int, float]]
) -> list[Copy]:
    """Find the test clips whose content is in the training set, in table order, each with its most similar training clip.

    Args:
        store: The store.
        train, test: The indices of the clips; a clip in both is its own copy.
        body: The store's typical body.
        shared: The result of `shared_frames`.
    """
    found: dict[int, tuple[int, Kind, float]] = {}
    sources = dict(
        zip(store.content_hashes(train[::-1]).tolist(), train[::-1].tolist(), strict=True)
    )  # the first of equal ones
    for index, content in zip(test.tolist(), store.content_hashes(test).tolist(), strict=True):
        if content in sources:
            found[index] = sources[content], "equal", 1.0
    trained, tested = set(train.tolist()), set(_without(test, found).tolist())
    for index, source, share in sorted(shared, key=lambda each: each[2]):  # the largest share is the last
        if index in tested and source in trained:
            found[index] = source, "frames", share
    for index, (source, distance) in _nearest(store, train, _without(test, found), body).items():
        found[index] = source, "near", distance
    return [copy_of(store, index, *copy) for index, copy in sorted(found.items())]


def copy_of(store: PackedStore, index: int, source: int, kind: Kind, value: float) -> Copy:
    """Return a `Copy` with the names and labels of two clips."""
    (name, source_name), (label, source_label) = (store.clips[field][[index, source]].tolist() for field in ("name", "label"))
    return Copy(name, source_name, kind, value, label, source_label)


def _without(indices: Indices, found: dict[int, tuple[int, Kind, float]]) -> Indices:
    return indices[~np.isin(indices, list(found))]


def _frame_hashes(store: PackedStore) -> tuple[Array, Array]:
    """Return the hash of each distinct frame of each clip with somebody in it, and the clip's index."""
    width = store.joints.shape[1] * store.joints.shape[2]
    # A random linear combination modulo 2**64; two different frames of a set collide with a negligible probability.
    factors = np.random.default_rng(0).integers(1, 2**63, size=width, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    hashes, clips = [], []
    for indices, rows in chunks(store):
        table = store.clips[indices]
        flat = np.asarray(rows, dtype=np.float32).reshape(len(rows), -1)
        content = (np.ascontiguousarray(flat).view(np.uint32).astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
        clip = np.repeat(indices, table["frames"].astype(np.int64) * table["num_persons"])
        present = seen_joints(rows, has_scores=store.info.has_scores)[1].any(axis=0)
        order = np.lexsort((content[present], clip[present]))
        content, clip = content[present][order], clip[present][order]
        first = np.ones(len(clip), dtype=bool)
        first[1:] = (content[1:] != content[:-1]) | (clip[1:] != clip[:-1])
        hashes.append(content[first])
        clips.append(clip[first])
    return np.concatenate(hashes), np.concatenate(clips)


def _nearest(store: PackedStore, train: Indices, test: Indices, body: float) -> dict[int, tuple[int, float]]:
    """Return test clip -> the nearest training clip and their distance in bodies, where it is below `MAX_DISTANCE`."""
    if not body or not len(test):
        return {}
    shapes = _shapes(store, np.union1d(train, test), body)
    row = {int(index): number for number, index in enumerate(np.union1d(train, test))}
    trained = shapes[[row[int(index)] for index in train]]
    squares = (trained**2).sum(axis=1)
    found = {}
    for start in range(0, len(test), _BLOCK):
        block = test[start : start + _BLOCK]
        tested = shapes[[row[int(index)] for index in block]]
        nearest = (squares - 2 * tested @ trained.T).argmin(axis=1)
        # The product loses digits where two clips are near; the difference does not.
        distance = np.sqrt(((tested - trained[nearest]) ** 2).sum(axis=1))
        for index, source, apart in zip(block.tolist(), train[nearest].tolist(), distance.tolist(), strict=True):
            if apart < MAX_DISTANCE:
                found[index] = source, apart
    return found


def _shapes(store: PackedStore, indices: Indices, body: float) -> Array:
    """Return (clips, F) float32: clips of one length, without their mean position, scaled so that distances are in bodies.

    Only the first person is looked at. A clip with nobody in it is far from all others.
    """
    dims = store.joints.shape[2] - store.info.has_scores
    shapes = np.empty((len(indices), _FRAMES * store.joints.shape[1] * dims), dtype=np.float32)
    for number, index in enumerate(indices.tolist()):
        joints = store[index].joints[0, ..., :dims]
        time = np.linspace(0, len(joints) - 1, _FRAMES)
        low = time.astype(np.int64)
        high, share = np.minimum(low + 1, len(joints) - 1), (time - low)[:, None, None]
        shape = joints[low] * (1 - share) + joints[high] * share
        shape -= shape.mean(axis=(0, 1))
        shapes[number] = shape.ravel() if shape.any() else np.float32(1e3 * number + 1e6)
    return shapes / np.float32(body * np.sqrt(_FRAMES * store.joints.shape[1]))
