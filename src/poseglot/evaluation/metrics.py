"""Accuracy, always as counts first: n of N."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Accuracy:
    """n of N clips."""

    correct: int
    total: int

    @property
    def percent(self) -> float:
        """NaN of no clips."""
        return 100 * self.correct / self.total if self.total else math.nan

    def __str__(self) -> str:
        return f"{self.correct}/{self.total} = {self.percent:.2f} %" if self.total else "no clips"


def correct(scores: Scores, labels: Labels, k: int = 1) -> Hits:
    """Of each clip, whether its label is among the k highest scores: (N,).

    Ties count against the model: a label is among the k only if fewer than k classes score at least as high.

    Args:
        scores: (N, classes). labels: (N,).
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    # "Not lower" rather than "at least as high": a score that is not a number never counts as correct.
    others_as_high = (~(scores < own)).sum(axis=1) - 1
    among: Hits = others_as_high < k
    return among


def top_k(scores: Scores, labels: Labels, k: int) -> Accuracy:
    """Clips whose label is among the k highest scores, as `hits` has it."""
    return Accuracy(int(correct(scores, labels, k).sum()), len(labels))


def per_class(scores: Scores, labels: Labels) -> list[Accuracy]:
    """Top-1 of each class's clips."""
    return [
        top_k(scores[labels == label], labels[labels == label], 1) if (labels == label).any() else Accuracy(0, 0)
        for label in range(scores.shape[1])
    ]


def confusion(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """(classes, classes) counts: rows are the true class, columns the recognised one."""
    matrix = np.zeros((scores.shape[1], scores.shape[1]), dtype=np.int64)
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    return matrix
