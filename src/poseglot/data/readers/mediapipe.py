"""MediaPipe's pose landmarks, as people save them: JSON or CSV. FreeMoCap's tables have the same joints.

    JSON   a list of frames; a frame is a list of 33 landmarks {"x", "y", "z", "visibility"}, a list of such lists (several people), or
           an object with `pose_landmarks` and perhaps `pose_world_landmarks` (in any spelling)
    CSV    a row for each frame: `x0, y0, z0, v0, ...`, `x1, ...` or `nose_x, nose_y, ...`

Image landmarks are fractions of the picture (z as large as x), world landmarks metres from the hips, FreeMoCap's millimetres. World
landmarks are taken if 3 dimensions are asked for or nothing else is there.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, parse_float
from poseglot.data.readers.joint_names import joints_by_name
from poseglot.data.readers.number_table import joint_columns
from poseglot.data.readers.people import Person, recording_of
from poseglot.safe_text import is_whole_number
from poseglot.skeletons.layout import load_layout

_LAYOUT = "mediapipe33"
_COUNT = 33
_SCORES = ("visibility", "score", "presence", "confidence")
_FRAMES = ("frames", "results", "data", "landmarks_list", "poses")


def recognizes_json(file: ClipFile) -> bool:
    """Tell whether the file holds landmarks of MediaPipe."""
    return any(_people(frame, world) for frame in _frames(file.json)[:500] for world in (False, True))


def read_json(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the landmarks of all frames.

    Raises:
        ClipError: Landmarks are not 33 points with x and y.
    """
    frames = _frames(file.json)
    image = [_people(frame, False) for frame in frames]
    world = [_people(frame, True) for frame in frames]
    chosen = world if any(world) and (options.num_dims == 3 or not any(image)) else image
    has_scores = any(key in point for people in chosen for person in people for point in person[:1] for key in _SCORES)
    has_z = all("z" in point for people in chosen for person in people for point in person[:1])
    found = [[Person(_joints(person, has_z, has_scores, file.origin)) for person in people] for people in chosen]
    return recording_of(found, file, has_scores=has_scores, layout=_LAYOUT)


def recognizes_csv(file: ClipFile) -> bool:
    """Tell whether the file is a table whose header names the 33 landmarks, by number or name."""
    return bool(file.lines) and _columns(file.lines[0]) is not None


def read_csv(file: ClipFile, options: ReadOptions) -> Recording:
    """Read a table with a row for each frame. Empty cells and NaN are joints that were not seen.

    Raises:
        ClipError: A cell is no number.
    """
    lines = file.text.splitlines()
    separator = max(",;\t", key=lines[0].count)
    columns = _columns(lines[0])
    assert columns is not None
    axes = [axis for axis in ("x", "y", "z", "score") if all(axis in joint for joint in columns)]
    wanted = [joint[axis] for joint in columns for axis in axes]
    frames = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(separator)]
        try:
            row = np.array([parse_float(cells[column] or "nan") for column in wanted])
        except (ValueError, IndexError) as error:
            raise ClipError("malformed", f"{file.origin}, line {number}: {error}.") from error
        frames.append([Person(row.reshape(_COUNT, len(axes)), 0)])
    return recording_of(frames, file, has_scores="score" in axes, layout=_LAYOUT)


def _columns(header: str) -> list[dict[str, int]] | None:
    """Return the columns of each landmark in the order of the layout; None if they are not all there."""
    separator = max(",;\t", key=header.count)
    names = [re.sub(r"^(body|pose|landmark)[_ ]+", "", name.strip().strip("\"'\ufeff")) for name in header.split(separator)]
    named = joint_columns(names)
    if len(named) >= _COUNT and sum(map(is_whole_number, named)) == _COUNT:
        return [named[joint] for joint in sorted(filter(is_whole_number, named), key=int)]
    layout = load_layout(_LAYOUT)
    found = joints_by_name(list(named), layout)
    listed = list(named.values())
    return [listed[found[joint]] for joint in layout.joints] if len(found) == _COUNT else None


def _frames(table: Any) -> list[Any]:
    """Return the list of frames in any of the forms; a single frame becomes a list of one."""
    if isinstance(table, dict):
        for key in _FRAMES:
            if isinstance(table.get(key), list):
                return list(table[key])
        return [table]
    if not isinstance(table, list):
        return []
    return [table] if _is_person(table) else table


def _people(frame: Any, world: bool) -> list[list[dict[str, float]]]:
    """Return the landmarks of each person in a frame."""
    if isinstance(frame, dict):
        for key, value in frame.items():
            plain = re.sub(r"[^a-z]", "", key.lower())
            if "landmark" in plain and ("world" in plain) == world and "hand" not in plain and "face" not in plain and value:
                return _people(value, world=False)
        return []
    if _is_person(frame):
        return [] if world else [frame]
    if isinstance(frame, list) and not world:
        found = [person for each in frame for person in (_people(each, False) if isinstance(each, (list, dict)) else [])]
        return found if all(_is_person(person) for person in found) else []
    return []


def _is_person(value: Any) -> bool:
    return isinstance(value, list) and len(value) == _COUNT and isinstance(value[0], dict) and {"x", "y"} <= set(value[0])


def _joints(person: list[dict[str, float]], has_z: bool, has_scores: bool, origin: str) -> Any:
    try:
        rows = [
            [point["x"], point["y"], *([point["z"]] if has_z else []), *([_score(point)] if has_scores else [])]
            for point in person
        ]
        return np.array(rows, dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise ClipError("malformed", f"{origin}: a landmark lacks a number ({error}).") from error


def _score(point: dict[str, float]) -> float:
    return next((point[key] for key in _SCORES if point.get(key) is not None), 0.0)
