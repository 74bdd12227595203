"""Accuracy, always with its counts: n of N clips."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Correct = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Accuracy:
    """A number of correct clips out of a total."""

    correct: int
    total: int

    @property
    def percent(self) -> float:
        """The accuracy in percent; NaN without clips."""
        return 100 * self.correct / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy in percent, as if clips were independent (Wilson, 1927); NaN without clips."""
        if not self.total:
            return math.nan, math.nan
        share, weight = self.correct / self.total, 1.96**2 / self.total
        centre = (share + weight / 2) / (1 + weight)
        reach = math.sqrt(weight * share * (1 - share) + weight**2 / 4) / (1 + weight)
        return 100 * max(0.0, centre - reach), 100 * min(1.0, centre + reach)

    def __str__(self) -> str:
        return f"{self.correct}/{self.total} = {self.percent:.2f} %" if self.total else "no clips"


def correct(scores: Scores, labels: Labels, k: int = 1) -> Correct:
    """Tell of each clip whether its label is among the k highest scores.

    A tie counts as wrong: a label is among the k only if fewer than k other classes score at least as high. A score that is NaN never
    counts as correct.

    Args:
        scores: (N, classes).
        labels: (N,).

    Returns:
        (N,) booleans.
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    # "Not lower" rather than "at least as high", so that NaN counts as higher.
    others_as_high = (~(scores < own)).sum(axis=1) - 1
    among: Correct = others_as_high < k
    return among


def top_k(scores: Scores, labels: Labels, k: int) -> Accuracy:
    """Count the clips whose label is among the k highest scores; ties as in `correct`."""
    return Accuracy(int(correct(scores, labels, k).sum()), len(labels))


def per_class(scores: Scores, labels: Labels) -> list[Accuracy]:
    """Return the top-1 accuracy on the clips of each class."""
    found = correct(scores, labels)
    return [Accuracy(int(found[labels == label].sum()), int((labels == label).sum())) for label in range(scores.shape[1])]


def confusion(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """Return the (classes, classes) confusion matrix: rows are true classes, columns predicted ones."""
    matrix = np.zeros((scores.shape[1], scores.shape[1]), dtype=np.int64)
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    return matrix


def mean_and_deviation(accuracies: Sequence[Accuracy]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation of several runs' accuracies, in percent; a single run's deviation is NaN."""
    percents = [accuracy.percent for accuracy in accuracies]
    return statistics.mean(percents), statistics.stdev(percents) if len(percents) > 1 else math.nan
