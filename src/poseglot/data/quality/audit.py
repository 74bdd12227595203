"""An audit of a store's splits: what a good score on the test set may be made of besides recognition.

    audit = audit_store(open_store("data/nw-ucla"))
    audit.splits["cross-view"].copies, audit.splits["cross-view"].giveaways

It looks for test clips whose content is in the training set, people and performances on both sides, unequal classes, equal clips with
different labels, and for how far a classifier gets that sees nothing but the length and the speed of a clip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from poseglot.data.quality.duplicates import Copy, copy_of, equal_clips, find_copies, shared_frames
from poseglot.data.quality.statistics import Array, store_statistics, typical_body
from poseglot.data.store import Indices, PackedStore

SUBSETS = ("train", "test")


@dataclass(frozen=True)
class Giveaway:
    """The score of a classifier that sees a few numbers of a clip and no skeleton.

    It takes the most frequent class among the nearest training clips (see `_votes`).

    Attributes:
        name: `length` (frames), `speed` (the median over frames of the fastest joint, in bodies), or both.
        correct, total: Correct test clips out of those of known class.
        chance: Correct test clips if every clip is said to be of the largest training class.
        probability: The probability of at least so many correct clips for a classifier that is right as often as `chance`.
    """

    name: str
    correct: int
    total: int
    chance: int
    probability: float


@dataclass(frozen=True)
class SplitAudit:
    """The audit of a split with a training and a test set.

    Attributes:
        clips: Subset -> number of clips.
        copies: Test clips whose content is in the training set.
        people: Subset -> the people in it who are known; none if nobody is.
        cameras: Subset -> the cameras in it.
        performances: The number of test clips whose performance is also in the training set, seen by another camera; told by names that
            differ only in the camera's number.
        classes: Subset -> class -> number of clips.
        giveaways: What length and speed tell; empty if no class is known.
    """

    clips: Mapping[str, int]
    copies: tuple[Copy, ...]
    people: Mapping[str, tuple[int, ...]]
    cameras: Mapping[str, tuple[int, ...]]
    performances: int
    classes: Mapping[str, Mapping[str, int]]
    giveaways: tuple[Giveaway, ...]

    @property
    def people_in_both(self) -> tuple[int, ...]:
        """The people who are in both subsets."""
        return tuple(sorted(set(self.people["train"]) & set(self.people["test"])))

    @property
    def clean(self) -> int:
        """The number of test clips without copies."""
        return self.clips["test"] - len(self.copies)


@dataclass(frozen=True)
class StoreAudit:
    """The audit of a store.

    Attributes:
        name: The store's name.
        clips: The number of its clips.
        equal: Groups of clips that are equal to the last bit, by name.
        contradictions: Clips that are equal to another, or share half of their frames with it, and have another label.
        splits: Split -> its audit; splits without both subsets are left out.
    """

    name: str
    clips: int
    equal: tuple[tuple[str, ...], ...]
    contradictions: tuple[Copy, ...]
    splits: Mapping[str, SplitAudit]

    def table(self) -> dict[str, Any]:
        """Return all of it as plain values for JSON."""
        return asdict(self)


def audit_store(store: PackedStore, splits: tuple[str, ...] = ()) -> StoreAudit:
    """Audit a store.

    Args:
        store: The store.
        splits: The splits to audit; by default all.

    Raises:
        NotFoundError: There is no such split.
        InputError: A subset is empty.
    """
    body = typical_body(store)
    groups, shared = equal_clips(store), shared_frames(store)
    features = _features(store, body)
    audits = {}
    for split in splits or [split for split in store.info.splits if _has_both(store, split)]:
        train, test = (store.subset(split, subset) for subset in SUBSETS)
        copies = find_copies(store, train, test, body=body, shared=shared)
        audits[split] = _audit_split(store, train, test, copies, features)
    equal = {(int(group[0]), int(other)) for group in groups for other in group[1:]}
    alike = [copy_of(store, index, source, "equal", 1.0) for index, source in sorted(equal)]
    hashes = store.content_hashes(np.arange(len(store)))
    alike += [
        copy_of(store, index, source, "frames", share) for index, source, share in shared if hashes[index] != hashes[source]
    ]
    return StoreAudit(
        store.info.name,
        len(store),
        equal=tuple(tuple(map(str, store.clips["name"][group])) for group in groups),
        contradictions=tuple(
            each for each in alike if -1 not in (each.label, each.source_label) and each.label != each.source_label
        ),
        splits=audits,
    )


def _has_both(store: PackedStore, split: str) -> bool:
    """Tell whether a split has clips for training and for testing."""
    return all(subset in store.info.splits[split] and store.subset_mask(split, subset).any() for subset in SUBSETS)


def _audit_split(
    store: PackedStore, train: Indices, test: Indices, copies: list[Copy], features: Mapping[str, Array]
) -> SplitAudit:
    sides = dict(zip(SUBSETS, (train, test), strict=True))
    labels = store.clips["label"]

    def known(field: str) -> dict[str, tuple[int, ...]]:
        return {
            side: tuple(int(value) for value in np.unique(store.clips[field][indices]) if value)
            for side, indices in sides.items()
        }

    classes = {}
    for side, indices in sides.items():
        counts = np.bincount(labels[indices][labels[indices] >= 0], minlength=len(store.classes))
        classes[side] = {label: int(count) for label, count in zip(store.classes, counts, strict=True)}
    performed = {_performance(store, index) for index in train.tolist()} - {""}
    return SplitAudit(
        clips={side: len(indices) for side, indices in sides.items()},
        copies=tuple(copies),
        people=known("subject"),
        cameras=known("camera"),
        performances=sum(_performance(store, index) in performed for index in np.setdiff1d(test, train).tolist()),
        classes=classes,
        giveaways=_giveaways(labels, train, test, features),
    )


def _performance(store: PackedStore, index: int) -> str:
    """Return a clip's name without its camera's number; empty if the name does not tell it."""
    name, camera = str(store.clips["name"][index]), int(store.clips["camera"][index])
    shorter, count = re.subn(rf"(?<![a-z])(c|v|cam|camera|view)_?0*{camera}(?!\d)", r"\1", name, flags=re.IGNORECASE)
    return shorter if count == 1 and camera else ""


def _features(store: PackedStore, body: float) -> dict[str, Array]:
    """Return name -> (clips, F), the logarithms of length and speed."""
    persons, _ = store_statistics(store, body)
    speed = np.zeros(len(store))
    # Unknown in clips of a frame; of several people the fastest counts.
    np.maximum.at(speed, persons["clip"], np.nan_to_num(persons["speed"] / (body or 1)))
    length, pace = np.log(store.clips["frames"]), np.log(speed + 1e-3)
    return {"length": length[:, None], "speed": pace[:, None], "length and speed": np.stack([length, pace], axis=1)}


def _giveaways(labels: Array, train: Indices, test: Indices, features: Mapping[str, Array]) -> tuple[Giveaway, ...]:
    from scipy.special import bdtrc

    train, test = train[labels[train] >= 0], test[labels[test] >= 0]
    if not len(train) or not len(test):
        return ()
    chance = int((labels[test] == np.bincount(labels[train]).argmax()).sum())
    found = []
    for name, values in features.items():
        centre, spread = values[train].mean(axis=0), np.maximum(values[train].std(axis=0), 1e-9)
        scaled = (values - centre) / spread
        correct = int((_votes(scaled[train], labels[train], scaled[test]) == labels[test]).sum())
        probability = float(bdtrc(correct - 1, len(test), chance / len(test))) if correct else 1.0
        found.append(Giveaway(name, correct, len(test), chance, probability))
    return tuple(found)


def _votes(train: Array, labels: Array, test: Array) -> Array:
    """Return the most frequent label among the nearest training clips, as many as the root of a class's clips; ties go to the nearest."""
    from scipy.spatial import KDTree

    count = max(1, round(np.sqrt(len(labels) / len(np.unique(labels)))))
    nearest: Array = labels[KDTree(train).query(test, k=np.arange(1, count + 1))[1]]
    votes = (nearest[:, :, None] == nearest[:, None, :]).sum(axis=2)
    winners: Array = nearest[np.arange(len(test)), votes.argmax(axis=1)]
    return winners
