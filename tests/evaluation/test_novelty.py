"""Novelty scores against plain ways, and on clips that are far from everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.errors import InputError
from poseglot.evaluation.novelty import ClassDistance, auroc, energy, improbability

pytestmark = pytest.mark.base


def test_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    known, novel = rng.integers(0, 8, 30), rng.integers(2, 10, 20)
    pairs = (novel[:, None] > known).sum() + 0.5 * (novel[:, None] == known).sum()
    assert auroc(known, novel) == pytest.approx(pairs / 600)
    assert auroc(known, known) == 0.5
    with pytest.raises(InputError):
        auroc([], novel)


def test_energy_and_improbability_are_torchs() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4))
    as_tensor = torch.from_numpy(logits)
    np.testing.assert_allclose(energy(logits), -torch.logsumexp(as_tensor, dim=1))
    np.testing.assert_allclose(improbability(logits, 2.0), 1 - (as_tensor / 2).softmax(dim=1).amax(dim=1))


def test_distance_to_the_nearest_class() -> None:
    rng = np.random.default_rng(0)
    stretch = np.diag([5.0, 1.0, 0.2])
    labels = np.repeat([0, 2], 300)  # class 1 has no clips
    centres = np.array([[0.0, 0, 0], [0, 0, 0], [20, 0, 0]])
    fitted = ClassDistance.fit(rng.normal(size=(600, 3)) @ stretch + centres[labels], labels)
    assert fitted.means.shape == (2, 3)
    points = np.array([[0.0, 0, 0], [5, 0, 0], [0, 0, 5.0], [20, 0, 0]])
    found = fitted(points)
    plain = [min((point - mean) @ fitted.precision @ (point - mean) for mean in fitted.means) for point in points]
    np.testing.assert_allclose(found, plain)
    assert found[2] > 20 * found[1] > found[0]  # the third direction hardly varies
    new = rng.normal(size=(200, 3)) @ stretch
    assert auroc(fitted(new), fitted(new + np.array([0, 4, 0]))) > 0.95


def test_more_dimensions_than_clips() -> None:
    rng = np.random.default_rng(0)
    fitted = ClassDistance.fit(rng.normal(size=(6, 40)), np.array([0, 0, 0, 1, 1, 1]))
    assert np.isfinite(fitted(rng.normal(size=(3, 40)))).all()
    with pytest.raises(InputError):
        ClassDistance.fit(np.ones((4, 2)), np.array([0, 0, 1, 1]))
