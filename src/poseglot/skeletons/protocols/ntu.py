"""The field's pipeline for NTU RGB+D (SGN, HCN, CTR-GCN, GAP), and what it becomes for clips that nobody has prepared that way.

Of the frames that hold anybody, a crop (training: of random length and place; test: all but a little at both ends), resized
linearly; in training one rotation for the whole clip, small about every axis. NTU's clips were centred when they were prepared, so `ntu`
moves nobody; `metric` and `image` differ from it only in first placing the people of a clip, together.

A joint is *missing* if all its coordinates are zero or, where joints have a score, if that is zero, whatever the coordinates are.
`metric` and `image` keep missing joints at zero. Scores are resized with their joints, and no placing or rotating touches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from poseglot.random import Purpose, uniform
from poseglot.skeletons.protocols.protocol import Augmentation, Protocol, RawClips, zero_where_absent


@dataclass(frozen=True)
class NTU(Protocol):
    """A crop, resized; nobody is moved.

    Attributes:
        shortest: share of a clip's frames that a training crop has at least (but never fewer than `frames` frames, if there are).
        margin: share of a clip's frames that the evaluation view leaves out, half of them at each end.
        rotation: largest angle about each axis, in radians (training only). 2D joints turn in their plane, by the angle about z.
        planar: turn about z alone, that is in the image, even where there are three coordinates.
    """

    shortest: float = 0.5
    margin: float = 0.05
    rotation: float = 0.3
    planar: ClassVar[bool] = False
    causal: ClassVar[bool] = True

    def joints(self, clips: RawClips, index: Tensor | None, augmentation: Augmentation | None) -> Tensor:
        valid = frames_seen(clips).any(dim=1).sum(dim=1)
        start, length = self.crop(valid, index, augmentation)
        dtype = torch.promote_types(clips.joints.dtype, torch.float32)
        before, after, weight = resized(length, self.frames, dtype)
        # The few frames first: everything below is done to `2 * frames` of them, however long the clips are.
        taken = frames_at(clips.joints, torch.cat([before, after], dim=1) + start[:, None])
        earlier, later = self.placed(taken, clips).chunk(2, dim=2)
        joints = torch.lerp(earlier, later, weight.to(earlier.dtype)[:, None, :, None, None])
        if augmentation is not None:
            assert index is not None
            joints = rotated(joints, self.angles(augmentation, index), axes=2 if self.planar else clips.axes)
        return zero_where_absent(joints, clips.people_there() & (valid > 0)[:, None])

    def placed(self, taken: Tensor, clips: RawClips) -> Tensor:
        """Some frames (N, M, K, V, C) of the clips, moved to where the encoder wants them."""
        return taken

    def place_next(self, frame: RawClips, place: Any) -> tuple[Tensor, Any]:
        return zero_where_absent(frame.joints, frame.people_there()), None

    def crop(self, valid: Tensor, index: Tensor | None, augmentation: Augmentation | None) -> tuple[Tensor, Tensor]:
        """(N,) numbers of valid frames -> (N,) first frame and (N,) length of each crop. Of no frames it is none."""
        if augmentation is None:
            start = (self.margin * valid.to(torch.float64) / 2).to(torch.int64)
            return start, valid - 2 * start
        assert index is not None, "augmentation needs each sample's index"
        share, place = uniform(augmentation.seed, augmentation.epoch, index, Purpose.CROP, 2).unbind(1)
        share = self.shortest + (1 - self.shortest) * share
        length = torch.minimum((valid * share).to(torch.int64).clamp(min=self.frames), valid)
        return (place * (valid - length + 1)).to(torch.int64), length

    def angles(self, augmentation: Augmentation, index: Tensor) -> Tensor:
        """(N, 3) angles about x, y and z in radians, uniform on [-rotation, rotation]."""
        draws = uniform(augmentation.seed, augmentation.epoch, index, Purpose.ROTATION, 3)
        return self.rotation * (2 * draws - 1)


@dataclass(frozen=True)
class Metric(NTU):
    """For joints in real units, seen from anywhere: the centre joint of the first person, where that person is first seen, becomes 0.

    With scores it is where the centre joint itself is first seen, so that a guess never becomes the origin (never seen: nobody is moved).
    """

    def placed(self, taken: Tensor, clips: RawClips) -> Tensor:
        centre, found = self._centre(clips)
        first = found.to(torch.int8).argmax(dim=1)
        origin = centre[torch.arange(len(first), device=first.device), first, : clips.axes]
        return _moved(taken, clips, torch.where(found.any(dim=1)[:, None], origin, 0), torch.ones_like(origin[:, 0]))

    def place_next(self, frame: RawClips, place: Any) -> tuple[Tensor, Any]:
        """As `placed`: nobody is moved before the first person has been seen."""
        origin, found = place or (0, torch.zeros(len(frame.joints), dtype=torch.bool, device=frame.joints.device))
        centre, now = (each[:, 0] for each in self._centre(frame))
        origin = torch.where((now & ~found)[:, None], centre[:, : frame.axes], origin)
        moved = _moved(frame.joints, frame, origin, torch.ones_like(origin[:, 0]))
        return zero_where_absent(moved, frame.people_there()), (origin, found | now)

    @staticmethod
    def _centre(clips: RawClips) -> tuple[Tensor, Tensor]:
        """The first person's centre joint (N, T, C), and in which frames it may become the origin (N, T)."""
        centre = clips.joints[:, 0, :, clips.layout.centre_index]
        found = frames_seen(clips)[:, 0]
        return centre, found & (centre[..., -1] != 0) if clips.has_scores else found


@dataclass(frozen=True)
class Image(NTU):
    """For pixels, or any units: the bounding box of all seen joints of a clip becomes [-1, 1] along its larger side.

    A box without extent becomes 0. Where there are three coordinates the box has three sides, and rotations stay in the image.
    """

    planar: ClassVar[bool] = True
    causal: ClassVar[bool] = False

    def placed(self, taken: Tensor, clips: RawClips) -> Tensor:
        return self._in_box(taken, clips, *self._box(clips))

    def place_next(self, frame: RawClips, place: Any) -> tuple[Tensor, Any]:
        """As `placed`, but by the box of the frames so far."""
        low, high = self._box(frame)
        if place is not None:
            low, high = low.minimum(place[0]), high.maximum(place[1])
        return zero_where_absent(self._in_box(frame.joints, frame, low, high), frame.people_there()), (low, high)

    @staticmethod
    def _box(clips: RawClips) -> tuple[Tensor, Tensor]:
        """(N, axes) lowest and highest of all seen joints."""
        position = clips.joints[..., : clips.axes]
        seen = (joints_seen(clips.joints, clips.has_scores) & clips.frames_there()[..., None])[..., None]
        infinity = torch.full((), torch.inf, dtype=position.dtype, device=position.device)
        # In two steps, because the first then runs along memory.
        low = torch.where(seen, position, infinity).amin(dim=(1, 2)).amin(dim=1)
        high = torch.where(seen, position, -infinity).amax(dim=(1, 2)).amax(dim=1)
        return low, high

    @staticmethod
    def _in_box(taken: Tensor, clips: RawClips, low: Tensor, high: Tensor) -> Tensor:
        side = (high - low).amax(dim=1)
        return _moved(taken, clips, (low + high) / 2, torch.where(side > 0, side / 2, 1))


def joints_seen(joints: Tensor, has_scores: bool) -> Tensor:
    """(..., C) joints -> (...) bool: which are not missing."""
    return joints[..., -1] != 0 if has_scores else (joints != 0).any(dim=-1)


def frames_seen(clips: RawClips) -> Tensor:
    """(N, M, T) bool: in which frames of whom is any joint not missing? Not behind a clip's end."""
    tell = (clips.joints[..., -1:] if clips.has_scores else clips.joints).flatten(3)
    # The one step that reads every frame: the largest and the smallest number are found three times as fast as any non-zero one.
    return ((tell.amax(dim=-1) != 0) | (tell.amin(dim=-1) != 0)) & clips.frames_there()


def resized(length: Tensor, count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """How to resize (N,) lengths linearly to `count` frames, as `F.interpolate(mode="linear", align_corners=False)` does.

    Returns:
        (N, count) each: the frame before, the frame after, and the weight of the latter, in the dtype that positions are computed in.
    """
    place = torch.arange(count, device=length.device, dtype=dtype)
    position = ((length.to(dtype) / count)[:, None] * (place + 0.5) - 0.5).clamp(min=0)
    before = position.to(torch.int64)
    after = torch.minimum(before + 1, (length - 1).clamp(min=0)[:, None])
    return before, after, position - before


def frames_at(joints: Tensor, chosen: Tensor) -> Tensor:
    """Frames (N, K) of clips (N, M, T, V, C) -> (N, M, K, V, C)."""
    clips, people, frames = joints.shape[:3]
    first = torch.arange(clips * people, device=joints.device).view(clips, people, 1) * frames
    rows = (first + chosen[:, None]).flatten()
    return joints.flatten(0, 2).index_select(0, rows).view(clips, people, -1, *joints.shape[3:])


def rotated(joints: Tensor, angles: Tensor, *, axes: int) -> Tensor:
    """Rz Ry Rx times each joint as a column vector, one rotation for a whole clip; with two axes, Rz alone.

    Args:
        joints: (N, ..., C); channels behind the axes stay as they are.
        angles: (N, 3) about x, y and z, in radians; positive ones turn y to z, z to x, and x to y.
        axes: 2 or 3.
    """
    (cx, cy, cz), (sx, sy, sz) = torch.cos(angles).unbind(1), torch.sin(angles).unbind(1)
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)
    matrix = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], dim=1).view(-1, 3, 3)
    if axes == 3:
        about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], dim=1).view(-1, 3, 3)
        about_x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], dim=1).view(-1, 3, 3)
        matrix = matrix @ about_y @ about_x
    # One product for all channels: those that are no axes are multiplied by 1.
    whole = torch.eye(joints.shape[-1], device=joints.device, dtype=matrix.dtype).repeat(len(matrix), 1, 1)
    whole[:, :axes, :axes] = matrix[:, :axes, :axes]
    return (joints.flatten(1, -2) @ whole.to(joints.dtype).mT).view_as(joints)


def _moved(taken: Tensor, clips: RawClips, origin: Tensor, unit: Tensor) -> Tensor:
    """(joints - (N, axes) origin) / (N,) unit; missing joints become zero, scores stay."""
    seen = joints_seen(taken, clips.has_scores)[..., None]
    position = (taken[..., : clips.axes] - origin[:, None, None, None, :]) / unit[:, None, None, None, None]
    position = torch.where(seen, position, 0)
    return torch.cat([position, taken[..., clips.axes :]], dim=-1) if clips.has_scores else position
