"""What the coordinates of clips are like: units, direction of up, depth, scores.

A recognizer keeps the `CoordinateSummary` of its training clips. Prediction compares every clip with it, because a network answers for
millimetres as surely as for metres.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.clip import evenly_spaced
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.orientation import up_direction
from poseglot.skeletons.proportions import MAX_MISFIT, proportion_misfit
from poseglot.skeletons.visibility import seen_mask

# Frames of a person that are measured, evenly spaced.
_FRAMES = 64
# How far the size of a person may lie beyond those of the training clips. In pictures people come near and go far.
_SIZE_FACTOR = {2: 5.0, 3: 2.5}
# A body in space is not thinner than this share of its longest side; flat ones are pictures, or scores taken for depth.
_FLAT, _DEEP = 0.02, 0.05
# Frames in which bones are measured, and how much longer they may be than in training.
_BONE_FRAMES, _BONE_FACTOR = 16, 1.25
_CHECK_ORDER = (
    "the joints may be of another layout, or in another order. Check the layout (`--layout`) and the order of the joints"
)
# Directions of up of fewer clips than this share are mistakes of a tracker.
_MIN_UP_SHARE = 0.01
_UNITS = {
    1000.0: "millimetres for metres",
    100.0: "centimetres for metres",
    39.37: "inches for metres",
    3.281: "feet for metres",
}
_AXES = "xyz"


@dataclass(frozen=True)
class ClipCoordinates:
    """The measures of a clip; NaN or None where there is nothing to measure.

    Attributes:
        num_dims: 2 or 3.
        size: The median diagonal of the box around a person.
        depth: In 3D, the median share of the shortest side of that box in the longest.
        up: Where heads are above feet: axis and sign, such as `+y`. None where that is not clear.
        scores: The lowest and the highest score.
        bones: `bone_excess`.
        misfit: `proportion_misfit`.
        odd_bones: The bones that are farthest from a body's proportions.
    """

    num_dims: int
    size: float
    depth: float
    up: str | None
    scores: tuple[float, float] | None
    bones: float = float("nan")
    misfit: float = float("nan")
    odd_bones: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True)
class CoordinateSummary:
    """The measures of training clips.

    Attributes:
        num_dims: 2 or 3.
        size: Nearly the smallest and the largest (the quantiles 0.01 and 0.99).
        depth: Nearly the smallest; None in 2D.
        up: The directions that occur.
        scores: The lowest and the highest score; None without scores.
        bones: Nearly the largest `bone_excess`; None if it is not known.
        misfit: Nearly the largest `proportion_misfit`; None if it is not known.
    """

    num_dims: int
    size: tuple[float, float]
    depth: float | None
    up: tuple[str, ...]
    scores: tuple[float, float] | None = None
    bones: float | None = None
    misfit: float | None = None

    def table(self) -> dict[str, Any]:
        """Return it as plain data, which `summary_of` accepts."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def measure_clip(joints: npt.NDArray[np.float32], layout: Layout, *, has_scores: bool) -> ClipCoordinates:
    """Measure a clip of joints (M, T, V, C)."""
    frames = evenly_spaced(joints.shape[1], _FRAMES)
    joints = joints[:, frames]
    num_dims = joints.shape[-1] - has_scores
    position = joints[..., :num_dims].reshape(-1, joints.shape[2], num_dims).astype(np.float64)
    seen = (seen_mask(joints, has_scores=has_scores) & joints[..., :num_dims].any(axis=-1)).reshape(-1, joints.shape[2])
    whole = 2 * seen.sum(axis=1) >= seen.shape[1]
    position, seen = position[whole], seen[whole]
    scores = None
    if has_scores:
        scores = (float(joints[..., -1].min()), float(joints[..., -1].max()))
    if not len(position):
        return ClipCoordinates(num_dims, float("nan"), float("nan"), None, scores)
    high = np.where(seen[..., None], position, -np.inf).max(axis=1)
    low = np.where(seen[..., None], position, np.inf).min(axis=1)
    sides = high - low
    size = float(np.median(np.linalg.norm(sides, axis=1)))
    longest = sides.max(axis=1)
    depth = float(np.median(sides.min(axis=1) / np.where(longest > 0, longest, 1))) if num_dims == 3 else float("nan")
    up = up_direction(position, layout, seen=seen)
    way = None if up is None else f"{'-+'[up[1] > 0]}{_AXES[up[0]]}"
    drawn = position[..., : 3 if position[..., 2:].any() else 2]
    misfit, odd = proportion_misfit(drawn, layout, seen=seen)
    excess = bone_excess(position, layout, seen=seen)[0]
    return ClipCoordinates(num_dims, size, depth, way, scores, excess, misfit, tuple(odd))


def bone_excess(
    position: npt.NDArray[np.floating], layout: Layout, *, seen: npt.NDArray[np.bool_]
) -> tuple[float, list[tuple[str, str]]]:
    """Return how many times longer the bones are than the shortest tree that joins the joints, and the bones that make it so.

    The bones of a body are nearly that tree: about 1.2 times as long. Joints in a wrong order give 1.6 and more.

    Args:
        position: (N, V, D) frames.
        layout: The layout of the joints.
        seen: (N, V).

    Returns:
        The factor, NaN if bones cannot be measured, and the longest bones that are not in the tree.
    """
    from scipy.sparse.csgraph import minimum_spanning_tree

    frames = evenly_spaced(len(position), _BONE_FRAMES)
    position, seen = position[frames], seen[frames]
    both = seen[:, :, None] & seen[:, None]
    distance = np.linalg.norm(position[:, :, None] - position[:, None], axis=-1)
    count = both.sum(axis=0)
    mean = (distance * both).sum(axis=0) / np.maximum(count, 1)
    known = np.flatnonzero(count.diagonal() > 0)
    pairs = [(child, parent) for child, parent in layout.bone_pairs if count[child, parent]]
    if not pairs or (count[np.ix_(known, known)] == 0).any():
        return float("nan"), []
    length = mean[np.ix_(known, known)]
    tree = minimum_spanning_tree(length + 1e-9 * max(float(length.max()), 1e-9)).toarray()
    shortest, place = float(tree.sum()), {int(joint): index for index, joint in enumerate(known)}
    within = (tree > 0) | (tree > 0).T
    outside = [pair for pair in pairs if not within[place[pair[0]], place[pair[1]]]]
    longest = sorted(outside, key=lambda pair: -float(mean[pair]))[:3]
    total = float(sum(mean[pair] for pair in pairs))
    named = [(layout.joints[child], layout.joints[parent]) for child, parent in longest]
    return (total / shortest if shortest > 0 and len(known) == len(layout) else float("nan")), named


def summarize(clips: Iterable[ClipCoordinates]) -> CoordinateSummary | None:
    """Return the summary of clips; None if none can be measured."""
    measured = [clip for clip in clips if clip.size > 0]
    if not measured:
        return None
    sizes = np.quantile([clip.size for clip in measured], [0.01, 0.99])
    ups = Counter(clip.up for clip in measured if clip.up is not None)
    scores = [clip.scores for clip in measured if clip.scores is not None]
    return CoordinateSummary(
        num_dims=measured[0].num_dims,
        size=(float(sizes[0]), float(sizes[1])),
        depth=float(np.quantile([clip.depth for clip in measured], 0.01)) if measured[0].num_dims == 3 else None,
        up=tuple(sorted(up for up, count in ups.items() if count >= _MIN_UP_SHARE * len(measured))),
        scores=(min(low for low, _ in scores), max(high for _, high in scores)) if scores else None,
        bones=float(np.quantile(bones, 0.99)) if (bones := [clip.bones for clip in measured if clip.bones > 0]) else None,
        misfit=float(np.quantile(misfits, 0.99))
        if (misfits := [clip.misfit for clip in measured if clip.misfit >= 0])
        else None,
    )


def summary_of(table: Mapping[str, Any]) -> CoordinateSummary:
    """Return the summary of a table that `CoordinateSummary.table` made, also through JSON.

    Raises:
        TypeError: It is no such table.
    """
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    return CoordinateSummary(**values)


def compare(
    clip: ClipCoordinates, trained: CoordinateSummary, *, unit_matters: bool = True, can_be_read_otherwise: bool = False
) -> dict[str, str]:
    """Return what of a clip is unlike the training clips.

    Args:
        clip: The clip.
        trained: The training clips.
        unit_matters: Whether the pipeline uses coordinates as they are; others make all clips equally large.

        can_be_read_otherwise: Whether the clip comes from a file that was read without turning it, so that `--up` is of use.

    Returns:
        Kind (`units`, `up`, `head`, `depth`, `order`, `scores`) -> a sentence without the clip's name.
    """
    found: dict[str, str] = {}
    if clip.num_dims != trained.num_dims:
        return found  # is refused with a message of its own
    low, high = trained.size
    factor = _SIZE_FACTOR[clip.num_dims]
    if unit_matters and clip.size > 0 and not low / factor <= clip.size <= high * factor:
        found["units"] = (
            f"a person measures {clip.size:.3g} from corner to corner, and {low:.3g} to {high:.3g} in training: "
            f"{_unit(clip.size, low, high)}"
        )
    if clip.up is not None and trained.up and clip.up not in trained.up:
        axis = clip.up.removeprefix("+")
        advice = (
            f". Reading it with `--up {axis}` (`up='{axis}'`) turns it" if can_be_read_otherwise and "+y" in trained.up else ""
        )
        if turned_over(clip.up) in trained.up:
            found["head"] = (
                f"heads are below feet along {clip.up[1]}, and above them in training: that axis is turned over, or the joints are in "
                f"another order{advice}"
            )
        else:
            found["up"] = (
                f"heads are above feet along {clip.up}, and along {' or '.join(trained.up)} in training: another axis points up, the "
                f"joints are in another order, or somebody lies{advice or '. Turn the coordinates'}"
            )
    if trained.depth is not None and trained.depth > _DEEP and clip.depth < _FLAT:
        found["depth"] = (
            f"bodies are flat (their shortest side is {clip.depth:.1%} of the longest), and at least {trained.depth:.0%} in training: the "
            "third number of a joint may be a score (`--scored`), or the pose one of a picture"
        )
    if "depth" not in found and trained.bones is not None and clip.bones > _BONE_FACTOR * trained.bones:
        found["order"] = (
            f"the bones are {clip.bones:.1f} times as long as the shortest tree between the joints, and at most "
            f"{trained.bones:.1f} times in training: {_CHECK_ORDER}"
        )
    found |= odd_proportions(clip, usual=trained.misfit)
    if clip.scores is not None and trained.scores is not None:
        margin = 0.5 * max(trained.scores[1] - trained.scores[0], 0.5)
        if clip.scores[0] < trained.scores[0] - margin or clip.scores[1] > trained.scores[1] + margin:
            found["scores"] = (
                f"scores range from {clip.scores[0]:.3g} to {clip.scores[1]:.3g}, and from {trained.scores[0]:.3g} to "
                f"{trained.scores[1]:.3g} in training: the last number of a joint may be a coordinate"
            )
    return found


def odd_proportions(clip: ClipCoordinates, *, usual: float | None = None) -> dict[str, str]:
    """Return the kind `order` with its sentence if a clip's proportions are no body's; `usual` is `CoordinateSummary.misfit`."""
    if not clip.misfit > max(MAX_MISFIT, _BONE_FACTOR * (usual or 0)):
        return {}
    bones = " and ".join(f"{child} to {parent} {factor:.2g}" for child, parent, factor in clip.odd_bones)
    return {"order": f"bones are not as long as a body's ({bones} times as long as usual): {_CHECK_ORDER}"}


def turned_over(up: str) -> str:
    """Return the opposite of a direction such as `+y`."""
    return f"{'-' if up[0] == '+' else '+'}{up[1:]}"


def _unit(size: float, low: float, high: float) -> str:
    """Return the most likely reason for another size, with the factor that mends it."""
    ratio = size / np.sqrt(low * high)
    for factor, units in _UNITS.items():
        for value, names in ((factor, units), (1 / factor, " for ".join(reversed(units.split(" for "))))):
            if 0.6 < ratio / value < 1.6:
                return f"{names}, perhaps. Read the file with the scale {1 / value:.4g} (--scale {1 / value:.4g})"
    return "other units. Give the factor that converts them (--scale)"
