"""Folds: a partition of the training set, by person, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.data.splits import split_fold
from poseglot.data.store import PackedStore
from poseglot.errors import PoseglotError


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_divide_the_training_side_and_never_a_person(small_store: PackedStore, folds: int) -> None:
    train = small_store.subset("cross-person", "train")
    held = []
    for fold in range(1, folds + 1):
        learned, out = split_fold(small_store, train, folds=folds, fold=fold)
        assert sorted([*learned, *out]) == sorted(train)
        people = [set(small_store.clips["subject"][places]) for places in (learned, out)]
        assert not people[0] & people[1]
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


def test_fewer_people_than_folds_are_spread_by_clip(small_store: PackedStore) -> None:
    _, held = split_fold(small_store, np.arange(120), folds=11, fold=1)
    assert len(held) in (10, 11)


def test_more_folds_than_clips_are_refused(small_store: PackedStore) -> None:
    with pytest.raises(PoseglotError, match="3 training clips cannot be divided into 5 folds"):
        split_fold(small_store, np.arange(3), folds=5, fold=1)
