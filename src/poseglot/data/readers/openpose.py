"""OpenPose: a folder with a JSON file for each frame (`--write_json`), `VIDEO_000000000012_keypoints.json`.

Each has `people`, and a person `pose_keypoints_2d`: x, y, score of BODY_25, BODY_25B (both 25 joints) or COCO (18 joints), in pixels
unless `--keypoint_scale` says otherwise. Hands and faces are ignored. A joint that was not found is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.data.readers.people import Person, recording_of, triples

_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_LAYOUTS = {18: "openpose18", 25: "body25", 17: "coco17", 26: "halpe26"}


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file (or the first frame of a folder) is OpenPose's."""
    table = file.json
    return isinstance(table, dict) and isinstance(table.get("people"), list)


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the frames of a folder, or one frame.

    Raises:
        ClipError: A frame is not OpenPose's, or nobody is in any frame.
    """
    frames = [_people(table, origin) for origin, table in file.frame_tables()]
    counts = {len(person.joints) for people in frames for person in people}
    if counts and not counts <= set(_LAYOUTS):
        raise ClipError(
            "joint count", f"{file.origin}: OpenPose's JSON with {sorted(counts)} joints; read are BODY_25, BODY_25B and COCO."
        )
    layout = _LAYOUTS[counts.pop()] if len(counts) == 1 else None
    if layout == "body25" and _is_25b(frames):
        layout = "body25b"
    return recording_of(frames, file, has_scores=True, layout=layout)


def _people(table: Any, origin: str) -> list[Person]:
    if not isinstance(table, dict) or not isinstance(table.get("people"), list):
        raise ClipError("malformed", f"{origin} is not a frame of OpenPose: it has no list `people`.")
    found = []
    for person in table["people"]:
        numbers = next((person[key] for key in _KEYS if isinstance(person, dict) and person.get(key)), None)
        if numbers is not None:
            identity = person.get("person_id", [-1])
            identity = identity[0] if isinstance(identity, list) and identity else identity
            known = isinstance(identity, int) and identity >= 0
            found.append(Person(triples(numbers, origin), identity if known else None))
    return found


def _is_25b(frames: list[list[Person]]) -> bool:
    """Tell BODY_25B from BODY_25: in BODY_25, joint 8 is the middle of the hips 9 and 12, and joint 1 that of the shoulders 2 and 5."""
    poses = np.array([person.joints for people in frames for person in people])

    def off(middle: int, left: int, right: int) -> float:
        seen = (poses[:, [middle, left, right], 2] > 0).all(axis=1)
        if not seen.any():
            return np.inf
        size = np.ptp(poses[seen, :, :2], axis=1).max(axis=1)
        apart = np.linalg.norm(poses[seen, middle, :2] - (poses[seen, left, :2] + poses[seen, right, :2]) / 2, axis=1)
        return float(np.median(apart / np.maximum(size, 1e-9)))

    plain = min(off(8, 9, 12), off(1, 2, 5))
    return off(17, 5, 6) < plain
