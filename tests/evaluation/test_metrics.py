"""Accuracy by count: against plain references, with ties, NaN, and classes without clips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.evaluation.metrics import Accuracy, confusion, correct, per_class, top_k

pytestmark = pytest.mark.base


def plain_top_k(scores: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], k: int) -> int:
    """Sort each row's classes, best first; among equals the true class comes last."""
    correct = 0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        ranking = sorted(range(len(row)), key=lambda place: (-row[place], place == label))
        correct += label in ranking[:k]
    return correct


@pytest.mark.parametrize("levels", [2, 5, 1_000_000])
def test_top_k_equals_a_sorted_reference(levels: int) -> None:
    generator = np.random.default_rng(levels)
    scores = generator.integers(0, levels, (200, 7)).astype(np.float32)
    labels = generator.integers(0, 7, 200)
    for k in range(1, 7):
        count = top_k(scores, labels, k)
        assert (count.correct, count.total) == (plain_top_k(scores, labels, k), 200)
        by_clip = [bool(plain_top_k(scores[clip : clip + 1], labels[clip : clip + 1], k)) for clip in range(200)]
        assert correct(scores, labels, k).tolist() == by_clip


def test_ties_count_against_the_model() -> None:
    constant = np.zeros((10, 4), dtype=np.float32)
    labels = np.arange(10) % 4
    assert [top_k(constant, labels, k).correct for k in (1, 2, 3)] == [0, 0, 0]
    tied = np.array([[2.0, 2.0, 1.0, 0.0]])
    assert [top_k(tied, np.array([0]), k).correct for k in (1, 2)] == [0, 1]


def test_a_score_that_is_not_a_number_is_never_correct() -> None:
    labels = np.arange(4)
    scores = np.full((4, 4), np.nan)
    assert [top_k(scores, labels, k).correct for k in (1, 2, 3)] == [0, 0, 0]
    own_is_nan = np.zeros((4, 4))
    own_is_nan[labels, labels] = np.nan
    assert [top_k(own_is_nan, labels, k).correct for k in (1, 2, 3)] == [0, 0, 0]
    other_is_nan = np.eye(4)
    other_is_nan[labels, (labels + 1) % 4] = np.nan
    assert [top_k(other_is_nan, labels, k).correct for k in (1, 2)] == [0, 4]


def test_per_class_counts_each_classs_clips_and_says_where_there_are_none() -> None:
    scores = np.eye(4)[[0, 1, 0, 3, 3, 0]]
    labels = np.array([0, 0, 0, 3, 3, 3])
    assert per_class(scores, labels) == [Accuracy(2, 3), Accuracy(0, 0), Accuracy(0, 0), Accuracy(2, 3)]


def test_confusion_has_true_rows_and_recognised_columns() -> None:
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=(300, 5)), generator.integers(0, 4, 300)
    expected = np.zeros((5, 5), dtype=np.int64)
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        expected[label, row.index(max(row))] += 1
    matrix = confusion(scores, labels)
    assert np.array_equal(matrix, expected)
    assert matrix.dtype == np.int64
    assert not matrix[4].any()
    assert np.array_equal(np.diag(matrix), [count.correct for count in per_class(scores, labels)])


def test_a_count_is_written_as_n_of_n() -> None:
    assert str(Accuracy(449, 464)) == "449/464 = 96.77 %"
    assert Accuracy(1, 8).percent == 12.5


@pytest.mark.parametrize(
    ("accuracy", "interval"),
    [
        (Accuracy(0, 10), (0.0, 27.75)),
        (Accuracy(8, 10), (49.02, 94.33)),
        (Accuracy(10, 10), (72.25, 100.0)),
        (Accuracy(451, 464), (95.27, 98.36)),
    ],
)
def test_the_interval_of_an_accuracy_is_wilsons(accuracy: Accuracy, interval: tuple[float, float]) -> None:
    assert accuracy.interval == pytest.approx(interval, abs=0.01)
