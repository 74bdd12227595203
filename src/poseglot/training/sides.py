"""Which clips a recipe learns from, and which it is looked at on."""

from __future__ import annotations

import hashlib

from poseglot.skeletons.folds import Places, split_fold
from poseglot.skeletons.store import PackedStore
from poseglot.training.recipe import DataRecipe


def sides(data: DataRecipe, store: PackedStore) -> tuple[Places, Places]:
    """Places in the store's table to learn from and to look at: the split's sides, or - with folds - both of its training side."""
    train = store.side(data.split, "train")
    if data.folds:
        return split_fold(store, train, folds=data.folds, fold=data.fold)
    return train, store.side(data.split, "test")


def side_name(data: DataRecipe) -> str:
    """What the clips that are looked at are called: `test`, or `fold 2/5`."""
    return f"fold {data.fold}/{data.folds}" if data.folds else "test"


def names_hash(store: PackedStore, places: Places) -> str:
    """A hash of the names of some clips, by which a run remembers what it learned from."""
    names = "\n".join(map(str, store.clips["name"][places]))
    return hashlib.sha256(names.encode()).hexdigest()[:16]
