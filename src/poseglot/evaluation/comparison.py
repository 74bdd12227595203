"""Comparisons: test whether the difference between two recognizers is significant.

Both are evaluated on the same clips, A first and B second. Every difference is B minus A.

Sources: McNemar's test (1947) in its exact form; Owen's "pigeonhole bootstrap" (2007) over clips and runs with Efron's percentile
interval; classes beyond a minimum difference as in figure 6 of the GAP paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from poseglot.errors import InputError
from poseglot.evaluation.metrics import Accuracy, Correct, Labels, correct, mean_and_deviation
from poseglot.evaluation.scores import SavedScores, difference_of


@dataclass(frozen=True)
class McNemar:
    """The result of McNemar's test.

    Attributes:
        only_a, only_b: The clips that only A, or only B, has right.
        p: The probability of a split at least as uneven if neither is better.
    """

    only_a: int
    only_b: int
    p: float

    def __str__(self) -> str:
        p = f"p = {self.p:.2g}" if self.p else "p < 1e-300"  # smaller than a float can be
        return f"{self.only_a} clips only A has right, {self.only_b} only B; {p}"


def mcnemar(correct_a: Correct, correct_b: Correct) -> McNemar:
    """Run the exact two-sided binomial test on the clips that exactly one of two runs has right.

    Args:
        correct_a, correct_b: (N,) of the same clips.
    """
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    return McNemar(only_a, only_b, min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5))))


@dataclass(frozen=True)
class Difference:
    """The accuracy of B minus that of A, in percentage points.

    Attributes:
        points: The mean over the runs of B minus the mean over the runs of A.
        low, high: The 95 % interval of `paired_difference`.
        wins, pairings: In how many pairings of a run of A with a run of B the run of B has more clips right. Pairings are the runs of
            one seed, or else all combinations.
        runs_a, runs_b: The number of runs of each side.
        paired_runs: Whether run i of A and run i of B have the same seed.
        resamples: The number of bootstrap resamples.
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

    @property
    def verdict(self) -> str:
        """Which side is better, if the interval excludes 0.

        A single run on a side says nothing about other seeds of its recipe, and the verdict says so.
        """
        if self.low <= 0 <= self.high:
            return "no difference seen"
        better = "B is better" if self.low > 0 else "A is better"
        if 1 in (self.runs_a, self.runs_b):
            return f"{better} on these clips, as far as these runs go (a single run says nothing about other seeds)"
        return better


def paired_difference(
    correct_a: Correct, correct_b: Correct, *, paired_runs: bool, seed: int = 0, resamples: int = 10_000
) -> Difference:
    """Return the difference of two mean accuracies with its 95 % percentile bootstrap interval.

    Clips are resampled, the same ones for every run. If a side has several runs, these are resampled too.

    The interval covers the choice of the test clips and, with several runs, the variation between seeds. Few seeds give too narrow an
    interval. In simulations with seeds that matter four times as much as the choice of clips, the interval contained the truth in 84 to
    90 % of cases with three runs a side, and in 72 to 76 % with two. With seeds that do not matter it was over 95 %.

    The interval does not cover:
    - seeds, if a side has one run: it then speaks of these two runs, not of two ways to train;
    - other people, cameras or data sets: clips of one person are alike but are resampled as if independent, so the interval is too
      narrow for new people;
    - choices that were made by looking at these clips.

    Swapping A and B mirrors the interval exactly if the runs are paired or one a side.

    Args:
        correct_a, correct_b: (runs, N), or (N,) for a single run.
        paired_runs: Whether run i of A and run i of B have the same seed; they are then drawn together.
    """
    a, b = np.atleast_2d(correct_a), np.atleast_2d(correct_b)
    (runs_a, clips), runs_b = a.shape, len(b)
    assert b.shape[1] == clips > 0
    assert runs_a == runs_b or not paired_runs
    # Clips with the same results in all runs are interchangeable, so only the number of each kind is drawn. Kinds are in the order of
    # their first clips, which does not depend on which side is A.
    kinds, first, sizes = np.unique(np.concatenate([a, b]), axis=1, return_index=True, return_counts=True)
    order = np.argsort(first)
    kinds, shares = kinds[:, order].astype(np.float64), sizes[order] / clips
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    block = max(1, 1_000_000 // len(shares))  # some megabytes at a time
    for start in range(0, resamples, block):
        drawn = differences[start : start + block]
        totals = generator.multinomial(clips, shares, size=len(drawn)) @ kinds.T
        times_a = _drawn_runs(generator, runs_a, len(drawn))
        times_b = times_a if paired_runs else _drawn_runs(generator, runs_b, len(drawn))
        of_a = (times_a * totals[:, :runs_a]).sum(axis=1) / times_a.sum(axis=1) / clips
        drawn[:] = (times_b * totals[:, runs_a:]).sum(axis=1) / times_b.sum(axis=1) / clips - of_a
    low, high = 100 * np.percentile(differences, [2.5, 97.5])
    totals_a, totals_b = a.sum(axis=1), b.sum(axis=1)
    better = totals_b > totals_a if paired_runs else totals_b[None] > totals_a[:, None]
    points = 100 * (b.sum() / (runs_b * clips) - a.sum() / (runs_a * clips))
    return Difference(
        float(points), float(low), float(high), int(better.sum()), better.size, runs_a, runs_b, paired_runs, resamples
    )


def _drawn_runs(generator: np.random.Generator, runs: int, resamples: int) -> npt.NDArray[np.int64]:
    """Draw how often each run counts, (resamples, runs).

    One run fewer than there are is drawn: the mean of S out of S varies too little, by (S - 1) / S (Rao and Wu 1988).
    """
    return generator.multinomial(max(1, runs - 1), np.full(runs, 1 / runs), size=resamples)


@dataclass(frozen=True)
class ClassDifference:
    """The accuracies of A and B on one class; a clip counts once per run."""

    name: str
    a: Accuracy
    b: Accuracy

    @property
    def points(self) -> float:
        """The accuracy of B minus that of A in percentage points; NaN for a class without clips."""
        if not self.a.total:
            return math.nan
        # A single rounding, so that 4 points are exactly 4.
        return 100 * (self.b.correct * self.a.total - self.a.correct * self.b.total) / (self.a.total * self.b.total)


def class_differences(correct_a: Correct, correct_b: Correct, labels: Labels, classes: Sequence[str]) -> list[ClassDifference]:
    """Return the difference of every class, in the order of `classes`.

    Args:
        correct_a, correct_b: (runs, N), or (N,) for a single run.
        labels: (N,).
    """
    a, b = np.atleast_2d(correct_a), np.atleast_2d(correct_b)
    differences = []
    for label, name in enumerate(classes):
        of_a, of_b = a[:, labels == label], b[:, labels == label]
        differences.append(ClassDifference(name, Accuracy(int(of_a.sum()), of_a.size), Accuracy(int(of_b.sum()), of_b.size)))
    return differences


def beyond(differences: Sequence[ClassDifference], min_difference: float = 4) -> list[ClassDifference]:
    """Return the classes that differ by more than `min_difference` points either way, the largest gain of B first."""
    found = [each for each in differences if abs(each.points) > min_difference]
    return sorted(found, key=lambda each: (-each.points, each.name))


@dataclass(frozen=True, eq=False)
class Side:
    """A or B of a comparison.

    Attributes:
        names: The names of its runs.
        correct: (runs, N) whether each clip is correct.
    """

    names: tuple[str, ...]
    correct: Correct

    @property
    def accuracies(self) -> list[Accuracy]:
        """The top-1 accuracy of each run."""
        return [Accuracy(int(row.sum()), len(row)) for row in self.correct]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sides on the same clips.

    Attributes:
        scores: The scores of the first run, which say what the clips are.
        tests: The name of a run of A, that of a run of B, and their McNemar's test; none unless the runs are paired.
        classes: The difference of every class.
        min_difference: The points that `beyond` is beyond.
    """

    scores: SavedScores
    a: Side
    b: Side
    difference: Difference
    tests: tuple[tuple[str, str, McNemar], ...]
    classes: tuple[ClassDifference, ...]
    min_difference: float

    @property
    def beyond(self) -> list[ClassDifference]:
        """The classes beyond `min_difference`; see the function `beyond`."""
        return beyond(self.classes, self.min_difference)

    def table(self) -> dict[str, Any]:
        """Return the comparison as plain dicts and lists for JSON, which has no NaN: such values are None."""
        return {
            "dataset": self.scores.dataset,
            "split": self.scores.split,
            "subset": self.scores.subset,
            "clips": len(self.scores.names),
            "a": _side_table(self.a),
            "b": _side_table(self.b),
            "difference": asdict(self.difference),
            "mcnemar": [{"a": one, "b": other, **asdict(test)} for one, other, test in self.tests],
            "classes": [{**asdict(each), "points": _or_none(each.points)} for each in self.classes],
            "beyond": {"points": self.min_difference, "classes": [each.name for each in self.beyond]},
            "verdict": self.difference.verdict,
        }


def _side_table(side: Side) -> dict[str, Any]:
    mean, deviation = mean_and_deviation(side.accuracies)
    runs = [{"run": name, **asdict(accuracy)} for name, accuracy in zip(side.names, side.accuracies, strict=True)]
    return {"runs": runs, "mean": mean, "deviation": _or_none(deviation)}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def compare(
    a: Mapping[str, SavedScores], b: Mapping[str, SavedScores], *, paired_runs: bool, min_difference: float = 4.0
) -> Comparison:
    """Compare the scores of two sides.

    Args:
        a, b: The name of each run -> its scores.
        paired_runs: Whether run i of A and run i of B have the same seed, or there is one run a side.
        min_difference: Classes that differ by more percentage points are listed in `Comparison.beyond`.

    Raises:
        InputError: The scores are not of the same clips, or there are no clips.
    """
    every = [*a.items(), *b.items()]
    name, scores = every[0]
    for other_name, other in every:
        if reason := difference_of(scores, other):
            raise InputError(
                f"{name} and {other_name} cannot be compared: {reason}. Evaluate all runs on the same clips "
                "(`poseglot evaluate RUN --store STORE --split SPLIT`)."
            )
    if not scores.names:
        raise InputError(f"{name} was evaluated on no clips; there is nothing to compare.")
    sides = [Side(tuple(runs), np.stack([correct(each.logits, each.labels) for each in runs.values()])) for runs in (a, b)]
    of_a, of_b = (side.correct for side in sides)
    pairs = zip(a, b, of_a, of_b, strict=True) if paired_runs else ()
    return Comparison(
        scores=scores,
        a=sides[0],
        b=sides[1],
        difference=paired_difference(of_a, of_b, paired_runs=paired_runs),
        tests=tuple((one, other, mcnemar(own_a, own_b)) for one, other, own_a, own_b in pairs),
        classes=tuple(class_differences(of_a, of_b, scores.labels, scores.classes)),
        min_difference=min_difference,
    )
