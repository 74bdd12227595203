"""Is one recognizer better than another, or is it noise? Both are looked at on the same clips, A first and B second; every
difference is B minus A.

McNemar's test (1947) in its exact form; the bootstrap over clips and runs is Owen's "pigeonhole bootstrap" (2007), its interval
Efron's percentiles; classes beyond some points are figure 6 of the GAP paper.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.evaluation.metrics import Accuracy, Hits, Labels


@dataclass(frozen=True)
class McNemar:
    """Clips that only one of two runs got right, and how probable a split at least as uneven is if neither is better."""

    only_a: int
    only_b: int
    p: float

    def __str__(self) -> str:
        p = f"p = {self.p:.2g}" if self.p else "p < 1e-300"  # smaller than a float can be
        return f"{self.only_a} clips only A has right, {self.only_b} only B; {p}"


def mcnemar(correct_a: Hits, correct_b: Hits) -> McNemar:
    """Test by the exact two-sided binomial test, on the clips that exactly one of two runs got right.

    Args:
        correct_a, correct_b: (N,) of the same clips.
    """
    from scipy.stats import binomtest

    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    clips = only_a + only_b
    return McNemar(only_a, only_b, float(binomtest(only_a, clips).pvalue) if clips else 1.0)


@dataclass(frozen=True)
class Difference:
    """Accuracy of B minus that of A, in percentage points.

    Attributes:
        points: mean over the runs of B minus mean over the runs of A.
        low, high: the 95 % interval of `paired_difference`.
        wins, pairings: in how many pairings of a run of A with one of B (those of one seed, or else all) B has more clips right.
        runs_a, runs_b: how many runs a side. paired_runs: whether they correspond.
        resamples: the bootstrap's.
    """

    points: float
    low: float
    high: float
    wins: int
    pairings: int
    runs_a: int
    runs_b: int
    paired_runs: bool
    resamples: int


def paired_difference(
    correct_a: Hits, correct_b: Hits, *, paired_runs: bool, seed: int = 0, resamples: int = 10_000
) -> Difference:
    """The difference of two mean accuracies with its 95 % percentile bootstrap interval.

    Clips are resampled, the same ones for every run; and where a side has several runs, these too.

    The interval covers which clips happened to be in the test set and, with several runs, how these vary with their seeds. Few
    seeds say little about that: simulated with seeds that matter four times as much as which clips there are, the intervals of three
    runs a side held the truth in 84 to 90 % of cases, those of two in 72 to 76 %; with seeds that do not matter, over 95 %.
    It does not cover: seeds, when a side has one run - then it speaks of these two runs, not of two ways to train; other people,
    cameras or data sets - clips of one person resemble each other and are resampled as if they did not, so the interval is too
    narrow for "new people"; and choices made by looking at these clips.

    Swapping A and B mirrors the interval exactly where the runs are paired or one a side.

    Args:
        correct_a, correct_b: (runs, N), or (N,) for a single run.
        paired_runs: run i of A and run i of B have the same seed; they are then drawn together.
    """
    a, b = np.atleast_2d(correct_a), np.atleast_2d(correct_b)
    (runs_a, clips), runs_b = a.shape, len(b)
    assert b.shape[1] == clips > 0
    assert runs_a == runs_b or not paired_runs
    # Clips that all runs treat alike are interchangeable: it is enough to draw how many of each kind there are. The kinds stand in
    # the order of their first clips, which does not depend on which side is A.
    kinds, first, sizes = np.unique(np.concatenate([a, b]), axis=1, return_index=True, return_counts=True)
    order = np.argsort(first)
    kinds, shares = kinds[:, order].astype(np.float64), sizes[order] / clips
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    block = max(1, 1_000_000 // len(shares))  # some megabytes at a time
    for start in range(0, resamples, block):
        drawn = differences[start : start + block]
        correct = generator.multinomial(clips, shares, size=len(drawn)) @ kinds.T
        times_a = _drawn_runs(generator, runs_a, len(drawn))
        times_b = times_a if paired_runs else _drawn_runs(generator, runs_b, len(drawn))
        of_a = (times_a * correct[:, :runs_a]).sum(axis=1) / times_a.sum(axis=1) / clips
        drawn[:] = (times_b * correct[:, runs_a:]).sum(axis=1) / times_b.sum(axis=1) / clips - of_a
    low, high = 100 * np.percentile(differences, [2.5, 97.5])
    totals_a, totals_b = a.sum(axis=1), b.sum(axis=1)
    better = totals_b > totals_a if paired_runs else totals_b[None] > totals_a[:, None]
    points = 100 * (b.sum() / (runs_b * clips) - a.sum() / (runs_a * clips))
    return Difference(
        float(points), float(low), float(high), int(better.sum()), better.size, runs_a, runs_b, paired_runs, resamples
    )


def _drawn_runs(generator: np.random.Generator, runs: int, resamples: int) -> npt.NDArray[np.int64]:
    """How many times each run is drawn: (resamples, runs).

    One fewer than there are: the mean of S out of S varies less than it should, by (S - 1) / S, which is much where S is 2 or 3
    (Rao and Wu 1988).
    """
    return generator.multinomial(max(1, runs - 1), np.full(runs, 1 / runs), size=resamples)


def verdict(difference: Difference) -> str:
    """In words: which side is better, if the interval leaves only one answer.

    A single run a side says something about these runs only: another seed of the same recipe may well fall on the other side.
    """
    if difference.low <= 0 <= difference.high:
        return "no difference seen"
    better = "B is better" if difference.low > 0 else "A is better"
    if difference.runs_a == 1 or difference.runs_b == 1:
        return f"{better} on these clips, as far as these runs go (a single run says nothing about other seeds)"
    return better


@dataclass(frozen=True)
class ClassDifference:
    """One class; clips are counted once per run."""

    name: str
    a: Accuracy
    b: Accuracy

    @property
    def points(self) -> float:
        """Accuracy of B minus that of A; NaN of a class without clips."""
        if not self.a.total:
            return math.nan
        # A single rounding, so that 4 points are 4 and not a little more.
        return 100 * (self.b.correct * self.a.total - self.a.correct * self.b.total) / (self.a.total * self.b.total)


def class_differences(correct_a: Hits, correct_b: Hits, labels: Labels, classes: Sequence[str]) -> list[ClassDifference]:
    """Every class with its clips' counts over all runs of each side, in the order of `classes`.

    Args:
        correct_a, correct_b: (runs, N), or (N,) for a single run. labels: (N,).
    """
    a, b = np.atleast_2d(correct_a), np.atleast_2d(correct_b)
    differences = []
    for label, name in enumerate(classes):
        of_a, of_b = a[:, labels == label], b[:, labels == label]
        differences.append(ClassDifference(name, Accuracy(int(of_a.sum()), of_a.size), Accuracy(int(of_b.sum()), of_b.size)))
    return differences


def beyond(differences: Sequence[ClassDifference], points: float = 4) -> list[ClassDifference]:
    """Classes that differ by more than `points` either way, the largest gain of B first."""
    return sorted((each for each in differences if abs(each.points) > points), key=lambda each: (-each.points, each.name))


def mean_and_deviation(counts: Sequence[Accuracy]) -> tuple[float, float]:
    """Of several runs' accuracies in percent: mean, and standard deviation between runs (with n - 1; NaN of a single run)."""
    percents = [count.percent for count in counts]
    return statistics.mean(percents), statistics.stdev(percents) if len(percents) > 1 else math.nan
