"""Clips: the joints of one or more people over time, validated when they are read.

Array order is (M, T, V, C) = people, frames, joints, channels; float32; metres where the source has units. The channels are x, y or
x, y, z. Joints of a pose estimator often have one more: the confidence in each joint ("score"; 0 where it was not detected).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.errors import InputError
from poseglot.safe_text import name_text

Joints = npt.NDArray[np.float32]
MIN_SCORE = 0.3  # a joint with a lower score counts as not seen


@dataclass(frozen=True, eq=False)
class Clip:
    """One sample.

    Attributes:
        joints: (M, T, V, C) float32, finite.
        name: The name in lists and reports, unique within a store; text even if it came from a file's name that is none.
        label: The class index, or -1 if unknown.
        subject, camera, setup: The numbers of the person, the camera and the arrangement; 0 if unknown. Splits select by them.
        has_scores: Whether the last channel is the confidence in each joint.
    """

    joints: Joints
    name: str
    label: int = -1
    subject: int = 0
    camera: int = 0
    setup: int = 0
    has_scores: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_text(self.name))

    def __repr__(self) -> str:
        scores = ", has_scores=True" if self.has_scores else ""
        return f"Clip({self.name!r}, joints={self.joints.shape}, label={self.label}{scores})"


def check_joints(
    joints: npt.ArrayLike, *, joint_count: int | None = None, has_scores: bool = False, origin: str = "the clip"
) -> Joints:
    """Validate joints and return them as an (M, T, V, C) float32 array.

    Args:
        joints: (M, T, V, C), or (T, V, C) for a single person; any real dtype.
        joint_count: The required V, if it is known.
        has_scores: Whether the last channel is the confidence in each joint.
        origin: What the error message calls the clip, usually a file name.

    Raises:
        InputError: Not numbers, a wrong number of dimensions, no frames, no people, a wrong V, or NaN or infinity (the message names
            the first one's position).
    """
    try:
        array = np.asarray(joints)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"they are of type {array.dtype}")
        array = array.astype(np.float32, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{origin}: the joints are not a regular array of numbers ({error}). Every frame must hold the same number of "
            "joints, and every joint the same number of coordinates."
        ) from error
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4:
        raise InputError(
            f"{origin}: the joints have shape {array.shape}; accepted are (people, frames, joints, channels) or "
            "(frames, joints, channels)."
        )
    num_persons, frames, count, channels = array.shape
    for size, what in ((num_persons, "people"), (frames, "frames"), (count, "joints")):
        if size == 0:
            raise InputError(f"{origin}: there are no {what} in it (shape {array.shape}).")
    if joint_count is not None and count != joint_count:
        raise InputError(
            f"{origin}: {count} joints in a frame, but the layout has {joint_count}. If the clip has another skeleton, name its layout "
            "(--layout)."
        )
    if channels - has_scores not in (2, 3):
        score = " and a score" if has_scores else ", and with --scored one more for the confidence in the joint"
        raise InputError(f"{origin}: {channels} numbers per joint; accepted are 2 (x, y) or 3 (x, y, z){score}.")
    finite = np.isfinite(array)
    if not finite.all():
        person, frame, joint, _ = np.argwhere(~finite)[0]
        raise InputError(
            f"{origin}: {np.count_nonzero(~finite)} coordinates are not finite (NaN or infinity), the first at person {person}, "
            f"frame {frame}, joint {joint} (counted from 0). Repair or drop those frames; write a joint that was not seen as zeros."
        )
    # torch shares the array's memory, so it must be writable. A memory-mapped array is copied here.
    return np.require(array, requirements=["C", "W"])


def seen_joints(frames: npt.NDArray[Any], *, has_scores: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Tell which joints of some frames are seen.

    A joint is seen if its score is at least `MIN_SCORE` or, without scores, if its coordinates are not all 0. Joints that are not
    finite are not seen.

    Args:
        frames: (R, V, C) frames in any order.
        has_scores: Whether the last channel is the confidence in each joint.

    Returns:
        Coordinates (D, V, R) without the scores, and (V, R) bool. Frames come last so that operations over all frames run along the
        memory.
    """
    columns = np.ascontiguousarray(frames.transpose(2, 1, 0), dtype=np.float32)
    joints = columns[:-1] if has_scores else columns
    seen = columns[-1] >= MIN_SCORE if has_scores else (joints != 0).any(axis=0)
    if not np.isfinite(columns).all():
        seen &= np.isfinite(joints).all(axis=0)
        joints = np.where(seen, joints, np.float32(0))
    return joints, seen


def evenly_spaced(length: int, count: int) -> npt.NDArray[np.int64]:
    """Return up to `count` of the indices of `length` things, in order, evenly spaced from the first to the last."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).astype(np.int64))
