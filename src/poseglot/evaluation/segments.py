"""How well a recording was cut into actions: the measures of the action segmentation field.

Segment-level F1 and edit score are those of Lea et al., "Temporal Convolutional Networks for Action Segmentation and Detection" (CVPR
2017), as the field uses them since MS-TCN (CVPR 2019): F1@k says whether the right actions were found about where they are, and punishes
what is cut to pieces; the edit score says whether they came in the right order, wherever they are; frame accuracy hardly notices pieces.
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
    """An action from `start` until before `end`, in frames or in any other unit of time."""

    start: float
    end: float
    label: int


@dataclass(frozen=True)
class Matches:
    """Found segments that are right, found ones that are not, and true ones that were not found. Those of several recordings add up."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: Matches) -> Matches:
        return Matches(self.right + other.right, self.wrong + other.wrong, self.missed + other.missed)

    @property
    def f1(self) -> float:
        """In percent; NaN where nothing was to be found and nothing was."""
        total = 2 * self.right + self.wrong + self.missed
        return 200 * self.right / total if total else math.nan


def spans(labels: FrameLabels) -> list[Span]:
    """Frames of one label that stand together, in order; those of `BACKGROUND` are none.

    Args:
        labels: (T,) of each frame.
    """
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [
        Span(start, end, int(labels[start]))
        for start, end in itertools.pairwise(edges)
        if end > start and labels[start] != BACKGROUND
    ]


def matches(found: Sequence[Span], truth: Sequence[Span], overlap: float) -> Matches:
    """Which segments were found.

    Found segments are taken in their order. Each looks at the true one of its action that it overlaps most, by intersection over union,
    and is right if that is at least `overlap` and no other has been right by it before; else it is wrong.

    Args:
        overlap: 0.1 for F1@10, and so on.
    """
    taken = [False] * len(truth)
    right = 0
    for span in found:
        shares = [_shared(span, other) if span.label == other.label else 0.0 for other in truth]
        best = int(np.argmax(shares)) if shares else 0
        if shares and shares[best] >= overlap and not taken[best]:
            taken[best] = True
            right += 1
    return Matches(right, len(found) - right, len(truth) - right)


def edit_score(found: Sequence[Span], truth: Sequence[Span]) -> float:
    """100 (1 - d / n): how many actions must be put in, left out or exchanged to make the one sequence the other, by the longer's length.

    It asks for the order alone. Of two empty ones it is 100.
    """
    ours, theirs = [span.label for span in found], [span.label for span in truth]
    row = list(range(len(theirs) + 1))  # Levenshtein's table, a row at a time
    for place, label in enumerate(ours, start=1):
        before, row[0] = row[0], place
        for other, wanted in enumerate(theirs, start=1):
            before, row[other] = row[other], min(before + (label != wanted), row[other] + 1, row[other - 1] + 1)
    longer = max(len(ours), len(theirs))
    return 100 * (1 - row[-1] / longer) if longer else 100.0


def frame_accuracy(found: FrameLabels, truth: FrameLabels) -> Accuracy:
    """Frames (T,) with the true label, `BACKGROUND` among them."""
    return Accuracy(int((found == truth).sum()), len(truth))


def _shared(one: Span, other: Span) -> float:
    """Intersection over union."""
    both = min(one.end, other.end) - max(one.start, other.start)
    return max(0.0, both) / (max(one.end, other.end) - min(one.start, other.start)) if both > 0 else 0.0
