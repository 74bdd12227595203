"""The body of the synthetic set: lengths, joint limits, and forward kinematics from angles to the joints of `kinect20`.

Body space is right-handed: x towards the person's left, y up from the floor, z forward. Angles are in degrees, lengths in metres.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.layout import Layout

Array = npt.NDArray[np.float64]
Angles = dict[str, Array]

SIDES: Mapping[str, int] = {"left": 1, "right": -1}  # the sign of x

# Smallest and largest angle, and the size of its idle motion. Arm and leg entries hold for either side (`left_elbow`, `right_elbow`).
ANGLES: Mapping[str, tuple[float, float, float]] = {
    "heading": (-180, 180, 2.5),  # not a joint: the direction that the whole body faces
    "trunk_pitch": (-20, 90, 2.0),  # of the upper body over the hips, forward is positive
    "trunk_roll": (-25, 25, 1.5),
    "waist_yaw": (-60, 60, 3.0),
    "neck_pitch": (-35, 45, 3.0),
    "neck_yaw": (-75, 75, 5.0),
    "neck_roll": (-30, 30, 2.5),
    "shoulder_flex": (-45, 175, 5.0),  # forward and up
    "shoulder_abduct": (-10, 175, 3.0),  # sideways and up
    "shoulder_turn": (-90, 80, 6.0),  # of the upper arm about its axis, inward is positive
    "elbow": (0, 145, 6.0),
    "wrist": (-60, 60, 8.0),
    "hip_sway": (-12, 12, 1.5),  # both legs lean sideways; positive moves the body to the left
    "hip_flex": (-20, 115, 0.0),
    "hip_spread": (-5, 25, 0.0),
    "knee": (0, 140, 0.0),
    "ankle": (-45, 45, 0.0),  # toes up is positive
}
ARM = ("shoulder_flex", "shoulder_abduct", "shoulder_turn", "elbow", "wrist")
LEG = ("hip_flex", "hip_spread", "knee", "ankle")

# Of an adult, before individual variation.
LENGTHS: Mapping[str, float] = {
    "pelvis": 0.08,
    "back": 0.38,
    "neck": 0.20,
    "face": 0.10,
    "shoulder": 0.18,
    "upper_arm": 0.28,
    "forearm": 0.25,
    "hand": 0.08,
    "hip": 0.09,
    "thigh": 0.41,
    "shin": 0.39,
    "foot": 0.15,
}
_SHOULDER_DROP, _HIP_DROP, _INSTEP = 0.05, 0.06, 0.06


def limits_of(angle: str) -> tuple[float, float]:
    """Return the smallest and largest value of an angle; its name may begin with a side."""
    return entry_of(angle)[:2]


def entry_of(angle: str) -> tuple[float, float, float]:
    """Return the row of `ANGLES` of an angle; its name may begin with a side."""
    return ANGLES[angle.removeprefix("left_").removeprefix("right_")]


def pose(lengths: Mapping[str, float], angles: Angles, layout: Layout) -> Array:
    """Return joint positions (T, V, 3) in body space, by forward kinematics from the hips; the body then stands on its feet."""
    heading = turn("y", angles["heading"])
    points: dict[str, Array] = {"hip_centre": np.zeros((len(heading), 3))}
    trunk = heading @ turn("x", angles["trunk_pitch"]) @ turn("z", angles["trunk_roll"])
    chest = trunk @ turn("y", angles["waist_yaw"])
    head = chest @ turn("y", angles["neck_yaw"]) @ turn("x", angles["neck_pitch"]) @ turn("z", angles["neck_roll"])
    points["spine"] = points["hip_centre"] + trunk @ [0, lengths["pelvis"], 0]
    points["shoulder_centre"] = points["spine"] + chest @ [0, lengths["back"], 0]
    points["head"] = points["shoulder_centre"] + head @ [0, lengths["neck"], lengths["face"]]
    for side, sign in SIDES.items():
        own = {name: angles[f"{side}_{name}"] for name in (*ARM, *LEG)}
        shoulder = points["shoulder_centre"] + chest @ [sign * lengths["shoulder"], -_SHOULDER_DROP, 0]
        upper = chest @ turn("x", -own["shoulder_flex"]) @ turn("z", sign * own["shoulder_abduct"])
        upper = upper @ turn("y", -sign * own["shoulder_turn"])
        lower = upper @ turn("x", -own["elbow"])
        points[f"{side}_shoulder"] = shoulder
        points[f"{side}_elbow"] = shoulder + upper @ [0, -lengths["upper_arm"], 0]
        points[f"{side}_wrist"] = points[f"{side}_elbow"] + lower @ [0, -lengths["forearm"], 0]
        hand = lower @ turn("z", sign * own["wrist"])
        points[f"{side}_hand"] = points[f"{side}_wrist"] + hand @ [0, -lengths["hand"], 0]
        thigh = heading @ turn("z", sign * own["hip_spread"] - angles["hip_sway"]) @ turn("x", -own["hip_flex"])
        shin = thigh @ turn("x", own["knee"])
        sole = shin @ turn("x", -own["ankle"])
        points[f"{side}_hip"] = points["hip_centre"] + heading @ [sign * lengths["hip"], -_HIP_DROP, 0]
        points[f"{side}_knee"] = points[f"{side}_hip"] + thigh @ [0, -lengths["thigh"], 0]
        points[f"{side}_ankle"] = points[f"{side}_knee"] + shin @ [0, -lengths["shin"], 0]
        points[f"{side}_foot"] = points[f"{side}_ankle"] + sole @ [0, -_INSTEP, lengths["foot"]]
    joints = np.stack([points[name] for name in layout.joints], axis=1)
    return joints - _ground(joints, layout)[:, None]


def _ground(joints: Array, layout: Layout) -> Array:
    """Return (T, 3): the shift to subtract so that the lowest foot is at height 0 and the supporting foot does not slip."""
    ankles = np.stack([joints[:, layout.index[f"{side}_ankle"]] for side in SIDES], axis=1)
    feet = np.stack([joints[:, layout.index[f"{side}_foot"]] for side in SIDES], axis=1)
    lowest = np.minimum(ankles[..., 1], feet[..., 1])
    # The lower foot carries the body; a difference of two centimetres shifts the weight.
    carried = np.exp(-(lowest - lowest.min(axis=1, keepdims=True)) / 0.02)
    carried /= carried.sum(axis=1, keepdims=True)
    slip: Array = ((ankles - ankles[:1]) * carried[..., None]).sum(axis=1)
    slip[:, 1] = lowest.min(axis=1)
    return slip


def turn(axis: str, degrees: Array | float) -> Array:
    """Return right-handed rotations (..., 3, 3) about an axis."""
    angle = np.radians(np.asarray(degrees, dtype=np.float64))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., range(3), range(3)] = 1
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -np.sin(angle)
    return matrix
