"""Mixup and part-swap: by hand, the same for every number of processes, and off where they are told so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.data.dataset import ClipDataset
from poseglot.training import batches
from poseglot.training.batches import TrainingBatches
from poseglot.training.build import build
from poseglot.training.mixing import mixup, mixup_weight, part_swap
from tests.training.helpers import small_recipe

CPU = torch.device("cpu")


@pytest.fixture
def train(few_clips: Path, tiny_bert: Path) -> ClipDataset:
    return build(small_recipe(few_clips, tiny_bert)).train


def test_mixup_weights_are_of_the_beta_distribution_and_belong_to_the_batch() -> None:
    drawn = np.array([mixup_weight(0.4, seed=1, epoch=epoch, batch=batch) for epoch in range(40) for batch in range(50)])
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)
    assert len(set(drawn)) == len(drawn)
    assert mixup_weight(0.4, seed=1, epoch=3, batch=7) == drawn[3 * 50 + 7]


def test_a_clip_is_mixed_with_the_one_at_the_mirrored_position() -> None:
    x = torch.arange(6.0).view(3, 2)
    torch.testing.assert_close(mixup(x, 0.75), torch.tensor([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]))


def test_swapped_parts_are_of_a_clip_of_the_same_class() -> None:
    count, parts = 60, [(0, 1), (2, 3, 4)]
    x = torch.arange(1.0, count + 1)[:, None, None, None, None].expand(count, 2, 3, 6, 2).clone()
    x[::7, 1] = 0  # clips without a second person
    labels = torch.arange(count) % 4
    labels[0] = 9  # alone in its class
    y = part_swap(x, labels, parts, probability=0.5, seed=0, epoch=0, index=torch.arange(count))
    changed = 0
    for clip in range(count):
        for person in range(2):
            joints = [int(value) - 1 for value in y[clip, person, 0, :, 0]]
            if x[clip, person].abs().sum() == 0:
                assert set(joints) == {-1}
                continue
            swapped = [joint for joint, source in enumerate(joints) if source != clip]
            assert tuple(swapped) in ((), *parts)
            assert all(labels[joints[joint]] == labels[clip] for joint in swapped)
            changed += bool(swapped)
        assert torch.equal(y[clip], y[clip, :, :1].expand(2, 3, 6, 2))
    assert torch.equal(y[0], x[0])
    assert 0.3 < changed / (2 * count - count // 7) < 0.6
    assert torch.equal(part_swap(x, labels, parts, probability=0, seed=0, epoch=0, index=torch.arange(count)), x)


def test_every_process_has_its_share_of_one_mixed_batch(train: ClipDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    made = TrainingBatches(train, None, seed=0, batch_size=9, mixup=0.4, part_swap=0.5)
    index = next(made.order(0))
    whole = made.load(index, 0, CPU)
    for share in (slice(0, 5), slice(5, 9)):
        monkeypatch.setattr(batches, "own_share", lambda count, share=share: share)
        found = made.load(index, 0, CPU)
        assert torch.equal(found.inputs, whole.inputs[share])
        assert (found.mix, found.labels.tolist()) == (whole.mix, whole.labels.tolist())
