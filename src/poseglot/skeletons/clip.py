"""A clip: one or more people's joints over time, checked once at the door.

Array order is (M, T, V, C) = people, frames, joints, channels; float32; metres where the source has units. The channels are x, y
or x, y, z, and for joints of a pose estimator often a last one, its confidence in each joint ("score"; 0 where it saw none).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.errors import PoseglotError

Joints = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Clip:
    """One sample.

    Attributes:
        joints: (M, T, V, C) float32, finite.
        name: what it is called in lists and reports (unique within a store).
        label: class index, or -1 when unknown.
        subject, camera, setup: who, seen from where, in which arrangement; 0 when unknown. Splits are made of these.
        scored: whether the last channel is the confidence in each joint.
    """

    joints: Joints
    name: str
    label: int = -1
    subject: int = 0
    camera: int = 0
    setup: int = 0
    has_scores: bool = False


def check_joints(
    joints: npt.ArrayLike, *, joint_count: int | None = None, has_scores: bool = False, origin: str = "the clip"
) -> Joints:
    """`joints` as a checked (M, T, V, C) float32 array.

    Args:
        joints: (M, T, V, C), or (T, V, C) for a single person; any real dtype.
        joint_count: the V that the layout asks for, if it is known.
        scored: whether the last channel is the confidence in each joint.
        origin: what the error message calls it (a file name, usually).

    Raises:
        PoseglotError: not numbers, another number of axes, no frames, no people, the wrong V, or NaN or infinity (the first
            place is named).
    """
    try:
        array = np.asarray(joints)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"they are of type {array.dtype}")
        array = array.astype(np.float32, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise PoseglotError(
            f"{origin}: the joints are not a regular array of numbers ({error}). Every frame must hold the same number of "
            "joints, and every joint the same number of coordinates."
        ) from error
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4:
        raise PoseglotError(
            f"{origin}: the joints have shape {array.shape}; accepted are (people, frames, joints, channels) or "
            "(frames, joints, channels)."
        )
    people, frames, count, channels = array.shape
    for size, what in ((people, "people"), (frames, "frames"), (count, "joints")):
        if size == 0:
            raise PoseglotError(f"{origin}: there are no {what} in it (shape {array.shape}).")
    if joint_count is not None and count != joint_count:
        raise PoseglotError(
            f"{origin}: {count} joints in a frame, but the layout has {joint_count}. Is the clip of another kind of skeleton?"
        )
    if channels - has_scores not in (2, 3):
        score = " and a score" if has_scores else ", and with --scored one more for the confidence in the joint"
        raise PoseglotError(f"{origin}: {channels} numbers per joint; accepted are 2 (x, y) or 3 (x, y, z){score}.")
    finite = np.isfinite(array)
    if not finite.all():
        person, frame, joint, _ = np.argwhere(~finite)[0]
        raise PoseglotError(
            f"{origin}: {np.count_nonzero(~finite)} coordinates are not finite (NaN or infinity), the first at person {person}, "
            f"frame {frame}, joint {joint} (counted from 0). Repair or drop those frames; a joint that was not seen is written as zeros."
        )
    # Writable, because torch shares its memory; what came from a memory-mapped file is copied.
    return np.require(array, requirements=["C", "W"])
