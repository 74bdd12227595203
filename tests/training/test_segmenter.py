"""Training a segmenter: its loss by hand, what it learns, and the same from the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from poseglot.errors import SettingError
from poseglot.models.segmenter import SegmenterSpec
from poseglot.training.segmenter import Example, SegmenterConfig, fit, segmenter_loss

SPEC = SegmenterSpec(("a", "b"), 12, (0.5,), 0.1, channels=16, layers=3, stages=2)
SHORT = SegmenterConfig(updates=100, batch_size=4, crop=30, lr=0.01)


def examples(count: int = 4) -> list[Example]:
    """Recordings of three labels whose features say the label, with noise."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        labels = np.repeat(rng.permutation([0, 1, 2, 0, 1, 2]), rng.integers(6, 12, size=6))
        features = np.tile(np.eye(3)[labels] * 3, 4) + rng.normal(size=(len(labels), 12))
        made.append(Example(features.astype(np.float32), labels))
    return made


def test_the_loss_by_hand() -> None:
    rng = np.random.default_rng(0)
    logits, boundary = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 5))
    labels = np.array([[0, 0, 1, 1, 1], [2, 2, 2, 0, -100]])
    log = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    counted = [(n, t) for n in range(2) for t in range(5) if labels[n, t] >= 0]
    expected = -np.mean([log[n, labels[n, t], t] for n, t in counted])
    smooth = [np.minimum(np.abs(log[n, :, t] - log[n, :, t - 1]), 4) ** 2 for n, t in counted if t]
    expected += 0.15 * np.sum(smooth) / (2 * 4 * 3)
    near = np.array([[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]])
    sure = 1 / (1 + np.exp(-boundary))
    each = -(3 * near * np.log(sure) + (1 - near) * np.log(1 - sure))
    expected += 0.3 * np.mean([each[n, t] for n, t in counted])
    found = segmenter_loss([torch.from_numpy(logits)], torch.from_numpy(boundary), torch.from_numpy(labels))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_it_learns_and_equal_seeds_give_equal_weights() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    segmenter = fit(SPEC, examples(), SHORT)
    assert torch.equal(before, torch.get_rng_state()), "the numbers that others draw do not depend on it"
    (unseen,) = examples(5)[4:]
    probabilities, boundary = segmenter.probabilities(unseen.features)
    assert (probabilities.argmax(axis=1) == unseen.labels).mean() > 0.9
    changes = np.flatnonzero(np.diff(unseen.labels))
    assert boundary[changes].mean() > 2 * boundary.mean()
    again, other = fit(SPEC, examples(), SHORT), fit(SPEC, examples(), replace(SHORT, seed=1))
    for name, weight in segmenter.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert not torch.equal(segmenter.heads[0].weight, other.heads[0].weight)


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"recordings": 0}, {"windows": ()}, {"windows": (1.0, 0.0)}, {"lr": -1.0}, {"updates": 0}):
        with pytest.raises(SettingError):
            replace(SHORT, **wrong)  # type: ignore[arg-type]
