"""Orientation: the one rule by which stored coordinates become a picture. Page, report, plots and contact sheets draw `clip_picture`.

Picture coordinates are right-handed: x to the right, y up, z towards the viewer. No picture is mirrored: in 3D the change of axes is a
rotation.

    2D            x as stored; y is turned over if it runs down, as pixels do
    3D, y up      seen from the sensor, as a depth camera has its axes (x to its left, y up, z away from it)
    3D, y down    seen from the camera, as computer vision has its axes (x right, y down, z away)
    3D, other     z up: seen along +y, x to the right; z down and x up or down likewise

Which way is up follows from heads and feet.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.clip import Clip, seen_joints
from poseglot.skeletons.layout import Layout

# Axis and sign that point up -> the stored axes of right, up and towards the viewer, with their signs. All are rotations.
VIEWS = {
    (1, 1): ((0, -1), (1, 1), (2, -1)),
    (1, -1): ((0, 1), (1, -1), (2, -1)),
    (2, 1): ((0, 1), (2, 1), (1, -1)),
    (2, -1): ((0, 1), (2, -1), (1, 1)),
    (0, 1): ((1, 1), (0, 1), (2, -1)),
    (0, -1): ((1, -1), (0, -1), (2, -1)),
}
# Somebody who falls or lies down is upright in some frames: in this share of the frames the body decides.
UPRIGHT_SHARE = 0.1
UP_AXES = tuple(sign + axis for axis in "xyz" for sign in ("", "-"))
# Parts that stand in for feet and heads that are never seen together, the best first.
STAND_INS = (("leg", "head"), ("hip", "head"), ("foot", "arm"), ("hip", "arm"))
# The cosine of the angle to an axis within which a body is along it.
_ALONG = 0.8


def clip_picture(clip: Clip, layout: Layout) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return a whole clip in picture coordinates (M, T, V, 3), and which of its joints are drawn (M, T, V)."""
    people, frames, joints, channels = clip.joints.shape
    columns, rows = seen_joints(clip.joints.reshape(-1, joints, channels), has_scores=clip.has_scores)
    coordinates, seen = columns.transpose(2, 1, 0).astype(np.float64), rows.T.copy()
    if not clip.has_scores:  # the joint that a skeleton was centred on is at zero, and was seen
        seen[np.count_nonzero(seen, axis=1) == joints - 1, layout.centre_index] = True
    points = to_picture(coordinates, layout, seen=seen)
    return points.reshape(people, frames, joints, 3), seen.reshape(people, frames, joints)


def turn_up(joints: npt.NDArray[np.float32], up: str) -> npt.NDArray[np.float32]:
    """Return joints (..., 3) of which the axis `up` (of `UP_AXES`) points up, turned so that y does. Their picture stays the same."""
    (right, right_sign), (over, over_sign), (near, near_sign) = VIEWS["xyz".index(up[-1]), -1 if up[0] == "-" else 1]
    columns = [-right_sign * joints[..., right], over_sign * joints[..., over], -near_sign * joints[..., near]]
    return np.stack(columns, axis=-1) + np.float32(0)  # without -0


def joint_rows(integers: npt.NDArray[np.integer], seen: npt.NDArray[np.bool_]) -> list[list[list[int | None] | None]]:
    """Return each person's frames for a script that draws them: x, y, z of every joint in one list; null for what is not seen.

    Args:
        integers: (M, T, V, 3).
        seen: (M, T, V).
    """
    return [
        [
            [value if one else None for joint, one in zip(frame, is_seen, strict=True) for value in joint]
            if any(is_seen)
            else None
            for frame, is_seen in zip(person, present, strict=True)
        ]
        for person, present in zip(cast("list[Any]", integers.tolist()), cast("list[Any]", seen.tolist()), strict=True)
    ]


def to_picture(
    joints: npt.NDArray[np.floating], layout: Layout, *, seen: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Return joints in picture coordinates.

    Args:
        joints: (..., V, D), two or three coordinates and no score. The more frames, the surer the direction of up.
        layout: The layout of the joints.
        seen: (..., V), False where a joint is missing; by default where all its coordinates are 0.

    Returns:
        (..., V, 3): right, up, towards the viewer, in the unit and about the origin of `joints`. In 2D the last is 0.
    """
    return joints @ picture_matrix(joints, layout, seen=seen)


def picture_matrix(
    joints: npt.NDArray[np.floating], layout: Layout, *, seen: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Return the matrix (D, 3) that takes coordinates into picture coordinates; arguments as in `to_picture`."""
    num_dims = joints.shape[-1]
    seen = (joints != 0).any(axis=-1) if seen is None else seen
    body = _feet_to_head(joints.reshape(-1, len(layout), num_dims), seen.reshape(-1, len(layout)), layout)
    matrix = np.zeros((num_dims, 3))
    if num_dims == 2:
        matrix[0, 0], matrix[1, 1] = 1, 1 if len(body) and body[:, 1].mean() > 0 else -1
        return matrix
    for column, (axis, sign) in enumerate(VIEWS[_up(body)]):
        matrix[axis, column] = sign
    return matrix


def up_direction(joints: npt.NDArray[np.floating], layout: Layout, *, seen: npt.NDArray[np.bool_]) -> tuple[int, int] | None:
    """Return the axis and sign along which heads are above feet in most frames (N, V, D); None if there is no such axis."""
    body = _feet_to_head(joints, seen, layout)
    length = np.linalg.norm(body, axis=1)
    directions = body[length > 0] / length[length > 0, None]
    if not len(directions):
        return None
    median = np.median(directions, axis=0)
    axis = int(np.abs(median).argmax())
    return (axis, 1 if median[axis] > 0 else -1) if abs(median[axis]) > _ALONG else None


def _up(body: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Return the axis and sign that point up: y, unless bodies (N, 3) never stand along it."""
    length = np.linalg.norm(body, axis=1)
    directions = body[length > 0] / length[length > 0, None]
    if not len(directions):
        return (1, 1)
    upright = {
        (axis, sign): float(np.quantile(sign * directions[:, axis], 1 - UPRIGHT_SHARE))
        for axis in (1, 2, 0)
        for sign in (1, -1)
    }
    return (1, 1) if upright[1, 1] > 0.5 else max(upright, key=lambda way: upright[way])


def _feet_to_head(joints: npt.NDArray[np.floating], seen: npt.NDArray[np.bool_], layout: Layout) -> npt.NDArray[np.float64]:
    """Return the vectors (N, D) from feet to head of all frames in which both are seen.

    If there are none, legs or hips stand in for feet, and arms for heads; not in a layout without feet or heads, such as a hand's, whose
    parts are no body's.
    """
    whole = bool(layout.parts["foot"] and layout.parts["head"])
    stand_ins = STAND_INS if whole else ()
    for low, high in (("foot", "head"), *stand_ins):
        if len(vectors := _between(low, high, joints, seen, layout)):
            break
    return vectors


def _between(
    low: str, high: str, joints: npt.NDArray[np.floating], seen: npt.NDArray[np.bool_], layout: Layout
) -> npt.NDArray[np.float64]:
    """Return the vectors (N, D) from the middle of one part to that of another, of all frames in which both are seen."""
    ends = []
    for part in (low, high):
        indices = [layout.index[joint] for joint in layout.parts[part]]
        weight = seen[:, indices].astype(np.float64)
        count = weight.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            ends.append((weight[..., None] * np.nan_to_num(joints[:, indices])).sum(axis=1) / np.where(count, count, np.nan))
    vectors: npt.NDArray[np.float64] = ends[1] - ends[0]
    return vectors[np.isfinite(vectors).all(axis=1)]
