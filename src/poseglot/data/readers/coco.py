"""COCO keypoints and their kin: one list of people with `keypoints`, x, y, score of each joint, in pixels.

    COCO results    [{"image_id": 12, "category_id": 1, "keypoints": [51 numbers], "score": 0.9}, ...]
    COCO labels     {"images": [...], "annotations": [{"image_id": 12, "keypoints": [...], "track_id": 3}, ...]}
    AlphaPose       [{"image_id": "12.jpg", "keypoints": [...], "box": [...], "idx": 3}, ...], also in its forms `open` and `cmu`

The number of joints tells the layout: 17, 18, 26; of 133 and 136 (whole body) the body is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.data.readers.people import Person, grouped, recording_of, triples

_IDENTITY = ("track_id", "idx", "person_id", "instance_id")
_OTHER_FORMS = {"people": ("pose_keypoints_2d",), "bodies": ("joints",)}


def recognizes_coco(file: ClipFile) -> bool:
    """Tell whether the file is COCO's results or labels."""
    first = _first(file.json)
    return first is not None and not _is_alphapose(first)


def recognizes_alphapose(file: ClipFile) -> bool:
    """Tell whether the file is AlphaPose's, in any of its three forms."""
    if isinstance(file.json, dict) and any(str(each.get("version", "")).startswith("AlphaPose") for each in _values(file.json)):
        return True
    first = _first(file.json)
    return first is not None and _is_alphapose(first)


def read_coco(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the people of all images as one clip.

    Raises:
        ClipError: Keypoints are not numbers in threes, or people have different joints.
    """
    table = file.json
    people = table["annotations"] if isinstance(table, dict) else table
    return recording_of(grouped(_people(people, file.origin)), file, has_scores=True)


def read_alphapose(file: ClipFile, options: ReadOptions) -> Recording:
    """Read AlphaPose's results as one clip. Errors as in `read_coco`."""
    table = file.json
    if isinstance(table, list):
        return read_coco(file, options)
    found = []
    for image, frame in table.items():
        for form, keys in _OTHER_FORMS.items():
            for person in frame.get(form, ()) if isinstance(frame, dict) else ():
                numbers = next((person[key] for key in keys if key in person), None)
                if numbers is not None:
                    found.append((image, Person(triples(numbers, file.origin))))
    return recording_of(grouped(found), file, has_scores=True)


def _people(people: Any, origin: str) -> Iterator[tuple[Any, Person]]:
    for number, person in enumerate(people):
        if not isinstance(person, dict) or "image_id" not in person or not isinstance(person.get("keypoints"), list):
            raise ClipError("malformed", f"{origin}, person {number}: expected `image_id` and `keypoints`.")
        if not isinstance(person["image_id"], (int, str)):
            raise ClipError("malformed", f"{origin}, person {number}: `image_id` is neither a number nor a name.")
        identity = next((person[key] for key in _IDENTITY if person.get(key) is not None), None)
        identity = (identity[0] if identity else None) if isinstance(identity, list) else identity
        if not isinstance(identity, (int, float, str, type(None))):
            raise ClipError("malformed", f"{origin}, person {number}: its identity is neither a number nor a name.")
        if person["keypoints"]:
            yield person["image_id"], Person(triples(person["keypoints"], f"{origin}, person {number}"), identity)


def _first(table: Any) -> dict[str, Any] | None:
    """Return the first person of a list of people; None if it is no such list."""
    people = table.get("annotations") if isinstance(table, dict) else table
    if not isinstance(people, list) or not people or not isinstance(people[0], dict):
        return None
    found: dict[str, Any] = people[0]
    return found if "image_id" in found and isinstance(found.get("keypoints"), list) else None


def _is_alphapose(person: dict[str, Any]) -> bool:
    return isinstance(person["image_id"], str) and ("box" in person or "idx" in person)


def _values(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for value in list(table.values())[:5] if isinstance(value, dict)]
