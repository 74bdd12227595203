"""A batch of clips, padded to one shape: what transforms take and return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from poseglot.errors import InputError
from poseglot.skeletons.layout import Layout

Move = Callable[[Tensor], Tensor]


class ClipBatch:
    """N clips of up to M people and T frames. What lies beyond a clip's last frame or person may be anything.

    A batch is never changed: methods return new ones. Placing is lazy (`moved`), because a pipeline often places whole clips of
    which it then takes few frames.

    Args:
        joints: (N, M, T, V, C) coordinates, with each joint's score behind them if `has_scores`.
        frames: (N,) int64, the number of frames that count in each clip.
        num_persons: (N,) int64, the number of people in each clip, 1..M.
        layout: The layout of the joints.
        has_scores: Whether the last channel is the confidence in each joint.
        present: (N, M, T) bool, who counts in which frame. A frame belongs to the clip if anybody counts in it.
            None: every person of a clip, in its first `frames` frames.

    Raises:
        InputError: A joint has other than two or three coordinates.
    """

    def __init__(
        self,
        joints: Tensor,
        frames: Tensor,
        num_persons: Tensor,
        layout: Layout,
        has_scores: bool = False,
        *,
        present: Tensor | None = None,
    ) -> None:
        self.frames, self.num_persons, self.layout, self.has_scores = frames, num_persons, layout, has_scores
        self._joints, self._present = joints, present
        self._move: Move | None = None
        if self.num_dims not in (2, 3):
            score = " and a score" if has_scores else ""
            raise InputError(
                f"{joints.shape[-1]} numbers per joint came; accepted are 2 (x, y) or 3 (x, y, z) coordinates{score}."
            )

    def __len__(self) -> int:
        return len(self._joints)

    def __repr__(self) -> str:
        shape, score = tuple(self._joints.shape), ", scores" if self.has_scores else ""
        return f"ClipBatch({shape}, {self.layout.name}{score})"

    @property
    def joints(self) -> Tensor:
        """(N, M, T, V, C) as placed so far."""
        if self._move is not None:
            self._joints, self._move = self._move(self._joints), None
        return self._joints

    @property
    def position(self) -> Tensor:
        """(N, M, T, V, 2 or 3) coordinates without scores."""
        return self.joints[..., : self.num_dims]

    @property
    def num_dims(self) -> int:
        """The number of coordinates of a joint: its channels without the score."""
        return self._joints.shape[-1] - self.has_scores

    @property
    def dtype(self) -> torch.dtype:
        return self._joints.dtype

    @property
    def device(self) -> torch.device:
        return self._joints.device

    def person_mask(self) -> Tensor:
        """Return (N, M) bool: is there such a person?"""
        return torch.arange(self._joints.shape[1], device=self.device) < self.num_persons[:, None]

    def present_mask(self) -> Tensor:
        """Return (N, M, T) bool: does this person count in this frame?"""
        if self._present is not None:
            return self._present
        frames = torch.arange(self._joints.shape[2], device=self.device) < self.frames[:, None]
        return self.person_mask()[:, :, None] & frames[:, None, :]

    def frame_mask(self) -> Tensor:
        """Return (N, T) bool: does this frame belong to the clip?"""
        return self.present_mask().any(dim=1)

    def seen_mask(self) -> Tensor:
        """Return (N, M, T, V) bool: is this joint seen (`joints_seen`) and its person present?"""
        return joints_seen(self.joints, self.has_scores) & self.present_mask()[..., None]

    def seen_persons(self) -> Tensor:
        """Return (N, M, T) bool: is any joint of this person, if present, seen in this frame?"""
        tell = (self.joints[..., -1:] if self.has_scores else self.joints).flatten(3)
        # This reads every frame, and a sum is found several times as fast as any non-zero number.
        return (tell.abs().sum(dim=-1) != 0) & self.present_mask()

    def with_joints(self, joints: Tensor) -> ClipBatch:
        """Return the same clips with other joints (N, M, T, V, C)."""
        return ClipBatch(joints, self.frames, self.num_persons, self.layout, self.has_scores, present=self._present)

    def with_position(self, position: Tensor) -> ClipBatch:
        """Return the same clips with other coordinates (N, M, T, V, 2 or 3), their scores behind."""
        return self.with_joints(with_scores_of(self.joints, position) if self.has_scores else position)

    def with_present(self, frames: Tensor, present: Tensor) -> ClipBatch:
        """Return the same clips with other present frames: their number (N,), and in which of them each person is present (N, M, T)."""
        other = ClipBatch(self._joints, frames, self.num_persons, self.layout, self.has_scores, present=present)
        other._move = self._move
        return other

    def moved(self, move: Move) -> ClipBatch:
        """Return the clips with `move` applied to their joints, which is done when they are read.

        Args:
            move: A function from joints (N, M, K, V, C) to the same shape that treats every frame by itself, because it may be
                given some frames of the clips only.
        """
        other, before = self.with_joints(self._joints), self._move
        other._move = move if before is None else lambda joints: move(before(joints))
        return other

    def take(self, numbers: Tensor) -> ClipBatch:
        """Return some frames of each clip.

        Args:
            numbers: (N, K) int64, frame numbers among the frames that count, 0..frames - 1. Of a clip without frames they are
                ignored; it stays one.
        """
        chosen, joints = self._chosen(numbers), self._joints
        present = self.present_mask().gather(2, chosen[:, None].expand(-1, joints.shape[1], -1))
        joints = frames_at(joints, chosen)
        frames = torch.where(self.frames > 0, numbers.shape[1], 0)
        return ClipBatch(
            joints if self._move is None else self._move(joints),
            frames, self.num_persons, self.layout, self.has_scores, present=present,
        )  # fmt: skip

    def _chosen(self, numbers: Tensor) -> Tensor:
        """Map numbers among the frames that count to numbers among all frames."""
        if self._present is None:
            return numbers
        counts = self.frame_mask()
        length = counts.shape[1]
        # Every frame's own number is written where its number among those that count says; the others go behind the end.
        where = torch.where(counts, counts.cumsum(dim=1) - 1, length)
        frames = torch.arange(length, device=where.device).expand_as(where)
        return frames.new_zeros(where.shape[0], length + 1).scatter_(1, where, frames).gather(1, numbers)


def joints_seen(joints: Tensor, has_scores: bool) -> Tensor:
    """Return which joints are not missing, (..., C) -> (...) bool.

    A joint is missing if all its coordinates are zero or, where joints have scores, if its score is not above zero, whatever its
    coordinates.
    """
    if has_scores:
        return joints[..., -1] > 0
    # Axis by axis, which is twice as fast as a reduction over so few numbers.
    seen = joints[..., 0] != 0
    for axis in range(1, joints.shape[-1]):
        seen = seen | (joints[..., axis] != 0)
    return seen


def with_scores_of(joints: Tensor, position: Tensor) -> Tensor:
    """Return coordinates (..., D) with the channels of `joints` (..., C) that lie behind the coordinates."""
    return torch.cat([position, joints[..., position.shape[-1] :]], dim=-1)


def frames_at(joints: Tensor, chosen: Tensor) -> Tensor:
    """Return frames (N, K) of clips (N, M, T, V, C) as (N, M, K, V, C)."""
    clips, people, frames = joints.shape[:3]
    first = torch.arange(clips * people, device=joints.device).view(clips, people, 1) * frames
    rows = (first + chosen[:, None]).flatten()
    return joints.flatten(0, 2).index_select(0, rows).view(clips, people, -1, *joints.shape[3:])
