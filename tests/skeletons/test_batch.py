"""Batches of clips: masks, lazy placing, taking frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.errors import PoseglotError
from poseglot.skeletons.batch import ClipBatch, joints_seen
from poseglot.skeletons.layout import load_layout

LAYOUT = load_layout("kinect20")


def batch(channels: int = 3, *, has_scores: bool = False) -> ClipBatch:
    """Three clips of up to two people and nine frames; the last one has no frames."""
    joints = torch.rand(3, 2, 9, 20, channels, generator=torch.Generator().manual_seed(1)) + 0.1
    return ClipBatch(joints, torch.tensor([9, 4, 0]), torch.tensor([1, 2, 1]), LAYOUT, has_scores)


def test_masks_say_who_and_what_counts() -> None:
    clips = batch()
    assert len(clips) == 3 and clips.person_mask().tolist() == [[True, False], [True, True], [True, False]]
    assert clips.present_mask().sum(dim=2).tolist() == [[9, 0], [4, 4], [0, 0]]
    assert clips.frame_mask().sum(dim=1).tolist() == [9, 4, 0]
    clips.joints[1, 0, 2] = 0
    clips.joints[1, 1, 2, 1:] = 0
    clips.joints[1, 1, 2, 0] = torch.tensor([0, 0, 1e-30])
    assert clips.seen_persons()[1].tolist() == [[t not in (2, *range(4, 9)) for t in range(9)], [t < 4 for t in range(9)]]
    assert clips.seen_mask()[1, :, 2].sum(dim=1).tolist() == [0, 1]


@pytest.mark.parametrize("value", [1e-30, -1e-30])
def test_a_frame_with_any_number_in_it_holds_somebody(value: float) -> None:
    joints = torch.zeros(1, 2, 100, 20, 3)
    for frame in range(0, 100, 2):  # every second frame holds a single number
        joints[0, frame % 4 // 2, frame, frame % 20, frame % 3] = value
    seen = ClipBatch(joints, torch.tensor([100]), torch.tensor([2]), LAYOUT).seen_persons()
    assert seen[0].sum(dim=1).tolist() == [25, 25]
    assert seen[0].any(dim=0).tolist() == [True, False] * 50


def test_a_score_says_what_is_seen() -> None:
    clips = batch(4, has_scores=True)
    clips.joints[0, 0, 3, :, 3] = 0
    clips.joints[0, 0, 4, :, :3] = 0
    assert clips.num_dims == 3 and clips.position.shape[-1] == 3
    assert clips.seen_persons()[0, 0].tolist() == [t != 3 for t in range(9)]
    assert not joints_seen(clips.joints, True)[0, 0, 3].any() and joints_seen(clips.joints, True)[0, 0, 4].all()


@pytest.mark.parametrize(("channels", "has_scores"), [(1, False), (4, False), (2, True), (5, True)])
def test_joints_have_two_or_three_coordinates(channels: int, has_scores: bool) -> None:
    with pytest.raises(PoseglotError):
        batch(channels, has_scores=has_scores)


def test_placing_waits_until_joints_are_read() -> None:
    asked: list[int] = []

    def move(joints: torch.Tensor) -> torch.Tensor:
        asked.append(joints.shape[2])
        return joints + 1

    clips = batch()
    moved = clips.moved(move).moved(lambda joints: joints * 2)
    assert not asked and len(moved) == 3 and moved.num_dims == 3
    taken = moved.take(torch.tensor([[0, 2]] * 3))
    assert asked == [2], "only the frames that were taken are placed"
    assert torch.equal(taken.joints, (clips.joints[:, :, [0, 2]] + 1) * 2)
    assert torch.equal(moved.joints, (clips.joints + 1) * 2) and torch.equal(moved.joints, moved.joints)
    assert asked == [2, 9]


def test_frames_are_numbered_among_those_that_count() -> None:
    clips = batch()
    present = clips.present_mask().clone()
    present[0, 0, [0, 3, 4]] = False
    counted = clips.with_present(present.any(dim=1).sum(dim=1), present)
    assert counted.frames.tolist() == [6, 4, 0]
    taken = counted.take(torch.tensor([[0, 1, 2, 5], [0, 0, 3, 3], [0, 0, 0, 0]]))
    assert torch.equal(taken.joints[0, 0], clips.joints[0, 0, [1, 2, 5, 8]])
    assert torch.equal(taken.joints[1], clips.joints[1][:, [0, 0, 3, 3]])
    assert taken.frames.tolist() == [4, 4, 0], "a clip without frames stays one"
    assert taken.present_mask().all(dim=2).tolist() == [[True, False], [True, True], [False, False]]


def test_scores_stay_behind_new_coordinates() -> None:
    clips = batch(4, has_scores=True)
    other = clips.with_position(clips.position * 2)
    assert torch.equal(other.joints[..., :3], clips.joints[..., :3] * 2) and torch.equal(
        other.joints[..., 3], clips.joints[..., 3]
    )
    assert repr(other) == "ClipBatch((3, 2, 9, 20, 4), kinect20, scores)"
    assert np.array_equal(other.frames, clips.frames)
