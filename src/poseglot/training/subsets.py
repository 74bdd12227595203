"""Which clips and classes a recipe learns from, and which it is looked at on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.splits import split_fold
from poseglot.data.store import Indices, PackedStore
from poseglot.errors import PoseglotError
from poseglot.training.recipe import DataRecipe


@dataclass(frozen=True)
class ClassSplit:
    """The classes of a store, as a recipe divides them; each in the store's order.

    Attributes:
        seen: learned, and looked at; all of them unless the recipe says otherwise.
        unseen: to be recognised by their words alone.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...]


def class_split(data: DataRecipe, store: PackedStore) -> ClassSplit:
    """Seen and unseen classes.

    Raises:
        PoseglotError: the store has no such class, its benchmark has no such list, or no class is left to learn.
    """
    unseen, excluded_classes = (_named(setting, getattr(data, setting), store) for setting in ("unseen", "left_out"))
    if both := unseen & excluded_classes:
        raise PoseglotError(
            f"data.unseen_classes and data.excluded_classes both have {', '.join(map(repr, sorted(both)))}; a class is one or the other."
        )
    seen = tuple(label for label in store.info.classes if label not in unseen | excluded_classes)
    if len(seen) < 2:
        raise PoseglotError(
            f"data.unseen_classes leaves {len(seen)} of the {len(store.info.classes)} classes to learn; leave at least two."
        )
    return ClassSplit(seen, tuple(label for label in store.info.classes if label in unseen))


def _named(setting: str, labels: Sequence[str] | str, store: PackedStore) -> set[str]:
    """The labels that a setting gives or names."""
    if isinstance(labels, str):
        lists = _lists(store.info.name)
        if labels not in lists:
            known = f"{store.info.name} has {', '.join(lists)}" if lists else f"{store.info.name} has none"
            raise PoseglotError(
                f"data.{setting} names an unknown list of classes, {labels!r}; {known}. Or give labels: [one, another]."
            )
        labels = lists[labels]
    if unknown := [label for label in labels if label not in store.info.classes]:
        raise PoseglotError(
            f"data.{setting} has {', '.join(map(repr, unknown))}, which {store.info.name} does not have; its classes are "
            f"{', '.join(store.info.classes)}."
        )
    return set(labels)


def _lists(name: str) -> dict[str, list[str]]:
    try:
        return dict(load_benchmark(name).unseen)
    except PoseglotError:  # somebody's own set
        return {}


def class_mapping(classes: Sequence[str], store: PackedStore) -> npt.NDArray[np.int64]:
    """Of each class of a store its place among some of its classes, -1 where it is none of them."""
    return np.array([classes.index(label) if label in classes else -1 for label in store.info.classes], dtype=np.int64)


def subsets(data: DataRecipe, store: PackedStore) -> tuple[Indices, Indices]:
    """Places in the store's table to learn from and to look at: the split's sides, or - with folds - both of its training set.

    Of the seen classes: of the others no clip is learned from or looked at.
    """
    seen = class_split(data, store).seen
    train, test = (of_classes(seen, store, places) for places in _whole_sides(data, store))
    for subset, places in (("to learn from", train), ("to look at", test)):
        if not len(places):
            raise PoseglotError(
                f"no clip of the classes that data.unseen_classes leaves ({', '.join(seen)}) is there {subset}."
            )
    return train, test


def eval_indices(data: DataRecipe, store: PackedStore, classes: Sequence[str]) -> Indices:
    """Places of the clips of some classes, seen or not, among those that a recipe looks at."""
    return of_classes(classes, store, _whole_sides(data, store)[1])


def _whole_sides(data: DataRecipe, store: PackedStore) -> tuple[Indices, Indices]:
    """Both sides with the clips of every class: where a person or a fold is does not depend on what is seen."""
    train = store.subset(data.split, "train")
    if data.folds:
        return split_fold(store, train, folds=data.folds, fold=data.fold)
    return train, store.subset(data.split, "test")


def of_classes(classes: Sequence[str], store: PackedStore, places: Indices) -> Indices:
    """Those of some clips that are of some classes; all of them, those of no known class too, if that is every class."""
    if len(classes) == len(store.info.classes):
        return places
    return places[np.isin(store.clips["label"][places], [store.info.classes.index(label) for label in classes])]


def subset_name(data: DataRecipe) -> str:
    """What the clips that are looked at are called: `test`, or `fold 2/5`."""
    return f"fold {data.fold}/{data.folds}" if data.folds else "test"


def names_hash(store: PackedStore, places: Indices) -> str:
    """A hash of the names of some clips, by which a run remembers what it learned from."""
    names = "\n".join(map(str, store.clips["name"][places]))
    return hashlib.sha256(names.encode()).hexdigest()[:16]
