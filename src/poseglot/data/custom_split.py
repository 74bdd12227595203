"""A split for a set that brings none: by person where people are known, else by clip.

Clips of one person resemble each other, so a split that has a person on both sides flatters. A quarter of the people (or of every
class's clips) is for testing. Who that is follows from a hash of their numbers (of the clips' names), not from the order in which they
come: the same set is split the same way every time and everywhere.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from poseglot.data.benchmarks import SplitRule
from poseglot.errors import PoseglotError

TEST_SHARE = 0.25
SUBSETS = ("train", "val", "test")
_Thing = TypeVar("_Thing", int, str)


class Member(NamedTuple):
    """What a split is made of: a clip's name, its class, who it shows (0: not known), and the side its owner gave it ("": none)."""

    name: str
    label: int
    subject: int = 0
    subset: str = ""


@dataclass(frozen=True)
class CustomSplit:
    """A split of a set.

    Attributes:
        name: `by-subject`, `by-clip`, or `as-given` by the set's owner.
        rule: as in `Benchmark.splits`.
        counts: clips of each side.
        how: what it is, for people to read.
    """

    name: str
    rule: SplitRule
    counts: dict[str, int]
    how: str


def custom_split(members: Sequence[Member], *, test_subjects: Sequence[int] | None = None) -> CustomSplit:
    """The split that fits what is known of the clips.

    Args:
        members: the clips.
        test_subjects: who is for testing. Without it the sides that the owner gave are kept; without those, people are held out if
            every clip's person is known, else clips of every class.

    Raises:
        PoseglotError: `test_subjects` holds somebody who is in no clip, or nobody else is there; or the owner gave only one side.
    """
    people = {member.subject for member in members if member.subject}
    if test_subjects:
        return _by_subject(members, set(test_subjects), "as asked for")
    if any(member.subset for member in members):
        return _as_given(members)
    if len(people) > 1 and all(member.subject for member in members):
        held = _first_by_hash(people, max(1, round(len(people) * TEST_SHARE)))
        return _by_subject(members, held, "chosen by a hash of their numbers")
    return _by_clip(members)


def by_names(train: Iterable[str], test: Iterable[str]) -> SplitRule:
    """The rule of a split that is two lists of clips."""
    return {"train": {"name": list(train)}, "test": {"name": list(test)}}


def _by_subject(members: Sequence[Member], held: set[int], chosen: str) -> CustomSplit:
    people = {member.subject for member in members if member.subject}
    if not people:
        raise PoseglotError("test subjects were given, but it is not known who is in the clips: add a column `subject`.")
    if held - people:
        raise PoseglotError(f"there is no clip of the test subjects {sorted(held - people)}; subjects are {sorted(people)}.")
    if held == people:
        raise PoseglotError(f"all subjects ({sorted(people)}) are for testing, nobody is left to train on.")
    learned = people - held
    counts = {"train": _count(members, learned), "test": _count(members, held)}
    unknown = len(members) - sum(counts.values())
    neither = f"; {unknown} clips of people not known are on neither side" if unknown else ""
    how = f"{len(held)} of {len(people)} people are for testing, {chosen}{neither}"
    rule = {"train": {"subject": sorted(learned)}, "test": {"subject": sorted(held)}}
    return CustomSplit("by-subject", rule, counts, how)


def _count(members: Sequence[Member], people: set[int]) -> int:
    return sum(member.subject in people for member in members)


def _as_given(members: Sequence[Member]) -> CustomSplit:
    names: dict[str, list[str]] = {subset: [member.name for member in members if member.subset == subset] for subset in SUBSETS}
    test = "test" if names["test"] else "val"
    for subset in ("train", test):
        if not names[subset]:
            raise PoseglotError(
                f"the clips' sides are given, but none is on the {'training' if subset == 'train' else 'test'} side: name both "
                "(train, test), or neither."
            )
    left = len(members) - len(names["train"]) - len(names[test])
    how = f"the sides {'train and ' + test} as the set gives them" + (f"; {left} other clips are on neither" if left else "")
    counts = {"train": len(names["train"]), "test": len(names[test])}
    return CustomSplit("as-given", by_names(names["train"], names[test]), counts, how)


def _by_clip(members: Sequence[Member]) -> CustomSplit:
    classes: dict[int, set[str]] = defaultdict(set)
    for member in members:
        classes[member.label].add(member.name)
    held: set[str] = set()
    for names in classes.values():
        # A class with a single clip is for training.
        held |= _first_by_hash(names, max(1, round(len(names) * TEST_SHARE)) if len(names) > 1 else 0)
    train, test = ([member.name for member in members if (member.name in held) == tested] for tested in (False, True))
    how = (
        f"{len(test)} of {len(members)} clips are for testing, some of every class, chosen by a hash of their names; who is in them is "
        "not known, so the same person may be on both sides"
    )
    return CustomSplit("by-clip", by_names(train, test), {"train": len(train), "test": len(test)}, how)


def _first_by_hash(things: Iterable[_Thing], count: int) -> set[_Thing]:
    def key(thing: _Thing) -> bytes:
        return hashlib.sha256(str(thing).encode("utf-8", "surrogateescape")).digest()

    return set(sorted(things, key=key)[:count])
