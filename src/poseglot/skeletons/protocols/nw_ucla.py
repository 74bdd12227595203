"""The field's pipeline for NW-UCLA (Shift-GCN, CTR-GCN, InfoGCN, GAP).

Subtract the centre joint of frame 0; in training rotate by whole degrees about x and y; scale every axis of the clip to [-1, 1];
take 52 frames (training: drawn without replacement from 100 copies of the frames, sorted; test: evenly spaced). All people of a
clip are moved together. A score goes with its joint through the choice of frames and is otherwise left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from poseglot.random import Purpose, uniform
from poseglot.skeletons.protocols.protocol import Augmentation, Protocol, RawClips, zero_where_absent


@dataclass(frozen=True)
class NWUCLA(Protocol):
    """Normalised axis by axis, frames drawn.

    Attributes:
        rotation: largest angle about x and about y, in whole degrees (training only). 2D joints are not rotated.
        copies: of every frame that the training view draws from, without replacement.
        scale: range of a random scale (training only) that has an effect only where `Augmentation.effective_scale` says so.
    """

    rotation: int = 60
    copies: int = 100
    scale: tuple[float, float] = (0.5, 1.5)
    scales: ClassVar[bool] = True

    def joints(self, clips: RawClips, index: Tensor | None, augmentation: Augmentation | None) -> Tensor:
        axes = clips.axes
        joints = self.placed(clips)
        if augmentation is not None:
            assert index is not None, "augmentation needs each sample's index"
            joints = _rotate(joints, self.angles(augmentation, index))
        joints = self.sized(joints, clips)
        if augmentation is not None and augmentation.effective_scale:
            assert index is not None
            low, high = self.scale
            factor = low + (high - low) * uniform(augmentation.seed, augmentation.epoch, index, Purpose.SCALE, axes)
            joints = joints * factor.to(joints.dtype)[:, None, None, None, :]
        if augmentation is None:
            chosen = evenly_spaced(clips.frames, self.frames)
        else:
            assert index is not None
            chosen = self.drawn(clips.frames, augmentation, index)
        if clips.has_scores:
            joints = torch.cat([joints, clips.joints[..., axes:]], dim=-1)
        joints = joints.gather(2, chosen[:, None, :, None, None].expand(-1, joints.shape[1], -1, *joints.shape[3:]))
        return zero_where_absent(joints, clips.people_there())

    def placed(self, clips: RawClips) -> Tensor:
        """Where the joints are before a clip is rotated: (N, M, T, V, axes)."""
        joints, centre = clips.joints[..., : clips.axes], clips.layout.centre_index
        return joints - joints[:, :1, :1, centre : centre + 1]

    def sized(self, joints: Tensor, clips: RawClips) -> Tensor:
        """How large they are afterwards."""
        return to_unit_box(joints, clips.frames_there()[..., None, None])

    def place_next(self, frame: RawClips, place: Any) -> tuple[Tensor, Any]:
        """As `placed` and `sized`, but by the box of the frames so far."""
        joints, centre = frame.joints[..., : frame.axes], frame.layout.centre_index
        origin, low, high = place or (joints[:, :1, :1, centre : centre + 1], None, None)
        joints = joints - origin
        low, high = box(joints, frame.frames_there()[..., None, None], low, high)
        return frame.with_scores(in_box(joints, low, high)), (origin, low, high)

    def drawn(self, frames: Tensor, augmentation: Augmentation, index: Tensor) -> Tensor:
        """(N,) lengths -> (N, count) ascending numbers of the frames that a training view has."""
        return drawn_without_replacement(frames, self.frames, self.copies, augmentation, index)

    def angles(self, augmentation: Augmentation, index: Tensor) -> Tensor:
        """(N, 2) angles about x and y in radians, whole degrees, uniform on [-rotation, rotation]."""
        draws = uniform(augmentation.seed, augmentation.epoch, index, Purpose.ROTATION, 2)
        return torch.deg2rad(torch.floor(draws * (2 * self.rotation + 1)) - self.rotation)


def evenly_spaced(frames: Tensor, count: int) -> Tensor:
    """(N,) lengths -> (N, count) frame numbers: linspace(0, T - 1, count), truncated, with numpy's arithmetic.

    numpy computes i * ((T - 1) / (count - 1)) in float64 and sets the last one to T - 1; truncation makes the order of
    operations matter.
    """
    step = (frames - 1).to(torch.float64) / (count - 1)
    chosen = (torch.arange(count, device=frames.device) * step[:, None]).to(torch.int64)
    chosen[:, -1] = frames - 1
    return chosen


def drawn_without_replacement(frames: Tensor, count: int, copies: int, augmentation: Augmentation, index: Tensor) -> Tensor:
    """(N,) lengths -> (N, count) ascending frame numbers, drawn without replacement from `copies` copies of range(T).

    Floyd's algorithm (Bentley and Floyd, CACM 1987) for all samples at once: `count` short steps, whatever T is.
    """
    population = frames * copies
    draws = uniform(augmentation.seed, augmentation.epoch, index, Purpose.FRAMES, count)
    chosen = torch.full((len(frames), count), -1, dtype=torch.int64, device=frames.device)
    for place in range(count):
        last = population - count + place
        draw = (draws[:, place] * (last + 1)).to(torch.int64)
        taken = (chosen == draw[:, None]).any(dim=1)
        chosen[:, place] = torch.where(taken, last, draw)
    return chosen.remainder(frames[:, None]).sort(dim=1).values


def _rotate(joints: Tensor, angles: Tensor) -> Tensor:
    """Row vectors times Ry Rx, one pair of angles per clip. 2D joints (C = 2) are left as they are."""
    if joints.shape[-1] != 3:
        return joints
    (cx, cy), (sx, sy) = torch.cos(angles).unbind(1), torch.sin(angles).unbind(1)
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)
    about_x = torch.stack([one, zero, zero, zero, cx, sx, zero, -sx, cx], dim=1).view(-1, 3, 3)
    about_y = torch.stack([cy, zero, -sy, zero, one, zero, sy, zero, cy], dim=1).view(-1, 3, 3)
    matrix = (about_y @ about_x).to(joints.dtype)
    return (joints.flatten(1, 3) @ matrix).view_as(joints)


def to_unit_box(joints: Tensor, valid: Tensor) -> Tensor:
    """Each axis of each clip to [-1, 1] over everything valid; an axis without extent becomes 0."""
    return in_box(joints, *box(joints, valid))


def box(joints: Tensor, valid: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The lowest and highest (N, 1, 1, 1, axes) of everything valid, and of a box before it."""
    infinity = torch.full((), torch.inf, dtype=joints.dtype, device=joints.device)
    lowest = torch.where(valid, joints, infinity).amin(dim=(1, 2, 3), keepdim=True)
    highest = torch.where(valid, joints, -infinity).amax(dim=(1, 2, 3), keepdim=True)
    return (lowest if low is None else lowest.minimum(low)), (highest if high is None else highest.maximum(high))


def in_box(joints: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Each axis of a box to [-1, 1]; one without extent to 0."""
    extent = high - low
    flat = extent == 0
    return torch.where(flat, 0, 2 * (joints - low) / torch.where(flat, 1, extent) - 1)
