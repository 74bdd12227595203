"""The four modalities against plain loops, on clips and on batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.errors import NotFoundError
from poseglot.transforms import MODALITIES, ToModality, to_modality
from poseglot.transforms.modality import bones, motion
from tests.transforms import plain
from tests.transforms.clips import LAYOUT, batch_of, mixed_clips

ROOT = LAYOUT.index["shoulder_centre"]


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
@pytest.mark.parametrize("shape", [(1, 7, 20), (1, 1, 20), (2, 7, 20)], ids=str)
def test_a_clip_equals_plain_loops(modality: str, shape: tuple[int, ...], has_scores: bool) -> None:
    joints = np.random.default_rng(2).uniform(size=(*shape, 3 + has_scores))
    made = to_modality(torch.from_numpy(joints.copy()), modality, LAYOUT, has_scores=has_scores)
    wanted = plain.plain_modality(joints, modality, LAYOUT, has_scores=has_scores)
    np.testing.assert_allclose(made.numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_last_three_axes_are_what_counts(modality: str) -> None:
    joints = torch.rand(3, 2, 7, 20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    before, together = joints.clone(), to_modality(joints, modality, LAYOUT)
    for n, m in np.ndindex(3, 2):
        assert torch.equal(together[n, m], to_modality(joints[n, m], modality, LAYOUT))
    assert torch.equal(joints, before), "the input was changed"


@pytest.mark.parametrize("modality", MODALITIES)
def test_scores_change_no_coordinate(modality: str) -> None:
    joints = torch.rand(2, 7, 20, 4, generator=torch.Generator().manual_seed(4))
    made = to_modality(joints, modality, LAYOUT, has_scores=True)
    assert torch.equal(made[..., :3], to_modality(joints[..., :3], modality, LAYOUT))


def test_the_roots_bone_keeps_its_own_score() -> None:
    joints = torch.rand(4, 20, 3, generator=torch.Generator().manual_seed(5))
    bone = bones(joints, LAYOUT, has_scores=True)[:, ROOT]
    assert (bone[:, :2] == 0).all() and torch.equal(bone[:, 2], joints[:, ROOT, 2])


def test_the_roots_bone_and_the_last_frames_motion_are_zero() -> None:
    joints = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 20, 3)))
    zero = (bones(joints, LAYOUT) == 0).all(dim=(0, 2))
    assert zero.nonzero().flatten().tolist() == [ROOT]
    zero = (motion(joints) == 0).all(dim=(1, 2))
    assert zero.nonzero().flatten().tolist() == [3]


def test_as_a_transform_it_is_the_same() -> None:
    batch = batch_of(mixed_clips(), padding=0)
    for modality in MODALITIES:
        assert torch.equal(ToModality(modality)(batch, None).joints, to_modality(batch.joints, modality, LAYOUT))


def test_an_unknown_one_is_refused_with_the_nearest() -> None:
    assert MODALITIES == ("joint", "bone", "joint_motion", "bone_motion")
    for refused in (lambda: to_modality(torch.zeros(2, 20, 3), "bones", LAYOUT), lambda: ToModality("bones")):
        with pytest.raises(NotFoundError) as error:
            refused()
        assert error.value.suggestion == "bone" and error.value.known == MODALITIES
