"""The four modalities ("modalities" in the paper): joint, bone, joint motion, bone motion.

Each works on the last three axes (T, V, C), so a clip and a batch of clips are treated alike.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from poseglot.devices import to_device
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import Layout

Modality = Literal["joint", "bone", "joint_motion", "bone_motion"]
MODALITIES: tuple[str, ...] = get_args(Modality)


def to_modality(joints: Tensor, modality: str, layout: Layout, *, has_scores: bool = False) -> Tensor:
    """(..., T, V, C) joints -> the same shape in another stream. Bones first, then motion.

    Args:
        scored: whether the last channel is the confidence in each joint. A difference of two joints is as sure as their mean.

    Raises:
        PoseglotError: no such stream.
    """
    if modality not in MODALITIES:
        raise PoseglotError(f"unknown stream {modality!r}; there are {', '.join(MODALITIES)}.")
    if modality.startswith("bone"):
        joints = bones(joints, layout, has_scores=has_scores)
    if modality.endswith("motion"):
        joints = motion(joints, has_scores=has_scores)
    return joints


def bones(joints: Tensor, layout: Layout, *, has_scores: bool = False) -> Tensor:
    """Each joint minus its parent; the root's bone is zero, and its score the root's own."""
    parents = to_device(torch.tensor(layout.parents), joints.device)
    return _difference(joints, joints.index_select(-2, parents), has_scores)


def motion(joints: Tensor, *, has_scores: bool = False) -> Tensor:
    """x[t + 1] - x[t]; the last frame is zero, with its score."""
    moved = torch.zeros_like(joints)
    moved[..., :-1, :, :] = _difference(joints[..., 1:, :, :], joints[..., :-1, :, :], has_scores)
    return moved


def _difference(to: Tensor, start: Tensor, has_scores: bool) -> Tensor:
    difference = to - start
    if has_scores:
        difference[..., -1] = (to[..., -1] + start[..., -1]) / 2
    return difference
