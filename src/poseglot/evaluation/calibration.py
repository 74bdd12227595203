"""Calibration: how far probabilities agree with accuracy, and the temperature that improves them.

A recognizer is calibrated if it is right on a share p of the clips to which it gives the top probability p. Temperature scaling divides
all logits by one number. It changes no prediction and often removes most of the error (Guo et al., ICML 2017). The temperature
minimises the negative log-likelihood (NLL) of clips that were not trained on.

The expected calibration error (ECE) sorts clips into bins of equal width by their top probability. It is the mean over clips of their
bin's |accuracy - mean probability|. It depends on the number of bins (15, as in that paper), and with few clips it is above 0 even for
perfect probabilities. So it is reported with the value that perfect ones would have, and with two measures that need no bins: the NLL
and the Brier score.

A fitted temperature is only worth using if it is more than noise: `fit_by_group` tells its interval over people, and the NLL of people
who were not used to fit it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

from poseglot.errors import InputError
from poseglot.evaluation.metrics import Accuracy, Correct, Labels, Scores, correct

Array = npt.NDArray[np.float64]
BINS = 15
# A temperature at these limits means that the logits carry no information, or that no clip is wrong.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
_GRID = 400  # temperatures of the bootstrap, 1.5 % apart


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
        perfect_ece: The mean ECE of as many clips with these probabilities if they were perfect.
        nll: The mean negative log-likelihood of the true class, in nats.
        brier: The mean over clips of the squared distance between probabilities and the true class, from 0 to 2 (Brier 1950).
        bins: The bins that the ECE is computed from.
    """

    ece: float
    perfect_ece: float
    nll: float
    brier: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class GroupedFit:
    """A temperature with the evidence for it.

    Attributes:
        temperature: The one with the smallest negative log-likelihood on all clips.
        interval: Its 95 % interval over groups (bootstrap, percentiles).
        groups: The number of groups.
        unit: What the groups are, such as people.
        nll: The negative log-likelihood of clips (at temperature 1, at the temperature that was fitted on the other groups).
    """

    temperature: float
    interval: tuple[float, float]
    groups: int
    nll: tuple[float, float]
    unit: str = "people"

    @property
    def unsupported_reason(self) -> str:
        """Say why the temperature is not worth using; empty if it is."""
        low, high = self.interval
        if low <= 1 <= high:
            return f"its 95 % interval over {self.groups} {self.unit}, {low:.3f} to {high:.3f}, holds 1"
        before, after = self.nll
        if after >= before:
            return f"the NLL of {self.unit} that were not used to fit it rises from {before:.4f} to {after:.4f}"
        return ""


def negative_log_likelihood(logits: Scores, labels: Labels, temperature: float = 1.0) -> float:
    """Return the mean over clips of -log softmax(logits / temperature)[label], in nats."""
    logs = log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return float(-logs[np.arange(len(labels)), labels].mean())


def fit_by_group(
    logits: Scores, labels: Labels, groups: npt.ArrayLike, *, unit: str = "people", draws: int = 1000, seed: int = 0
) -> GroupedFit:
    """Fit the temperature, its interval over groups of clips, and the likelihood of groups that were left out.

    Clips of one person are alike, so people are drawn, not clips.

    Args:
        logits: (N, classes), N >= 1.
        labels: (N,).
        groups: (N,) the group of each clip, such as its person.
        unit: What the groups are.
        draws: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Raises:
        InputError: There are fewer than two groups.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"the interval of a temperature needs at least two {unit}; there is {len(names)}.")
    # The slope of the likelihood is a sum over clips, so that of any sample of groups is a weighted sum of theirs.
    grid = np.geomspace(1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE, _GRID)
    slopes = np.stack([np.bincount(group, _slope(logits, labels, b), len(names)) for b in grid], axis=1)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    low, high = np.percentile(_temperatures(drawn.astype(np.float64) @ slopes, grid), [2.5, 97.5])
    others = _temperatures((1 - np.eye(len(names))) @ slopes, grid)
    left_out = [
        negative_log_likelihood(logits[group == number], labels[group == number], fitted) * (group == number).mean()
        for number, fitted in enumerate(others)
    ]
    return GroupedFit(
        fit_temperature(logits, labels),
        (float(low), float(high)),
        len(names),
        (negative_log_likelihood(logits, labels), float(sum(left_out))),
        unit,
    )


def _slope(logits: Scores, labels: Labels, b: float) -> Array:
    """Return the slope of each clip's negative log-likelihood in b = 1 / temperature, (N,)."""
    z = np.asarray(logits, dtype=np.float64)
    slope: Array = (softmax(b * z, axis=1) * z).sum(axis=1) - z[np.arange(len(labels)), labels]
    return slope


def _temperatures(slopes: Array, grid: Array) -> Array:
    """Return the temperature of each row of slopes (R, G), at values of b that rise: where the slope crosses 0, by linear interpolation."""
    after = np.clip((slopes < 0).sum(axis=1), 1, len(grid) - 1)
    rows = np.arange(len(slopes))
    low, high = slopes[rows, after - 1], slopes[rows, after]
    share = np.clip(np.divide(-low, high - low, out=np.zeros_like(low), where=high > low), 0, 1)
    temperatures: Array = 1 / (grid[after - 1] + share * (grid[after] - grid[after - 1]))
    return temperatures


def fit_temperature(logits: Scores, labels: Labels) -> float:
    """Return the temperature with the smallest negative log-likelihood, from `MIN_TEMPERATURE` to `MAX_TEMPERATURE`.

    The likelihood is convex in b = 1 / temperature. Its slope is the mean of E[z] - z_label under softmax(b z) and never falls, so its
    zero is the minimum. If there is no zero in the range, the nearer limit is returned.

    Args:
        logits: (N, classes), N >= 1.
        labels: (N,).
    """

    def slope(b: float) -> float:
        return float(_slope(logits, labels, b).mean())

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
    probabilities = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    confidence, right = probabilities.max(axis=1), correct(logits, labels)
    bin_of = _bin_of(confidence, bins)
    table = []
    for number in range(bins):
        inside = bin_of == number
        accuracy = Accuracy(int(right[inside].sum()), int(inside.sum()))
        mean = float(confidence[inside].mean()) if accuracy.total else math.nan
        table.append(Bin(number / bins, (number + 1) / bins, mean, accuracy))
    truth = np.arange(probabilities.shape[1]) == np.asarray(labels)[:, None]
    return Reliability(
        ece=float(_ece(confidence, right[None], bin_of, bins)[0]),
        perfect_ece=_perfect_ece(confidence, bin_of, bins),
        nll=negative_log_likelihood(logits, labels, temperature),
        brier=float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        bins=tuple(table),
    )


def _bin_of(confidence: Array, bins: int) -> npt.NDArray[np.int64]:
    """Return the bin of each clip. A bin is (low, high], so that a probability of exactly 1 is in the last one."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _ece(confidence: Array, right: npt.NDArray[np.bool_], bin_of: npt.NDArray[np.int64], bins: int) -> Array:
    """Return the ECE of each row of `right` (R, N)."""
    inside = np.eye(bins)[bin_of]  # (N, bins)
    errors: Array = np.abs((right - confidence) @ inside).sum(axis=1) / len(confidence)
    return errors


def _perfect_ece(confidence: Array, bin_of: npt.NDArray[np.int64], bins: int, draws: int = 500) -> float:
    """Return the mean ECE if each clip were correct with exactly its probability, over simulated clips of a fixed seed."""
    right = np.random.default_rng(0).random((draws, len(confidence))) < confidence
    return float(_ece(confidence, right, bin_of, bins).mean())


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
