"""Placing people while it happens: the protocol `live`, for recognizers that answer frame by frame.

A clip's bounding box is known when the clip is over, and its first frame says little once somebody has walked away. Here people are
placed by what has been seen so far, and long ago counts less and less: the origin is a running mean of their centre joints, the unit a
running mean of the length of their bones, both over about the last `memory` frames. A frame's place depends on it and those before it
alone, so that a clip is placed as a stream of its frames is.

Nor does a stream know how long an action will be, and so how to resize it. In training every batch has a length of its own, and a clip's
view is a crop of about so many frames, seen somewhat faster or slower than they were: a frame's number says nothing, and long clips are
seen at about their own speed, too. The rest is as in NW-UCLA's pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from poseglot.random import Purpose, uniform
from poseglot.skeletons.protocols.ntu import joints_seen
from poseglot.skeletons.protocols.nw_ucla import NWUCLA, drawn_without_replacement
from poseglot.skeletons.protocols.protocol import Augmentation, RawClips


@dataclass(frozen=True, eq=False)
class Place:
    """Where N groups of people are, and how large.

    Attributes:
        count: (N,) how many frames with somebody in them there have been.
        origin: (N, axes), unit: (N,).
    """

    count: Tensor
    origin: Tensor
    unit: Tensor


@dataclass(frozen=True)
class Live(NWUCLA):
    """Placed by a running mean, frames drawn.

    Attributes:
        lengths: of training views; each batch has one of them. Short ones are among them because short clips must be known at their own
            speed, from few frames.
        speeds: a training view's crop has its length times so much.
        shortest: share of a clip's frames that a crop has at least.
        memory: frames that the running means remember: of fewer they are the mean, of more a frame counts 1 / memory when it comes.
    """

    lengths: tuple[int, ...] = (12, 16, 20, 24, 32, 40, 48, 64)
    speeds: tuple[float, float] = (0.75, 1.5)
    shortest: float = 0.6
    memory: int = 64
    causal: ClassVar[bool] = True

    def drawn(self, frames: Tensor, augmentation: Augmentation, index: Tensor) -> Tensor:
        draw = uniform(augmentation.seed, augmentation.epoch, torch.tensor([augmentation.batch]), Purpose.LENGTH, 1)
        count = self.lengths[int(draw.item() * len(self.lengths))]
        speed, start = uniform(augmentation.seed, augmentation.epoch, index, Purpose.CROP, 2).unbind(1)
        low, high = self.speeds
        wanted = (count * (low + (high - low) * speed)).to(torch.int64)
        crop = wanted.maximum((self.shortest * frames).ceil().to(torch.int64)).minimum(frames)
        start = (start * (frames - crop + 1)).to(torch.int64)
        return start[:, None] + drawn_without_replacement(crop, count, self.copies, augmentation, index)

    def placed(self, clips: RawClips) -> Tensor:
        return self._followed_through(clips, None)[0]

    def sized(self, joints: Tensor, clips: RawClips) -> Tensor:
        return joints

    def place_next(self, frame: RawClips, place: Any) -> tuple[Tensor, Any]:
        position, place = self._followed_through(frame, place)
        return frame.with_scores(position), place

    def _followed_through(self, clips: RawClips, place: Place | None) -> tuple[Tensor, Place]:
        """(N, M, T, V, axes) placed frame by frame, and the place after the last; `place` is that before the first."""
        position = clips.joints[..., : clips.axes]
        seen = joints_seen(clips.joints, clips.has_scores) & clips.frames_there()[..., None]
        there, centre, unit = self._measured(position, seen, clips)
        place, placed = place or nowhere(position), []
        for frame in range(position.shape[2]):
            place = self._followed(place, there[:, frame], centre[:, frame], unit[:, frame])
            placed.append(_moved(position[:, :, frame : frame + 1], seen[:, :, frame : frame + 1], place))
        return torch.cat(placed, dim=2), place

    def _measured(self, position: Tensor, seen: Tensor, clips: RawClips) -> tuple[Tensor, Tensor, Tensor]:
        """Of (N, M, T, V, axes) and (N, M, T, V): is anybody measurable (N, T), where (N, T, axes), how large (N, T)?

        Of everybody whose centre joint and any bone is seen, the mean. Without scores a seen person's centre may well lie at zero.
        """
        parents = torch.tensor(clips.layout.parents, device=position.device)
        centre = position[..., clips.layout.centre_index, :]
        bones = (position - position[..., parents, :]).norm(dim=-1)
        whole = seen & seen[..., parents] & (parents != torch.arange(len(parents), device=parents.device))
        measurable = whole.any(dim=-1)
        if clips.has_scores:
            measurable = measurable & seen[..., clips.layout.centre_index]
        length = (bones * whole).sum(dim=-1) / whole.sum(dim=-1).clamp(min=1)
        people = measurable.sum(dim=1).clamp(min=1)
        where = (centre * measurable[..., None]).sum(dim=1) / people[..., None]
        return measurable.any(dim=1), where, (length * measurable).sum(dim=1) / people

    def _followed(self, place: Place, there: Tensor, centre: Tensor, unit: Tensor) -> Place:
        """The place after one more frame: (N,), (N, axes), (N,). A frame with nobody in it changes nothing."""
        count = place.count + there
        share = torch.where(there, 1 / count.clamp(min=1, max=self.memory).to(unit.dtype), 0)
        return Place(count, place.origin.lerp(centre, share[:, None]), place.unit.lerp(unit, share))


def nowhere(position: Tensor) -> Place:
    """Before anybody has been seen."""
    count = torch.zeros(len(position), dtype=torch.int64, device=position.device)
    return Place(count, position.new_zeros(len(position), position.shape[-1]), position.new_zeros(len(position)))


def _moved(position: Tensor, seen: Tensor, place: Place) -> Tensor:
    """(N, M, T, V, axes); joints that are missing, and everything before anybody was measured, become zero."""
    unit = place.unit[:, None, None, None, None]
    moved = (position - place.origin[:, None, None, None, :]) / torch.where(unit > 0, unit, 1)
    return torch.where(seen[..., None] & (unit > 0), moved, 0)
