"""Every packaged layout against the published joint order of its source, and against what the rest of the package relies on.

`tests/skeletons/test_layout.py` has the schema and the bones of the two Kinect layouts.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.models.encoders import ENCODERS, create_encoder
from poseglot.skeletons.graph import parent_matrix, spatial_subsets
from poseglot.skeletons.layout import PARTS, Layout, load_layout
from poseglot.transforms import apply_pipeline
from tests.conftest import ROOT

JOINT_COUNTS = {
    "kinect20": 20,
    "ntu25": 25,
    "azure32": 32,
    "coco17": 17,
    "openpose18": 18,
    "body25": 25,
    "body25b": 25,
    "mediapipe33": 33,
    "halpe26": 26,
    "h36m17": 17,
    "smpl22": 22,
    "smpl24": 24,
    "body15": 15,
}
EVERY = pytest.mark.parametrize("layout", JOINT_COUNTS, indirect=True)
PAGE = (ROOT / "docs" / "layouts.md").read_text()

# The joints as their sources list and spell them: COCO's person_keypoints categories, OpenPose's POSE_COCO_BODY_PARTS, mediapipe's
# PoseLandmark, Halpe's README, data_utils.py of Martinez et al. (ICCV 2017), NUI_SKELETON_POSITION_INDEX of Kinect v1 (which counts
# from the hips), JointType of Kinect v2.
COCO = """nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist
    left_hip right_hip left_knee right_knee left_ankle right_ankle"""
OPENPOSE = (
    """Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar"""
)
MEDIAPIPE = """NOSE LEFT_EYE_INNER LEFT_EYE LEFT_EYE_OUTER RIGHT_EYE_INNER RIGHT_EYE RIGHT_EYE_OUTER LEFT_EAR RIGHT_EAR MOUTH_LEFT
    MOUTH_RIGHT LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW RIGHT_ELBOW LEFT_WRIST RIGHT_WRIST LEFT_PINKY RIGHT_PINKY LEFT_INDEX
    RIGHT_INDEX LEFT_THUMB RIGHT_THUMB LEFT_HIP RIGHT_HIP LEFT_KNEE RIGHT_KNEE LEFT_ANKLE RIGHT_ANKLE LEFT_HEEL RIGHT_HEEL
    LEFT_FOOT_INDEX RIGHT_FOOT_INDEX"""
HALPE = """Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle Head Neck Hip
    LBigToe RBigToe LSmallToe RSmallToe LHeel RHeel"""
H36M = """Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck/Nose Head LShoulder LElbow LWrist RShoulder RElbow RWrist"""
KINECT1 = """HIP_CENTER SPINE SHOULDER_CENTER HEAD SHOULDER_LEFT ELBOW_LEFT WRIST_LEFT HAND_LEFT SHOULDER_RIGHT ELBOW_RIGHT
    WRIST_RIGHT HAND_RIGHT HIP_LEFT KNEE_LEFT ANKLE_LEFT FOOT_LEFT HIP_RIGHT KNEE_RIGHT ANKLE_RIGHT FOOT_RIGHT"""
KINECT2 = """SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight WristRight HandRight
    HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight SpineShoulder HandTipLeft ThumbLeft HandTipRight
    ThumbRight"""
BODY25 = """Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar
    LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"""
BODY25B = """Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle UpperNeck
    HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"""
AZURE = """PELVIS SPINE_NAVAL SPINE_CHEST NECK CLAVICLE_LEFT SHOULDER_LEFT ELBOW_LEFT WRIST_LEFT HAND_LEFT HANDTIP_LEFT THUMB_LEFT
    CLAVICLE_RIGHT SHOULDER_RIGHT ELBOW_RIGHT WRIST_RIGHT HAND_RIGHT HANDTIP_RIGHT THUMB_RIGHT HIP_LEFT KNEE_LEFT ANKLE_LEFT
    FOOT_LEFT HIP_RIGHT KNEE_RIGHT ANKLE_RIGHT FOOT_RIGHT HEAD NOSE EYE_LEFT EAR_LEFT EYE_RIGHT EAR_RIGHT"""
SMPL = """pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot right_foot neck
    left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist"""
BODY15 = """head shoulder_centre hip_centre left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist
    left_hip left_knee left_ankle right_hip right_knee right_ankle"""
SOURCES = {
    "body15": BODY15,
    "body25": BODY25,
    "body25b": BODY25B,
    "azure32": AZURE,
    "smpl22": SMPL,
    "smpl24": f"{SMPL} left_hand right_hand",
    "kinect20": KINECT1,
    "ntu25": KINECT2,
    "coco17": COCO,
    "openpose18": OPENPOSE,
    "mediapipe33": MEDIAPIPE,
    "halpe26": HALPE,
    "h36m17": H36M,
}
# Where our name is not the source's name in our spelling.
RENAMED = {
    "body25": {"mid_hip": "hip"},
    "body25b": {"upper_neck": "neck", "head_top": "head"},
    "azure32": {"left_handtip": "left_hand_tip", "right_handtip": "right_hand_tip"},
    "h36m17": {"hip": "pelvis", "right_foot": "right_ankle", "left_foot": "left_ankle", "neck/nose": "neck"},
    "ntu25": {"spine_mid": "spine_middle"},
}


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> Layout:
    """It loads."""
    return load_layout(request.param)


def in_our_spelling(name: str) -> str:
    """RBigToe, HandTipLeft, MOUTH_LEFT, left_eye -> right_big_toe, left_hand_tip, left_mouth, left_eye."""
    name = re.sub(r"^([LR])(?=[A-Z][a-z])", lambda match: {"L": "Left", "R": "Right"}[match[1]], name)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("center", "centre")
    return re.sub(r"^(.*)_(left|right)$", r"\2_\1", name)


def other_side(layout: Layout) -> dict[str, str]:
    """Every joint -> the joint where it is in the mirror."""
    return (
        {joint: joint for joint in layout.joints} | dict(layout.mirror) | {right: left for left, right in layout.mirror.items()}
    )


def test_every_packaged_layout_is_tested_and_on_the_page() -> None:
    files = (resources.files("poseglot.skeletons") / "layouts").iterdir()
    packaged = {file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")}
    rows = {name: int(count) for name, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.M)}
    assert packaged == set(SOURCES) and rows == JOINT_COUNTS


@EVERY
def test_joints_are_as_many_as_its_name_says_and_each_once(layout: Layout) -> None:
    assert layout.name in JOINT_COUNTS and layout.name.removesuffix("b").endswith(str(len(layout)))
    assert len(set(layout.joints)) == len(layout) == JOINT_COUNTS[layout.name]


@EVERY
def test_joints_are_in_the_order_of_the_source(layout: Layout) -> None:
    published = [in_our_spelling(name) for name in SOURCES[layout.name].split()]
    renamed = RENAMED.get(layout.name, {})
    assert layout.joints == tuple(renamed.get(name, name) for name in published)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("coco17", {0: "nose", 1: "left_eye", 9: "left_wrist", 10: "right_wrist", 16: "right_ankle"}),
        ("openpose18", {1: "neck", 4: "right_wrist", 7: "left_wrist", 8: "right_hip", 14: "right_eye", 17: "left_ear"}),
        ("mediapipe33", {7: "left_ear", 15: "left_wrist", 16: "right_wrist", 23: "left_hip", 32: "right_foot_index"}),
        ("halpe26", {9: "left_wrist", 17: "head", 18: "neck", 19: "hip", 20: "left_big_toe", 25: "right_heel"}),
        ("h36m17", {0: "pelvis", 1: "right_hip", 4: "left_hip", 9: "neck", 10: "head", 13: "left_wrist", 16: "right_wrist"}),
        ("kinect20", {2: "shoulder_centre", 7: "left_hand"}),
        ("ntu25", {1: "spine_middle", 20: "spine_shoulder", 22: "left_thumb"}),
    ],
)
def test_some_places_that_everybody_knows(name: str, places: dict[int, str]) -> None:
    assert {place: load_layout(name).joints[place] for place in places} == places


def test_layouts_that_share_joints_agree() -> None:
    coco, openpose, halpe = (load_layout(name) for name in ("coco17", "openpose18", "halpe26"))
    assert halpe.joints[:17] == coco.joints
    # The conversion that many projects publish, 17 being a neck put behind COCO's joints.
    conversion = [0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert openpose.joints == tuple((*coco.joints, "neck")[place] for place in conversion)


@EVERY
def test_mirror_pairs_every_left_with_its_right(layout: Layout) -> None:
    lefts = {joint for joint in layout.joints if joint.startswith("left_")}
    rights = {joint for joint in layout.joints if joint.startswith("right_")}
    assert dict(layout.mirror) == {left: left.replace("left_", "right_") for left in lefts}
    assert set(layout.mirror.values()) == rights


@EVERY
def test_the_mirror_maps_bones_onto_bones_each_part_onto_itself_and_the_centre_onto_the_centre(layout: Layout) -> None:
    swap = other_side(layout)
    assert {swap[child]: swap[parent] for child, parent in layout.bones.items()} == dict(layout.bones)
    for part, joints in layout.parts.items():
        assert {swap[joint] for joint in joints} == set(joints), part
    assert swap[layout.centre] == layout.centre


@EVERY
def test_bones_are_one_tree_and_cross_to_the_other_side_nowhere(layout: Layout) -> None:
    (root,) = set(layout.joints) - set(layout.bones)
    reached, frontier = {root}, {root}
    while frontier:
        frontier = {child for child, parent in layout.bones.items() if parent in frontier}
        reached |= frontier
    assert reached == set(layout.joints) and len(layout.bones) == len(layout) - 1
    for child, parent in layout.bones.items():
        sides = {joint.split("_")[0] for joint in (child, parent)}
        assert not {"left", "right"} <= sides, f"{child} hangs on {parent}"


@EVERY
def test_limbs_lead_towards_the_body(layout: Layout) -> None:
    for limb in (["wrist", "elbow", "shoulder"], ["ankle", "knee", "hip"]):
        for side in ("left", "right"):
            chain = [f"{side}_{name}" for name in limb]
            assert [layout.bones[joint] for joint in chain[:-1]] == chain[1:]
    trunk = {joint for joint in layout.joints if joint not in (*layout.mirror, *layout.mirror.values())}
    for side in ("left", "right"):
        assert layout.bones[f"{side}_shoulder"] in trunk | {f"{side}_clavicle", f"{side}_collar"}
        assert layout.bones[f"{side}_hip"] in trunk | {f"{side}_shoulder"}


PLACES = {
    "head": (
        "nose",
        "eye",
        "ear",
        "mouth",
        "neck",
        "head",
        "thorax",
        "shoulder_centre",
        "spine_shoulder",
        "spine_chest",
        "spine3",
    ),
    "hand": ("wrist", "hand", "thumb", "pinky", "index"),
    "arm": ("shoulder", "elbow", "clavicle", "collar"),
    "hip": ("hip", "hip_centre", "pelvis", "spine", "spine_base", "spine_middle", "spine_naval", "spine1", "spine2"),
    "leg": ("knee",),
    "foot": ("ankle", "foot", "foot_index", "heel", "big_toe", "small_toe"),
}


@EVERY
def test_every_joint_is_in_the_part_where_it_is_in_every_other_layout(layout: Layout) -> None:
    part_of = {name: part for part, names in PLACES.items() for name in names}
    for part, joints in layout.parts.items():
        for joint in joints:
            bare = re.sub(r"^(left|right)_|_(inner|outer|tip)$", "", joint)
            bare = re.sub(r"^(left|right)_", "", bare)
            assert part_of[bare] == part, joint


@EVERY
@pytest.mark.parametrize("partition", ["two", "four", "six"])
def test_partitions_hold_every_joint_once_and_no_part_is_empty(layout: Layout, partition: str) -> None:
    parts = layout.partition(partition)
    assert len(parts) == {"two": 2, "four": 4, "six": 6}[partition]
    assert all(parts.values())
    assert Counter(index for indices in parts.values() for index in indices) == Counter(range(len(layout)))


@EVERY
def test_graph_matrices_have_its_shape_and_columns_that_sum_to_one(layout: Layout) -> None:
    count = len(layout)
    assert parent_matrix(layout).shape == (count, count) and parent_matrix(layout).sum() == count - 1
    subsets = spatial_subsets(layout)
    assert subsets.shape == (3, count, count)
    root = [joint not in layout.bones for joint in layout.joints]
    leaf = [joint not in layout.bones.values() for joint in layout.joints]
    for subset, empty in zip(subsets, (np.zeros(count, dtype=bool), np.array(root), np.array(leaf)), strict=True):
        np.testing.assert_allclose(subset.sum(axis=0), ~empty, atol=1e-6)


@EVERY
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_takes_it(layout: Layout, encoder: str) -> None:
    generator = torch.Generator().manual_seed(0)
    xyz = torch.randn(2, 1, 5, len(layout), 3, generator=generator)
    score = torch.rand(2, 1, 5, len(layout), 1, generator=generator)
    for clips in (xyz, xyz[..., :2], torch.cat([xyz[..., :2], score], dim=-1)):
        module = create_encoder(encoder, layout, num_persons=2, channels=clips.shape[-1], base_channels=8).eval()
        with torch.no_grad():
            features = module(clips)
        assert features.ndim == 5 and features.shape[2] >= 1
        assert (*features.shape[:2], *features.shape[3:]) == (2, 2, len(layout), module.features)
        assert features.isfinite().all() and features[:, 0].any()


@EVERY
@pytest.mark.parametrize("modality", ["joint", "bone"])
@pytest.mark.parametrize("pipeline", ["metric", "image"])
def test_the_input_of_a_mirrored_clip_is_the_mirrored_input(layout: Layout, pipeline: str, modality: str) -> None:
    def mirrored(joints: np.ndarray) -> np.ndarray:
        swap = other_side(layout)
        return joints[:, :, [layout.index[swap[joint]] for joint in layout.joints]] * np.float32([-1, 1, 1])

    clip = np.random.default_rng(0).normal(size=(2, 9, len(layout), 3)).astype(np.float32)
    expected = mirrored(apply_pipeline(clip, pipeline=pipeline, modality=modality, layout=layout))
    np.testing.assert_allclose(
        apply_pipeline(mirrored(clip), pipeline=pipeline, modality=modality, layout=layout), expected, atol=1e-5
    )


def test_the_example_of_the_page_is_a_layout_of_twenty_lines(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
    assert len(example.splitlines()) <= 20
    (tmp_path / "mine.yaml").write_text(example)
    layout = load_layout(str(tmp_path / "mine.yaml"))
    assert layout.name == "my13" and len(layout) == 13 and tuple(layout.parts) == PARTS
    for check in (
        test_mirror_pairs_every_left_with_its_right,
        test_the_mirror_maps_bones_onto_bones_each_part_onto_itself_and_the_centre_onto_the_centre,
        test_bones_are_one_tree_and_cross_to_the_other_side_nowhere,
        test_limbs_lead_towards_the_body,
        test_every_joint_is_in_the_part_where_it_is_in_every_other_layout,
    ):
        check(layout)
