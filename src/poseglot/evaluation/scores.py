"""Scores on disk: what a recognizer said of every clip of a test side; ensembles and comparisons are made of these."""

from __future__ import annotations

import io
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
    side: of the split: `test`, or a held-out fold of the training side (`fold 2/5`).
    """

    names: tuple[str, ...]
    labels: Labels
    logits: Scores
    classes: tuple[str, ...]
    stream: str
    dataset: str
    split: str
    side: str = TEST


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
        about=np.array([scores.stream, scores.dataset, scores.split, scores.side]),
    )
    write_atomically(path, buffer.getvalue())


def load_scores(path: Path) -> SavedScores:
    """Read what `save_scores` wrote.

    Raises:
        PoseglotError: not there, or not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stream, dataset, split, *side = map(str, arrays["about"])
            return SavedScores(
                names=tuple(map(str, arrays["names"])),
                labels=arrays["labels"],
                logits=arrays["logits"],
                classes=tuple(map(str, arrays["classes"])),
                stream=stream,
                dataset=dataset,
                split=split,
                side=side[0] if side else TEST,  # files of version 0.1.0 have none
            )
    except FileNotFoundError as error:
        raise PoseglotError(f"{path} does not exist; `poseglot evaluate RUN` writes it.") from error
    except Exception as error:  # numpy raises many kinds for a damaged file
        raise PoseglotError(
            f"{path} is not a scores file ({type(error).__name__}: {error}); write it again with `poseglot evaluate`."
        ) from error
