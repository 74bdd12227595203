"""Layouts mapped by joint name: exact numbers, every packaged pair, what was not seen, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from poseglot.data.store import PackedStore
from poseglot.errors import InputError
from poseglot.skeletons.layout import PARTS, Layout, load_layout
from poseglot.skeletons.mapping import MIDPOINTS, SUBSTITUTES, map_layout

pytestmark = pytest.mark.base

PACKAGED = ("coco17", "h36m17", "halpe26", "kinect20", "mediapipe33", "ntu25", "openpose18")


def weights(source: str, target: str) -> dict[str, tuple[str, dict[str, float]]]:
    return {made.joint: (made.how, dict(made.weights)) for made in map_layout(load_layout(source), load_layout(target)).joints}


def test_the_names_that_ntu_has_for_the_joints_of_kinect_v1() -> None:
    made = weights("ntu25", "kinect20")
    assert {how for how, _ in made.values()} == {"copied"}
    assert made["hip_centre"] == ("copied", {"spine_base": 1.0})
    assert made["spine"] == ("copied", {"spine_middle": 1.0})
    assert made["shoulder_centre"] == ("copied", {"spine_shoulder": 1.0})
    assert made["left_hand"] == ("copied", {"left_hand": 1.0})


def test_coco_has_no_middle_and_no_hands() -> None:
    made = weights("coco17", "kinect20")
    assert made["hip_centre"] == ("computed", {"left_hip": 0.5, "right_hip": 0.5})
    quarter = dict.fromkeys(("left_hip", "right_hip", "left_shoulder", "right_shoulder"), 0.25)
    assert made["spine"] == ("computed", quarter)
    assert made["head"] == ("computed", {"left_ear": 0.5, "right_ear": 0.5})
    assert made["left_hand"] == ("approximated", {"left_wrist": 1.0})
    assert made["right_foot"] == ("approximated", {"right_ankle": 1.0})
    assert made["right_knee"] == ("copied", {"right_knee": 1.0})


def test_a_name_that_means_another_place_is_not_copied() -> None:
    """In h36m17 `neck` is what others call the nose, and `head` the top of the head; OpenPose's neck is between the shoulders."""
    assert weights("h36m17", "coco17")["nose"] == ("copied", {"neck": 1.0})
    assert weights("h36m17", "kinect20")["head"] == ("approximated", {"neck": 1.0})
    assert weights("h36m17", "halpe26")["head"] == ("copied", {"head": 1.0})
    assert weights("openpose18", "kinect20")["shoulder_centre"] == ("copied", {"neck": 1.0})
    assert weights("ntu25", "openpose18")["neck"] == ("copied", {"spine_shoulder": 1.0})


@pytest.mark.parametrize(("source", "target"), list(product(PACKAGED, PACKAGED)))
def test_every_packaged_pair(source: str, target: str) -> None:
    """Each is possible; weights are a mean; sides are never exchanged; and a mirrored joint is made as its mirror image is."""
    mapping = map_layout(load_layout(source), load_layout(target))
    assert [one.joint for one in mapping.joints] == list(mapping.target.joints)
    assert mapping.is_identity == (source == target)
    other = {**mapping.source.mirror, **{right: left for left, right in mapping.source.mirror.items()}}
    made = {one.joint: one for one in mapping.joints}
    for one in mapping.joints:
        assert sum(one.weights.values()) == pytest.approx(1)
    for left, right in mapping.target.mirror.items():
        assert not any(name.startswith("right_") for name in made[left].weights)
        assert {other.get(name, name): share for name, share in made[left].weights.items()} == made[right].weights
    if source == target:
        assert {one.how for one in mapping.joints} == {"copied"}


def test_the_tables_name_joints_that_exist() -> None:
    known = {joint for name in PACKAGED for joint in load_layout(name).joints} | {"head_top"}
    for table in (MIDPOINTS, SUBSTITUTES):
        for joint, groups in table.items():
            assert {joint, *(other for group in groups for other in group)} <= known


def tiny(name: str, joints: Sequence[str]) -> Layout:
    """A layout of these joints, all hanging from the first."""
    parts: dict[str, tuple[str, ...]] = dict.fromkeys(PARTS, ())
    return Layout(name, tuple(joints), dict.fromkeys(joints[1:], joints[0]), {}, joints[0], {**parts, "hip": tuple(joints)})


HIPS = tiny("hips", ["left_hip", "right_hip", "left_wrist"])
MIDDLE = tiny("middle", ["hip_centre", "left_hand", "left_hip"])


def test_exact_numbers() -> None:
    joints = np.array([[[[1, 2, 3], [3, 6, -3], [7, 8, 9]]]], dtype=np.float32)
    made = map_layout(HIPS, MIDDLE).apply(joints)
    np.testing.assert_array_equal(made, np.array([[[[2, 4, 0], [7, 8, 9], [1, 2, 3]]]], dtype=np.float32))
    assert made.dtype == np.float32


def test_nothing_is_computed_of_what_was_not_seen() -> None:
    joints = np.array([[[[1, 2, 3], [0, 0, 0], [0, 0, 0]], [[1, 2, 3], [0, 0, 0], [7, 8, 9]]]], dtype=np.float32)
    made = map_layout(HIPS, MIDDLE).apply(joints)
    np.testing.assert_array_equal(made[0, 0, 0], [0, 0, 0])
    # A single joint at zero is the one that the clip was centred on.
    np.testing.assert_array_equal(made[0, 1, 0], [0.5, 1, 1.5])
    # One that is at zero now and then was out of sight.
    joints[0, 0, 1] = 4
    np.testing.assert_array_equal(map_layout(HIPS, MIDDLE).apply(joints)[0, 1, 0], [0, 0, 0])


def test_a_score_is_the_smallest_of_those_it_is_made_of() -> None:
    joints = np.array([[[[1, 2, 0.9], [3, 6, 0.5], [7, 8, 0.7]], [[1, 2, 0.9], [3, 6, 0], [7, 8, 0.7]]]], dtype=np.float32)
    made = map_layout(HIPS, MIDDLE).apply(joints, has_scores=True)
    np.testing.assert_array_equal(made[0, 0], np.array([[2, 4, 0.5], [7, 8, 0.7], [1, 2, 0.9]], dtype=np.float32))
    np.testing.assert_array_equal(made[0, 1, 0], [0, 0, 0])


def test_real_joints_in_another_order_are_the_same_joints(small_store: PackedStore) -> None:
    """The same names in another order, there and back."""
    kinect = load_layout("kinect20")
    shuffled = replace(kinect, name="shuffled", joints=tuple(reversed(kinect.joints)))
    joints = small_store[3].joints
    there = map_layout(kinect, shuffled).apply(joints)
    np.testing.assert_array_equal(there, joints[:, :, ::-1])
    np.testing.assert_array_equal(map_layout(shuffled, kinect).apply(there), joints)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(InputError, match=r"hips .*kinect20.*head, left_shoulder"):
        map_layout(HIPS, load_layout("kinect20"))
    # A right hand is not made of a left one.
    with pytest.raises(InputError, match="right_hand"):
        map_layout(HIPS, tiny("hand", ["right_hand"]))


def test_the_report_says_all_of_it() -> None:
    report = map_layout(load_layout("coco17"), load_layout("kinect20")).report()
    assert report.startswith(
        "coco17 as kinect20: 12 of 20 joints copied; 4 computed (hip_centre = mean of left_hip, right_hip; spine = "
    )
    assert "4 approximated (left_hand = left_wrist; " in report
    assert report.endswith("not used: nose, left_eye, right_eye")
