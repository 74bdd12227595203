"""The four modalities of the paper: joint, bone, joint motion, bone motion.

Each works on the last three axes (T, V, C), so a clip and a batch of clips are treated alike. The modality is a setting of a run and not
of a pipeline's file: one pipeline serves all four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from poseglot.devices import to_device
from poseglot.errors import NotFoundError
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.layout import Layout
from poseglot.transforms.transform import Randomness, Transform

Modality = Literal["joint", "bone", "joint_motion", "bone_motion"]
MODALITIES: tuple[str, ...] = get_args(Modality)


@dataclass(frozen=True)
class ToModality(Transform):
    """Turn joints into a modality, in training as in evaluation: the last step, which `Pipeline` adds by itself.

    Attributes:
        modality: `joint`, `bone`, `joint_motion` or `bone_motion`.
    """

    modality: str = "joint"
    name: ClassVar[str] = "to-modality"

    def __post_init__(self) -> None:
        check_modality(self.modality)

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        return batch.with_joints(to_modality(batch.joints, self.modality, batch.layout, has_scores=batch.has_scores))


def to_modality(joints: Tensor, modality: str, layout: Layout, *, has_scores: bool = False) -> Tensor:
    """Turn joints (..., T, V, C) into a modality of the same shape: bones first, then motion.

    Args:
        joints: Coordinates, with each joint's score behind them if `has_scores`.
        modality: `joint`, `bone`, `joint_motion` or `bone_motion`.
        layout: The layout of the joints.
        has_scores: Whether the last channel is the confidence in each joint. The score of a difference is the mean of the two scores.

    Raises:
        NotFoundError: There is no such modality.
    """
    check_modality(modality)
    if modality.startswith("bone"):
        joints = bones(joints, layout, has_scores=has_scores)
    if modality.endswith("motion"):
        joints = motion(joints, has_scores=has_scores)
    return joints


def check_modality(modality: str) -> None:
    """Refuse a modality that there is not.

    Raises:
        NotFoundError: There is no such modality.
    """
    if modality not in MODALITIES:
        raise NotFoundError(str(modality), MODALITIES, kind="modality")


def bones(joints: Tensor, layout: Layout, *, has_scores: bool = False) -> Tensor:
    """Subtract from each joint its parent. The root's bone is zero, and its score the root's own."""
    parents = to_device(torch.tensor(layout.parents), joints.device)
    return _difference(joints, joints.index_select(-2, parents), has_scores)


def motion(joints: Tensor, *, has_scores: bool = False) -> Tensor:
    """Return x[t + 1] - x[t]. The last frame is zero, with its score."""
    moved = torch.zeros_like(joints)
    moved[..., :-1, :, :] = _difference(joints[..., 1:, :, :], joints[..., :-1, :, :], has_scores)
    return moved


def _difference(to: Tensor, start: Tensor, has_scores: bool) -> Tensor:
    difference = to - start
    if has_scores:
        difference[..., -1] = (to[..., -1] + start[..., -1]) / 2
    return difference
