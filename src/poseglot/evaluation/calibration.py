"""Calibration: how far probabilities agree with accuracy, and the temperature that improves them.

A recognizer is calibrated if it is right on a share p of the clips to which it gives the top probability p. Temperature scaling divides
all logits by one number. It changes no prediction and often removes most of the error (Guo et al., ICML 2017). The temperature
minimises the negative log-likelihood (NLL) of clips that were not trained on.

The expected calibration error (ECE) sorts clips into bins of equal width by their top probability. It is the mean over clips of their
bin's |accuracy - mean probability|. It depends on the number of bins (15, as in that paper) and is biased upwards for few clips. The
NLL, which needs no bins, is reported beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

from poseglot.evaluation.metrics import Accuracy, Correct, Labels, Scores, correct

Array = npt.NDArray[np.float64]
BINS = 15
# A temperature at these limits means that the logits carry no information, or that no clip is wrong.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """The clips whose top probability is in (low, high].

    Attributes:
        confidence: Their mean top probability; NaN without clips.
        accuracy: How many of them are correct.
    """

    low: float
    high: float
    confidence: float
    accuracy: Accuracy


@dataclass(frozen=True)
class Reliability:
    """The quality of the probabilities at a temperature.

    Attributes:
        ece: The expected calibration error, from 0 to 1.
        nll: The mean negative log-likelihood of the true class, in nats.
        bins: The bins that the ECE is computed from.
    """

    ece: float
    nll: float
    bins: tuple[Bin, ...]


def negative_log_likelihood(logits: Scores, labels: Labels, temperature: float = 1.0) -> float:
    """Return the mean over clips of -log softmax(logits / temperature)[label], in nats."""
    logs = log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return float(-logs[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: Scores, labels: Labels) -> float:
    """Return the temperature with the smallest negative log-likelihood, from `MIN_TEMPERATURE` to `MAX_TEMPERATURE`.

    The likelihood is convex in b = 1 / temperature. Its slope is the mean of E[z] - z_label under softmax(b z) and never falls, so its
    zero is the minimum. If there is no zero in the range, the nearer limit is returned.

    Args:
        logits: (N, classes), N >= 1.
        labels: (N,).
    """
    z = np.asarray(logits, dtype=np.float64)
    own = z[np.arange(len(labels)), labels]

    def slope(b: float) -> float:
        return float(((softmax(b * z, axis=1) * z).sum(axis=1) - own).mean())

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if slope(low) >= 0:
        return MAX_TEMPERATURE
    if slope(high) <= 0:
        return MIN_TEMPERATURE
    return 1 / float(brentq(slope, low, high, xtol=1e-13, rtol=1e-13))


def reliability(logits: Scores, labels: Labels, temperature: float = 1.0, *, bins: int = BINS) -> Reliability:
    """Measure the probabilities at a temperature.

    Args:
        logits: (N, classes), N >= 1.
        labels: (N,).
        bins: The number of bins of equal width.
    """
    confidence, right = confidences(logits, temperature), correct(logits, labels)
    # A bin is (low, high], so that a probability of exactly 1 is in the last one.
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    table, error = [], 0.0
    for number in range(bins):
        inside = bin_of == number
        accuracy = Accuracy(int(right[inside].sum()), int(inside.sum()))
        mean = float(confidence[inside].mean()) if accuracy.total else math.nan
        table.append(Bin(number / bins, (number + 1) / bins, mean, accuracy))
        if accuracy.total:
            error += accuracy.total / len(labels) * abs(accuracy.correct / accuracy.total - mean)
    return Reliability(error, negative_log_likelihood(logits, labels, temperature), tuple(table))


def confidences(logits: Scores, temperature: float = 1.0) -> Array:
    """Return the top probability of each clip, (N,)."""
    top: Array = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1).max(axis=1)
    return top


def coverage(confidence: Array, right: Correct, threshold: float) -> tuple[Accuracy, Accuracy]:
    """Count answered clips when those with a top probability below a threshold are answered "unknown".

    Args:
        confidence: (N,) top probabilities.
        right: (N,) whether each clip is correct.

    Returns:
        The answered clips out of all, and the correct ones out of the answered.
    """
    answered = confidence >= threshold
    return Accuracy(int(answered.sum()), len(answered)), Accuracy(int(right[answered].sum()), int(answered.sum()))
