"""Found segments compared with true ones: whose they are, and what cannot be compared is said."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from poseglot.data.segments import Segment
from poseglot.inference.segment_scores import SegmentScores, joints_hash, score_segments

TRUTH = [Segment(0, 1, "walk"), Segment(1, 2, "sit")]


def perfect(found: list[Segment], truth: list[Segment]) -> SegmentScores:
    """Return the scores, which are the best there are, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score_segments(found, truth, fps=10, classes=("walk", "sit"))
    assert [matched.f1 for matched in scores.matches.values()] == [100] * 3
    assert scores.edit == 100 and scores.frames.correct == scores.frames.total
    return scores


def test_of_everybody_together_all_truth_counts() -> None:
    together = [replace(segment, person=0) for segment in TRUTH]
    perfect(together, TRUTH)
    # Two people do the same at about the same time.
    perfect(together, [Segment(0, 0.9, "walk", person=1), Segment(0.1, 1, "walk", person=2), TRUTH[1]])


def test_truth_of_everybody_counts_for_each() -> None:
    two = [replace(segment, person=person) for person in (1, 2) for segment in TRUTH]
    assert perfect(two, [replace(segment, person=0) for segment in TRUTH]).frames.total == 40
    perfect(two, [replace(TRUTH[0], person=0), *(segment for segment in two if segment.action == "sit")])


def test_people_of_other_numbers_are_said() -> None:
    with pytest.warns(UserWarning, match="found are 1, true are 2, 3"):
        scores = score_segments(TRUTH, [replace(s, person=number) for number, s in enumerate(TRUTH, start=2)], fps=10)
    assert scores.matches[10].f1 == 0


def test_true_actions_that_are_no_classes_are_said() -> None:
    with pytest.warns(UserWarning, match="none of the recognizer's.*: sit\\."):
        score_segments(TRUTH, TRUTH, fps=10, classes=("walk",))


def test_nothing_found_and_nothing_true() -> None:
    scores = score_segments([], [], fps=10)
    assert math.isnan(scores.matches[10].f1) and scores.edit == 100 and scores.frames.total == 0
    assert str(scores)
    assert score_segments([], TRUTH, fps=10).matches[10].false_negatives == 2
    assert score_segments([], [replace(s, person=0) for s in TRUTH], fps=10).matches[10].false_negatives == 2


def test_the_hash_of_joints_is_of_shape_and_content() -> None:
    joints = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    assert joints_hash(joints) == joints_hash(np.asfortranarray(joints))
    assert len({joints_hash(joints), joints_hash(joints + 1), joints_hash(joints.reshape(1, 1, 4, 3))}) == 3
