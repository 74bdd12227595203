"""Where people stand and how large they are: transforms that move whole clips.

All people of a clip are moved together. A joint is *missing* if all its coordinates are zero or, where joints have scores, if its score
is zero. Scores are never moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.skeletons.batch import ClipBatch, joints_seen, with_scores_of
from poseglot.transforms.transform import Placement, Randomness, Transform, register_transform, require


class Origin(NamedTuple):
    """What becomes zero, (N, D), and for which clips it was found, (N,)."""

    point: Tensor
    found: Tensor


@register_transform("centre")
@dataclass(frozen=True)
class Centre(Placement):
    """Subtract the layout's centre joint of the first person, in training as in evaluation.

    Attributes:
        at: `first-frame`: take the joint from frame 0, and move missing joints along. `first-seen`: take it from the first frame that
            shows that person (with scores: that joint); missing joints become zero. A clip where there is none stays where it is.
    """

    at: Literal["first-frame", "first-seen"] = "first-seen"

    def measure(self, batch: ClipBatch, before: Origin | None = None) -> Origin:
        centre = batch.position[:, 0, :, batch.layout.centre_index]
        if self.at == "first-frame":
            found = torch.ones(len(batch), dtype=torch.bool, device=batch.device)
            return before or Origin(centre[:, 0], found)
        seen = batch.seen_persons()[:, 0]
        if batch.has_scores:
            seen = seen & (batch.joints[:, 0, :, batch.layout.centre_index, -1] != 0)
        found, first = seen.any(dim=1), seen.to(torch.int8).argmax(dim=1)
        point = torch.where(found[:, None], centre[torch.arange(len(first), device=first.device), first], 0)
        if before is None:
            return Origin(point, found)
        return Origin(torch.where(before.found[:, None], before.point, point), before.found | found)

    def move(self, joints: Tensor, measured: Origin, has_scores: bool) -> Tensor:
        # Nothing is subtracted from a score, which is as good as exact and spares a copy.
        moved = joints - _over_frames(F.pad(measured.point, (0, int(has_scores))))
        return moved if self.at == "first-frame" else torch.where(joints_seen(joints, has_scores)[..., None], moved, 0)


class Box(NamedTuple):
    """The lowest and the highest coordinates, (N, D) each; infinite where nothing was seen."""

    low: Tensor
    high: Tensor

    def joined(self, other: Box | None) -> Box:
        """Return the box around both."""
        return self if other is None else Box(self.low.minimum(other.low), self.high.maximum(other.high))


@register_transform("min-max")
@dataclass(frozen=True)
class MinMax(Placement):
    """Scale every axis of a clip to [-1, 1], each by itself, in training as in evaluation. An axis without extent becomes 0."""

    causal: ClassVar[bool] = False

    def measure(self, batch: ClipBatch, before: Box | None = None) -> Box:
        return box_of(batch.position, batch.present_mask()[..., None]).joined(before)

    def move(self, joints: Tensor, measured: Box, has_scores: bool) -> Tensor:
        low, high = measured
        extent = high - low
        flat = extent == 0
        position = joints[..., : low.shape[1]]
        scaled = 2 * (position - _over_frames(low)) / _over_frames(torch.where(flat, 1, extent)) - 1
        scaled = torch.where(_over_frames(flat), 0, scaled)
        return with_scores_of(joints, scaled) if has_scores else scaled


@register_transform("fit-box")
@dataclass(frozen=True)
class FitBox(Placement):
    """Scale the bounding box of all seen joints of a clip to [-1, 1] along its longest side, in training as in evaluation.

    Proportions are kept. Missing joints become zero, and so does everything in a box without extent.
    """

    causal: ClassVar[bool] = False

    def measure(self, batch: ClipBatch, before: Box | None = None) -> Box:
        return box_of(batch.position, batch.seen_mask()).joined(before)

    def move(self, joints: Tensor, measured: Box, has_scores: bool) -> Tensor:
        low, high = measured
        side = (high - low).amax(dim=1)
        unit = torch.where(side > 0, side / 2, 1)[:, None].expand_as(low)
        # A score has the origin 0 and the unit 1.
        origin, unit = F.pad((low + high) / 2, (0, int(has_scores))), F.pad(unit, (0, int(has_scores)), value=1)
        moved = (joints - _over_frames(origin)) / _over_frames(unit)
        return torch.where(joints_seen(joints, has_scores)[..., None], moved, 0)


class Place(NamedTuple):
    """Where N groups of people are, and how large, by what has been seen so far.

    Attributes:
        measured: (N,) int64, the number of frames in which somebody could be measured.
        origin: (N, D) mean of their centre joints.
        unit: (N,) mean length of their bones.
    """

    measured: Tensor
    origin: Tensor
    unit: Tensor


@register_transform("running-place")
@dataclass(frozen=True)
class RunningPlace(Transform):
    """Place people by what has been seen so far, in training as in evaluation: for recognizers that answer frame by frame.

    A clip's bounding box is known when the clip is over, and its first frame says little once somebody has walked away. Here the origin
    is a running mean of the people's centre joints, and the unit a running mean of their bones' length. Missing joints, and everything
    before anybody could be measured, become zero.

    Attributes:
        memory: The frames that the means remember: of fewer they are the mean, of more a frame counts 1 / memory when it comes.
    """

    memory: int = 64

    def __post_init__(self) -> None:
        require(self.memory >= 1, self, "memory is a number of frames, at least 1")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        return self._placed(batch, None)[0]

    def step(self, frame: ClipBatch, state: Any) -> tuple[ClipBatch | None, Any]:
        return self._placed(frame, state)

    def _placed(self, batch: ClipBatch, place: Place | None) -> tuple[ClipBatch, Place]:
        """Return the clips placed frame by frame, and the place after the last one; `place` is that before the first."""
        position, seen = batch.position, batch.seen_mask()
        there, centre, length = self._measured(batch, position, seen)
        place, origins, units = place or _nowhere(position), [], []
        for frame in range(position.shape[2]):
            place = self._followed(place, there[:, frame], centre[:, frame], length[:, frame])
            origins.append(place.origin)
            units.append(place.unit)
        origin, unit = torch.stack(origins, dim=1)[:, None, :, None], torch.stack(units, dim=1)[:, None, :, None, None]
        moved = (position - origin) / torch.where(unit > 0, unit, 1)
        return batch.with_position(torch.where(seen[..., None] & (unit > 0), moved, 0)), place

    def _measured(self, batch: ClipBatch, position: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return whether anybody can be measured (N, T), their mean centre (N, T, D) and mean bone length (N, T).

        Those count whose centre joint and any bone is seen. Without scores a seen person's centre may well lie at zero.
        """
        parents = torch.tensor(batch.layout.parents, device=position.device)
        centre_index = batch.layout.centre_index
        bones = (position - position[..., parents, :]).norm(dim=-1)
        whole = seen & seen[..., parents] & (parents != torch.arange(len(parents), device=parents.device))
        measurable = whole.any(dim=-1)
        if batch.has_scores:
            measurable = measurable & seen[..., centre_index]
        length = (bones * whole).sum(dim=-1) / whole.sum(dim=-1).clamp(min=1)
        people = measurable.sum(dim=1).clamp(min=1)
        centre = (position[..., centre_index, :] * measurable[..., None]).sum(dim=1) / people[..., None]
        return measurable.any(dim=1), centre, (length * measurable).sum(dim=1) / people

    def _followed(self, place: Place, there: Tensor, centre: Tensor, length: Tensor) -> Place:
        """Return the place after one more frame; a frame in which nobody can be measured changes nothing."""
        count = place.measured + there
        share = torch.where(there, 1 / count.clamp(min=1, max=self.memory).to(length.dtype), 0)
        return Place(count, place.origin.lerp(centre, share[:, None]), place.unit.lerp(length, share))


def _nowhere(position: Tensor) -> Place:
    """Return the place before anybody has been seen."""
    count = torch.zeros(len(position), dtype=torch.int64, device=position.device)
    return Place(count, position.new_zeros(len(position), position.shape[-1]), position.new_zeros(len(position)))


def box_of(position: Tensor, counts: Tensor) -> Box:
    """Return the box of the joints that count.

    Args:
        position: (N, M, T, V, D).
        counts: bool, (N, M, T, V), or (N, M, T, 1) where all joints of a person count alike.
    """
    infinity = torch.full((), torch.inf, dtype=position.dtype, device=position.device)
    # In two steps, because the first then runs along memory.
    low = torch.where(counts[..., None], position, infinity).amin(dim=(1, 2)).amin(dim=1)
    high = torch.where(counts[..., None], position, -infinity).amax(dim=(1, 2)).amax(dim=1)
    return Box(low, high)


def _over_frames(values: Tensor) -> Tensor:
    """Make (N, D) fit to (N, M, T, V, D)."""
    return values[:, None, None, None, :]
