"""From stored clips to what an encoder sees: views of whole batches, on the device.

A protocol (`poseglot.skeletons.protocols`) says how clips are fed; then comes the stream. All people of a clip are moved together, and
absent people stay zero.
"""

from __future__ import annotations

import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Joints, check_joints
from poseglot.skeletons.layout import Layout, as_layout
from poseglot.skeletons.protocols import PIPELINES, Augmentation, Protocol, RawClips, load_pipeline
from poseglot.skeletons.protocols.nw_ucla import drawn_without_replacement, evenly_spaced
from poseglot.skeletons.streams import to_modality


def apply_pipeline(
    joints: npt.ArrayLike,
    *,
    pipeline: str,
    modality: str = "joint",
    layout: Layout | str | None = None,
    has_scores: bool = False,
) -> Joints:
    """The evaluation view of one clip.

    Args:
        joints: (M, T, V, C) float32.
        protocol: `nw-ucla`, `ntu`, `metric` (own joints in real units, 2D or 3D) or `image` (own joints in pixels or any units).
        stream: `joint`, `bone`, `joint_motion` or `bone_motion`.
        layout: of the joints: a Layout, a packaged one's name, or a path ending in .yaml; by default the protocol's own
            (`nw-ucla`: kinect20, `ntu`: ntu25; `metric` and `image` have none).
        scored: whether the last channel is the confidence in each joint.

    Returns:
        (M, frames, V, C) float32, with the frames of the protocol (`nw-ucla`: 52, the others: 64).

    Raises:
        PoseglotError: the clip, the protocol, the stream or the layout is not acceptable, or none was given where one is needed.
    """
    rules = load_pipeline(pipeline)
    given = layout if layout is not None else rules.layout
    if given is None:
        raise PoseglotError(
            f"the protocol {rules.name} is for clips of any layout and must be told which: layout=, a packaged one's name (for example "
            "ntu25), a path ending in .yaml, or a Layout."
        )
    table = as_layout(given)
    array = torch.from_numpy(check_joints(joints, joint_count=len(table), has_scores=has_scores))
    view = make_input(
        array[None],
        torch.tensor([array.shape[1]]),
        torch.tensor([array.shape[0]]),
        pipeline=rules,
        modality=modality,
        layout=table,
        has_scores=has_scores,
    )
    result: Joints = view[0].numpy()
    return result


# pytest would take the name of this public function for a test.
apply_pipeline.__test__ = False  # type: ignore[attr-defined]


def make_input(
    joints: Tensor,
    frames: Tensor,
    people: Tensor,
    *,
    pipeline: Protocol,
    modality: str,
    layout: Layout,
    index: Tensor | None = None,
    augmentation: Augmentation | None = None,
    has_scores: bool = False,
) -> Tensor:
    """The views of a batch.

    Args:
        joints: (N, M, T, V, C), padded; what lies behind a clip's last frame or person is ignored.
        frames: (N,) int64, each clip's length, 1..T.
        people: (N,) int64, how many people each clip has, 1..M.
        protocol, stream, layout, scored: as in `test_view`.
        index: (N,) int64, each sample's place; needed for augmentation.
        augmentation: None gives the evaluation view.

    Returns:
        (N, M, protocol.frames, V, C), of the dtype of `joints`; absent people are zero.

    Raises:
        PoseglotError: no such stream, or the protocol lacks what the augmentation asks for.
    """
    if augmentation is not None:
        pipeline.check(effective_scale=augmentation.effective_scale)
    clips = RawClips(joints, frames, people, layout, has_scores)
    return to_modality(pipeline.joints(clips, index, augmentation), modality, layout, has_scores=has_scores)


__all__ = [
    "PIPELINES",
    "Augmentation",
    "Protocol",
    "apply_pipeline",
    "drawn_without_replacement",
    "evenly_spaced",
    "load_pipeline",
    "make_input",
]
