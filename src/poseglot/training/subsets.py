"""The clips and classes of a store for training and for validation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.splits import split_fold
from poseglot.data.store import Indices, PackedStore
from poseglot.errors import PoseglotError, SettingError


class Selection(Protocol):
    """What selects clips and classes: any object with these attributes, such as the data section of a recipe.

    Attributes:
        split: One of the store's splits.
        folds, fold: Cross-validation on the training set; 0 and 0 validate on the test set.
        unseen_classes: Classes kept for recognition by their texts: labels, the name of a list that the benchmark has, or a way
            (`left_out`).
        excluded_classes: Classes, likewise, that do not exist.
    """

    @property
    def split(self) -> str: ...
    @property
    def folds(self) -> int: ...
    @property
    def fold(self) -> int: ...
    @property
    def unseen_classes(self) -> Sequence[str] | str: ...
    @property
    def excluded_classes(self) -> Sequence[str] | str: ...


@dataclass(frozen=True)
class ClassSplit:
    """The classes of a store, divided; each in the store's order.

    Attributes:
        seen: Trained and validated; all of them unless the selection says otherwise.
        unseen: To be recognised by their texts alone.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...]


def class_split(data: Selection, store: PackedStore) -> ClassSplit:
    """Divide a store's classes into seen and unseen ones.

    Raises:
        SettingError: The store has no such class, its benchmark has no such list, or no class is left to learn.
    """
    unseen, excluded_classes = (
        _named(setting, getattr(data, setting), store) for setting in ("unseen_classes", "excluded_classes")
    )
    if both := unseen & excluded_classes:
        raise SettingError(
            f"data.unseen_classes and data.excluded_classes both have {', '.join(map(repr, sorted(both)))}; a class is one or the other."
        )
    seen = tuple(label for label in store.info.classes if label not in unseen | excluded_classes)
    if len(store.classes) < 2:
        raise SettingError(
            f"{store.info.name} has one class ({store.classes[0]}); a recognizer needs at least two. Add clips of other actions."
        )
    if len(seen) < 2:
        raise SettingError(
            f"data.unseen_classes leaves {len(seen)} of the {len(store.info.classes)} classes to learn; leave at least two."
        )
    return ClassSplit(seen, tuple(label for label in store.info.classes if label in unseen))


def _named(setting: str, labels: Sequence[str] | str, store: PackedStore) -> set[str]:
    """Return the labels that a setting gives or names."""
    if isinstance(labels, str):
        lists, classes = _lists(store.info.name), store.info.classes
        drawn = not any(name.partition("/")[0] == labels.partition("/")[0] for name in lists)
        if labels not in lists and not (drawn and _is_way(labels, len(classes))):
            known = f"{store.info.name} has {', '.join(lists)}" if lists else f"{store.info.name} has none"
            raise SettingError(
                f"data.{setting} names an unknown list of classes, {labels!r}; {known}. Give labels, [one, another], or a way of "
                f"leaving some of {len(classes)} out, for example {len(classes) - 2}-2/1."
            )
        labels = lists.get(labels) or left_out(classes, labels)
    if unknown := [label for label in labels if label not in store.info.classes]:
        raise SettingError(
            f"data.{setting} has {', '.join(map(repr, unknown))}, which {store.info.name} does not have; its classes are "
            f"{', '.join(store.info.classes)}."
        )
    return set(labels)


def left_out(classes: Sequence[str], way: str) -> list[str]:
    """Return the classes that a way leaves out: `22-5/3` is the third of all ways that leave 5 of 27 classes out.

    Ways leave every class out equally often, or one time more. They follow from the number of classes alone.
    """
    count, number = (int(part) for part in way.partition("-")[2].split("/"))
    generator, used = np.random.default_rng(0), np.zeros(len(classes), dtype=np.int64)
    for _ in range(number):
        chosen = np.lexsort((generator.random(len(classes)), used))[:count]
        used[chosen] += 1
    return [classes[index] for index in sorted(chosen)]


def _is_way(name: str, classes: int) -> bool:
    """Tell whether a text is SEEN-UNSEEN/NUMBER, for so many classes."""
    found = re.fullmatch(r"([1-9]\d{0,3})-([1-9]\d{0,3})/([1-9]\d{0,3})", name)
    return found is not None and int(found[1]) + int(found[2]) == classes


def _lists(name: str) -> dict[str, list[str]]:
    """Return the lists of unseen classes of a benchmark; none of a user's own set."""
    try:
        return dict(load_benchmark(name).unseen)
    except PoseglotError:  # a user's own set
        return {}


def class_mapping(classes: Sequence[str], store: PackedStore) -> npt.NDArray[np.int64]:
    """Map store labels to labels among some of its classes; -1 if a class is excluded."""
    return np.array([classes.index(label) if label in classes else -1 for label in store.info.classes], dtype=np.int64)


def subsets(data: Selection, store: PackedStore) -> tuple[Indices, Indices]:
    """Return the rows of the training and the validation clips of the seen classes.

    They are the split's subsets; with folds, two parts of its training set. A split without a test set has no validation clips.

    Raises:
        SettingError: No clip is left in one of them.
    """
    seen = class_split(data, store).seen
    train, test = (of_classes(seen, store, indices) for indices in _all_classes(data, store))
    for purpose, indices in (("training", train), ("validation", test)):
        if not len(indices) and not (purpose == "validation" and _without_test(data, store)):
            raise SettingError(f"there is no clip for {purpose} of the classes that are seen ({', '.join(seen)}).")
    return train, test


def eval_indices(data: Selection, store: PackedStore, classes: Sequence[str]) -> Indices:
    """Return the rows of the validation clips of some classes, seen or not."""
    return of_classes(classes, store, _all_classes(data, store)[1])


def train_indices(data: Selection, store: PackedStore, classes: Sequence[str]) -> Indices:
    """Return the rows of the training clips of some classes, seen or not."""
    return of_classes(classes, store, _all_classes(data, store)[0])


def _all_classes(data: Selection, store: PackedStore) -> tuple[Indices, Indices]:
    """Return both subsets with the clips of every class: a person's subset or fold does not depend on what is seen."""
    train = store.subset(data.split, "train")
    if data.folds:
        return split_fold(store, train, folds=data.folds, fold=data.fold)
    if _without_test(data, store):
        return train, np.zeros(0, dtype=np.int64)
    return train, store.subset(data.split, "test")


def _without_test(data: Selection, store: PackedStore) -> bool:
    """Tell whether the split has no test set, as its owner wants it."""
    return not data.folds and store.info.splits[data.split].get("test") == {"name": []}


def of_classes(classes: Sequence[str], store: PackedStore, indices: Indices) -> Indices:
    """Return the rows of clips of some classes. If those are all classes, clips of unknown class stay, too."""
    if len(classes) == len(store.info.classes):
        return indices
    return indices[np.isin(store.clips["label"][indices], [store.info.classes.index(label) for label in classes])]


def subset_name(data: Selection) -> str:
    """Return the name of the validation clips: `test`, or `fold 2/5`."""
    return f"fold {data.fold}/{data.folds}" if data.folds else "test"


def names_hash(store: PackedStore, indices: Indices) -> str:
    """Hash the names of some clips, so that a run remembers what it was trained on."""
    names = "\n".join(map(str, store.clips["name"][indices]))
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def contents_hash(store: PackedStore, indices: Indices) -> str:
    """Hash the names, classes and joints of some clips in their order, so that a training goes on with the same ones only."""
    digest = hashlib.sha256(names_hash(store, indices).encode())
    digest.update(
        "\n".join(store.info.classes[label] if label >= 0 else "" for label in store.clips["label"][indices]).encode()
    )
    digest.update(store.content_hashes(indices).tobytes())
    return digest.hexdigest()


def draw_per_class(labels: npt.NDArray[np.int64], count: int, seed: int | tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the positions of at most `count` clips of each class, sorted."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *chosen]))
