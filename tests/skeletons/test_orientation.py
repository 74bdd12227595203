"""Pictures are never mirrored and always upright, whatever the axes of the data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.app.web.drawing import draw_clip
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.orientation import picture_matrix, to_picture, turn_up

LAYOUT = load_layout("kinect20")
INDEX = LAYOUT.index
Array = npt.NDArray[np.float64]

# From the picture's axes (right, up, towards the viewer) to those of data.
AXES = {
    "depth camera": [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
    "computer vision": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "z down": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "z up": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "x up": [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
    "x down": [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
}
UP = ("y", "-y", "-z", "z", "x", "-x")


def pose() -> Array:
    """(1, V, 3) in picture coordinates: somebody who faces the viewer and raises the right hand, which is then at the viewer's left."""
    joints = np.zeros((len(LAYOUT), 3))
    for number, joint in enumerate(LAYOUT.joints):
        side = -1 if joint.startswith("right") else 1 if joint.startswith("left") else 0
        height = {"head": 1.7, "shoulder": 1.4, "elbow": 1.2, "wrist": 1.0, "hand": 0.9, "hip": 1.0, "knee": 0.5, "ankle": 0.1}
        base = next((value for name, value in height.items() if name in joint), 0.0 if "foot" in joint else 1.2)
        joints[number] = (0.2 * side, base, 0.01 * number)
    joints[INDEX["right_hand"]] = (-0.5, 1.8, 0.1)
    return joints[None]


@pytest.mark.parametrize("name", AXES)
def test_three_dimensions_are_turned_not_mirrored(name: str) -> None:
    stored = pose() @ np.array(AXES[name], dtype=float)
    matrix = picture_matrix(stored, LAYOUT)
    assert np.linalg.det(matrix) == pytest.approx(1)
    np.testing.assert_allclose(to_picture(stored, LAYOUT), pose(), atol=1e-12)


@pytest.mark.parametrize(("name", "up"), list(zip(AXES, UP, strict=True)))
def test_turned_so_that_y_points_up_they_are_as_of_a_depth_camera(name: str, up: str) -> None:
    stored = (pose() @ np.array(AXES[name], dtype=float)).astype(np.float32)
    wanted = pose() @ np.array(AXES["depth camera"], dtype=float)
    np.testing.assert_allclose(turn_up(stored, up), wanted, atol=1e-6)


@pytest.mark.parametrize("down", [False, True], ids=["y up", "pixels"])
def test_two_dimensions_keep_x_and_are_upright(down: bool) -> None:
    stored = pose()[..., :2] * (1, -1 if down else 1)
    picture = to_picture(stored, LAYOUT)
    np.testing.assert_allclose(picture[..., :2], pose()[..., :2])
    assert not picture[..., 2].any()


def test_who_lies_down_stays_down() -> None:
    """Most of the frames lie: those that stand tell the direction of up."""
    standing = pose() @ np.array(AXES["depth camera"], dtype=float)
    lying = standing @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=float)
    clip = np.concatenate([standing, standing, *[lying] * 8])
    picture = to_picture(clip, LAYOUT)
    np.testing.assert_allclose(picture[0], pose()[0], atol=1e-12)
    assert np.ptp(picture[-1][:, 1]) < np.ptp(picture[-1][:, 0])


def test_without_heads_or_feet_hips_and_arms_tell_and_without_these_it_is_as_a_depth_camera_has_it() -> None:
    seen = np.ones((1, len(LAYOUT)), dtype=bool)
    stored = pose() @ np.array(AXES["z up"], dtype=float)
    whole = picture_matrix(stored, LAYOUT, seen=seen)
    seen[:, [INDEX[joint] for part in ("head", "foot", "leg") for joint in LAYOUT.parts[part]]] = False
    np.testing.assert_array_equal(picture_matrix(stored, LAYOUT, seen=seen), whole)
    seen[:, [INDEX[joint] for joint in LAYOUT.parts["arm"]]] = False
    np.testing.assert_array_equal(picture_matrix(stored, LAYOUT, seen=seen), np.diag([-1, 1, -1]))


@pytest.mark.parametrize("name", [*AXES, "pixels"])
def test_the_page_draws_the_raised_right_hand_at_the_left(name: str) -> None:
    stored = pose()[..., :2] * (100, -100) + (300, 200) if name == "pixels" else pose() @ np.array(AXES[name], dtype=float)
    drawn = draw_clip(Clip(stored[None].astype(np.float32), "x"), LAYOUT)
    joints = np.array(drawn["people"][0][0]).reshape(-1, 3)
    hand, foot, head = (joints[INDEX[joint]] for joint in ("right_hand", "left_foot", "head"))
    assert hand[0] < 0 < foot[0] and hand[1] > head[1] > foot[1] == 0
