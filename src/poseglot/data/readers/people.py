"""People found frame by frame, as pose estimators and body trackers write them, become a recording."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.manifest import clip_joints
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, Recording
from poseglot.data.tracking import people_of_frames
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

# Number of 2D keypoints -> layout. Of whole bodies with hands and faces, the body at their beginning is taken.
KEYPOINT_LAYOUTS: Mapping[int, str] = {
    17: "coco17", 18: "openpose18", 25: "body25", 26: "halpe26", 33: "mediapipe33", 133: "coco17", 136: "halpe26",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Person:
    """A person in a frame.

    Attributes:
        joints: (V, C): x, y[, z][, score].
        identity: What tells the person from others; None if the file does not say.
    """

    joints: npt.NDArray[np.float64]
    identity: Hashable | None = None


def recording_of(
    frames: Sequence[Sequence[Person]],
    file: ClipFile,
    *,
    has_scores: bool,
    layout: str | None = None,
    joint_names: Sequence[str] = (),
) -> Recording:
    """Make a recording of people found in frames. Joints that are not finite count as not seen, and are zero.

    Args:
        frames: The people of every frame.
        file: Where they come from.
        has_scores: Whether the last channel is the confidence in each joint.
        layout: What the joints are; None goes by their number (`KEYPOINT_LAYOUTS`).
        joint_names: Their names, of formats without a packaged layout.

    Raises:
        ClipError: Nobody is in any frame, or people have different joints.
    """
    shapes = {person.joints.shape for people in frames for person in people}
    if not shapes:
        raise ClipError("empty", f"{file.origin}: nobody is in any of its {len(frames)} frames.")
    if len(shapes) > 1:
        raise ClipError("malformed", f"{file.origin}: people have different joints: {sorted(shapes)}.")
    ((count, channels),) = shapes
    if layout is None and not joint_names:
        layout = KEYPOINT_LAYOUTS.get(count)
    known = load_layout(layout) if layout is not None else None
    if known is not None and len(known) < count:
        count = len(known)
    found = [[(person.identity, _finite(person.joints[:count])) for person in people] for people in frames]
    if not any(joints.any() for people in found for _, joints in people) and any(
        not np.isfinite(person.joints).all() for people in frames for person in people
    ):
        raise ClipError(
            "not finite", f"{file.origin}: no joint of anybody is finite; there are NaN, infinity or null in its place."
        )
    joints = people_of_frames(found, joint_count=count, channels=channels, has_scores=has_scores, origin=file.origin)
    if known is not None and len(known) != count:
        raise ClipError("joint count", f"{file.origin}: {count} joints, but its format has {len(known)}.")
    joints = clip_joints(joints, joint_count=count, has_scores=has_scores, origin=file.origin)
    return Recording(Clip(joints, name=clip_name(file), has_scores=has_scores), known, tuple(joint_names))


def clip_name(file: ClipFile) -> str:
    """Return the name of a clip: that of its file without the ending, or of its folder."""
    return file.path.name if file.frames else file.path.name.split(".")[0]


def triples(numbers: Any, origin: str, *, size: int = 3) -> npt.NDArray[np.float64]:
    """Return a flat list of numbers as (V, size).

    Raises:
        ClipError: It is not such a list.
    """
    try:
        array = np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)
        return array.reshape(-1, size)
    except (TypeError, ValueError) as error:
        raise ClipError(
            "malformed", f"{origin}: keypoints are not a list of {size} numbers for each joint ({error})."
        ) from error


def in_order(frames: Mapping[Any, Sequence[Person]]) -> list[Sequence[Person]]:
    """Return people by frame in the order of their frames' numbers. Frames without anybody are added where numbers are missing.

    Names such as `12.jpg` count as their last number. Numbers that are far apart do not count frames, and are only ordered.
    """
    numbered = {_number(key): people for key, people in frames.items()}
    if len(numbered) < len(frames) or None in numbered:
        return [frames[key] for key in sorted(frames, key=str)]
    numbers = sorted(number for number in numbered if number is not None)
    if numbers and numbers[-1] - numbers[0] < 4 * len(numbers):
        return [numbered.get(number, ()) for number in range(numbers[0], numbers[-1] + 1)]
    return [numbered[number] for number in numbers]


def grouped(items: Iterable[tuple[Any, Person]]) -> list[Sequence[Person]]:
    """Group (frame, person) by frame; see `in_order`."""
    frames: dict[Any, list[Person]] = {}
    for frame, person in items:
        frames.setdefault(frame, []).append(person)
    return in_order(frames)


def _number(key: Any) -> int | None:
    if isinstance(key, int):
        return key
    digits = re.findall(r"\d+", re.sub(r"\.\w+$", "", str(key)))
    return int(digits[-1]) if digits else None


def _finite(joints: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    good = np.isfinite(joints).all(axis=1, keepdims=True)
    return np.where(good, joints, 0).astype(np.float32)
