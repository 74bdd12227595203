"""Segment measures: by hand, and against plain references."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from poseglot.evaluation.metrics import Accuracy
from poseglot.evaluation.segments import BACKGROUND, Matches, Span, edit_score, frame_accuracy, matches, spans


def test_spans_are_runs_of_one_label_without_the_background() -> None:
    labels = np.array([2, 2, BACKGROUND, 0, 0, 0, 2])
    assert spans(labels) == [Span(0, 2, 2), Span(3, 6, 0), Span(6, 7, 2)]
    assert spans(labels[:0]) == []
    assert spans(np.array([BACKGROUND, BACKGROUND])) == []


def test_f1_by_hand() -> None:
    """Found: 8 of 12 shared (2/3), the same action again (a piece), a wrong action, 2 of 10 shared (0.2)."""
    truth = [Span(0, 10, 0), Span(10, 20, 1), Span(20, 30, 2)]
    found = [Span(2, 12, 0), Span(12, 13, 0), Span(13, 20, 3), Span(28, 30, 2)]
    assert matches(found, truth, 0.10) == Matches(2, 2, 1)
    assert matches(found, truth, 0.10).f1 == pytest.approx(100 * 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    assert matches(found, truth, 0.25) == matches(found, truth, 0.5) == Matches(1, 3, 2)
    assert matches(found, truth, 2 / 3) == Matches(1, 3, 2), "a share of exactly the threshold counts"
    assert matches(found, truth, 0.67) == Matches(0, 4, 3)


def test_a_true_segment_is_found_once() -> None:
    pieces = [Span(0, 4, 0), Span(4, 10, 0)]
    assert matches(pieces, [Span(0, 10, 0)], 0.4) == Matches(1, 1, 0)
    assert matches([Span(0, 10, 0)], pieces, 0.4) == Matches(1, 0, 1)
    assert matches([Span(0, 10, 1)], pieces, 0.1) == Matches(0, 1, 2)


def test_counts_add_up_and_nothing_is_no_number() -> None:
    assert Matches(1, 2, 3) + Matches(4, 0, 1) == Matches(5, 2, 4)
    assert Matches(5, 2, 4).f1 == pytest.approx(100 * 10 / 16)
    assert matches([], [Span(0, 1, 0)], 0.1).f1 == 0 == matches([Span(0, 1, 0)], [], 0.1).f1
    assert math.isnan(matches([], [], 0.1).f1)


def row(*labels: int) -> list[Span]:
    return [Span(place, place + 1, label) for place, label in enumerate(labels)]


def test_edit_score_by_hand() -> None:
    assert edit_score(row(1, 2, 3), row(1, 2, 3)) == 100
    assert edit_score(row(1, 3), row(1, 2, 3, 4)) == 50
    assert edit_score(row(2, 1), row(1, 2)) == 0
    assert edit_score(row(), row(1)) == 0
    assert edit_score(row(), row()) == 100


def test_edit_score_equals_the_recursive_definition() -> None:
    @cache
    def distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
        if not one or not other:
            return len(one) + len(other)
        changed = distance(one[1:], other[1:]) + (one[0] != other[0])
        return min(changed, distance(one[1:], other) + 1, distance(one, other[1:]) + 1)

    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = (tuple(rng.integers(0, 3, rng.integers(1, 8)).tolist()) for _ in range(2))
        assert edit_score(row(*one), row(*other)) == pytest.approx(100 * (1 - distance(one, other) / max(len(one), len(other))))


def test_frame_accuracy_counts_frames() -> None:
    assert frame_accuracy(np.array([0, 1, BACKGROUND, 1]), np.array([0, 1, BACKGROUND, 0])) == Accuracy(3, 4)
