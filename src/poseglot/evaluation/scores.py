"""Scores on disk: the logits of a recognizer for every evaluated clip. Ensembles, comparisons and reports are made from them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseglot.errors import FileError, InputError, PoseglotError
from poseglot.evaluation.metrics import Labels, Scores
from poseglot.files import write_atomically
from poseglot.zips import load_arrays

TEST = "test"


@dataclass(frozen=True, eq=False)
class SavedScores:
    """The logits of N clips, and what they are of.

    Attributes:
        names: The names of the clips.
        labels: (N,) true classes.
        logits: (N, classes).
        classes: The class names.
        modality: The modality that was evaluated.
        dataset, split: Where the clips are from.
        subset: `test`, or a held-out fold of the training set (`fold 2/5`).

    Raises:
        InputError: Shapes do not fit, a label is none of the classes, or a logit is not finite.
    """

    names: tuple[str, ...]
    labels: Labels
    logits: Scores
    classes: tuple[str, ...]
    modality: str
    dataset: str
    split: str
    subset: str = TEST

    def __post_init__(self) -> None:
        clips, classes = len(self.names), len(self.classes)
        if self.logits.shape != (clips, classes) or self.labels.shape != (clips,):
            raise InputError(
                f"scores of {clips} clips and {classes} classes cannot have logits of shape {self.logits.shape} and labels of shape "
                f"{self.labels.shape}."
            )
        if clips and (self.labels.min() < 0 or self.labels.max() >= classes):
            raise InputError(f"labels are from 0 to {classes - 1}, not from {self.labels.min()} to {self.labels.max()}.")
        if damaged := np.flatnonzero(~np.isfinite(self.logits).all(axis=1)).tolist():
            raise InputError(
                f"the scores of {len(damaged)} clips are not finite ({self.names[damaged[0]]}, ...): their coordinates are too large, or "
                "the recognizer's training has diverged."
            )

    @property
    def subset_text(self) -> str:
        """The subset in words: `test set` or `fold 2/5 of the training set`."""
        return "test set" if self.subset == TEST else f"{self.subset} of the training set"


def difference_of(one: SavedScores, other: SavedScores) -> str:
    """Say why two scores are not of the same clips in the same order with the same classes; empty if they are."""
    if one.classes != other.classes:
        return f"the classes differ: {_first_difference(one.classes, other.classes)}"
    if one.names != other.names:
        if sorted(one.names) == sorted(other.names):
            return "the clips are the same, but in another order"
        return f"the clips differ: {_first_difference(one.names, other.names)}"
    if unlike := np.flatnonzero(one.labels != other.labels).tolist():
        first = unlike[0]
        labels = f"{one.classes[one.labels[first]]} and {one.classes[other.labels[first]]}"
        return f"the labels of {len(unlike)} clips differ; the first is {one.names[first]}: {labels}"
    return ""


def _first_difference(one: Sequence[str], other: Sequence[str]) -> str:
    if len(one) != len(other):
        return f"there are {len(one)} and {len(other)}"
    index = next(index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    return f"number {index + 1} is {one[index]} and {other[index]}"


def save_scores(scores: SavedScores, path: str | Path) -> None:
    """Write scores to a .npz file, atomically.

    Raises:
        FileError: The file could not be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        names=np.array(scores.names),
        labels=scores.labels,
        logits=scores.logits,
        classes=np.array(scores.classes),
        about=np.array([scores.modality, scores.dataset, scores.split, scores.subset]),
    )
    write_atomically(Path(path), buffer.getvalue())


def load_scores(path: str | Path) -> SavedScores:
    """Read scores that `save_scores` wrote.

    Raises:
        FileError: The file is missing, or is not a scores file.
    """
    try:
        arrays = load_arrays(Path(path), ("about", "names", "labels", "logits", "classes"))
        modality, dataset, split, *subset = map(str, arrays["about"])
        if arrays["logits"].dtype.kind != "f" or arrays["labels"].dtype.kind not in "iu":
            raise ValueError("logits must be floating-point and labels whole numbers")
        return SavedScores(
            names=tuple(map(str, arrays["names"])),
            labels=arrays["labels"],
            logits=arrays["logits"],
            classes=tuple(map(str, arrays["classes"])),
            modality=modality,
            dataset=dataset,
            split=split,
            subset=subset[0] if subset else TEST,  # the first files had none
        )
    except (PoseglotError, ValueError, TypeError) as error:
        if not Path(path).exists():
            raise FileError(f"{path} does not exist; `poseglot evaluate RUN` writes it.") from error
        raise FileError(f"{path} is not a scores file ({error}); write it again with `poseglot evaluate`.") from error
