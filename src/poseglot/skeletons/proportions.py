"""The proportions of a body: by them a skeleton whose joints are in another order than its layout's is told from a person.

Limbs, head and trunk are about as long, relative to one another, in all people. So they are in a picture, where something lies across the
line of sight in some frames. Shoulders and hips are narrow in a picture from the side, so of them only too much is held against a clip.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from poseglot.errors import InputError
from poseglot.skeletons.layout import PARTS, Layout, load_layout
from poseglot.skeletons.mapping import LayoutMapping, map_layout


def _both(**lengths: float) -> dict[str, float]:
    return {f"{side}_{joint}": length for joint, length in lengths.items() for side in ("left", "right")}


# Joint of `body15` -> the length of the bone that ends there: the means of NW-UCLA, MSR-Action3D, UTD-MHAD, UTKinect and Bandai-2.
_LENGTHS = {"head": 0.64, "hip_centre": 1.46, **_both(elbow=0.93, wrist=0.88, knee=1.68, ankle=1.39)}
# The longest there of bones that may be shorter.
_AT_MOST = _both(shoulder=0.73, hip=0.67)
_MIN_BONES = 6
# A tracker puts a joint that it does not see anywhere, often near another, so bones may be much too short in clips that are right.
_SHORTEST = float(np.log(0.5))
# Beyond it a clip is no body's: of NW-UCLA, UTD-MHAD, MSR-Action3D, UTKinect and Bandai-2 2 of 3,671 clips are; of 150 to 200 clips of each
# with joints in another order at least 99.5 %.
MAX_MISFIT = 0.34
# In a picture bones are measured in the frames in which they are the longest.
_LONGEST = 0.9


def proportion_misfit(
    position: npt.NDArray[np.floating], layout: Layout, *, seen: npt.NDArray[np.bool_]
) -> tuple[float, list[tuple[str, str, float]]]:
    """Return how far the proportions are from those of a body, and the bones that are farthest from them.

    Args:
        position: (N, V, D) frames, D 2 or 3.
        layout: The layout of the joints.
        seen: (N, V).

    Returns:
        The root mean square of log(length / usual length) at the best common scale; NaN if too few bones are known. Then the two bones
        that are farthest off: joint, joint and how many times as long as usual.
    """
    mapping = _to_body(layout.name, layout.joints)
    if mapping is None:
        return float("nan"), []
    body = mapping.target
    joints = mapping.apply(np.where(seen[..., None], position, 0).astype(np.float32)[None])[0].astype(np.float64)
    there, made = joints.any(axis=-1), {joint.joint: joint.weights for joint in mapping.joints}
    found: dict[str, float] = {}
    for child in (*_LENGTHS, *_AT_MOST):
        ends = [body.index[child], body.index[body.bones[child]]]
        both = there[:, ends].all(axis=1)
        if both.any() and made[child] != made[body.bones[child]]:
            lengths = np.linalg.norm(joints[both][:, ends[0]] - joints[both][:, ends[1]], axis=-1)
            found[child] = float(np.median(lengths) if joints.shape[-1] == 3 else np.quantile(lengths, _LONGEST))
    limbs, longest = found.keys() & _LENGTHS.keys(), max(found.values(), default=0.0)
    if len(limbs) < _MIN_BONES or not longest:
        return float("nan"), []
    usual = {**_LENGTHS, **_AT_MOST}
    ratio = {child: float(np.log(max(length, 1e-6 * longest) / usual[child])) for child, length in found.items()}
    scale = float(np.median([ratio[child] for child in limbs]))
    off = {child: max(value - scale, 0.0 if child in _AT_MOST else _SHORTEST) for child, value in ratio.items()}
    misfit = float(np.sqrt(sum(value**2 for value in off.values()) / len(limbs)))
    worst = sorted(off, key=lambda child: -abs(off[child]))[:2]
    return misfit, [(child, body.bones[child], float(np.exp(off[child]))) for child in worst]


@lru_cache(maxsize=64)
def _to_body(name: str, joints: tuple[str, ...]) -> LayoutMapping | None:
    """Return how a layout's joints become those of `body15`, which its name and joints alone decide; None if they are no body's."""
    parts = {part: joints if part == PARTS[0] else () for part in PARTS}
    source = Layout(name, joints, dict.fromkeys(joints[1:], joints[0]), {}, joints[0], parts)
    try:
        return map_layout(source, load_layout("body15"), allow_missing=True)
    except InputError:  # a hand, an animal
        return None
