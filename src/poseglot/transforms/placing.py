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

from poseglot.devices import to_device
from poseglot.skeletons.batch import ClipBatch, joints_seen, with_scores_of
from poseglot.transforms.transform import Placement, Randomness, Transform, register_transform, require


class Origin(NamedTuple):
    """The point that becomes zero.

    Attributes:
        point: (N, D).
        rank: (N,) int64, lower is better: the number of the person whose centre joint it is; larger for a substitute of a centre joint
            that was not seen; largest if no person was seen.
    """

    point: Tensor
    rank: Tensor


_STANDS_IN, _NOBODY = 1 << 20, 1 << 40


@register_transform("centre")
@dataclass(frozen=True)
class Centre(Placement):
    """Subtract one point from all joints of a clip, in training as in evaluation.

    It is the layout's centre joint of the first person who counts anywhere in the clip, in the first frame where that person does. With
    scores it is where the joint itself has one, so that a guess does not become the origin. If no one's centre joint ever has a score,
    the mean of the joints that do stands in for it, in the first frame of the first person (`centre_coverage` tells such clips).
    After `drop-empty-frames`, those count who are seen.

    Attributes:
        missing: What becomes of missing joints: `zero`, or `moved` like any other.
    """

    missing: Literal["zero", "moved"] = "zero"

    def measure(self, batch: ClipBatch, before: Origin | None = None) -> Origin:
        present, centre_index = batch.present_mask(), batch.layout.centre_index
        centre = batch.joints[..., centre_index, :]
        sure = present & (centre[..., -1] > 0) if batch.has_scores else present
        each, person, frame, found = _first(sure)
        point, rank = centre[each, person, frame, : batch.num_dims], torch.where(found, person, _NOBODY)
        if batch.has_scores:
            each, person, frame, there = _first(present)
            joints = batch.joints[each, person, frame]  # (N, V, C)
            seen = joints_seen(joints, True)[..., None]
            mean = (joints[..., : batch.num_dims] * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)
            point = torch.where(found[:, None], point, mean)
            rank = torch.where(there & ~found, person + _STANDS_IN, rank)
        point = torch.where((rank < _NOBODY)[:, None], point, 0)
        if before is None:
            return Origin(point, rank)
        better = rank < before.rank
        return Origin(torch.where(better[:, None], point, before.point), rank.minimum(before.rank))

    def move(self, joints: Tensor, measured: Origin, has_scores: bool) -> Tensor:
        # Zero is subtracted from a score, which leaves it exactly as it is and spares a copy.
        moved = joints - _over_frames(F.pad(measured.point, (0, int(has_scores))))
        return moved if self.missing == "moved" else torch.where(joints_seen(joints, has_scores)[..., None], moved, 0)


def _first(present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find in (N, M, T) bool the first person with any frame, and that person's first one.

    Returns:
        (N,) each: the clip's own number, the person's and the frame's, to index with, and whether there is such a person.
    """
    each = torch.arange(present.shape[0], device=present.device)
    person = present.any(dim=2).to(torch.int8).argmax(dim=1)
    frame = present[each, person].to(torch.int8).argmax(dim=1)
    return each, person, frame, present[each, person, frame]


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
    """Scale every axis of a clip to [-1, 1], each by itself, in training as in evaluation.

    The range is that of all joints, missing ones too, of people who count; with scores, that of the joints that are seen. An axis
    without extent becomes 0.
    """

    causal: ClassVar[bool] = False

    def measure(self, batch: ClipBatch, before: Box | None = None) -> Box:
        # Without scores as the field has it. With them a joint that is not seen may lie anywhere.
        counts = batch.seen_mask() if batch.has_scores else batch.present_mask()[..., None]
        return box_of(batch.position, counts).joined(before)

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
        sure: (N,) bool, whether these are frames in which a centre joint was seen; before there is one, others stand in.
        origin: (N, D) mean of their centre joints.
        unit: (N,) mean length of their bones.
    """

    measured: Tensor
    sure: Tensor
    origin: Tensor
    unit: Tensor


@register_transform("running-place")
@dataclass(frozen=True)
class RunningPlace(Transform):
    """Place people by what has been seen so far, in training as in evaluation: for recognizers that answer frame by frame.

    A clip's bounding box is not known before the clip ends, and its first frame is far away once a person has walked. So the origin is
    a running mean of the people's centre joints, and the unit a running mean of their bone lengths. Missing joints become zero, and so
    do all frames before the first that can be measured. With scores, the mean of the seen joints replaces the centre joint until a
    centre joint is seen.

    Attributes:
        memory: The frames that the means remember: of fewer they are the mean, of more a frame counts 1 / memory when it comes.
        origin: `running`, or `first`: the origin stays where people were first seen, so that whoever walks moves away from it.
    """

    memory: int = 64
    origin: Literal["running", "first"] = "running"

    def __post_init__(self) -> None:
        require(self.memory >= 1, self, "memory is a number of frames, at least 1")
        require(self.origin in ("running", "first"), self, "origin is running or first")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        return self._placed(batch, None)[0]

    def step(self, frame: ClipBatch, state: Any) -> tuple[ClipBatch | None, Any]:
        return self._placed(frame, state)

    def _placed(self, batch: ClipBatch, place: Place | None) -> tuple[ClipBatch, Place]:
        """Return the clips placed frame by frame, and the place after the last one; `place` is that before the first."""
        position, seen = batch.position, batch.seen_mask()
        measured = self._measured(batch, position, seen)
        if torch.compiler.is_compiling():  # an exported file has no loop over frames, and nothing before the first
            origin, unit = self._at_once(*measured)
            return self._moved(batch, position, seen, origin, unit), _nowhere(position)
        place, origins, units = place or _nowhere(position), [], []
        for frame in range(position.shape[2]):
            place = self._followed(place, *(values[:, frame] for values in measured))
            origins.append(place.origin)
            units.append(place.unit)
        return self._moved(batch, position, seen, torch.stack(origins, dim=1), torch.stack(units, dim=1)), place

    @staticmethod
    def _moved(batch: ClipBatch, position: Tensor, seen: Tensor, origin: Tensor, unit: Tensor) -> ClipBatch:
        """Return the clips placed by the origin (N, T, D) and the unit (N, T) of each frame."""
        origin, unit = origin[:, None, :, None], unit[:, None, :, None, None]
        moved = (position - origin) / torch.where(unit > 0, unit, 1)
        return batch.with_position(torch.where(seen[..., None] & (unit > 0), moved, 0))

    def _at_once(self, there: Tensor, sure: Tensor, centre: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Return the origins (N, T, D) and units (N, T) that `_followed` finds frame by frame, by one matrix for each clip.

        With the share r of each frame, frame s counts r_s (1 - r_s+1) ... (1 - r_t) in frame t; nothing before a frame with r = 1.
        """
        sures, theres = (frames.to(torch.int64).cumsum(dim=1) for frames in (sure, there))
        counts = there & (sure | (sures == 0))
        number = torch.where(sures > 0, sures, theres).clamp(min=1, max=self.memory)
        share = torch.where(counts, 1 / number.double(), 0)
        first = share == 1
        kept, begun = torch.where(first, 1, 1 - share).log().cumsum(dim=1), first.to(torch.int64).cumsum(dim=1)
        time = torch.arange(share.shape[1])
        counted = (begun[:, :, None] == begun[:, None]) & (time <= time[:, None])
        weights = torch.where(counted, share[:, None] * (kept[:, :, None] - kept[:, None]).exp(), 0)
        origin, unit = weights @ centre.double(), weights @ length.double()[..., None]
        if self.origin == "first":
            origin = torch.where(counted, first.double()[:, None], 0) @ centre.double()
        return origin.to(centre.dtype), unit[..., 0].to(length.dtype)

    def _measured(self, batch: ClipBatch, position: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Measure, in every frame, the people with at least one seen bone; if some of them have a seen centre joint, only these.

        Without scores, a centre joint at zero counts as seen.

        Returns:
            Whether a person can be measured (N, T), whether by a centre joint (N, T), the mean centre (N, T, D) and the mean bone length
            (N, T).
        """
        position = torch.where(seen[..., None], position, 0)  # behind a clip's end may be anything, NaN too
        parents = to_device(torch.tensor(batch.layout.parents), position.device)
        centre_index = batch.layout.centre_index
        bones = (position - position[..., parents, :]).norm(dim=-1)
        whole = seen & seen[..., parents] & (parents != torch.arange(len(parents), device=parents.device))
        measurable = whole.any(dim=-1)
        centre, sure = position[..., centre_index, :], measurable
        if batch.has_scores:
            sure = measurable & seen[..., centre_index]
            stands_in = position.sum(dim=-2) / seen.sum(dim=-1).clamp(min=1)[..., None]
            by_centre = sure.any(dim=1, keepdim=True)
            centre = torch.where(by_centre[..., None], centre, stands_in)
            measurable = sure | (measurable & ~by_centre)
        length = (bones * whole).sum(dim=-1) / whole.sum(dim=-1).clamp(min=1)
        people = measurable.sum(dim=1).clamp(min=1)
        centre = (centre * measurable[..., None]).sum(dim=1) / people[..., None]
        return measurable.any(dim=1), sure.any(dim=1), centre, (length * measurable).sum(dim=1) / people

    def _followed(self, place: Place, there: Tensor, sure: Tensor, centre: Tensor, length: Tensor) -> Place:
        """Return the place after one more frame.

        A frame without a measurable person changes nothing, nor does a frame without a centre joint after one with it. The first
        centre joint restarts the means.
        """
        there = there & (sure | ~place.sure)
        count = torch.where(sure & ~place.sure, 0, place.measured) + there
        share = torch.where(there, 1 / count.clamp(min=1, max=self.memory).to(length.dtype), 0)
        moved = share if self.origin == "running" else (there & (count == 1)).to(length.dtype)
        return Place(count, place.sure | sure, place.origin.lerp(centre, moved[:, None]), place.unit.lerp(length, share))


def _nowhere(position: Tensor) -> Place:
    """Return the place before anybody has been seen."""
    clips, dims = position.shape[0], position.shape[-1]
    count = torch.zeros(clips, dtype=torch.int64, device=position.device)
    return Place(count, count > 0, position.new_zeros(clips, dims), position.new_zeros(clips))


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
