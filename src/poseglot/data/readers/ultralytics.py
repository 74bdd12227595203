"""Ultralytics' pose models (YOLO): JSON of `Results.to_json()`, or text files of `save_txt`, one for each frame.

JSON   a list of people [{"name": "person", "keypoints": {"x": [...], "y": [...], "visible": [...]}, "track_id": 3}, ...]: a file
       for each frame, or a list of such lists for a video; in pixels
text   class, box (4 numbers), 17 x (x, y[, score]) [, confidence][, track id] a line; fractions of the picture
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, parse_float
from poseglot.data.readers.people import Person, recording_of

_JOINTS = 17
_BOX = 5


def recognizes_json(file: ClipFile) -> bool:
    """Tell whether the file holds people of Ultralytics."""
    people = file.json
    while isinstance(people, list) and people and isinstance(people[0], list):
        people = next((each for each in people if each), [])
    first = people[0] if isinstance(people, list) and people and isinstance(people[0], dict) else {}
    return isinstance(first.get("keypoints"), dict) and {"x", "y"} <= set(first["keypoints"])


def read_json(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the people of one frame, of a folder of frames, or of a list of frames.

    Raises:
        ClipError: It is of another form.
    """
    frames: list[list[Person]] = []
    has_scores = False
    for origin, table in file.frame_tables():
        several = table if table and isinstance(table[0], list) else [table]
        for people in several:
            frames.append([_person(each, origin) for each in people])
            has_scores |= any("visible" in each["keypoints"] for each in people)
    return recording_of(frames, file, has_scores=has_scores)


def recognizes_txt(file: ClipFile) -> bool:
    """Tell whether the file is a frame of `save_txt`: a whole number, four fractions, then the keypoints."""
    lines = [line.split() for line in file.lines if line.strip()]
    if not lines or any(len(words) != len(lines[0]) for words in lines) or _form(len(lines[0])) is None:
        return False
    try:
        numbers = np.array(lines, dtype=np.float64)
    except ValueError:
        return False
    box = numbers[:, 1:_BOX]
    return bool((numbers[:, 0] % 1 == 0).all() and (numbers[:, 0] < 1000).all() and (box >= 0).all() and (box <= 1).all())


def read_txt(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the frames of a folder, or one frame.

    Raises:
        ClipError: A frame is of another form.
    """
    rows: list[list[list[float]]] = []
    for path in file.frames or (file.path,):
        frame = ClipFile(path)
        try:
            rows.append([[parse_float(word) for word in line.split()] for line in frame.text.splitlines() if line.strip()])
        except ValueError as error:
            raise ClipError("malformed", f"{path} is not a frame of Ultralytics' save_txt ({error}).") from error
    widths = {len(row) for frame in rows for row in frame}
    form = _form(widths.pop()) if len(widths) == 1 else None
    if form is None:
        raise ClipError("malformed", f"{file.origin}: lines of Ultralytics' save_txt have 5 numbers and {_JOINTS} keypoints.")
    size, rest = form
    last = [row[-1] for frame in rows for row in frame]
    has_identity = rest == 2 or (rest == 1 and all(number % 1 == 0 for number in last))
    frames = [
        [
            Person(np.array(row[_BOX : _BOX + _JOINTS * size]).reshape(_JOINTS, size), row[-1] if has_identity else None)
            for row in frame
        ]
        for frame in rows
    ]
    return recording_of(frames, file, has_scores=size == 3)


def _form(width: int) -> tuple[int, int] | None:
    """Return how many numbers a keypoint has in a line of so many, and how many follow after the keypoints."""
    for size in (3, 2):
        rest = width - _BOX - _JOINTS * size
        if 0 <= rest <= 2:
            return size, rest
    return None


def _person(person: Any, origin: str) -> Person:
    try:
        points = person["keypoints"]
        channels = [points["x"], points["y"], *([points["visible"]] if "visible" in points else [])]
        return Person(np.array(channels, dtype=np.float64).T, person.get("track_id"))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ClipError("malformed", f"{origin}: a person has no `keypoints` with x and y ({error}).") from error
