"""The four streams ("modalities" in the paper): joint, bone, joint motion, bone motion.

Each works on the last three axes (T, V, C), so a clip and a batch of clips are treated alike.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from poseglot.devices import to_device
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import Layout

Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]
STREAMS: tuple[str, ...] = get_args(Stream)


def to_stream(joints: Tensor, stream: str, layout: Layout, *, scored: bool = False) -> Tensor:
    """(..., T, V, C) joints -> the same shape in another stream. Bones first, then motion.

    Args:
        scored: whether the last channel is the confidence in each joint. A difference of two joints is as sure as their mean.

    Raises:
        PoseglotError: no such stream.
    """
    if stream not in STREAMS:
        raise PoseglotError(f"unknown stream {stream!r}; there are {', '.join(STREAMS)}.")
    if stream.startswith("bone"):
        joints = bones(joints, layout, scored=scored)
    if stream.endswith("motion"):
        joints = motion(joints, scored=scored)
    return joints


def bones(joints: Tensor, layout: Layout, *, scored: bool = False) -> Tensor:
    """Each joint minus its parent; the root's bone is zero, and its score the root's own."""
    parents = to_device(torch.tensor(layout.parents), joints.device)
    return _difference(joints, joints.index_select(-2, parents), scored)


def motion(joints: Tensor, *, scored: bool = False) -> Tensor:
    """x[t + 1] - x[t]; the last frame is zero, with its score."""
    moved = torch.zeros_like(joints)
    moved[..., :-1, :, :] = _difference(joints[..., 1:, :, :], joints[..., :-1, :, :], scored)
    return moved


def _difference(to: Tensor, start: Tensor, scored: bool) -> Tensor:
    difference = to - start
    if scored:
        difference[..., -1] = (to[..., -1] + start[..., -1]) / 2
    return difference
