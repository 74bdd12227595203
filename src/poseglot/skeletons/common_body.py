"""The common body: the form that clips of every sensor are brought into, so that one recognizer learns from all of them.

    joints       the 15 of `body15`, by name; what a layout lacks is zero, and what was out of sight for a while is interpolated
    axes         of the picture (`skeletons.orientation`): x to the right, y up, z towards the viewer; 2D clips have z = 0
    facing       the viewer, by left and right shoulder and hip: whose back is mostly seen in 3D is turned round
    unit         the mean length of the clip's bones
    scores       left out

Frame rates stay as they are; pipelines resize clips in time. A clip in this form becomes the same again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.clip import Joints, seen_joints
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.skeletons.mapping import LayoutMapping, map_layout
from poseglot.skeletons.orientation import picture_matrix

COMMON_BODY = "body15"


def is_common_body(layout: Layout) -> bool:
    """Tell whether a layout is the common body: whether its recognizers take clips of any layout."""
    return layout.name == COMMON_BODY


def map_to_common_body(layout: Layout) -> LayoutMapping:
    """Return how the joints of the common body are made from those of a layout.

    Raises:
        InputError: Most of them cannot be made.
    """
    return map_layout(layout, load_layout(COMMON_BODY), allow_missing=True)


def to_common_body(
    joints: Joints, mapping: LayoutMapping, *, has_scores: bool = False, axes: npt.NDArray[np.float64] | None = None
) -> Joints:
    """Return a clip as the common body.

    Args:
        joints: (M, T, V, C) in the source layout of `mapping`.
        mapping: From `map_to_common_body`.
        has_scores: Whether the last channel is the confidence in each joint.
        axes: (D, 3), from the clip's coordinates to those of the picture. By default they follow from this clip; those of a whole
            data set (`common_axes`) are surer.

    Returns:
        (M, T, 15, 3) float32. People and frames are the same; a person is zero in frames without any joint of his.
    """
    positions, seen = _mapped(joints, mapping, has_scores)
    if axes is None:
        axes = _axes(positions, seen, mapping)
    turned = _filled(positions[..., : len(axes)], seen) @ axes
    known, present = seen.any(axis=1, keepdims=True), seen.any(axis=-1, keepdims=True)
    there: npt.NDArray[np.bool_] = np.logical_and(known, present)  # joints that are known, in frames with the person
    if len(axes) == 3 and _shows_back(turned, there, mapping.target):
        turned = turned * [-1, 1, -1]
    unit = _mean_bone(turned, there, mapping.target)
    centre = mapping.target.centre_index
    if not there[:, :, centre].any() and there.any():  # pipelines subtract the centre, which is at zero
        turned = turned - turned[there].mean(axis=0)
    return np.where(there[..., None], turned / (unit or 1.0), 0).astype(np.float32)


def common_axes(clips: list[Joints], mapping: LayoutMapping, *, has_scores: bool = False) -> npt.NDArray[np.float64]:
    """Return the axes (D, 3) of a data set's clips (M, T, V, C), of one direction of up."""
    mapped = [_mapped(joints, mapping, has_scores) for joints in clips]
    flat = [[array.reshape(-1, *array.shape[2:]) for array in pair] for pair in mapped]
    positions, seen = (np.concatenate([pair[number] for pair in flat]) for number in (0, 1))
    return _axes(positions, seen, mapping)


def _axes(positions: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], mapping: LayoutMapping) -> npt.NDArray[np.float64]:
    """Return the axes (D, 3); D is 2 also in 3D if all depths are 0, as of a picture."""
    dims = positions.shape[-1] if positions[..., 2:].any() else 2
    return picture_matrix(positions[..., :dims], mapping.target, seen=seen)


def _mapped(joints: Joints, mapping: LayoutMapping, has_scores: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the mapped positions (M, T, 15, D) and which of them are seen (M, T, 15)."""
    mapped = mapping.apply(joints, has_scores=has_scores)
    people, frames, count, channels = mapped.shape
    columns, rows = seen_joints(mapped.reshape(-1, count, channels), has_scores=has_scores)
    seen = rows.T.reshape(people, frames, count).copy()
    if not has_scores:  # the joint that a person is centred on is at zero in every frame, and was seen
        present = seen.any(axis=-1)
        for index, joint in enumerate(mapping.joints):
            is_centre = set(joint.weights) == {mapping.source.centre} or joint.joint == mapping.target.centre
            if joint.weights and is_centre:
                seen[..., index] |= present & ~seen[..., index].any(axis=1, keepdims=True)
    return columns.transpose(2, 1, 0).reshape(people, frames, count, -1).astype(np.float64), seen


def _filled(positions: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return positions with joints that were out of sight for a while interpolated over time.

    Positions are interpolated relative to the middle of the joints that are always seen, so that a hidden hand moves with its body.
    """
    present = seen.any(axis=-1, keepdims=True)
    always = (seen | ~present).all(axis=1, keepdims=True) & seen  # (M, T, V)
    middle = (positions * always[..., None]).sum(axis=2, keepdims=True) / np.maximum(always.sum(axis=2), 1)[..., None, None]
    filled: npt.NDArray[np.float64] = _interpolated(positions - middle, seen) + middle
    return filled


def _interpolated(positions: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    filled, time = positions.copy(), np.arange(positions.shape[1])
    for person, joint in np.argwhere(seen.any(axis=1) & ~seen.all(axis=1)):
        known = seen[person, :, joint]
        for axis in range(positions.shape[-1]):
            filled[person, ~known, joint, axis] = np.interp(time[~known], time[known], positions[person, known, joint, axis])
    return filled


def _shows_back(positions: npt.NDArray[np.float64], there: npt.NDArray[np.bool_], layout: Layout) -> bool:
    """Tell whether left joints are mostly to the left of right ones in the picture: the person is seen from behind."""
    left, right = np.array([(layout.index[f"left_{joint}"], layout.index[f"right_{joint}"]) for joint in ("shoulder", "hip")]).T
    both = there[..., left] & there[..., right]
    return bool((positions[..., left, 0] - positions[..., right, 0])[both].sum() < 0)


def _mean_bone(positions: npt.NDArray[np.float64], there: npt.NDArray[np.bool_], layout: Layout) -> float:
    """Return the mean length of the bones whose ends are known; 0 if there is none."""
    children, parents = np.array(layout.bone_pairs).T
    whole = there[..., children] & there[..., parents]
    lengths = np.linalg.norm(positions[..., children, :] - positions[..., parents, :], axis=-1)
    return float(lengths[whole].mean()) if whole.any() else 0.0
