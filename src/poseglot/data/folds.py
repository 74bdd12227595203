"""Folds of a training set: settings are chosen by cross-validation on it, so that the test set stays unseen.

A fold never splits a person: clips of one person (and views of one performance) resemble each other, and a setting chosen on a clip
whose twin was learned from would be chosen by memory. Where people are not known, clips are spread by name.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from poseglot.data.store import PackedStore
from poseglot.errors import PoseglotError

Indices = npt.NDArray[np.int64]


def split_fold(store: PackedStore, places: Indices, *, folds: int, fold: int) -> tuple[Indices, Indices]:
    """Clips to learn from and clips held out.

    Args:
        places: a training set.
        folds: into how many parts of about equal size it is divided; the same parts every time.
        fold: which of them is held out, from 1.

    Raises:
        PoseglotError: fewer clips than folds.
    """
    assert 1 <= fold <= folds
    if len(places) < folds:
        raise PoseglotError(f"{len(places)} training clips cannot be divided into {folds} folds.")
    people = [int(person) for person in store.clips["subject"][places]]
    by_person = min(people) >= 0 and len(set(people)) >= folds
    groups = people if by_person else [str(name) for name in store.clips["name"][places]]
    counts = Counter(groups)
    # The largest groups first, each to the fold that is smallest so far.
    sizes, home = [0] * folds, {}
    for group in sorted(counts, key=lambda group: (-counts[group], group)):
        home[group] = sizes.index(min(sizes))
        sizes[home[group]] += counts[group]
    held = np.array([home[group] == fold - 1 for group in groups])
    return places[~held], places[held]
