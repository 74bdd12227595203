"""Calibration: whether a probability means what it says, and the temperature that makes it.

A recognizer is calibrated if, of the clips that it is p sure of, the share p is right. Dividing all logits by one number, the temperature,
changes no answer and often repairs most of it (Guo et al., ICML 2017). It is fitted by the likelihood of clips that were not learned from.

The expected calibration error (ECE) puts clips into equal-width bins of the top probability and is the mean, over clips, of each bin's
|accuracy - mean probability|. Its value depends on the number of bins (15 here, as in that paper), and for few clips it is biased
upwards: beside it stands the negative log-likelihood, which needs no bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.evaluation.metrics import Accuracy, Hits, Labels, Scores, correct

Array = npt.NDArray[np.float64]
BINS = 15
# Temperatures beyond these say that the logits are without meaning, or the clips without mistakes.
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """Clips whose top probability is in (low, high]: how many, their mean top probability, and how many are right."""

    low: float
    high: float
    confidence: float
    count: Accuracy


@dataclass(frozen=True)
class Reliability:
    """What probabilities at some temperature are worth.

    Attributes:
        ece: expected calibration error, 0..1. nll: mean negative log-likelihood of the true class, in nats.
        bins: the table it is from; an empty bin has confidence NaN.
    """

    ece: float
    nll: float
    bins: tuple[Bin, ...]


def log_probabilities(logits: Scores, temperature: float = 1.0) -> Array:
    """(N, classes) -> log softmax of logits / temperature, in double precision."""
    from scipy.special import log_softmax

    result: Array = log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return result


def negative_log_likelihood(logits: Scores, labels: Labels, temperature: float = 1.0) -> float:
    """The mean over clips, in nats."""
    return float(-log_probabilities(logits, temperature)[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: Scores, labels: Labels) -> float:
    """The temperature with the smallest negative log-likelihood, between `COLDEST` and `HOTTEST`.

    In b = 1 / temperature the likelihood is convex, and its slope, the mean of E[z] - z_label under softmax(b z), can only rise. Its
    zero is found between the ends of the range, or lies beyond the end that is returned.

    Args:
        logits: (N, classes), N >= 1. labels: (N,).
    """
    from scipy.optimize import brentq

    z = np.asarray(logits, dtype=np.float64)
    own = z[np.arange(len(labels)), labels]

    def slope(b: float) -> float:
        probabilities = np.exp(log_probabilities(z, 1 / b))
        return float(((probabilities * z).sum(axis=1) - own).mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return 1 / float(brentq(slope, low, high, xtol=1e-13))


def reliability(logits: Scores, labels: Labels, temperature: float = 1.0, *, bins: int = BINS) -> Reliability:
    """What probabilities at a temperature are worth.

    Args:
        logits: (N, classes), N >= 1. labels: (N,). bins: of equal width.
    """
    confidence, right = confidences(logits, temperature), correct(logits, labels)
    # (low, high]: a probability of exactly 1 is in the last bin.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    table, error = [], 0.0
    for number in range(bins):
        inside = place == number
        count = Accuracy(int(right[inside].sum()), int(inside.sum()))
        mean = float(confidence[inside].mean()) if count.total else math.nan
        table.append(Bin(number / bins, (number + 1) / bins, mean, count))
        if count.total:
            error += count.total / len(labels) * abs(count.correct / count.total - mean)
    return Reliability(error, negative_log_likelihood(logits, labels, temperature), tuple(table))


def confidences(logits: Scores, temperature: float = 1.0) -> Array:
    """(N,) the top probability of each clip."""
    top: Array = np.exp(log_probabilities(logits, temperature).max(axis=1))
    return top


def coverage(confidence: Array, right: Hits, below: float) -> tuple[Accuracy, Accuracy]:
    """When every clip whose top probability is below a threshold is answered "unknown": how many of all are answered, and how many of
    those rightly."""
    sure = confidence >= below
    return Accuracy(int(sure.sum()), len(sure)), Accuracy(int(right[sure].sum()), int(sure.sum()))
