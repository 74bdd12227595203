"""Few-shot prototypes against loops, and on clips whose classes are clear."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.evaluation.few_shot import prototype_scores, prototypes, unit

pytestmark = pytest.mark.base


def test_prototypes_and_scores_by_loops() -> None:
    rng = np.random.default_rng(0)
    features, texts = rng.normal(size=(2, 7, 5)), rng.normal(size=(2, 3, 5))
    labels = np.array([0, 0, 0, 2, 2, 0, 2])
    centred = unit(features, features.mean(axis=1))
    texts = unit(texts, texts.mean(axis=1))
    np.testing.assert_allclose(np.linalg.norm(centred, axis=2), 1)
    found = prototypes(centred, labels, 3, texts=texts, text_weight=2.0)
    scores = prototype_scores(centred, found)
    for number in range(3):
        own = [clip for clip in range(7) if labels[clip] == number]
        for clip in range(7):
            cosines = []
            for level in range(2):
                total = 2.0 * texts[level, number] + sum((centred[level, one] for one in own), np.zeros(5))
                cosines.append(centred[level, clip] @ total / np.linalg.norm(total))
            assert scores[clip, number] == pytest.approx(np.mean(cosines))


def test_a_class_without_clips_is_its_text_and_one_without_both_scores_nothing() -> None:
    clips, texts = np.eye(3)[None, :2], np.eye(3)[None]
    np.testing.assert_allclose(prototypes(clips, np.array([0, 1]), 3, texts=texts)[0, 2], texts[0, 2])
    assert (prototype_scores(clips, prototypes(clips, np.array([0, 1]), 3))[:, 2] == 0).all()
