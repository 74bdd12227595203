"""Metrics of action segmentation: segment-level F1, edit score, frame accuracy.

F1 and edit score are those of Lea et al., "Temporal Convolutional Networks for Action Segmentation and Detection" (CVPR 2017), as used
since MS-TCN (CVPR 2019). F1@k counts segments with the right action and enough overlap, and so penalises over-segmentation. The edit
score compares the order of the actions alone. Frame accuracy hardly changes with over-segmentation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.evaluation.metrics import Accuracy

FrameLabels = npt.NDArray[np.integer]
BACKGROUND = -1  # no action


@dataclass(frozen=True)
class Span:
    """An action in [start, end), in frames or in any other unit of time."""

    start: float
    end: float
    label: int


@dataclass(frozen=True)
class Matches:
    """Counts of found and missed segments. Those of several recordings add up."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Matches) -> Matches:
        return Matches(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def f1(self) -> float:
        """F1 in percent; NaN if there are no true and no found segments."""
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 200 * self.true_positives / total if total else math.nan


def spans(labels: FrameLabels) -> list[Span]:
    """Return the runs of equal frame labels (T,), in order and without those of `BACKGROUND`."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [
        Span(start, end, int(labels[start]))
        for start, end in itertools.pairwise(edges)
        if end > start and labels[start] != BACKGROUND
    ]


def matches(found: Sequence[Span], truth: Sequence[Span], overlap: float) -> Matches:
    """Match found segments with true ones.

    Found segments are taken in order. Each is compared with the true segment of its action with the largest intersection over union.
    It is a true positive if that is at least `overlap` and the true segment has no match yet; otherwise it is a false positive.

    Args:
        overlap: 0.1 for F1@10, and so on.
    """
    taken = [False] * len(truth)
    for span in found:
        shares = [_intersection_over_union(span, other) if span.label == other.label else 0.0 for other in truth]
        best = int(np.argmax(shares)) if shares else 0
        if shares and shares[best] >= overlap:
            taken[best] = True
    matched = sum(taken)
    return Matches(matched, len(found) - matched, len(truth) - matched)


def edit_score(found: Sequence[Span], truth: Sequence[Span]) -> float:
    """Return 100 (1 - d / n), d being the Levenshtein distance of the two action sequences and n the length of the longer.

    Only the order of the actions counts. The score of two empty sequences is 100.
    """
    ours, theirs = [span.label for span in found], [span.label for span in truth]
    row = list(range(len(theirs) + 1))  # one row of Levenshtein's table
    for number, label in enumerate(ours, start=1):
        before, row[0] = row[0], number
        for column, wanted in enumerate(theirs, start=1):
            before, row[column] = row[column], min(before + (label != wanted), row[column] + 1, row[column - 1] + 1)
    longer = max(len(ours), len(theirs))
    return 100 * (1 - row[-1] / longer) if longer else 100.0


def frame_accuracy(found: FrameLabels, truth: FrameLabels) -> Accuracy:
    """Count the frames (T,) with the true label, `BACKGROUND` included."""
    return Accuracy(int((found == truth).sum()), len(truth))


def _intersection_over_union(one: Span, other: Span) -> float:
    both = min(one.end, other.end) - max(one.start, other.start)
    return max(0.0, both) / (max(one.end, other.end) - min(one.start, other.start)) if both > 0 else 0.0
