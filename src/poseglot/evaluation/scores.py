"""Scores on disk: what a recognizer said of every clip of a test set; ensembles and comparisons are made of these."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseglot.errors import PoseglotError
from poseglot.evaluation.metrics import Labels, Scores
from poseglot.files import write_atomically

TEST = "test"


@dataclass(frozen=True, eq=False)
class SavedScores:
    """Attributes:
    names: of the clips (N). labels: (N,). logits: (N, classes).
    classes: their names. stream: that was looked at. dataset, split: where the clips are from.
    side: of the split: `test`, or a held-out fold of the training set (`fold 2/5`).
    """

    names: tuple[str, ...]
    labels: Labels
    logits: Scores
    classes: tuple[str, ...]
    modality: str
    dataset: str
    split: str
    subset: str = TEST


def what_differs(one: SavedScores, other: SavedScores) -> str:
    """In words, why two files are not about the same clips in the same order with the same classes; empty if they are."""
    if one.classes != other.classes:
        return f"the classes differ: {_first_difference(one.classes, other.classes)}"
    if one.names != other.names:
        if sorted(one.names) == sorted(other.names):
            return "the clips are the same, but in another order"
        return f"the clips differ: {_first_difference(one.names, other.names)}"
    if unlike := np.flatnonzero(one.labels != other.labels).tolist():
        first = unlike[0]
        labels = f"{one.classes[one.labels[first]]} and {one.classes[other.labels[first]]}"
        return f"the labels of {len(unlike)} clips differ, first that of {one.names[first]}: {labels}"
    return ""


def _first_difference(one: Sequence[str], other: Sequence[str]) -> str:
    if len(one) != len(other):
        return f"{len(one)} and {len(other)} of them"
    place = next(place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    return f"number {place + 1} is {one[place]} and {other[place]}"


def save_scores(scores: SavedScores, path: Path) -> None:
    """Write a .npz file, atomically.

    Raises:
        PoseglotError: the disk refused.
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
    write_atomically(path, buffer.getvalue())


def load_scores(path: Path) -> SavedScores:
    """Read what `save_scores` wrote.

    Raises:
        PoseglotError: not there, or not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            modality, dataset, split, *subset = map(str, arrays["about"])
            return SavedScores(
                names=tuple(map(str, arrays["names"])),
                labels=arrays["labels"],
                logits=arrays["logits"],
                classes=tuple(map(str, arrays["classes"])),
                modality=modality,
                dataset=dataset,
                split=split,
                subset=subset[0] if subset else TEST,  # files of version 0.1.0 have none
            )
    except FileNotFoundError as error:
        raise PoseglotError(f"{path} does not exist; `poseglot evaluate RUN` writes it.") from error
    except Exception as error:  # numpy raises many kinds for a damaged file
        raise PoseglotError(
            f"{path} is not a scores file ({type(error).__name__}: {error}); write it again with `poseglot evaluate`."
        ) from error
