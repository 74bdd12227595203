"""The common body: clips of any layout, axes and unit become one form, gaps filled, what a layout lacks zero."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.errors import InputError
from poseglot.skeletons.clip import Joints
from poseglot.skeletons.common_body import COMMON_BODY, common_axes, map_to_common_body, to_common_body
from poseglot.skeletons.layout import PARTS, Layout, list_layouts, load_layout

BODY, KINECT = load_layout(COMMON_BODY), load_layout("kinect20")
MAPPING = map_to_common_body(KINECT)
# A person of the common body who stands facing the viewer, so that his left is at the right.
POSE = {
    "head": (0, 1.7, 0.05), "shoulder_centre": (0, 1.4, 0), "hip_centre": (0, 1, 0),
    "left_shoulder": (0.2, 1.4, 0), "left_elbow": (0.3, 1.2, 0.1), "left_wrist": (0.35, 1.4, 0.3),
    "right_shoulder": (-0.2, 1.4, 0), "right_elbow": (-0.3, 1.1, 0), "right_wrist": (-0.3, 0.9, 0.1),
    "left_hip": (0.1, 1, 0), "left_knee": (0.1, 0.5, 0.05), "left_ankle": (0.1, 0.1, 0),
    "right_hip": (-0.1, 1, 0), "right_knee": (-0.1, 0.5, 0.05), "right_ankle": (-0.1, 0.1, 0),
}  # fmt: skip


def body_clip(frames: int = 9) -> Joints:
    """Someone who walks to the right: (1, T, 15, 3) in picture axes, metres."""
    pose = np.array([POSE[joint] for joint in BODY.joints])
    walk = np.linspace(0, 1, frames)[:, None, None] * [1, 0, 0]
    return (pose + walk)[None].astype(np.float32)


def kinect_clip(frames: int = 9) -> Joints:
    """The same as a Kinect stores it: x to its left, z away from it."""
    clip = np.zeros((1, frames, 20, 3), dtype=np.float32)
    body = body_clip(frames) * [-1, 1, -1]
    for index, joint in enumerate(KINECT.joints):
        source = joint.replace("hand", "wrist").replace("foot", "ankle").replace("spine", "hip_centre")
        clip[:, :, index] = body[:, :, BODY.index[source]] + [0.0, 0.0, 3.0]
    return clip


def relative(clip: Joints) -> Joints:
    """Joints relative to the centre of the first frame."""
    return clip - clip[:1, :1, BODY.centre_index : BODY.centre_index + 1]


def test_axes_units_and_layouts_make_no_difference() -> None:
    expected = relative(to_common_body(body_clip(), map_to_common_body(BODY)))
    bones = [np.linalg.norm(expected[..., child, :] - expected[..., parent, :], axis=-1) for child, parent in BODY.bone_pairs]
    assert np.mean(bones) == pytest.approx(1, rel=1e-5)
    upright = kinect_clip()
    picture = upright * np.float32([-1, 1, -1])
    clips = {
        "metres": upright,
        "millimetres": 1000 * upright,
        "y down": upright * np.float32([-1, -1, 1]),
        "z up": picture[..., [0, 2, 1]] * np.float32([1, -1, 1]),
    }
    for name, clip in clips.items():
        made = to_common_body(clip, MAPPING)
        assert made.shape == (1, 9, 15, 3) and made.dtype == np.float32
        np.testing.assert_allclose(relative(made), expected, atol=1e-5, err_msg=name)


def test_whoever_turns_his_back_is_turned_round() -> None:
    away = kinect_clip() * np.float32([-1, 1, -1])
    np.testing.assert_allclose(to_common_body(away, MAPPING), to_common_body(kinect_clip(), MAPPING), atol=1e-5)
    flat = kinect_clip()[..., :2]
    mirrored = to_common_body(flat * np.float32([-1, 1]), MAPPING)
    np.testing.assert_allclose(mirrored * np.float32([-1, 1, 1]), to_common_body(flat, MAPPING), atol=1e-5)


def test_done_twice_is_done_once() -> None:
    for clip in (kinect_clip(), kinect_clip()[..., :2]):
        once = to_common_body(clip, MAPPING)
        np.testing.assert_allclose(to_common_body(once, map_to_common_body(BODY)), once, atol=1e-5)


def test_pictures_are_flat_and_upright() -> None:
    pixels = (kinect_clip()[..., :2] * [-200, -200] + 400).astype(np.float32)
    scores = np.full((1, 9, 20, 1), 0.9, dtype=np.float32)
    expected = relative(to_common_body(body_clip() * np.float32([1, 1, 0]), map_to_common_body(BODY)))
    for clip, has_scores in ((pixels, False), (np.concatenate([pixels, scores], axis=-1), True)):
        made = to_common_body(clip, MAPPING, has_scores=has_scores)
        assert not made[..., 2].any()
        np.testing.assert_allclose(relative(made), expected, atol=1e-4)


def test_what_was_out_of_sight_is_interpolated() -> None:
    whole = to_common_body(kinect_clip(), MAPPING)
    hidden = np.concatenate([kinect_clip(), np.ones((1, 9, 20, 1), dtype=np.float32)], axis=-1)
    hidden[0, 3:6, KINECT.index["left_wrist"]] = (7, 7, 7, 0.05)
    np.testing.assert_allclose(to_common_body(hidden, MAPPING, has_scores=True), whole, atol=1e-5)
    hidden[0, :, KINECT.index["left_wrist"], 3] = 0
    made = to_common_body(hidden, MAPPING, has_scores=True)
    assert not made[..., BODY.index["left_wrist"], :].any() and made[..., BODY.index["left_elbow"], :].any(axis=-1).all()


def test_who_is_away_is_zero() -> None:
    clip = np.concatenate([kinect_clip(), kinect_clip()])
    clip[1, 4:] = 0
    made = to_common_body(clip, MAPPING)
    assert made[0].any(axis=(1, 2)).all()
    np.testing.assert_array_equal(made[1].any(axis=(1, 2)), np.arange(9) < 4)


def test_centred_clips_keep_their_centre() -> None:
    clip = body_clip() - body_clip()[:, :, [BODY.centre_index]]
    made = to_common_body(clip, map_to_common_body(BODY))
    assert not made[:, :, BODY.centre_index].any()
    np.testing.assert_allclose(made, relative(made), atol=1e-6)


def test_bodies_without_hips_stand_about_their_middle() -> None:
    upper = KINECT.select([joint for joint in KINECT.joints if not joint.endswith(("knee", "ankle", "foot"))], name="upper")
    assert {joint.joint for joint in map_to_common_body(upper).joints if joint.how == "missing"} == {
        "left_knee", "left_ankle", "right_knee", "right_ankle"
    }  # fmt: skip
    clip = kinect_clip()[:, :, [KINECT.index[joint] for joint in upper.joints]]
    made = to_common_body(clip, map_to_common_body(upper))
    assert not made[..., BODY.index["left_knee"], :].any()
    hips = [upper.index[joint] for joint in ("hip_centre", "left_hip", "right_hip")]
    scored = np.concatenate([clip, np.ones((*clip.shape[:3], 1), dtype=np.float32)], axis=-1)
    scored[..., hips, 3] = 0
    made = to_common_body(scored, map_to_common_body(upper), has_scores=True)
    seen = made.any(axis=-1)
    assert np.abs(made[seen].mean(axis=0)).max() < 1e-5


def test_a_set_has_one_direction_of_up() -> None:
    lying = kinect_clip()[..., [1, 0, 2]]
    axes = common_axes([kinect_clip()] * 9 + [lying], MAPPING)
    np.testing.assert_array_equal(axes, common_axes([kinect_clip()], MAPPING))
    made = to_common_body(lying, MAPPING, axes=axes)[0, 0]
    assert abs(made[BODY.index["head"], 1] - made[BODY.index["left_ankle"], 1]) < 1


@pytest.mark.parametrize("name", list_layouts())
def test_every_packaged_layout_is_mapped(name: str) -> None:
    assert sum(joint.how == "missing" for joint in map_to_common_body(load_layout(name)).joints) == 0


def test_too_few_joints_are_refused() -> None:
    parts = {part: ("wrist", "thumb") if part == "hand" else () for part in PARTS}
    hand = Layout("hand", ("wrist", "thumb"), {"thumb": "wrist"}, {}, "wrist", parts)
    with pytest.raises(InputError):
        map_to_common_body(hand)


def test_a_hidden_hand_goes_along_with_its_body() -> None:
    """Without scores, too: it is at zero, which is no place."""
    clip = np.concatenate([kinect_clip(), np.zeros((1, 9, 20, 1), dtype=np.float32)], axis=-1)[..., :3]
    whole = to_common_body(clip, MAPPING)
    hidden = clip.copy()
    hidden[0, 4:, KINECT.index["left_wrist"]] = 0
    np.testing.assert_allclose(to_common_body(hidden, MAPPING), whole, atol=1e-5)


@pytest.mark.parametrize("z_up", [False, True], ids=["y-up", "z-up"])
def test_up_is_found_without_feet(z_up: bool) -> None:
    clip = kinect_clip() * np.float32([-1, 1, -1])
    clip = clip[..., [0, 2, 1]] * np.float32([1, -1, 1]) if z_up else clip
    clip[:, :, [KINECT.index[joint] for joint in KINECT.joints if joint.endswith(("knee", "ankle", "foot"))]] = 0
    made = to_common_body(clip, MAPPING)[0, 0]
    assert made[BODY.index["head"], 1] > made[BODY.index["hip_centre"], 1] + 1
