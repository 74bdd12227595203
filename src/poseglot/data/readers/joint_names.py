"""Names of joints as tools write them, and what they are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from poseglot.skeletons.layout import PARTS, Layout
from poseglot.skeletons.mapping import SYNONYMS


def joints_by_name(names: Sequence[str], layout: Layout) -> dict[str, int]:
    """Find the joints of a layout among names as tools write them: `LShoulder`, `shoulder_l`, `Left Shoulder`.

    Returns:
        Joint of the layout -> index of its name. Joints that are not found are missing. An exact name wins over a similar one.
    """
    exact = {name: index for index, name in reversed(list(enumerate(names)))}
    similar = {plain_name(name): index for index, name in reversed(list(enumerate(names)))}
    found: dict[str, int] = {}
    for joint in layout.joints:
        index = exact.get(joint, similar.get(plain_name(joint)))
        if index is not None:
            found[joint] = index
    return found


# Names for the same joint, besides those of packaged layouts (`mapping.SYNONYMS`); without left and right.
_SPELLINGS: Mapping[str, str] = {
    "hips": "hip_centre", "mid_hip": "hip_centre", "hip_center": "hip_centre", "c_hip": "hip_centre", "spinebase": "hip_centre",
    "spine_mid": "spine", "shoulder_center": "shoulder_centre", "spine_chest": "spine", "eye_in": "eye_inner", "eye_out": "eye_outer",
    "handtip": "hand_tip", "bigtoe": "big_toe", "smalltoe": "small_toe", "toe": "foot_index", "pinky_finger": "pinky",
}  # fmt: skip


def plain_name(name: str) -> str:
    """Return a joint's name in one spelling: lower case, words apart, `left_` or `right_` in front."""
    name = name.rsplit(":", 1)[-1].strip()
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name.lower()) if word]
    side = ""
    for spelled, meant in (("left", "left"), ("right", "right"), ("l", "left"), ("r", "right")):
        if spelled in words and len(words) > 1:
            words.remove(spelled)
            side = meant + "_"
            break
    plain = "_".join(words)
    plain = _SPELLINGS.get(plain, plain)
    return SYNONYMS.get(side + plain, side + plain)


# BVH names a joint after the bone that begins there. A shoulder or collar is then the collar bone, and begins at the neck.
_BEGINNINGS: Mapping[str, str] = {
    "arm": "shoulder", "upper_arm": "shoulder", "up_arm": "shoulder", "fore_arm": "elbow", "lower_arm": "elbow", "low_arm": "elbow",
    "hand": "wrist", "up_leg": "hip", "upper_leg": "hip", "thigh": "hip", "leg": "knee", "lower_leg": "knee", "low_leg": "knee",
    "shin": "knee", "calf": "knee", "foot": "ankle", "toe_base": "foot", "toes": "foot", "toe": "foot", "ball": "foot",
    "shoulder": "collar", "clavicle": "collar",
}  # fmt: skip
# ASF names bones; the joint is where the bone ends.
_ENDS: Mapping[str, str] = {
    "clavicle": "shoulder", "humerus": "elbow", "radius": "wrist", "hand": "hand", "hipjoint": "hip", "femur": "knee", "tibia": "ankle",
    "foot": "foot",
}  # fmt: skip
_MIDDLE: Mapping[str, str] = {"root": "hip_centre", "lowerneck": "shoulder_centre", "lowerback": "spine"}


def named_layout(names: Sequence[str], *, name: str) -> Layout:
    """Return a layout of joints by the names that a file has for them, as the source of a mapping; its bones and parts mean nothing.

    Names of bones (`LeftForeArm`, `lfemur`) become those of the joints where they begin or, in ASF, end.
    """
    plain = [plain_name(re.sub(r"^([lr])(?=clav|hum|rad|hand|hip|fem|tib|foot|toe)", r"\1_", name)) for name in names]
    words = {joint.partition("_")[2] for joint in plain if joint.startswith(("left_", "right_"))}
    table: Mapping[str, str] = {}
    if {"humerus", "femur"} <= words:
        table = _ENDS
    elif words & {"upper_arm", "up_arm", "fore_arm", "lower_arm"}:
        table = _BEGINNINGS
    joints: list[str] = []
    for joint in plain:
        side, _, word = joint.partition("_")
        joint = f"{side}_{table.get(word, word)}" if side in ("left", "right") else _MIDDLE.get(joint, joint)
        while joint in joints:
            joint += "_"
        joints.append(joint)
    parts = {part: tuple(joints) if part == PARTS[0] else () for part in PARTS}
    return Layout(name, tuple(joints), dict.fromkeys(joints[1:], joints[0]), {}, joints[0], parts)
