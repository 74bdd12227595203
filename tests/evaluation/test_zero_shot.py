"""Zero-shot: scores and counts against loops written out by hand, the harmonic mean, the bias."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poseglot.evaluation.metrics import Accuracy
from poseglot.evaluation.zero_shot import BIASES, best_bias, cosines, evaluate, harmonic_mean, keeping_bias, mean_over_levels

CLASSES = ("walk", "sit", "wave", "bow")
UNSEEN = ("wave", "bow")


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_a_score_is_the_mean_over_texts_of_the_cosine_and_levels_count_the_same() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(2, 3, 5))
    texts = [[generator.normal(size=(count, 5)) for count in (1, 3, 2)] for _ in range(2)]  # level, class: texts
    words = np.array([[(each / np.linalg.norm(each, axis=1, keepdims=True)).mean(axis=0) for each in level] for level in texts])
    found = cosines(features, words)
    for level in range(2):
        for clip in range(3):
            for label in range(3):
                own = [cosine(features[level, clip].tolist(), text.tolist()) for text in texts[level][label]]
                assert found[level, clip, label] == pytest.approx(sum(own) / len(own))
    assert mean_over_levels(found)[1, 2] == pytest.approx((found[0, 1, 2] + found[1, 1, 2]) / 2)


def by_hand() -> tuple[np.ndarray, np.ndarray]:
    """Five clips, two levels that both have these scores but the last clip's."""
    scores = np.array(
        [
            [0.9, 0.1, 0.2, 0.3],  # walk: right
            [0.6, 0.5, 0.2, 0.3],  # sit: taken for walk
            [0.5, 0.1, 0.4, 0.3],  # wave: right among unseen, taken for walk among all
            [0.1, 0.1, 0.2, 0.8],  # wave: taken for bow
            [0.1, 0.2, 0.4, 0.6],  # bow: right by the first level, wrong by the second
        ]
    )
    other = scores.copy()
    other[4] = [0.1, 0.2, 0.5, 0.4]
    return np.stack([scores, other]), np.array([0, 1, 2, 2, 3])


def test_counts_by_hand() -> None:
    scores, labels = by_hand()
    judged = evaluate(scores, labels, classes=CLASSES, unseen=UNSEEN, levels=("global", "head"))
    assert judged.zero_shot == Accuracy(2, 3)
    assert judged.by_level == {"global": Accuracy(2, 3), "head": Accuracy(1, 3)}
    assert judged.per_class == {"wave": Accuracy(1, 2), "bow": Accuracy(1, 1)}
    assert (judged.seen, judged.unseen) == (Accuracy(1, 2), Accuracy(1, 3))
    assert judged.chance == 50
    assert judged.harmonic_mean == pytest.approx(2 * 50 * (100 / 3) / (50 + 100 / 3))


def test_a_bias_is_taken_from_seen_classes_and_leaves_zero_shot_alone() -> None:
    scores, labels = by_hand()
    plain = evaluate(scores, labels, classes=CLASSES, unseen=UNSEEN, levels=("global", "head"))
    moved = evaluate(scores, labels, classes=CLASSES, unseen=UNSEEN, levels=("global", "head"), bias=0.2)
    assert moved.zero_shot == plain.zero_shot and moved.by_level == plain.by_level
    assert (moved.seen, moved.unseen) == (Accuracy(1, 2), Accuracy(2, 3))  # the first wave is no walk any more
    assert evaluate(scores, labels, classes=CLASSES, unseen=UNSEEN, levels=("a", "b"), bias=1).seen == Accuracy(0, 2)


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_the_keeping_bias_leaves_that_share_of_clips_with_seen_classes(kept: float, shift: float) -> None:
    scores = np.random.default_rng(0).normal(size=(2, 400, 5))
    scores[:, :, [1, 4]] += shift  # unseen classes that attract, or that nobody comes near
    bias = keeping_bias(scores, [1, 4], kept=kept)
    mean = scores.mean(axis=0)
    mean[:, [0, 2, 3]] -= bias
    assert np.isin(mean.argmax(axis=1), [0, 2, 3]).sum() == pytest.approx(400 * kept, abs=1)
    assert shift == 0 or bias * shift < 0


def test_the_best_bias_is_the_smallest_with_the_best_harmonic_mean() -> None:
    scores, labels = by_hand()

    def mean(bias: float) -> float:
        return evaluate(scores, labels, classes=CLASSES, unseen=UNSEEN, levels=("a", "b"), bias=bias).harmonic_mean

    best = best_bias(scores, labels, classes=CLASSES, unseen=UNSEEN)
    assert mean(best) == max(map(mean, BIASES)) > mean(0)
    assert all(mean(bias) < mean(best) for bias in BIASES if bias < best)
    assert best == pytest.approx(0.11)  # of .5 - .4, just beyond the tie


def test_the_harmonic_mean() -> None:
    assert harmonic_mean(50, 100) == pytest.approx(200 / 3)
    assert harmonic_mean(30, 30) == pytest.approx(30)
    assert harmonic_mean(0, 100) == harmonic_mean(100, 0) == 0
