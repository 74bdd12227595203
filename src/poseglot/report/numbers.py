"""The numbers of a report page: pure functions of arrays, each tested against a slow plain reference."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Confused:
    """A pair of classes: `count` of the `total` clips of class `true` were recognised as `recognised`."""

    true: int
    recognised: int
    count: int
    total: int


@dataclass(frozen=True)
class Similarity:
    """How close the clips of each class are to a text, at one level; NaN where there is nothing to average or compare.

    Attributes:
        own: mean cosine with the text of the own class.
        margin: how much higher that is than with the closest other class's text.
        rival: that other class; -1 if there is none.
    """

    own: tuple[float, ...]
    margin: tuple[float, ...]
    rival: tuple[int, ...]


@dataclass(frozen=True)
class Link:
    """What joint `to` takes from joint `source`."""

    to: int
    source: int
    strength: float


def probabilities(logits: Array) -> Array:
    """(N, classes) logits -> probabilities; a row with anything that is not a finite number becomes NaN."""
    rows = np.where(np.isfinite(logits).all(axis=1, keepdims=True), logits, np.nan).astype(np.float64)
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    result: Array = powers / powers.sum(axis=1, keepdims=True)
    return result


def mistakes(logits: Array, labels: npt.NDArray[np.integer]) -> list[int]:
    """The clips that were recognised as another class, those with the highest probability of it first, NaN last."""
    recognised = logits.argmax(axis=1)
    confidence = np.nan_to_num(probabilities(logits)[np.arange(len(labels)), recognised], nan=-1)
    wrong = np.flatnonzero(recognised != labels)
    return [int(place) for place in wrong[np.argsort(-confidence[wrong], kind="stable")]]


def worst_confusions(matrix: Matrix, limit: int) -> list[Confused]:
    """The most frequent pairs of different classes; among equals the larger share of the true class's clips first."""
    totals = matrix.sum(axis=1)
    pairs = [
        Confused(int(true), int(recognised), int(matrix[true, recognised]), int(totals[true]))
        for true, recognised in np.argwhere(matrix)
        if true != recognised
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, pair.total, pair.true, pair.recognised))[:limit]


def similarity(features: Array, labels: npt.NDArray[np.integer], texts: Array) -> Similarity:
    """Alignment features (N, width) of clips with these labels against the texts (classes, width) of one level."""
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
    """The strongest entries (row: taken by, column: taken from) between joints that no bone joins; a pair once, by its stronger way."""
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
    """Places of at most `most` clips of each class, evenly spaced among the class's own, ascending."""
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        chosen.append(own[np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int)])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)


def marked_differences(text: str, other: str) -> list[tuple[str, bool]]:
    """`text` in pieces, and of each whether it is a word that `other` does not have (however it is written, big or small)."""
    known = set(re.findall(r"[\w']+", other.lower()))
    pieces = [piece for piece in re.split(r"([\w']+)", text) if piece]
    return [(piece, bool(re.match(r"[\w']", piece)) and piece.lower() not in known) for piece in pieces]


def ticks(high: float, most: int = 5) -> list[float]:
    """Round values from 0 on, the last one not below `high`; at most `most` steps."""
    if not (math.isfinite(high) and high > 0):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(high / most))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if math.ceil(high / (factor * power) - 1e-9) <= most)
    return [round(step * number, 12) for number in range(math.ceil(high / step - 1e-9) + 1)]


def plain(value: Any, digits: int = 4) -> float | None:
    """A number for JSON: rounded; None for what is not a finite number."""
    return round(float(value), digits) if isinstance(value, (int, float)) and math.isfinite(value) else None
