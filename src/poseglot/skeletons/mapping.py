"""From one layout's joints to another's, by joint name, so that a recognizer takes clips of other skeletons than it learned from.

Each joint of the target is, in this order,

    copied        from the joint of the same name, or of another name that means the same place (`SAME`)
    computed      as the mean of the joints around it (`BETWEEN`)
    approximated  by a neighbour that moves nearly as it does (`NEAR`: a hand by its wrist), or the mean of such
    missing       nothing of the kind is there; the mapping is refused, for zeros would be taken for a place

`left_` and `right_` are never exchanged. Every joint is a weighted mean of joints of the source, so units and origin stay what they are.

A mapped skeleton was still measured by another sensor: a Kinect does not put the hips where a pose estimator does. A mapping makes an
answer possible; how good it is must be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from poseglot.data.quality.statistics import seen_joints
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Joints
from poseglot.skeletons.layout import Layout

How = Literal["copied", "computed", "approximated"]

# Names of the packaged layouts -> the name below for the place they mean.
SAME: Mapping[str, str] = {
    "spine_base": "hip_centre",
    "pelvis": "hip_centre",
    "hip": "hip_centre",
    "spine_middle": "spine",
    "spine_shoulder": "shoulder_centre",
    "thorax": "shoulder_centre",
}
# What a name means in one layout only (see the layout's file).
MEANT: Mapping[str, Mapping[str, str]] = {
    "h36m17": {"neck": "nose", "head": "head_top"},
    "halpe26": {"head": "head_top"},
    "openpose18": {"neck": "shoulder_centre"},
}


def _both(table: Mapping[str, tuple[tuple[str, ...], ...]]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The table for the left side and for the right one; `-` stands in front of joints that both sides share."""
    return {
        f"{side}_{joint}": tuple(
            tuple(other[1:] if other.startswith("-") else f"{side}_{other}" for other in others) for others in groups
        )
        for side in ("left", "right")
        for joint, groups in table.items()
    }


# Joint -> joints that it is in the middle of; the first group that is whole is taken, and its members may be made, too.
BETWEEN: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "hip_centre": (("left_hip", "right_hip"),),
    "shoulder_centre": (("left_shoulder", "right_shoulder"),),
    "spine": (("hip_centre", "shoulder_centre"),),
    "neck": (("shoulder_centre", "head"),),
    "head": (("left_ear", "right_ear"),),
    **_both({"eye": (("eye_inner", "eye_outer"),), "hand": (("index", "pinky"),)}),
}
# Joint -> what stands in for it, the nearest first.
NEAR: Mapping[str, tuple[tuple[str, ...], ...]] = {
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
            "pinky": (("hand",), ("wrist",)),
            "thumb": (("hand",), ("wrist",)),
            "wrist": (("hand",),),
            "foot": (("foot_index",), ("big_toe",), ("ankle",)),
            "foot_index": (("big_toe",), ("foot",), ("ankle",)),
            "big_toe": (("foot_index",), ("foot",), ("ankle",)),
            "small_toe": (("big_toe",), ("foot_index",), ("foot",), ("ankle",)),
            "heel": (("ankle",),),
            "ankle": (("heel",),),
            "eye": (("-nose",), ("-head",)),
            "eye_inner": (("eye",), ("-nose",), ("-head",)),
            "eye_outer": (("eye",), ("-nose",), ("-head",)),
            "ear": (("eye_outer",), ("eye",), ("-nose",), ("-head",)),
            "mouth": (("-nose",), ("-head",)),
        }
    ),
}


@dataclass(frozen=True)
class Made:
    """How a joint comes about: its name in the target, in which way, and the shares of the source's joints (they sum to 1)."""

    joint: str
    how: How
    shares: Mapping[str, float]

    def __str__(self) -> str:
        names = ", ".join(self.shares)
        return f"{self.joint} = {names if len(self.shares) == 1 else f'mean of {names}'}"


@dataclass(frozen=True)
class LayoutMapping:
    """Every joint of the target out of joints of the source.

    Attributes:
        source, target: the layouts.
        made: of each joint of the target, in its order.
    """

    source: Layout
    target: Layout
    made: tuple[Made, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing changes: the same names in the same order."""
        return self.source.joints == self.target.joints

    def apply(self, joints: Joints, *, has_scores: bool = False) -> Joints:
        """Joints (M, T, V of the source, C) -> (M, T, V of the target, C).

        A joint that was not seen is zero, and what is computed of it would be a place nobody was at: it is zero ("not seen"), too. A score
        is the smallest of those a joint is made of.

        Args:
            scored: whether the last channel is the confidence in each joint.
        """
        m, t, v, c = joints.shape
        assert v == len(self.source)
        _, seen = seen_joints(joints.reshape(m * t, v, c), has_scores=has_scores)  # (V, M * T)
        if not has_scores:
            # One joint alone at zero is the one that the others were centred on.
            seen = seen | (np.count_nonzero(seen, axis=0) == v - 1)
        made = np.zeros((m, t, len(self.target), c), dtype=np.float32)
        for place, joint in enumerate(self.made):
            places = [self.source.index[name] for name in joint.shares]
            if len(places) == 1:
                made[:, :, place] = joints[:, :, places[0]]
                continue
            shares = np.array(list(joint.shares.values()), dtype=np.float64)
            mean = np.tensordot(joints[:, :, places].astype(np.float64), shares, axes=([2], [0]))
            if has_scores:
                mean[..., -1] = joints[:, :, places, -1].min(axis=2)
            made[:, :, place] = mean * seen[places].all(axis=0).reshape(m, t, 1)
        return made

    def report(self) -> str:
        """In one line: what was copied, what was computed, what was approximated, and what is left out."""
        pieces = []
        copied = sum(joint.how == "copied" for joint in self.made)
        pieces.append(f"{copied} of {len(self.made)} joints copied")
        for how in ("computed", "approximated"):
            joints = [str(joint) for joint in self.made if joint.how == how]
            if joints:
                pieces.append(f"{len(joints)} {how} ({'; '.join(joints)})")
        used = {name for joint in self.made for name in joint.shares}
        if unused := [name for name in self.source.joints if name not in used]:
            pieces.append(f"not used: {', '.join(unused)}")
        return f"{self.source.name} as {self.target.name}: {'; '.join(pieces)}"


def map_layout(source: Layout, target: Layout) -> LayoutMapping:
    """How every joint of `target` comes out of those of `source`.

    Raises:
        PoseglotError: some cannot; the message names them.
    """
    have = {_meaning(source, joint): joint for joint in reversed(source.joints)}
    # An exact name goes before one that only means the same.
    have |= {joint: joint for joint in source.joints if _meaning(source, joint) == joint}
    made, missing = [], []
    for joint in target.joints:
        found = _made_of(_meaning(target, joint), have)
        if found is None:
            missing.append(joint)
        else:
            made.append(Made(joint, *found))
    if missing:
        raise PoseglotError(
            f"clips of layout {source.name} cannot be mapped to {target.name}: there is nothing to make {', '.join(missing)} of. "
            f"{source.name} has {', '.join(source.joints)}. If one of these means the same place, give the layout's file the name "
            f"that {target.name} has for it."
        )
    return LayoutMapping(source, target, tuple(made))


def _meaning(layout: Layout, joint: str) -> str:
    return MEANT.get(layout.name, {}).get(joint) or SAME.get(joint, joint)


def _made_of(joint: str, have: Mapping[str, str]) -> tuple[How, dict[str, float]] | None:
    """The shares of a joint, by the best way there is; `have`: meaning -> joint of the source."""
    if joint in have:
        return "copied", {have[joint]: 1.0}
    if (shares := _between(joint, have)) is not None:
        return "computed", shares
    for group in NEAR.get(joint, ()):
        if (shares := _mean_of([_exactly(other, have) for other in group])) is not None:
            return "approximated", shares
    # The middle of joints of which one had to be approximated.
    for group in BETWEEN.get(joint, ()):
        found = [_made_of(other, have) for other in group]
        if (shares := _mean_of([one[1] if one else None for one in found])) is not None:
            return "approximated", shares
    return None


def _exactly(joint: str, have: Mapping[str, str]) -> dict[str, float] | None:
    return {have[joint]: 1.0} if joint in have else _between(joint, have)


def _between(joint: str, have: Mapping[str, str]) -> dict[str, float] | None:
    for group in BETWEEN.get(joint, ()):
        if (shares := _mean_of([_exactly(other, have) for other in group])) is not None:
            return shares
    return None


def _mean_of(shares: list[dict[str, float] | None]) -> dict[str, float] | None:
    """The mean of what is made of joints; None if one of them cannot be made."""
    mean: dict[str, float] = {}
    for one in shares:
        if one is None:
            return None
        for joint, share in one.items():
            mean[joint] = mean.get(joint, 0.0) + share / len(shares)
    return mean
