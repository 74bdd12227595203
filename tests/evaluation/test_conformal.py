"""Conformal sets: their coverage on new clips, and the threshold by hand."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.errors import InputError, SettingError
from poseglot.evaluation.conformal import left_out_coverage, prediction_sets, set_quality, set_threshold

pytestmark = pytest.mark.base


def test_threshold_by_hand() -> None:
    own = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    probabilities = np.stack([own, 1 - own], axis=1)
    labels = np.zeros(9, dtype=np.int64)
    assert set_threshold(probabilities, labels, 0.9) == 0.1  # the first of floor(10 x 0.1)
    assert set_threshold(probabilities, labels, 0.5) == 0.5
    assert set_threshold(probabilities, labels, 0.95) == 0  # too few clips to leave one class out
    assert prediction_sets(probabilities, 0.5).tolist()[0] == [True, False]
    held, size, empty = set_quality(probabilities, labels, 0.55)
    assert (held.correct, held.total, empty.correct) == (4, 9, 1)
    assert size == pytest.approx(8 / 9)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_new_clips_are_covered(coverage: float) -> None:
    held, total = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        probabilities = rng.dirichlet(np.full(6, 0.3), size=400)
        labels = np.array([rng.choice(6, p=row) for row in 0.7 * probabilities + 0.3 / 6])  # badly calibrated
        threshold = set_threshold(probabilities[:200], labels[:200], coverage)
        found, _, _ = set_quality(probabilities[200:], labels[200:], threshold)
        held, total = held + found.correct, total + found.total
    assert coverage - 0.01 < held / total < coverage + 0.02


def test_coverage_of_left_out_groups_is_that_of_plain_loops() -> None:
    generator = np.random.default_rng(0)
    probabilities, labels = generator.dirichlet(np.ones(4), 60), generator.integers(0, 4, 60)
    groups = [f"person {number % 5}" for number in range(60)]
    held = 0
    for clip in range(60):
        others = [n for n in range(60) if groups[n] != groups[clip]]
        held += probabilities[clip, labels[clip]] >= set_threshold(probabilities[others], labels[others], 0.8)
    found = left_out_coverage(probabilities, labels, groups, 0.8)
    assert (found.correct, found.total) == (held, 60) and 0 < held < 60


def test_what_gives_no_threshold() -> None:
    with pytest.raises(SettingError):
        set_threshold(np.ones((2, 1)), np.zeros(2, dtype=np.int64), 1.0)
    with pytest.raises(InputError):
        set_threshold(np.ones((0, 1)), np.zeros(0, dtype=np.int64), 0.9)
