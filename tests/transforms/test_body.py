"""Mappings and the common body of batches in torch operations: as those of single clips in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.skeletons.clip import Joints
from poseglot.skeletons.common_body import map_to_common_body, to_common_body
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.mapping import map_layout
from poseglot.transforms.body import common_body, map_joints

LAYOUTS = ("kinect20", "ntu25", "coco17", "mediapipe33", "body15", "h36m17")


def some_clips(joints: int, dims: int, has_scores: bool, *, people: int = 2) -> Joints:
    """Four clips: of everybody, with hidden joints, centred at joint 1, and of few joints; the first of two people is away at first."""
    rng = np.random.default_rng([joints, dims])
    clips = rng.normal(size=(4, people, 1, joints, dims)) + 0.2 * rng.normal(size=(4, people, 12, joints, dims))
    hidden = np.zeros((4, people, 12, joints), bool)
    hidden[1] = rng.uniform(size=hidden.shape[1:]) < 0.3
    clips[2] -= clips[2, :, :, 1:2]
    hidden[3, ..., joints // 2 :] = True
    hidden[:, 0, :3] = True
    hidden[:, :, 7] = True
    clips[hidden] = 0
    if has_scores:
        scores = np.where(hidden, 0.1, rng.uniform(0.3, 1, size=hidden.shape))[..., None]
        clips = np.concatenate([rng.normal(size=clips.shape) * hidden[..., None] + clips, scores], axis=-1)
    return clips.astype(np.float32)


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
@pytest.mark.parametrize(("source", "target"), [("ntu25", "kinect20"), ("coco17", "body15"), ("mediapipe33", "coco17")])
def test_mapped_as_single_clips(source: str, target: str, has_scores: bool) -> None:
    mapping = map_layout(load_layout(source), load_layout(target), allow_missing=True)
    clips = some_clips(len(mapping.source), 3, has_scores)
    wanted = np.stack([mapping.apply(clip, has_scores=has_scores) for clip in clips])
    made = map_joints(torch.from_numpy(clips), mapping, has_scores=has_scores)
    np.testing.assert_allclose(made.numpy(), wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_common_bodies_are_those_of_single_clips(layout: str, dims: int, has_scores: bool) -> None:
    mapping = map_to_common_body(load_layout(layout))
    clips = some_clips(len(mapping.source), dims, has_scores)
    wanted = np.stack([to_common_body(clip, mapping, has_scores=has_scores) for clip in clips])
    made = common_body(torch.from_numpy(clips), mapping, has_scores=has_scores)
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(made.numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize(
    "turn", ["y up", "y down", "z up", "z down", "x up", "back", "flat", "legs alone", "nobody", "one frame"]
)
def test_every_way_that_a_body_may_stand(turn: str) -> None:
    from tests.skeletons.test_common_body import kinect_clip

    clip, mapping = kinect_clip(), map_to_common_body(load_layout("kinect20"))
    index = mapping.source.index
    y, z = clip[..., 1:2].copy(), clip[..., 2:].copy()
    clip = {
        "y down": lambda: clip * np.float32([1, -1, -1]),
        "z up": lambda: np.concatenate([clip[..., :1], -z, y], axis=-1),
        "z down": lambda: np.concatenate([clip[..., :1], z, -y], axis=-1),
        "x up": lambda: np.concatenate([y, -clip[..., :1], z], axis=-1),
        "back": lambda: clip * np.float32([-1, 1, -1]),
        "flat": lambda: clip * np.float32([1, -1, 0]),
        "nobody": lambda: 0 * clip,
        "one frame": lambda: clip[:, :1],
    }.get(turn, lambda: clip)()  # fmt: skip
    if turn == "legs alone":
        for joint in ("head", "shoulder_centre", "left_foot", "right_foot", "left_ankle", "right_ankle"):
            clip[:, :, index[joint]] = 0
    wanted = to_common_body(clip, mapping)
    made = common_body(torch.from_numpy(clip)[None], mapping, has_scores=False)[0]
    np.testing.assert_allclose(made.numpy(), wanted, atol=1e-5)
