"""What a feeding protocol is: the raw clips of a batch in, the joints of their views out.

No per-sample Python here: a batch is transformed by a few tensor operations, and every random number comes from
(seed, epoch, sample index), see `poseglot.random`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from poseglot.errors import PoseglotError
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.streams import to_modality


@dataclass(frozen=True)
class Augmentation:
    """What training randomness is made of.

    Attributes:
        seed, epoch: with the sample's index, the key of every random number.
        effective_scale: for `nw-ucla`: apply the protocol's random scale after the normalisation. In the field's pipeline it comes
            before, where the min-max cancels it; so without this switch it is left out, which gives the same numbers.
        batch: the first sample of the whole batch, wherever it is divided among processes: with seed and epoch the key of what all samples
            of a batch share.
    """

    seed: int
    epoch: int
    effective_scale: bool = False
    batch: int = 0
    index: Tensor | None = None


@dataclass(frozen=True, eq=False)
class RawClips:
    """A batch of clips as they were stored, padded; what lies behind a clip's last frame or person is anything.

    Attributes:
        joints: (N, M, T, V, C).
        frames: (N,) int64, each clip's length, 1..T.
        people: (N,) int64, how many people each clip has, 1..M.
        layout: of the joints.
        scored: whether the last channel is the confidence in each joint.

    Raises:
        PoseglotError: a joint has other than two or three coordinates.
    """

    joints: Tensor
    frames: Tensor
    people: Tensor
    layout: Layout
    has_scores: bool = False

    def __post_init__(self) -> None:
        if self.axes not in (2, 3):
            score = " and a score" if self.has_scores else ""
            raise PoseglotError(
                f"{self.joints.shape[-1]} numbers per joint came; a view is made of 2 (x, y) or 3 (x, y, z) coordinates{score}."
            )

    @property
    def axes(self) -> int:
        """How many coordinates a joint has: its channels without the score."""
        return self.joints.shape[-1] - self.has_scores

    def people_there(self) -> Tensor:
        """(N, M) bool: is there such a person?"""
        return torch.arange(self.joints.shape[1], device=self.joints.device) < self.people[:, None]

    def with_scores(self, position: Tensor) -> Tensor:
        """(N, M, T, V, axes) where the clips' joints are now -> (N, M, T, V, C), their scores behind, absent people zero."""
        joints = torch.cat([position, self.joints[..., self.axes :]], dim=-1) if self.has_scores else position
        return zero_where_absent(joints, self.people_there())

    def frames_there(self) -> Tensor:
        """(N, M, T) bool: is there such a frame of such a person?"""
        frames = torch.arange(self.joints.shape[2], device=self.joints.device) < self.frames[:, None]
        return self.people_there()[:, :, None] & frames[:, None, :]


@dataclass(frozen=True)
class Protocol(ABC):
    """How clips are fed.

    Attributes:
        layout: of the clips that it was made for; None if it was made for any.
        frames: length of a view.
        scales: whether it has a random scale, which `Augmentation.effective_scale` is about.
        causal: whether a frame is placed by itself and those before it alone, so that `place_next` does what is done to a whole clip.
    """

    name: str
    layout: str | None
    frames: int
    scales: ClassVar[bool] = False
    causal: ClassVar[bool] = False

    def __call__(self, batch: ClipBatch, *, modality: str = "joint", randomness: Augmentation | None = None) -> Tensor:
        """Return the input of a batch; `randomness` has its samples' indices."""
        if randomness is not None:
            self.check(effective_scale=randomness.effective_scale)
        clips = RawClips(batch.joints, batch.frames, batch.num_persons, batch.layout, batch.has_scores)
        joints = self.joints(clips, None if randomness is None else randomness.index, randomness)
        return to_modality(joints, modality, batch.layout, has_scores=batch.has_scores)

    @abstractmethod
    def joints(self, clips: RawClips, index: Tensor | None, augmentation: Augmentation | None) -> Tensor:
        """The joints of the views of a batch: (N, M, frames, V, C), absent people zero.

        Args:
            clips: not changed.
            index: (N,) int64, each sample's place; needed for augmentation.
            augmentation: None gives the evaluation view.
        """

    @abstractmethod
    def place_next(self, frame: RawClips, place: Any) -> tuple[Tensor, Any]:
        """Place one frame while it happens, as a clip of the frames so far would be placed; time is left as it is.

        Args:
            frame: clips of one frame.
            place: what it gave for the frame before; None at first.

        Returns:
            (N, M, 1, V, C), scores and all, absent people zero; and what it has to be given with the next frame.
        """

    def check(self, *, effective_scale: bool) -> None:
        """See that the protocol has what an augmentation asks for.

        Raises:
            PoseglotError: it has not.
        """
        if effective_scale and not self.scales:
            raise PoseglotError(
                f"effective_scale is about a random scale, and the protocol {self.name} has none. Leave it out (data.effective_scale "
                "false); only nw-ucla has one."
            )


def zero_where_absent(joints: Tensor, present: Tensor) -> Tensor:
    """(N, M, T, V, C) joints and (N, M) bool -> the same joints, zero for people who are not there."""
    return torch.where(present[:, :, None, None, None], joints, 0)
