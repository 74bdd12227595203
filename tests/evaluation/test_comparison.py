"""Comparisons: McNemar against enumeration and textbook values, the bootstrap against a plain loop and against the truth."""

from __future__ import annotations

import itertools
import math
import random
import tracemalloc
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.evaluation.comparison import (
    ClassDifference,
    Difference,
    beyond,
    class_differences,
    mcnemar,
    paired_difference,
)
from poseglot.evaluation.metrics import Accuracy, mean_and_deviation

pytestmark = pytest.mark.base

Correct = npt.NDArray[np.bool_]


def split(only_a: int, only_b: int, both: int = 3, neither: int = 2) -> tuple[Correct, Correct]:
    """Correct clips of two runs, with so many that only one of them has right."""
    a = [True] * only_a + [False] * only_b + [True] * both + [False] * neither
    b = [False] * only_a + [True] * only_b + [True] * both + [False] * neither
    return np.array(a), np.array(b)


# McNemar


@pytest.mark.parametrize("clips", range(11))
def test_mcnemar_equals_the_enumeration_of_all_outcomes(clips: int) -> None:
    """With neither better, each discordant clip falls to A or B like a coin: count the falls at least as uneven."""
    falls = [abs(clips - 2 * sum(fall)) for fall in itertools.product((0, 1), repeat=clips)]
    for only_a in range(clips + 1):
        test = mcnemar(*split(only_a, clips - only_a))
        assert (test.only_a, test.only_b) == (only_a, clips - only_a)
        assert test.p == pytest.approx(sum(fall >= abs(clips - 2 * only_a) for fall in falls) / len(falls), abs=1e-15)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (1, 9, 22 / 1024),  # the sign test of ten pairs, as in any table of it
        (16, 6, 0.053),  # the second example of Wikipedia's article on McNemar's test
        (86, 150, 3.716e-5),  # approval of a president (Agresti); as R's exact2x2::mcnemar.exact prints it
    ],
)
def test_mcnemar_of_known_values(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar(*split(only_a, only_b)).p == pytest.approx(p, rel=0.01)


def test_mcnemar_of_tens_of_thousands_of_clips() -> None:
    test = mcnemar(*split(24_700, 25_300))
    # So many coins are normal to three digits (with the half step between whole numbers).
    assert test.p == pytest.approx(math.erfc((300 - 0.5) / math.sqrt(50_000 / 4) / math.sqrt(2)), rel=1e-3)
    assert mcnemar(*split(10_000, 30_000)).p == 0.0
    assert "p < 1e-300" in str(mcnemar(*split(10_000, 30_000)))


# The bootstrap


def plain_interval(a: Correct, b: Correct, *, paired: bool, resamples: int = 4000) -> tuple[float, float]:
    """The same idea, one clip and one run at a time."""
    generator = random.Random(5)
    clips, rows_a, rows_b = a.shape[1], a.tolist(), b.tolist()
    differences = []
    for _ in range(resamples):
        drawn = generator.choices(range(clips), k=clips)
        runs_a = generator.choices(range(len(rows_a)), k=max(1, len(rows_a) - 1))
        runs_b = runs_a if paired else generator.choices(range(len(rows_b)), k=max(1, len(rows_b) - 1))
        of_a = sum(rows_a[run][clip] for run in runs_a for clip in drawn) / len(runs_a)
        of_b = sum(rows_b[run][clip] for run in runs_b for clip in drawn) / len(runs_b)
        differences.append(100 * (of_b - of_a) / clips)
    differences.sort()
    return differences[round(0.025 * resamples)], differences[round(0.975 * resamples)]


def simulated(
    generator: np.random.Generator, clips: int, *, runs: int = 1, gain: float = 0.1, seeds: float = 0.0
) -> tuple[Correct, Correct]:
    """Runs of A and B whose success depends on the clip (easy ones for both) and on the seed (as much as `seeds`, of each run)."""
    ease = generator.uniform(0.2, 0.8, clips)
    rows = []
    for side_gain in (0.0, gain):
        luck = generator.normal(0, seeds, (runs, 1)).clip(-0.1, 0.1)
        rows.append(generator.random((runs, clips)) < ease + side_gain + luck)
    return rows[0], rows[1]


@pytest.mark.parametrize(("runs_a", "runs_b", "paired"), [(1, 1, True), (3, 3, True), (3, 3, False), (1, 4, False)])
def test_the_interval_is_that_of_a_plain_loop(runs_a: int, runs_b: int, paired: bool) -> None:
    generator = np.random.default_rng(runs_b)
    a, _ = simulated(generator, 40, runs=runs_a, seeds=0.1)
    _, b = simulated(generator, 40, runs=runs_b, seeds=0.1)
    if runs_a > 1:
        a[0, ::2] = False  # a bad seed, so that it matters how runs are drawn
        b[0, ::2] = False
    difference = paired_difference(a, b, paired_runs=paired)
    assert difference.points == pytest.approx(100 * (b.mean() - a.mean()))
    low, high = plain_interval(a, b, paired=paired)
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_how_runs_are_drawn_matters() -> None:
    """Of the same seeds' runs, only the difference varies; the interval of unpaired ones is wider."""
    a = np.zeros((4, 60), dtype=bool)
    for run, correct in enumerate((15, 25, 35, 45)):
        a[run, :correct] = True
    paired, unpaired = (paired_difference(a, a, paired_runs=flag) for flag in (True, False))
    assert (paired.low, paired.high) == (0, 0)
    assert unpaired.low < -15 < 15 < unpaired.high


def test_seeds_alone_have_the_width_of_the_formula() -> None:
    """So many clips that only the seeds matter: the variance of their mean is s^2 / S, with n - 1 in s^2."""
    tenths = np.array([3, 5, 6, 8, 4, 7, 9, 2])
    b = np.repeat(np.arange(10) < tenths[:, None], 400, axis=1)
    difference = paired_difference(np.zeros_like(b), b, paired_runs=True)
    error = 10 * tenths.std(ddof=1) / math.sqrt(8)
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_the_interval_of_one_run_a_side_has_the_width_of_the_formula() -> None:
    a, b = simulated(np.random.default_rng(1), 2000)
    difference = paired_difference(a, b, paired_runs=True)
    each = 100 * (b[0].astype(float) - a[0])
    error = each.std() / math.sqrt(2000)
    assert difference.low == pytest.approx(each.mean() - 1.96 * error, abs=0.1 * error)
    assert difference.high == pytest.approx(each.mean() + 1.96 * error, abs=0.1 * error)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        a, b = simulated(generator, 150)
        difference = paired_difference(a, b, paired_runs=True, resamples=600)
        held += difference.low <= 10 <= difference.high
    # 380 expected with a standard deviation of 4.4; a percentile interval is a little too narrow on 150 clips.
    assert 362 <= held <= 394


def test_with_seeds_that_vary_the_interval_still_holds_the_truth() -> None:
    """Runs of the same ways to train, several seeds a side: an interval over the clips of a single pair misses the truth far more."""
    generator = np.random.default_rng(3)
    held = {"several": 0, "single": 0}
    for _ in range(100):
        a, b = simulated(generator, 400, runs=5, gain=0.0, seeds=0.05)
        several = paired_difference(a, b, paired_runs=False, resamples=200)
        single = paired_difference(a[0], b[0], paired_runs=True, resamples=200)
        held["several"] += several.low <= 0 <= several.high
        held["single"] += single.low <= 0 <= single.high
    assert held["several"] >= 90
    assert held["single"] <= 80


def test_identical_runs_differ_by_nothing() -> None:
    a, _ = simulated(np.random.default_rng(4), 100, runs=3)
    for runs in (a, a[0]):
        difference = paired_difference(runs, runs, paired_runs=True)
        assert (difference.points, difference.low, difference.high, difference.wins) == (0, 0, 0, 0)


@pytest.mark.parametrize("runs", [1, 3])
def test_swapping_the_sides_mirrors_the_difference(runs: int) -> None:
    a, b = simulated(np.random.default_rng(5), 80, runs=runs, seeds=0.1)
    forth, back = paired_difference(a, b, paired_runs=True), paired_difference(b, a, paired_runs=True)
    assert (back.points, back.low, back.high) == pytest.approx((-forth.points, -forth.high, -forth.low), abs=1e-9)
    assert forth.low < forth.points < forth.high


def test_wins_are_counted_by_pairing() -> None:
    def with_correct(*numbers: int) -> Correct:
        return np.arange(10) < np.array(numbers)[:, None]

    a, b = with_correct(3, 5, 7), with_correct(4, 4, 7)
    paired, every = (paired_difference(a, b, paired_runs=flag, resamples=10) for flag in (True, False))
    assert (paired.wins, paired.pairings) == (1, 3)
    assert (every.wins, every.pairings) == (4, 9)  # 4 > 3 twice, 7 > 3, 7 > 5


def test_the_seed_decides_and_is_fixed() -> None:
    a, b = simulated(np.random.default_rng(6), 90, runs=2, seeds=0.1)
    first, again, *others = (paired_difference(a, b, paired_runs=True, seed=seed, resamples=500) for seed in (0, 0, 1, 2, 3))
    assert first == again
    assert {other.points for other in others} == {first.points}
    assert len({(each.low, each.high) for each in (first, *others)}) > 1


def test_many_clips_and_runs_stay_small() -> None:
    """17,000 clips, nearly each with a history of its own: all resamples at once would be over a gigabyte."""
    generator = np.random.default_rng(7)
    a, b = generator.random((2, 8, 17_000)) < 0.5
    tracemalloc.start()
    paired_difference(a, b, paired_runs=True, resamples=300)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 300 resamples at once would be 39 MB of counts and as much again for their product.
    assert peak < 35e6


# The verdict


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-1.0, 2.0, "no difference seen"),
        (0.0, 2.0, "no difference seen"),
        (-2.0, 0.0, "no difference seen"),
        (0.0, 0.0, "no difference seen"),
        (0.1, 2.0, "B is better"),
        (-2.0, -0.1, "A is better"),
    ],
)
def test_noise_is_never_called_a_gain(low: float, high: float, said: str) -> None:
    several = Difference((low + high) / 2, low, high, 2, 3, 3, 3, True, 100)
    assert several.verdict == said
    single = Difference((low + high) / 2, low, high, 1, 1, 1, 1, True, 100)
    assert single.verdict.startswith(said)
    assert ("other seeds" in single.verdict) == (said != "no difference seen")


# Classes


def test_class_differences_equal_a_plain_count() -> None:
    generator = np.random.default_rng(8)
    labels = generator.integers(0, 4, 60)
    a, b = generator.random((3, 60)) < 0.5, generator.random((2, 60)) < 0.7
    differences = class_differences(a, b, labels, ("w", "x", "y", "z", "nothing"))
    for label, each in enumerate(differences[:4]):
        of_a = [bool(row[clip]) for row in a for clip in range(60) if labels[clip] == label]
        of_b = [bool(row[clip]) for row in b for clip in range(60) if labels[clip] == label]
        assert (each.name, each.a, each.b) == ("wxyz"[label], Accuracy(sum(of_a), len(of_a)), Accuracy(sum(of_b), len(of_b)))
        assert each.points == pytest.approx(100 * (sum(of_b) / len(of_b) - sum(of_a) / len(of_a)))
    assert (differences[4].a, differences[4].b) == (Accuracy(0, 0), Accuracy(0, 0))
    assert math.isnan(differences[4].points)


def test_beyond_is_more_than_so_many_points_either_way() -> None:
    def of(name: str, a: int, b: int, total: int = 25) -> ClassDifference:
        return ClassDifference(name, Accuracy(a, total), Accuracy(b, total))

    differences = [of("loss", 20, 10), of("four", 10, 11), of("even", 9, 9), of("gain", 10, 12), of("more", 5, 15)]
    differences += [of("empty", 0, 0, total=0), of("minus four", 11, 10)]
    assert [each.name for each in beyond(differences)] == ["more", "gain", "loss"]
    assert [each.name for each in beyond(differences, 3.9)] == ["more", "gain", "four", "minus four", "loss"]
    assert beyond(differences, 40) == []


@pytest.mark.parametrize("total", range(25, 1001, 25))
def test_exactly_four_points_are_not_beyond_four(total: int) -> None:
    step = total // 25
    for correct in range(0, total - step, max(1, total // 50)):
        each = ClassDifference("x", Accuracy(correct, total), Accuracy(correct + step, total))
        assert each.points == 4
        assert Fraction(each.b.correct - each.a.correct, total) == Fraction(4, 100)


def test_mean_and_deviation_between_runs() -> None:
    mean, deviation = mean_and_deviation([Accuracy(80, 100), Accuracy(84, 100), Accuracy(91, 100)])
    assert mean == pytest.approx(85)
    assert deviation == pytest.approx(math.sqrt((25 + 1 + 36) / 2))
    assert math.isnan(mean_and_deviation([Accuracy(80, 100)])[1])
