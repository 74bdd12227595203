"""A clip as the page draws it: integers, thousandths of the clip's extent, so that the browser needs no units."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import PARTS, Layout
from poseglot.skeletons.orientation import clip_picture, joint_rows

EXTENT = 1000


def draw_clip(clip: Clip, layout: Layout) -> dict[str, Any]:
    """Return the `ClipDrawing` of a clip: in picture coordinates (`skeletons.orientation`), centred, with the floor at y = 0."""
    points, seen = clip_picture(clip, layout)
    found = points[seen]
    low, high = (found.min(axis=0), found.max(axis=0)) if len(found) else (np.zeros(3), np.zeros(3))
    origin = (low + high) / 2
    origin[1] = low[1]
    scale = EXTENT / (float((high - low).max()) or 1.0)
    integers = np.rint((points - origin) * scale).astype(int)
    return {
        "people": joint_rows(integers, seen),
        "frames": clip.joints.shape[1],
        "num_dims": clip.joints.shape[3] - clip.has_scores,
        "bones": [list(pair) for pair in layout.bone_pairs],
        "parts": part_names(layout),
    }


def part_names(layout: Layout) -> list[str]:
    """Return the part of each joint."""
    part_of = {joint: part for part in PARTS for joint in layout.parts[part]}
    return [part_of[joint] for joint in layout.joints]
