"""A clip as the page draws it: integers, thousandths of the clip's extent, so that the browser needs no units."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseglot.skeletons.clip import Clip, seen_joints
from poseglot.skeletons.layout import PARTS, Layout
from poseglot.skeletons.orientation import picture_matrix

EXTENT = 1000


def draw_clip(clip: Clip, layout: Layout) -> dict[str, Any]:
    """Return the `ClipDrawing` of a clip: in picture coordinates (`skeletons.orientation`), centred, with the floor at y = 0."""
    people, frames, joints, channels = clip.joints.shape
    columns, seen = seen_joints(clip.joints.reshape(-1, joints, channels), has_scores=clip.has_scores)
    coordinates, seen = columns.transpose(2, 1, 0).astype(np.float64), seen.T.copy()
    if not clip.has_scores:  # the joint that a skeleton was centred on is at zero, and was seen
        seen[np.count_nonzero(seen, axis=1) == joints - 1, layout.centre_index] = True
    points = coordinates @ picture_matrix(coordinates, layout, seen=seen)
    found = points[seen]
    low, high = (found.min(axis=0), found.max(axis=0)) if len(found) else (np.zeros(3), np.zeros(3))
    origin = (low + high) / 2
    origin[1] = low[1]
    scale = EXTENT / (float((high - low).max()) or 1.0)
    integers = np.rint((points - origin) * scale).astype(int)
    rows = [
        None
        if not is_seen.any()
        else [value if one else None for joint, one in zip(frame.tolist(), is_seen.tolist(), strict=True) for value in joint]
        for frame, is_seen in zip(integers, seen, strict=True)
    ]
    part_of = {joint: part for part in PARTS for joint in layout.parts[part]}
    return {
        "people": [rows[person * frames : (person + 1) * frames] for person in range(people)],
        "frames": frames,
        "num_dims": coordinates.shape[2],
        "bones": [list(pair) for pair in layout.bone_pairs],
        "parts": [part_of[joint] for joint in layout.joints],
    }
