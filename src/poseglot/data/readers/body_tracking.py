"""JSON of depth cameras' body trackers.

Azure Kinect   `{"joint_names": [...], "frames": [{"bodies": [{"body_id": 1, "joint_positions": [[x, y, z], ...]}]}]}` of its
               offline processor: 32 joints, millimetres, x right, y down, z away from the camera
ZED            bodies with `keypoint` and `keypoint_confidence` in `body_list`, by timestamp or in a list: BODY_18, BODY_34, BODY_38
Kinect v2      frames of `bodies` with 25 `joints`, as node-kinect2 and others dump them (`cameraX`, `Position`, or x, y, z): metres
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.data.readers.joint_names import joints_by_name
from poseglot.data.readers.people import Person, in_order, recording_of
from poseglot.skeletons.layout import load_layout

_ARM = ("clavicle", "shoulder", "elbow", "wrist", "hand", "hand_tip", "thumb")
_LEG = ("hip", "knee", "ankle", "foot")
_FEET = ("big_toe", "small_toe", "heel")
_HAND = ("hand_thumb", "hand_index", "hand_middle", "hand_pinky")
# The joints of ZED's larger bodies.
_ZED_34 = (
    "pelvis", "spine", "chest", "neck", *(f"left_{joint}" for joint in _ARM), *(f"right_{joint}" for joint in _ARM),
    *(f"left_{joint}" for joint in _LEG), *(f"right_{joint}" for joint in _LEG), "head", "nose", "left_eye", "left_ear", "right_eye",
    "right_ear", "left_heel", "right_heel",
)  # fmt: skip
_ZED_38 = (
    "pelvis", "spine_1", "spine_2", "spine_3", "neck", "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_clavicle",
    "right_clavicle", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    *(f"{side}_{joint}" for joint in _FEET for side in ("left", "right")),
    *(f"{side}_{joint}" for joint in _HAND for side in ("left", "right")),
)  # fmt: skip
_ZED = {34: _ZED_34, 38: _ZED_38}


def recognizes_azure(file: ClipFile) -> bool:
    """Tell whether the file is of Azure Kinect's offline processor."""
    table = file.json
    frames: Any = table.get("frames") if isinstance(table, dict) else None
    bodies = [body for frame in frames[:500] for body in frame.get("bodies", ())] if _are_objects(frames) else []
    return any(isinstance(body, dict) and "joint_positions" in body for body in bodies)


def read_azure(file: ClipFile, options: ReadOptions) -> Recording:
    """Read all bodies.

    Raises:
        ClipError: A body does not have 32 joints.
    """
    found = {
        frame.get("frame_id", number): [
            Person(_points(body["joint_positions"], file.origin), body.get("body_id")) for body in frame.get("bodies", ())
        ]
        for number, frame in enumerate(file.json["frames"])
    }
    return recording_of(in_order(found), file, has_scores=False, layout="azure32")


def recognizes_zed(file: ClipFile) -> bool:
    """Tell whether the file holds bodies of the ZED SDK."""
    return any("keypoint" in body for _, bodies in _zed_frames(file.json) for body in bodies)


def read_zed(file: ClipFile, options: ReadOptions) -> Recording:
    """Read all bodies, in 3D.

    Raises:
        ClipError: Keypoints are not points.
    """
    frames = []
    has_scores = True
    for _, bodies in _zed_frames(file.json):
        people = []
        for body in bodies:
            points = _points(body["keypoint"], file.origin)
            scores = body.get("keypoint_confidence", body.get("keypointConfidence"))
            if scores is None or len(scores) != len(points):
                has_scores = False
            else:
                points = np.concatenate([points, np.array(scores, dtype=np.float64)[:, None] / 100], axis=1)
            people.append(Person(points, body.get("id")))
        frames.append(people)
    if not has_scores:
        frames = [[Person(person.joints[:, :3], person.identity) for person in people] for people in frames]
    count = next((len(person.joints) for people in frames for person in people), 0)
    return recording_of(frames, file, has_scores=has_scores, joint_names=_ZED.get(count, ()))


def recognizes_kinect2(file: ClipFile) -> bool:
    """Tell whether the file holds frames of bodies with joints in space."""
    try:
        return any(bodies for bodies in _kinect2_frames(file.json, file.origin))
    except ClipError:
        return False


def read_kinect2(file: ClipFile, options: ReadOptions) -> Recording:
    """Read all tracked bodies.

    Raises:
        ClipError: A body does not have Kinect v2's 25 joints.
    """
    return recording_of(list(_kinect2_frames(file.json, file.origin)), file, has_scores=False, layout="ntu25")


def _zed_frames(table: Any) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Yield (key, bodies) of every frame."""
    frames: list[tuple[Any, Any]] = []
    if isinstance(table, dict):
        frames = list(table.items()) if all(isinstance(value, dict) for value in table.values()) else [(0, table)]
    elif isinstance(table, list):
        frames = list(enumerate(table))
    for key, frame in frames:
        if isinstance(frame, dict):
            frame = frame.get("bodies", frame)
            bodies = frame.get("body_list", frame.get("bodyList")) if isinstance(frame, dict) else None
            if isinstance(bodies, list):
                yield key, [body for body in bodies if isinstance(body, dict)]


def _kinect2_frames(table: Any, origin: str) -> Iterator[list[Person]]:
    frames = table.get("frames", [table]) if isinstance(table, dict) else table
    layout = load_layout("ntu25")
    for frame in frames if isinstance(frames, list) else ():
        bodies = _any(frame, "bodies")
        people = []
        for body in bodies if isinstance(bodies, list) else ():
            joints = _any(body, "joints")
            if not joints or _any(body, "tracked", "istracked") is False:
                continue
            if isinstance(joints, Mapping):
                names = joints_by_name(list(joints), layout)
                values = list(joints.values())
                joints = [values[names[joint]] for joint in layout.joints if joint in names]
            elif _any(joints[0], "jointtype") is not None and all(
                isinstance(_any(joint, "jointtype"), int) for joint in joints
            ):
                joints = sorted(joints, key=lambda joint: int(_any(joint, "jointtype")))
            points = [_position(joint) for joint in joints]
            if len(points) != len(layout) or any(point is None for point in points):
                raise ClipError(
                    "joint count", f"{origin}: a body has {len(points)} joints in space; Kinect v2 has {len(layout)}."
                )
            people.append(Person(np.array(points, dtype=np.float64), _any(body, "trackingid", "bodyindex", "id")))
        yield people


def _position(joint: Any) -> list[float] | None:
    place = _any(joint, "position", "camera") or joint
    for prefix in ("camera", ""):
        values = [_any(place, prefix + axis) for axis in "xyz"]
        if all(isinstance(value, (int, float)) for value in values):
            return values
    return None


def _any(table: Any, *keys: str) -> Any:
    """Return the value of the first of some keys, in whatever case and with or without underscores."""
    if not isinstance(table, Mapping):
        return None
    plain = {re.sub(r"[^a-z0-9]", "", str(key).lower()): value for key, value in table.items()}
    return next((plain[key] for key in keys if key in plain), None)


def _points(value: Any, origin: str) -> Any:
    try:
        points = np.array([[np.nan if number is None else number for number in point] for point in value], dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"shape {points.shape}")
        return points
    except (TypeError, ValueError) as error:
        raise ClipError("malformed", f"{origin}: the joints of a body are not points in space ({error}).") from error


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)
