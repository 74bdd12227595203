"""Mappings from one layout's joints to another's by joint name, so that a recognizer accepts clips of other skeletons.

Each joint of the target is, in this order of preference,

    copied        from the joint of the same name, or of a name for the same joint (`SYNONYMS`)
    computed      as the mean of the joints around it (`MIDPOINTS`)
    approximated  by a neighbour that moves almost alike (`SUBSTITUTES`: a hand by its wrist), or by a mean of such
    missing       and the mapping is refused, because zeros would be read as a position; unless they are asked for (`allow_missing`), for
                  recognizers that learned to do without some joints

`left_` and `right_` are never exchanged. Every joint is a weighted mean of source joints, so units and origin are unchanged.

A mapped skeleton still comes from another sensor: a Kinect does not place the hips where a pose estimator does. A mapping makes a
prediction possible; its accuracy must be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from poseglot.errors import InputError
from poseglot.skeletons.clip import Joints, seen_joints
from poseglot.skeletons.layout import Layout

How = Literal["copied", "computed", "approximated", "missing"]

# A name in the packaged layouts -> the name of the same joint in the tables below.
SYNONYMS: Mapping[str, str] = {
    "spine_base": "hip_centre",
    "pelvis": "hip_centre",
    "hip": "hip_centre",
    "spine_middle": "spine",
    "spine_shoulder": "shoulder_centre",
    "thorax": "shoulder_centre",
    "torso": "spine",
}
# Synonyms in one layout only (see the layout's file).
LAYOUT_SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "h36m17": {"neck": "nose", "head": "head_top"},
    "halpe26": {"head": "head_top"},
    "openpose18": {"neck": "shoulder_centre"},
    "body25": {"neck": "shoulder_centre"},
    "body25b": {"head": "head_top"},
    "azure32": {"spine_naval": "spine"},
    "smpl22": {"spine2": "spine"},
    "smpl24": {"spine2": "spine"},
}


def _both(table: Mapping[str, tuple[tuple[str, ...], ...]]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Expand a table to the left and the right side. `-` marks joints that both sides share."""
    return {
        f"{side}_{joint}": tuple(
            tuple(other[1:] if other.startswith("-") else f"{side}_{other}" for other in others) for others in groups
        )
        for side in ("left", "right")
        for joint, groups in table.items()
    }


# Joint -> groups of joints whose mean it is. The first complete group is used; its members may be computed, too.
MIDPOINTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "hip_centre": (("left_hip", "right_hip"),),
    "shoulder_centre": (("left_shoulder", "right_shoulder"),),
    "spine": (("hip_centre", "shoulder_centre"),),
    "neck": (("shoulder_centre", "head"),),
    "head": (("left_ear", "right_ear"),),
    **_both({"eye": (("eye_inner", "eye_outer"),), "hand": (("index", "pinky"),)}),
}
# Joint -> groups of joints that replace it, the nearest first.
SUBSTITUTES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "head": (("left_eye", "right_eye"), ("nose",), ("head_top",)),
    "head_top": (("head",), ("nose",)),
    "nose": (("left_eye", "right_eye"), ("head",), ("head_top",)),
    "neck": (("shoulder_centre",),),
    "shoulder_centre": (("neck",),),
    **_both(
        {
            "hand": (("index",), ("hand_tip",), ("wrist",)),
            "hand_tip": (("index",), ("hand",), ("wrist",)),
            "index": (("hand_tip",), ("hand",), ("wrist",)),
            "pinky": (("hand",), ("hand_tip",), ("wrist",)),
            "thumb": (("hand",), ("wrist",), ("hand_tip",)),
            "wrist": (("hand",), ("index",), ("hand_tip",), ("thumb",)),
            "foot": (("foot_index",), ("big_toe",), ("ankle",)),
            "foot_index": (("big_toe",), ("foot",), ("ankle",)),
            "big_toe": (("foot_index",), ("foot",), ("ankle",)),
            "small_toe": (("big_toe",), ("foot_index",), ("foot",), ("ankle",)),
            "heel": (("ankle",), ("foot",)),
            "ankle": (("heel",), ("foot",), ("big_toe",), ("foot_index",)),
            "eye": (("-nose",), ("-head",)),
            "eye_inner": (("eye",), ("-nose",), ("-head",)),
            "eye_outer": (("eye",), ("-nose",), ("-head",)),
            "ear": (("eye_outer",), ("eye",), ("-nose",), ("-head",)),
            "mouth": (("-nose",), ("-head",)),
        }
    ),
}


@dataclass(frozen=True)
class MappedJoint:
    """How a target joint is made.

    Attributes:
        joint: Its name in the target.
        how: `copied`, `computed`, `approximated` or `missing`.
        weights: Source joint -> its weight in the mean; the weights sum to 1. Empty for a missing joint, which is zero.
    """

    joint: str
    how: How
    weights: Mapping[str, float]

    def __str__(self) -> str:
        if not self.weights:
            return self.joint
        names = ", ".join(self.weights)
        return f"{self.joint} = {names if len(self.weights) == 1 else f'mean of {names}'}"


@dataclass(frozen=True)
class LayoutMapping:
    """A mapping of every target joint to joints of the source.

    Attributes:
        source, target: The layouts.
        joints: How each joint of the target is made, in its order.
    """

    source: Layout
    target: Layout
    joints: tuple[MappedJoint, ...]

    def __repr__(self) -> str:
        return f"LayoutMapping({self.source.name!r} -> {self.target.name!r})"

    @property
    def is_identity(self) -> bool:
        """Whether both layouts have the same names in the same order."""
        return self.source.joints == self.target.joints

    def apply(self, joints: Joints, *, has_scores: bool = False) -> Joints:
        """Map joints (M, T, V of the source, C) to (M, T, V of the target, C).

        A joint that was not seen is zero. A mean over such a joint would be a wrong position, so it is zero ("not seen"), too. The
        score of a mean is the smallest of its joints' scores.

        Args:
            joints: The joints in the source layout.
            has_scores: Whether the last channel is the confidence in each joint.
        """
        m, t, v, c = joints.shape
        assert v == len(self.source)
        _, seen = seen_joints(joints.reshape(m * t, v, c), has_scores=has_scores)  # (V, M * T)
        if not has_scores:
            # If only one joint is zero, and is so in all frames, it is the joint at which the clip was centred.
            seen = seen | (~seen.any(axis=1, keepdims=True) & (np.count_nonzero(seen, axis=0) == v - 1))
        mapped = np.zeros((m, t, len(self.target), c), dtype=np.float32)
        for index, joint in enumerate(self.joints):
            sources = [self.source.index[name] for name in joint.weights]
            if not sources:
                continue
            if len(sources) == 1:
                mapped[:, :, index] = joints[:, :, sources[0]]
                continue
            weights = np.array(list(joint.weights.values()), dtype=np.float64)
            mean = np.tensordot(joints[:, :, sources].astype(np.float64), weights, axes=([2], [0]))
            if has_scores:
                mean[..., -1] = joints[:, :, sources, -1].min(axis=2)
            mapped[:, :, index] = mean * seen[sources].all(axis=0).reshape(m, t, 1)
        return mapped

    def report(self) -> str:
        """Describe in one line what is copied, computed, approximated and not used."""
        copied = sum(joint.how == "copied" for joint in self.joints)
        pieces = [f"{copied} of {len(self.joints)} joints copied"]
        for how in ("computed", "approximated", "missing"):
            joints = [str(joint) for joint in self.joints if joint.how == how]
            if joints:
                pieces.append(f"{len(joints)} {how} ({'; '.join(joints)})")
        used = {name for joint in self.joints for name in joint.weights}
        if unused := [name for name in self.source.joints if name not in used]:
            pieces.append(f"not used: {', '.join(unused)}")
        return f"{self.source.name} as {self.target.name}: {'; '.join(pieces)}"


def map_layout(source: Layout, target: Layout, *, allow_missing: bool = False) -> LayoutMapping:
    """Find how every joint of `target` is made from those of `source`.

    Args:
        source, target: The layouts.
        allow_missing: Whether joints that cannot be made are zero, as long as most of the others can.

    Raises:
        InputError: A joint cannot be made; with `allow_missing`, most cannot. The message names all such joints.
    """
    available = {_canonical(source, joint): joint for joint in reversed(source.joints)}
    # An exact name takes precedence over a synonym.
    available |= {joint: joint for joint in source.joints if _canonical(source, joint) == joint}
    joints, missing = [], []
    for joint in target.joints:
        found = _derive(_canonical(target, joint), available)
        if found is None:
            missing.append(joint)
        joints.append(MappedJoint(joint, *(found or ("missing", {}))))
    if missing and not (allow_missing and 2 * len(missing) < len(target)):
        raise InputError(
            f"clips of layout {source.name} cannot be mapped to {target.name}: there is nothing to make {', '.join(missing)} of. "
            f"{source.name} has {', '.join(source.joints)}. If one of these is the same joint, give it in the layout's file the name "
            f"that it has in {target.name}."
        )
    return LayoutMapping(source, target, tuple(joints))


def _canonical(layout: Layout, joint: str) -> str:
    return LAYOUT_SYNONYMS.get(layout.name, {}).get(joint) or SYNONYMS.get(joint, joint)


def _derive(joint: str, available: Mapping[str, str]) -> tuple[How, dict[str, float]] | None:
    """Find the best way to make a joint; `available` maps canonical names to source joints."""
    if joint in available:
        return "copied", {available[joint]: 1.0}
    if (weights := _midpoint(joint, available)) is not None:
        return "computed", weights
    for group in SUBSTITUTES.get(joint, ()):
        if (weights := _mean_of([_exactly(other, available) for other in group])) is not None:
            return "approximated", weights
    # A midpoint of joints of which at least one is approximated.
    for group in MIDPOINTS.get(joint, ()):
        found = [_derive(other, available) for other in group]
        if (weights := _mean_of([one[1] if one else None for one in found])) is not None:
            return "approximated", weights
    return None


def _exactly(joint: str, available: Mapping[str, str]) -> dict[str, float] | None:
    return {available[joint]: 1.0} if joint in available else _midpoint(joint, available)


def _midpoint(joint: str, available: Mapping[str, str]) -> dict[str, float] | None:
    for group in MIDPOINTS.get(joint, ()):
        if (weights := _mean_of([_exactly(other, available) for other in group])) is not None:
            return weights
    return None


def _mean_of(joints: list[dict[str, float] | None]) -> dict[str, float] | None:
    """Return the mean of some weights; None if one of the joints cannot be made."""
    mean: dict[str, float] = {}
    for weights in joints:
        if weights is None:
            return None
        for joint, weight in weights.items():
            mean[joint] = mean.get(joint, 0.0) + weight / len(joints)
    return mean
