"""Random changes of training clips. In evaluation each of these transforms does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.devices import to_device
from poseglot.random import Purpose
from poseglot.skeletons.batch import ClipBatch
from poseglot.transforms.transform import Randomness, Transform, register_transform, require


@register_transform("random-rotate")
@dataclass(frozen=True)
class RandomRotate(Transform):
    """Turn each training clip about the origin, all people and frames alike. In evaluation nothing is done.

    The angle about each axis is drawn uniformly between plus and minus the limit; positive ones turn y to z, z to x, and x to y.
    2D joints turn in their plane, by the angle about z, or not at all if that is not among the axes.

    Attributes:
        axes: The axes to turn about, in this order: `xyz`, `yx`, `z`, ...
        radians: The largest angle, in radians.
        degrees: The largest angle in degrees, instead of `radians`; whole degrees are drawn.
    """

    augments: ClassVar[bool] = True

    axes: str = "xyz"
    radians: float | None = None
    degrees: int | None = None
    purposes: ClassVar[tuple[int, ...]] = (Purpose.ROTATION,)

    def __post_init__(self) -> None:
        known = set(self.axes) <= set("xyz") and len(set(self.axes)) == len(self.axes) > 0
        require(known, self, "axes is one to three of the letters x, y and z, in the order of turning")
        require((self.radians is None) != (self.degrees is None), self, "one of radians and degrees is given")
        require((self.radians or 0) >= 0 and (self.degrees or 0) >= 0, self, "the largest angle is not negative")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        axes = self.axes if batch.num_dims == 3 else "z" * ("z" in self.axes)
        if randomness is None or not axes:
            return batch
        matrix = rotation_matrix(self.angles(randomness), axes)
        joints, dims = batch.joints, batch.num_dims
        # One product for all channels: the score is multiplied by 1.
        whole = torch.eye(joints.shape[-1], device=joints.device, dtype=matrix.dtype).repeat(len(matrix), 1, 1)
        whole[:, :dims, :dims] = matrix[:, :dims, :dims]
        return batch.with_joints((joints.flatten(1, -2) @ whole.to(joints.dtype).mT).view_as(joints))

    def angles(self, randomness: Randomness) -> Tensor:
        """Return (N, 3) float64 angles about x, y and z, in radians."""
        draws = randomness.uniform(Purpose.ROTATION, 3)
        if self.degrees is not None:
            return torch.deg2rad(torch.floor(draws * (2 * self.degrees + 1)) - self.degrees)
        return (self.radians or 0) * (2 * draws - 1)


def rotation_matrix(angles: Tensor, axes: str) -> Tensor:
    """Return (N, 3, 3) matrices that turn column vectors about `axes`, the first one first, by (N, 3) angles about x, y and z."""
    (cx, cy, cz), (sx, sy, sz) = torch.cos(angles).unbind(1), torch.sin(angles).unbind(1)
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)
    rows = {
        "x": [one, zero, zero, zero, cx, -sx, zero, sx, cx],
        "y": [cy, zero, sy, zero, one, zero, -sy, zero, cy],
        "z": [cz, -sz, zero, sz, cz, zero, zero, zero, one],
    }
    last, *others = (torch.stack(rows[axis], dim=1).view(-1, 3, 3) for axis in reversed(axes))
    for matrix in others:
        last = last @ matrix
    return last


@register_transform("random-scale")
@dataclass(frozen=True)
class RandomScale(Transform):
    """Multiply each axis of each training clip by a factor of its own. In evaluation nothing is done.

    Before `min-max` or `fit-box`, which would cancel all or part of it, it is of no use.

    Attributes:
        low, high: The factors' range; they are drawn uniformly.
    """

    augments: ClassVar[bool] = True

    low: float = 0.5
    high: float = 1.5
    purposes: ClassVar[tuple[int, ...]] = (Purpose.SCALE,)

    def __post_init__(self) -> None:
        require(0 < self.low <= self.high, self, "low and high are positive factors, the lower one first")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        if randomness is None:
            return batch
        factor = self.low + (self.high - self.low) * randomness.uniform(Purpose.SCALE, batch.num_dims)
        factor = F.pad(factor.to(batch.dtype), (0, int(batch.has_scores)), value=1)[:, None, None, None, :]
        return batch.moved(lambda joints: joints * factor)


@register_transform("mirror")
@dataclass(frozen=True)
class Mirror(Transform):
    """Mirror some training clips: left and right joints change places and x changes its sign. In evaluation nothing is done.

    What is mirrored becomes another action where sides matter (`swipe left`). Place the clip first: x is mirrored at 0. A layout
    without mirror pairs has its x negated alone.

    Attributes:
        probability: The share of clips that is mirrored.
    """

    augments: ClassVar[bool] = True

    probability: float = 0.5
    purposes: ClassVar[tuple[int, ...]] = (Purpose.MIRROR,)

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, self, "probability is in [0, 1]")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        if randomness is None:
            return batch
        chosen = (randomness.uniform(Purpose.MIRROR, 1) < self.probability)[..., None, None, None]
        layout, joints = batch.layout, batch.joints
        other = list(range(len(layout)))
        for left, right in layout.mirror.items():
            other[layout.index[left]], other[layout.index[right]] = layout.index[right], layout.index[left]
        mirrored = joints.index_select(3, to_device(torch.tensor(other), joints.device))
        mirrored[..., 0] = -mirrored[..., 0]
        return batch.with_joints(torch.where(chosen, mirrored, joints))


@register_transform("joint-drop")
@dataclass(frozen=True)
class JointDrop(Transform):
    """Make some joints of each training clip missing, in all frames and of all people. In evaluation nothing is done.

    Coordinates and score of a dropped joint become zero. Place the clip first, so that zero is the middle of the body or the box.

    Attributes:
        probability: The share of joints that is dropped.
    """

    augments: ClassVar[bool] = True

    probability: float = 0.1
    purposes: ClassVar[tuple[int, ...]] = (Purpose.JOINT_DROP,)

    def __post_init__(self) -> None:
        require(0 <= self.probability < 1, self, "probability is in [0, 1)")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        if randomness is None:
            return batch
        kept = randomness.uniform(Purpose.JOINT_DROP, len(batch.layout)) >= self.probability
        return batch.moved(lambda joints: torch.where(kept[:, None, None, :, None], joints, 0))


@register_transform("axis-drop")
@dataclass(frozen=True)
class AxisDrop(Transform):
    """Flatten some training clips: one axis, drawn at random, becomes zero. In evaluation nothing is done.

    Attributes:
        probability: The share of clips that is flattened.
        axes: The axes that are drawn from; by default all. `z` of clips in the axes of the picture makes them 2D.
    """

    augments: ClassVar[bool] = True

    probability: float = 0.5
    axes: str | None = None
    purposes: ClassVar[tuple[int, ...]] = (Purpose.AXIS_DROP,)

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, self, "probability is in [0, 1]")
        known = self.axes is None or (set(self.axes) <= set("xyz") and len(set(self.axes)) == len(self.axes) > 0)
        require(known, self, "axes is one to three of the letters x, y and z")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        if randomness is None:
            return batch
        draw, number = randomness.uniform(Purpose.AXIS_DROP, 2).unbind(1)
        axes = ["xyz".index(axis) for axis in self.axes or "xyz"[: batch.num_dims]]
        axis = to_device(torch.tensor(axes), batch.device)[(number * len(axes)).to(torch.int64)]
        channels = torch.arange(batch.num_dims + batch.has_scores, device=batch.device)
        dropped = (draw < self.probability)[:, None] & (axis < batch.num_dims)[:, None] & (channels == axis[:, None])
        return batch.moved(lambda joints: torch.where(dropped[:, None, None, None, :], 0, joints))
