"""How often the centre joint is seen."""

from __future__ import annotations

import numpy as np

from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.visibility import centre_coverage

LAYOUT = load_layout("kinect20")
CENTRE = LAYOUT.centre_index


def test_by_scores_the_joint_itself_counts() -> None:
    joints = np.ones((2, 10, 20, 4), dtype=np.float32)
    assert centre_coverage(joints, LAYOUT, has_scores=True) == 1
    joints[:, 4:, CENTRE, 3] = 0
    assert centre_coverage(joints, LAYOUT, has_scores=True) == 0.4
    joints[1, 9, CENTRE, 3] = 0.1  # anybody's
    assert centre_coverage(joints, LAYOUT, has_scores=True) == 0.5
    joints[:, :2, :, 3] = 0  # frames that hold nobody do not count
    assert centre_coverage(joints, LAYOUT, has_scores=True) == 3 / 8
    joints[..., CENTRE, 3] = 0
    assert centre_coverage(joints, LAYOUT, has_scores=True) == 0


def test_without_scores_it_is_seen_with_its_person() -> None:
    joints = np.ones((1, 10, 20, 3), dtype=np.float32)
    joints[0, 0, CENTRE] = 0
    joints[0, 5:] = 0
    assert centre_coverage(joints, LAYOUT) == 1
    assert centre_coverage(np.zeros_like(joints), LAYOUT) == 0
