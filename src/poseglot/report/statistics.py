"""Statistics of a report page: pure functions of arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

Array = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Confused:
    """A pair of classes: `count` of the `total` clips of class `true` were predicted as `predicted`."""

    true: int
    predicted: int
    count: int
    total: int


@dataclass(frozen=True)
class Similarity:
    """The cosines of each class's clips with the class texts of one level; NaN where there are no clips or no other class.

    Attributes:
        own: The mean cosine with the text of the own class.
        margin: How much higher it is than the mean cosine with the closest other class's text.
        rival: That other class; -1 if there is none.
    """

    own: tuple[float, ...]
    margin: tuple[float, ...]
    rival: tuple[int, ...]


@dataclass(frozen=True)
class Link:
    """An entry of a topology: the weight with which joint `to` takes features from joint `source`."""

    to: int
    source: int
    strength: float


def probabilities(logits: Array) -> Array:
    """Return the softmax of (N, classes) logits; a row with a value that is not finite becomes NaN."""
    rows = np.where(np.isfinite(logits).all(axis=1, keepdims=True), logits, np.nan).astype(np.float64)
    result: Array = softmax(rows, axis=1)
    return result


def mistakes(logits: Array, labels: npt.NDArray[np.integer]) -> list[int]:
    """Return the clips with a wrong prediction, the most probable first, NaN last."""
    predicted = logits.argmax(axis=1)
    confidence = np.nan_to_num(probabilities(logits)[np.arange(len(labels)), predicted], nan=-1)
    wrong = np.flatnonzero(predicted != labels)
    return [int(clip) for clip in wrong[np.argsort(-confidence[wrong], kind="stable")]]


def worst_confusions(matrix: Matrix, limit: int) -> list[Confused]:
    """Return the most frequent confusions; ties go to the larger share of the true class's clips."""
    totals = matrix.sum(axis=1)
    pairs = [
        Confused(int(true), int(predicted), int(matrix[true, predicted]), int(totals[true]))
        for true, predicted in np.argwhere(matrix)
        if true != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, pair.total, pair.true, pair.predicted))[:limit]


def similarity(features: Array, labels: npt.NDArray[np.integer], texts: Array) -> Similarity:
    """Compare the alignment features (N, width) of labelled clips with the text features (classes, width) of one level."""
    cosines = _unit(features) @ _unit(texts).T
    own, margin, rival = [], [], []
    for label in range(len(texts)):
        mean = cosines[labels == label].mean(axis=0) if (labels == label).any() else np.full(len(texts), np.nan)
        others = np.where(np.isnan(mean), -np.inf, mean)
        others[label] = -np.inf
        closest = int(others.argmax())
        compared = bool(np.isfinite(others[closest]))
        own.append(float(mean[label]))
        margin.append(float(mean[label] - mean[closest]) if compared else math.nan)
        rival.append(closest if compared else -1)
    return Similarity(tuple(own), tuple(margin), tuple(rival))


def _unit(rows: Array) -> Array:
    rows = rows.astype(np.float64)
    result: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return result


def strongest_links(topology: Array, bones: Collection[tuple[int, int]], limit: int) -> list[Link]:
    """Return the strongest entries between joints without a common bone; of each pair only the stronger direction.

    Args:
        topology: (V, V), row: the joint that takes, column: the joint that it takes from.
    """
    joined = {frozenset(bone) for bone in bones}
    links = []
    for one in range(len(topology)):
        for other in range(one):
            ways = [Link(one, other, float(topology[one, other])), Link(other, one, float(topology[other, one]))]
            known = [link for link in ways if math.isfinite(link.strength) and link.strength]
            if known and frozenset((one, other)) not in joined:
                links.append(max(known, key=lambda link: abs(link.strength)))
    return sorted(links, key=lambda link: (-abs(link.strength), link.to, link.source))[:limit]


def spread(labels: npt.NDArray[np.integer], most: int) -> npt.NDArray[np.int64]:
    """Return the indices of at most `most` evenly spaced clips of each class, in ascending order."""
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        chosen.append(own[np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int)])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)


def marked_differences(text: str, other: str) -> list[tuple[str, bool]]:
    """Split a text into pieces and mark the words that `other` does not contain, ignoring case."""
    known = set(re.findall(r"[\w']+", other.lower()))
    pieces = [piece for piece in re.split(r"([\w']+)", text) if piece]
    return [(piece, bool(re.match(r"[\w']", piece)) and piece.lower() not in known) for piece in pieces]


def ticks(high: float, most: int = 5) -> list[float]:
    """Return round axis values from 0 to at least `high`, in at most `most` steps."""
    if not (math.isfinite(high) and high > 0):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(high / most))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if math.ceil(high / (factor * power) - 1e-9) <= most)
    return [round(step * number, 12) for number in range(math.ceil(high / step - 1e-9) + 1)]


def plain(value: Any, digits: int = 4) -> float | None:
    """Round a number for JSON; return None for what is not a finite number."""
    return round(float(value), digits) if isinstance(value, (int, float)) and math.isfinite(value) else None
