"""The four streams ("modalities" in the paper): joint, bone, joint motion, bone motion.

Each works on the last three axes (T, V, C), so a clip and a batch of clips are treated alike.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import Layout

Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]
STREAMS: tuple[str, ...] = get_args(Stream)


def to_stream(joints: Tensor, stream: str, layout: Layout) -> Tensor:
    """(..., T, V, C) joints -> the same shape in another stream. Bones first, then motion.

    Raises:
        PoseglotError: no such stream.
    """
    if stream not in STREAMS:
        raise PoseglotError(f"unknown stream {stream!r}; there are {', '.join(STREAMS)}.")
    if stream.startswith("bone"):
        joints = bones(joints, layout)
    if stream.endswith("motion"):
        joints = motion(joints)
    return joints


def bones(joints: Tensor, layout: Layout) -> Tensor:
    """Each joint minus its parent; the root's bone is zero."""
    return joints - joints[..., list(layout.parents), :]


def motion(joints: Tensor) -> Tensor:
    """x[t + 1] - x[t]; the last frame is zero."""
    moved = torch.zeros_like(joints)
    moved[..., :-1, :, :] = joints[..., 1:, :, :] - joints[..., :-1, :, :]
    return moved
