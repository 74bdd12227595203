"""Splits for sets that bring none: nobody on both sides, every class on both, and the same whatever the order."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from poseglot.data.splits import CustomSplit, Member, custom_split
from poseglot.errors import PoseglotError


def members(people: int, clips: int = 12, classes: int = 3) -> list[Member]:
    """`clips` clips of each of `people` people (0: nobody knows whose)."""
    return [
        Member(f"clip-{person}-{number}", number % classes, person)
        for person in range(1, people + 1) or [0]
        for number in range(clips)
    ]


def subsets(split: CustomSplit, clips: list[Member]) -> dict[str, set[str]]:
    """Names of each side, read off the rule one field at a time."""
    chosen = {}
    for subset, rule in split.rule.items():
        ((field, values),) = rule.items()
        chosen[subset] = {clip.name for clip in clips if getattr(clip, field) in values}
        assert len(chosen[subset]) == split.counts[subset]
    return chosen


@pytest.mark.parametrize(("people", "held"), [(2, 1), (3, 1), (4, 1), (8, 2), (10, 2), (12, 3), (40, 10)])
def test_known_people_are_held_out_whole(people: int, held: int) -> None:
    clips = members(people)
    split = custom_split(clips)
    chosen = subsets(split, clips)
    assert split.name == "by-subject" and f"{held} of {people} people" in split.how
    seen = {subset: {clip.subject for clip in clips if clip.name in names} for subset, names in chosen.items()}
    assert len(seen["test"]) == held and not seen["train"] & seen["test"]
    assert len(chosen["train"]) + len(chosen["test"]) == len(clips)


@pytest.mark.parametrize("clips", [members(0, clips=41), members(1, clips=41), [*members(3), Member("whose?", 0)]])
def test_without_people_a_quarter_of_every_class_is_held_out(clips: list[Member]) -> None:
    split = custom_split(clips)
    chosen = subsets(split, clips)
    assert split.name == "by-clip" and "not known" in split.how
    assert chosen["train"] | chosen["test"] == {clip.name for clip in clips} and not chosen["train"] & chosen["test"]
    whole, tested = Counter(clip.label for clip in clips), Counter(clip.label for clip in clips if clip.name in chosen["test"])
    for label, count in whole.items():
        assert tested[label] == round(count / 4)


def test_small_classes_stay_on_both_sides_where_they_can() -> None:
    clips = [Member("alone", 0), Member("one", 1), Member("two", 1), Member("a", 2), Member("b", 2), Member("c", 2)]
    chosen = subsets(custom_split(clips), clips)
    assert "alone" in chosen["train"]
    assert len(chosen["test"] & {"one", "two"}) == 1 and len(chosen["test"] & {"a", "b", "c"}) == 1


@pytest.mark.parametrize("people", [0, 12])
def test_order_does_not_matter_and_the_names_do(people: int) -> None:
    clips = members(people, clips=40)
    first = subsets(custom_split(clips), clips)
    shuffled = random.Random(1).sample(clips, len(clips))
    assert subsets(custom_split(shuffled), shuffled) == first
    # Not simply the first or the last ones, in any order that a set might come in.
    ordered = sorted(clip.name for clip in clips)
    count = len(first["test"])
    assert first["test"] not in ({*ordered[:count]}, {*ordered[-count:]})
    renamed = [clip._replace(name="x" + clip.name, subject=clip.subject + 100 * bool(people)) for clip in clips]
    assert {name[1:] for name in subsets(custom_split(renamed), renamed)["test"]} != first["test"]


def test_asked_for_people_are_the_test_side() -> None:
    clips = [*members(5), Member("whose?", 0), *(Member(f"given-{subset}", 0, 1, subset) for subset in ("train", "test"))]
    split = custom_split(clips, test_subjects=[2, 5])
    chosen = subsets(split, clips)
    assert split.name == "by-subject" and "1 clips of people not known" in split.how
    assert chosen["test"] == {clip.name for clip in clips if clip.subject in (2, 5)}
    assert chosen["train"] == {clip.name for clip in clips if clip.subject in (1, 3, 4)}


def test_given_sides_are_kept() -> None:
    clips = [Member("a", 0, 1, "train"), Member("b", 0, 2, "test"), Member("c", 0, 3, "val"), Member("d", 0, 4)]
    split = custom_split(clips)
    assert split.name == "as-given" and subsets(split, clips) == {"train": {"a"}, "test": {"b"}}
    assert "2 other clips are on neither" in split.how
    assert subsets(custom_split([clips[0], clips[2]]), clips) == {"train": {"a"}, "test": {"c"}}


@pytest.mark.parametrize(
    ("clips", "asked", "match"),
    [
        (members(3), [4], r"no clip of the test subjects \[4\]; subjects are \[1, 2, 3\]"),
        (members(3), [1, 2, 3], r"nobody is left to train on"),
        (members(0), [1], r"not known who is in the clips: add a column `subject`"),
        ([Member("a", 0, 0, "train"), Member("b", 0)], None, r"none is on the test set"),
        ([Member("a", 0, 0, "test"), Member("b", 0)], None, r"none is on the training set"),
    ],
)
def test_impossible_wishes_are_refused(clips: list[Member], asked: list[int] | None, match: str) -> None:
    with pytest.raises(PoseglotError, match=match):
        custom_split(clips, test_subjects=asked)
