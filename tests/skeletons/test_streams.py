"""The four modalities against plain loops, on clips and on batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.streams import MODALITIES, bones, motion, to_modality

LAYOUT = load_layout("kinect20")
Array = npt.NDArray[np.float64]


def plain_stream(joints: Array, modality: str) -> Array:
    """(T, V, C) by loops."""
    result = joints.copy()
    if modality in ("bone", "bone_motion"):
        for name, place in LAYOUT.index.items():
            parent = LAYOUT.index[LAYOUT.bones[name]] if name in LAYOUT.bones else place
            result[:, place] = joints[:, place] - joints[:, parent]
    if modality in ("joint_motion", "bone_motion"):
        still = result.copy()
        for frame in range(len(joints)):
            result[frame] = still[frame + 1] - still[frame] if frame + 1 < len(joints) else 0
    return result


@pytest.mark.parametrize("modality", ["joint", "bone", "joint_motion", "bone_motion"])
@pytest.mark.parametrize("shape", [(7, 20, 3), (1, 20, 3), (2, 7, 20, 3), (3, 2, 7, 20, 2)])
def test_streams_equal_plain_loops_on_the_last_three_axes(modality: str, shape: tuple[int, ...]) -> None:
    joints = np.random.default_rng(2).normal(size=shape)
    given = torch.from_numpy(joints)
    made = to_modality(given, modality, LAYOUT)
    expected = [plain_stream(clip, modality) for clip in joints.reshape(-1, *shape[-3:])]
    np.testing.assert_allclose(made.numpy(), np.reshape(expected, shape), atol=1e-12)
    np.testing.assert_array_equal(given.numpy(), joints, err_msg="the input was changed")


@pytest.mark.parametrize("modality", ["joint", "bone", "joint_motion", "bone_motion"])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_difference_is_as_sure_as_the_mean_of_its_two_ends(modality: str, axes: int) -> None:
    joints = np.random.default_rng(4).uniform(size=(2, 7, 20, axes + 1))
    given = torch.from_numpy(joints)
    made = to_modality(given, modality, LAYOUT, has_scores=True).numpy()
    np.testing.assert_array_equal(given.numpy(), joints, err_msg="the input was changed")
    without = to_modality(given[..., :axes], modality, LAYOUT).numpy()
    np.testing.assert_array_equal(made[..., :axes], without, err_msg="the score changes no coordinate")
    for person in range(2):
        score = {(frame, joint): joints[person, frame, joint, axes] for frame in range(7) for joint in range(20)}
        if modality.startswith("bone"):
            parents = [LAYOUT.index[LAYOUT.bones.get(name, name)] for name in LAYOUT.joints]
            score = {(frame, joint): (own + score[frame, parents[joint]]) / 2 for (frame, joint), own in score.items()}
        if modality.endswith("motion"):
            score = {
                (frame, joint): (own + score[frame + 1, joint]) / 2 if frame < 6 else 0 for (frame, joint), own in score.items()
            }
        for (frame, joint), expected in score.items():
            assert made[person, frame, joint, axes] == pytest.approx(expected, abs=1e-12)


def test_roots_bone_keeps_its_own_score() -> None:
    joints = torch.rand(4, 20, 3, generator=torch.Generator().manual_seed(5))
    root = LAYOUT.index["shoulder_centre"]
    bone = bones(joints, LAYOUT, has_scores=True)[:, root]
    assert (bone[:, :2] == 0).all() and torch.equal(bone[:, 2], joints[:, root, 2])


def test_roots_bone_and_last_and_last_frames_motion_are_zero() -> None:
    joints = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 20, 3)))
    zero = (bones(joints, LAYOUT) == 0).all(dim=(0, 2))
    assert zero.nonzero().flatten().tolist() == [LAYOUT.index["shoulder_centre"]]
    zero = (motion(joints) == 0).all(dim=(1, 2))
    assert zero.nonzero().flatten().tolist() == [3]


def test_unknown_stream_names_the_known_ones() -> None:
    assert MODALITIES == ("joint", "bone", "joint_motion", "bone_motion")
    with pytest.raises(PoseglotError, match=r"'motion'.*joint, bone, joint_motion, bone_motion"):
        to_modality(torch.zeros(2, 20, 3), "motion", LAYOUT)
