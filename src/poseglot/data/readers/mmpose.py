"""MMPose's predictions: JSON of its inferencer, or of its demos.

    inferencer   [{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}, ...]}, ...]; for an image the
                 list of instances alone
    demos        {"meta_info": {...}, "instance_info": [the same frames]}

With three coordinates the joints are Human3.6M's 17.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.data.readers.people import Person, in_order, recording_of


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file is MMPose's predictions."""
    table = file.json
    if isinstance(table, dict):
        return "instance_info" in table
    first = table[0] if isinstance(table, list) and table and isinstance(table[0], dict) else {}
    return "instances" in first or "keypoint_scores" in first


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the instances of all frames.

    Raises:
        ClipError: Keypoints and scores do not fit together.
    """
    table = file.json
    frames = table["instance_info"] if isinstance(table, dict) else table
    if frames and "instances" not in frames[0]:
        frames = [{"frame_id": 0, "instances": frames}]
    found = {
        frame.get("frame_id", number): [_person(each, file.origin) for each in frame.get("instances", ())]
        for number, frame in enumerate(frames)
    }
    people = in_order(found)
    first = next((person for frame in people for person in frame), None)
    is_3d = first is not None and first.joints.shape == (17, 4)
    return recording_of(people, file, has_scores=True, layout="h36m17" if is_3d else None)


def _person(instance: Any, origin: str) -> Person:
    try:
        joints = np.array(instance["keypoints"], dtype=np.float64)
        joints = joints[0] if joints.ndim == 3 else joints
        scores = np.array(instance["keypoint_scores"], dtype=np.float64).reshape(len(joints), 1)
        return Person(np.concatenate([joints, scores], axis=1), instance.get("track_id"))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ClipError(
            "malformed", f"{origin}: an instance has no `keypoints` and `keypoint_scores` that fit ({error})."
        ) from error
