"""Splits: which clips are for training and which for testing, for sets that have no split, and folds for cross-validation.

Clips of one person resemble each other, so a person in both subsets makes the accuracy look better than it is. Where people are known,
a split or a fold therefore never divides a person's clips. Clips of unknown people are distributed by name.

`custom_split` sets aside a quarter of the people (or of every class's clips) for testing. A hash of their numbers (of the clips' names)
decides which, not the order in which they come, so the same set is split the same way every time and everywhere. `split_fold` divides
a training set for cross-validation, so that settings can be chosen without the test set.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from poseglot.data.benchmarks import SplitRule
from poseglot.data.store import Indices, PackedStore
from poseglot.errors import InputError, SettingError

TEST_SHARE = 0.25
SUBSETS = ("train", "val", "test")
_Item = TypeVar("_Item", int, str)


class Member(NamedTuple):
    """A clip as a split sees it.

    Attributes:
        name: The clip's name.
        label: Its class.
        subject: Its person; 0 if unknown.
        subset: The subset that the owner of the set assigned it to, one of `SUBSETS`; "" if none.
    """

    name: str
    label: int
    subject: int = 0
    subset: str = ""


@dataclass(frozen=True)
class CustomSplit:
    """A split of a user's own set.

    Attributes:
        name: `by-subject`, `by-clip`, or `as-given` by the set's owner.
        rule: As in `Benchmark.splits`.
        counts: Subset -> number of clips.
        how: A description for people to read.
    """

    name: str
    rule: SplitRule
    counts: dict[str, int]
    how: str


def custom_split(members: Sequence[Member], *, test_subjects: Sequence[int] | None = None) -> CustomSplit:
    """Choose the split that fits what is known of the clips.

    Args:
        members: The clips.
        test_subjects: The people of the test set. By default the owner's subsets are kept. Without those, people are set aside if
            every clip's person is known, else clips of every class.

    Raises:
        SettingError: `test_subjects` are not all in the set, leave nobody to train on, or people are unknown.
        InputError: The owner assigned clips to one subset only.
    """
    subjects = {member.subject for member in members if member.subject}
    if test_subjects:
        return _by_subject(members, set(test_subjects), "as requested")
    if any(member.subset for member in members):
        return _as_given(members)
    if len(subjects) > 1 and all(member.subject for member in members):
        held_out = _first_by_hash(subjects, max(1, round(len(subjects) * TEST_SHARE)))
        return _by_subject(members, held_out, "chosen by a hash of their numbers")
    return _by_clip(members)


def by_names(train: Iterable[str], test: Iterable[str]) -> SplitRule:
    """Return the rule of a split that is two lists of clip names."""
    return {"train": {"name": list(train)}, "test": {"name": list(test)}}


def split_fold(store: PackedStore, indices: Indices, *, folds: int, fold: int) -> tuple[Indices, Indices]:
    """Divide a training set into clips to train on and clips to validate on.

    Args:
        store: The store.
        indices: The training set.
        folds: The number of parts of about equal size; they are the same every time.
        fold: The part to validate on, counted from 1.

    Raises:
        SettingError: There are fewer clips than folds.
    """
    assert 1 <= fold <= folds
    if len(indices) < folds:
        raise SettingError(f"{len(indices)} training clips cannot be divided into {folds} folds.")
    groups = person_groups(store, indices, at_least=folds)
    counts = Counter(groups)
    # The largest groups first, each into the fold that is smallest so far.
    sizes, assigned = [0] * folds, {}
    for group in sorted(counts, key=lambda group: (-counts[group], isinstance(group, str), group)):
        assigned[group] = sizes.index(min(sizes))
        sizes[assigned[group]] += counts[group]
    held_out = np.array([assigned[group] == fold - 1 for group in groups])
    return indices[~held_out], indices[held_out]


def person_groups(store: PackedStore, indices: Indices, *, at_least: int = 2) -> list[int | str]:
    """Return the group of each clip: the number of its person, or the clip's own name where the person is not known.

    Args:
        store: The store.
        indices: The clips.
        at_least: If fewer people are known, every clip is a group by itself.
    """
    subjects, names = (store.clips[field][indices].tolist() for field in ("subject", "name"))
    known = {subject for subject in subjects if subject > 0}
    by_person = len(known) >= at_least
    return [subject if by_person and subject > 0 else name for subject, name in zip(subjects, names, strict=True)]


def _by_subject(members: Sequence[Member], test: set[int], chosen: str) -> CustomSplit:
    subjects = {member.subject for member in members if member.subject}
    if not subjects:
        raise SettingError("test subjects were given, but the clips' people are not known. Add a column `subject`.")
    if test - subjects:
        raise SettingError(f"there is no clip of the test subjects {sorted(test - subjects)}; subjects are {sorted(subjects)}.")
    if test == subjects:
        raise SettingError(f"all subjects ({sorted(subjects)}) are for testing; nobody is left to train on.")
    train = subjects - test
    counts = {
        "train": sum(member.subject in train for member in members),
        "test": sum(member.subject in test for member in members),
    }
    unknown = len(members) - sum(counts.values())
    neither = f"; {unknown} clips of unknown people are in neither subset" if unknown else ""
    how = f"{len(test)} of {len(subjects)} people are for testing, {chosen}{neither}"
    rule = {"train": {"subject": sorted(train)}, "test": {"subject": sorted(test)}}
    return CustomSplit("by-subject", rule, counts, how)


def _as_given(members: Sequence[Member]) -> CustomSplit:
    names: dict[str, list[str]] = {subset: [member.name for member in members if member.subset == subset] for subset in SUBSETS}
    test = "test" if names["test"] else "val"
    for subset in ("train", test):
        if not names[subset]:
            raise InputError(
                f"subsets are given for some clips, but none is in the {'training' if subset == 'train' else 'test'} set. Name both "
                "(train, test), or neither."
            )
    left = len(members) - len(names["train"]) - len(names[test])
    how = f"the subsets train and {test} as the set gives them" + (f"; {left} other clips are in neither" if left else "")
    counts = {"train": len(names["train"]), "test": len(names[test])}
    return CustomSplit("as-given", by_names(names["train"], names[test]), counts, how)


def _by_clip(members: Sequence[Member]) -> CustomSplit:
    classes: dict[int, set[str]] = defaultdict(set)
    for member in members:
        classes[member.label].add(member.name)
    held_out: set[str] = set()
    for names in classes.values():
        # A class with a single clip is for training.
        held_out |= _first_by_hash(names, max(1, round(len(names) * TEST_SHARE)) if len(names) > 1 else 0)
    train, test = ([member.name for member in members if (member.name in held_out) == tested] for tested in (False, True))
    unknown = sum(not member.subject for member in members)
    people = "all are of one person"
    if unknown:
        whose = "their people" if unknown == len(members) else f"the people of {unknown} clips"
        people = f"{whose} are not known, so the same person may be in both subsets"
    how = f"{len(test)} of {len(members)} clips are for testing, some of every class, chosen by a hash of their names; {people}"
    return CustomSplit("by-clip", by_names(train, test), {"train": len(train), "test": len(test)}, how)


def _first_by_hash(items: Iterable[_Item], count: int) -> set[_Item]:
    def key(item: _Item) -> bytes:
        return hashlib.sha256(str(item).encode("utf-8", "surrogateescape")).digest()

    return set(sorted(items, key=key)[:count])
