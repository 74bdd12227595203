"""Arrays as pose estimators return them.

    rtmlib    .npz with `keypoints` (T, N, V, 2) or (T, V, 2) in pixels and `scores` (T, N, V) or (T, V)
    MoveNet   .npy of its outputs, (T, 1, 1, 17, 3) or (T, 1, 6, 56): y, x, score, fractions of the picture

Joints are returned as x, y, score.
"""

from __future__ import annotations

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.data.readers.people import Person, recording_of
from poseglot.errors import FileError
from poseglot.files import load_array
from poseglot.zips import load_arrays, open_zip

_MOVENET = ((1, 1, 17, 3), (1, 6, 56), (1, 17, 3))


def recognizes_rtmlib(file: ClipFile) -> bool:
    """Tell whether the file is .npz with keypoints and scores."""
    try:
        with open_zip(file.path) as archive:
            return {"keypoints.npy", "scores.npy"} <= set(archive.namelist())
    except FileError:
        return False


def read_rtmlib(file: ClipFile, options: ReadOptions) -> Recording:
    """Read keypoints and scores.

    Raises:
        ClipError: They do not fit together.
    """
    try:
        arrays = load_arrays(file.path, ("keypoints", "scores"))
        keypoints, scores = arrays["keypoints"].astype(np.float64), arrays["scores"].astype(np.float64)
    except (FileError, ValueError, TypeError) as error:
        raise ClipError("unreadable", f"{file.origin} is not a whole .npz file of keypoints and scores ({error}).") from error
    if keypoints.ndim == 3:
        keypoints, scores = keypoints[:, None], scores[:, None]
    if keypoints.ndim != 4 or scores.shape != keypoints.shape[:-1]:
        raise ClipError(
            "malformed", f"{file.origin}: keypoints {keypoints.shape} and scores {scores.shape} do not fit together."
        )
    people = np.concatenate([keypoints, scores[..., None]], axis=-1)
    return recording_of([[Person(person) for person in frame] for frame in people], file, has_scores=True)


def recognizes_movenet(file: ClipFile) -> bool:
    """Tell whether the array has the shape of MoveNet's outputs."""
    try:
        return load_array(file.path).shape[1:] in _MOVENET[:2]
    except FileError:
        return False


def read_movenet(file: ClipFile, options: ReadOptions) -> Recording:
    """Read MoveNet's outputs."""
    outputs = np.array(load_array(file.path), dtype=np.float64)
    if not len(outputs):
        raise ClipError("malformed", f"{file.origin} has no frames.")
    people = outputs[:, 0, :, :51].reshape(len(outputs), -1, 17, 3) if outputs.shape[-1] == 56 else outputs[:, 0]
    people = people[..., [1, 0, 2]]
    return recording_of([[Person(person) for person in frame] for frame in people], file, has_scores=True)
