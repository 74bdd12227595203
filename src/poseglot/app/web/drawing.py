"""A clip as the page draws it: whole numbers, thousandths of the clip's extent, so that a browser needs to know nothing of units."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseglot.skeletons.clip import Clip, seen_joints
from poseglot.skeletons.layout import PARTS, Layout

EXTENT = 1000


def drawn(clip: Clip, layout: Layout) -> dict[str, Any]:
    """The `Drawn` of a clip: centred, the floor at y = 0, y up.

    The camera's x and z are kept as they are (right-handed, z away from the sensor); 2D clips get z = 0 and are `flat`.
    """
    people, frames, joints, channels = clip.joints.shape
    columns, seen = seen_joints(clip.joints.reshape(-1, joints, channels), has_scores=clip.has_scores)
    points = columns.transpose(2, 1, 0).astype(np.float64)
    flat = points.shape[2] == 2
    points = np.pad(points, [(0, 0), (0, 0), (0, 3 - points.shape[2])])
    seen = seen.T.copy()
    if not clip.has_scores:  # a skeleton that was centred on a joint has that joint at zero, and it was seen
        seen[np.count_nonzero(seen, axis=1) == joints - 1, layout.centre_index] = True
    if flat and _points_down(points, seen, layout):
        points[..., 1] *= -1
    found = points[seen]
    low, high = (found.min(axis=0), found.max(axis=0)) if len(found) else (np.zeros(3), np.zeros(3))
    middle = (low + high) / 2
    middle[1] = low[1]
    scale = EXTENT / (float((high - low).max()) or 1.0)
    whole = np.rint((points - middle) * scale).astype(int)
    rows = [
        None
        if not some.any()
        else [place if there else None for joint, there in zip(frame.tolist(), some.tolist(), strict=True) for place in joint]
        for frame, some in zip(whole, seen, strict=True)
    ]
    part_of = {joint: part for part in PARTS for joint in layout.parts[part]}
    return {
        "people": [rows[person * frames : (person + 1) * frames] for person in range(people)],
        "frames": frames,
        "flat": flat,
        "bones": [list(pair) for pair in layout.bone_pairs],
        "parts": [part_of[joint] for joint in layout.joints],
    }


def _points_down(points: np.ndarray[Any, Any], seen: np.ndarray[Any, Any], layout: Layout) -> bool:
    """Whether heads have a smaller y than feet, as in the coordinates of a picture."""
    heights = []
    for part in ("head", "foot"):
        places = [layout.index[joint] for joint in layout.parts[part]]
        values = points[:, places, 1][seen[:, places]]
        heights.append(float(values.mean()) if len(values) else float("nan"))
    return heights[0] < heights[1]
