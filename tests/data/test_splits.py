"""Splits: nobody in both subsets, every class in both, the same whatever the order; folds that never divide a person."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from poseglot.data.splits import CustomSplit, Member, custom_split, split_fold
from poseglot.data.store import PackedStore
from poseglot.errors import InputError, PoseglotError, SettingError


def members(people: int, clips: int = 12, classes: int = 3) -> list[Member]:
    """`clips` clips of each of `people` people (0: nobody knows whose)."""
    return [
        Member(f"clip-{person}-{number}", number % classes, person)
        for person in range(1, people + 1) or [0]
        for number in range(clips)
    ]


def subsets(split: CustomSplit, clips: list[Member]) -> dict[str, set[str]]:
    """Return the names in each subset, from the rule, one field at a time."""
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
    assert split.name == "by-clip"
    assert chosen["train"] | chosen["test"] == {clip.name for clip in clips} and not chosen["train"] & chosen["test"]
    whole, tested = Counter(clip.label for clip in clips), Counter(clip.label for clip in clips if clip.name in chosen["test"])
    for label, count in whole.items():
        assert tested[label] == round(count / 4)


def test_small_classes_stay_in_both_subsets_where_they_can() -> None:
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


def test_requested_people_are_the_test_set() -> None:
    clips = [*members(5), Member("whose?", 0), *(Member(f"given-{subset}", 0, 1, subset) for subset in ("train", "test"))]
    split = custom_split(clips, test_subjects=[2, 5])
    chosen = subsets(split, clips)
    assert split.name == "by-subject" and "1 clips" in split.how
    assert chosen["test"] == {clip.name for clip in clips if clip.subject in (2, 5)}
    assert chosen["train"] == {clip.name for clip in clips if clip.subject in (1, 3, 4)}


def test_given_subsets_are_kept() -> None:
    clips = [Member("a", 0, 1, "train"), Member("b", 0, 2, "test"), Member("c", 0, 3, "val"), Member("d", 0, 4)]
    split = custom_split(clips)
    assert split.name == "as-given" and subsets(split, clips) == {"train": {"a"}, "test": {"b"}}
    assert "2 other clips" in split.how
    assert subsets(custom_split([clips[0], clips[2]]), clips) == {"train": {"a"}, "test": {"c"}}


@pytest.mark.parametrize(
    ("clips", "asked", "error", "named"),
    [
        (members(3), [4], SettingError, r"\[4\].*\[1, 2, 3\]"),
        (members(3), [1, 2, 3], SettingError, r"\[1, 2, 3\]"),
        (members(0), [1], SettingError, "`subject`"),
        ([Member("a", 0, 0, "train"), Member("b", 0)], None, InputError, "test"),
        ([Member("a", 0, 0, "test"), Member("b", 0)], None, InputError, "train"),
    ],
    ids=["nobody of that number", "everybody", "unknown people", "no test set", "no training set"],
)
def test_impossible_requests_are_refused(
    clips: list[Member], asked: list[int] | None, error: type[PoseglotError], named: str
) -> None:
    with pytest.raises(error, match=named):
        custom_split(clips, test_subjects=asked)


# --- folds -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_divide_the_training_set_and_never_a_person(small_store: PackedStore, folds: int) -> None:
    train = small_store.subset("cross-person", "train")
    held = []
    for fold in range(1, folds + 1):
        learned, out = split_fold(small_store, train, folds=folds, fold=fold)
        assert sorted([*learned, *out]) == sorted(train)
        subjects = [set(small_store.clips["subject"][indices]) for indices in (learned, out)]
        assert not subjects[0] & subjects[1]
        held.append(out)
    assert sorted(np.concatenate(held)) == sorted(train)
    # Eight people of twelve clips each.
    assert max(map(len, held)) - min(map(len, held)) <= 12


def test_unknown_people_are_spread_by_clip(small_store: PackedStore) -> None:
    clips = small_store.clips.copy()
    clips["subject"] = -1
    store = PackedStore(small_store.info, clips, small_store.joints)
    sizes = [len(split_fold(store, np.arange(len(clips)), folds=7, fold=fold)[1]) for fold in range(1, 8)]
    assert sum(sizes) == len(clips)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("nobody", [0, -1])
def test_clips_of_nobody_known_are_no_person(small_store: PackedStore, nobody: int) -> None:
    """Ten clips of each of four people are not known: they go into all folds, and the other people are not divided."""
    clips = small_store.clips.copy()
    unknown = (clips["subject"] <= 4) & (clips["label"] < 10)
    clips["subject"][unknown] = nobody
    store, held = PackedStore(small_store.info, clips, small_store.joints), np.zeros((4, len(clips)), dtype=bool)
    for fold in range(4):
        held[fold, split_fold(store, np.arange(len(clips)), folds=4, fold=fold + 1)[1]] = True
    assert (held.sum(axis=0) == 1).all() and np.ptp(held.sum(axis=1)) <= 1
    assert (held[:, unknown].sum(axis=1) > 0).all()
    for person in range(1, 11):
        assert held[:, clips["subject"] == person].any(axis=1).sum() == 1


def test_a_split_by_clip_says_why() -> None:
    def how(*subjects: int) -> str:
        return custom_split([Member(f"clip{place}", place % 2, subject) for place, subject in enumerate(subjects)]).how

    assert "the people of 2 clips are not known" in how(1, 2, 0, 0, 1, 2)
    assert "their people are not known" in how(0, 0, 0, 0) and "of one person" in how(7, 7, 7, 7)


def test_fewer_people_than_folds_are_spread_by_clip(small_store: PackedStore) -> None:
    _, held = split_fold(small_store, np.arange(120), folds=11, fold=1)
    assert len(held) in (10, 11)


def test_more_folds_than_clips_are_refused(small_store: PackedStore) -> None:
    with pytest.raises(SettingError, match=r"3 .* 5"):
        split_fold(small_store, np.arange(3), folds=5, fold=1)
