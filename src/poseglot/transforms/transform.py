"""What a transform is: a batch of clips in, a batch of clips out, and randomness that belongs to each sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from poseglot.errors import SettingError
from poseglot.random import uniform
from poseglot.registry import Registry
from poseglot.skeletons.batch import ClipBatch

T = TypeVar("T", bound="type[Transform]")


class PipelineError(SettingError):
    """A pipeline, or a transform in it, that cannot be: its message names what is wrong and what is accepted."""


@dataclass(frozen=True, eq=False)
class Randomness:
    """The key of every random number of a training batch.

    Attributes:
        seed: The run's seed.
        epoch: The epoch, counted from 0.
        index: (N,) int64, each sample's index in its subset, on the device of the clips. A repeated sample counts on.
        batch: The first sample's index of the whole batch, wherever that is divided among processes: with seed and epoch the key of
            what all samples of a batch share.
    """

    seed: int
    epoch: int
    index: Tensor
    batch: int = 0

    def uniform(self, purpose: int, count: int) -> Tensor:
        """Return (N, count) float64 in [0, 1), the samples' own numbers for a purpose."""
        return uniform(self.seed, self.epoch, self.index, purpose, count)

    def shared(self, purpose: int) -> float:
        """Return one number in [0, 1) that the whole batch shares, in all processes."""
        return float(uniform(self.seed, self.epoch, torch.tensor([self.batch]), purpose, 1).item())


class Transform(ABC):
    """A step of a pipeline, for whole batches. Subclasses are frozen dataclasses whose fields are its settings.

    Attributes:
        name: The name under which it is registered, and written in a pipeline's file.
        purposes: What it draws random numbers for. Two transforms of a pipeline may not share one, or they would draw the same.
        causal: Whether a frame's result depends on that frame and those before it alone, so that frames that come one by one
            (`step`) become exactly what they become in a whole clip.
        augments: Whether it acts in training alone, so that a recipe may add it to training (`data.augment`).
        many_lengths: Whether its training input has different lengths, so that a network learns to do without a fixed one.
    """

    name: ClassVar[str] = ""
    purposes: ClassVar[tuple[int, ...]] = ()
    causal: ClassVar[bool] = True
    augments: ClassVar[bool] = False
    many_lengths: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        """Return the transformed clips; without randomness as for evaluation."""

    @property
    def output_frames(self) -> int | None:
        """The number of frames that every clip has afterwards in evaluation; None where it stays as it is."""
        return None

    def step(self, frame: ClipBatch, state: Any) -> tuple[ClipBatch | None, Any]:
        """Transform one frame while it happens, as in evaluation.

        Here every frame is transformed by itself; transforms that depend on earlier frames, or on time, override this.

        Args:
            frame: Clips of one frame.
            state: What this method returned with the frame before; None at first.

        Returns:
            The transformed frame, or None if it does not count, and the state for the next frame.
        """
        return self(frame, None), state


class Placement(Transform):
    """A transform that measures something in a clip and then moves every frame by it, in training as in evaluation."""

    @abstractmethod
    def measure(self, batch: ClipBatch, before: Any = None) -> Any:
        """Return what the clips are moved by. With `before`, measured in earlier frames, as if those were part of the clips."""

    @abstractmethod
    def move(self, joints: Tensor, measured: Any, has_scores: bool) -> Tensor:
        """Return joints (N, M, K, V, C) moved; every frame is treated by itself."""

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        measured = self.measure(batch)
        return batch.moved(lambda joints: self.move(joints, measured, batch.has_scores))

    def step(self, frame: ClipBatch, state: Any) -> tuple[ClipBatch | None, Any]:
        measured = self.measure(frame, state)
        return frame.moved(lambda joints: self.move(joints, measured, frame.has_scores)), measured


class FrameChoice(Transform):
    """A transform that chooses frames of a whole clip. Frames that come one by one pass it as they are."""

    def step(self, frame: ClipBatch, state: Any) -> tuple[ClipBatch | None, Any]:
        return frame, state


TRANSFORMS: Registry[type[Transform]] = Registry("transform")


def register_transform(name: str) -> Callable[[T], T]:
    """Return a class decorator that makes a `Transform` known to pipelines by name.

    Example:
        >>> @register_transform("shift")
        ... @dataclass(frozen=True)
        ... class Shift(Transform):
        ...     by: float = 0.0
        ...     def __call__(self, batch, randomness):
        ...         return batch.with_position(batch.position + self.by)
    """

    def decorate(transform: T) -> T:
        TRANSFORMS.add(name, transform)
        transform.name = name
        return transform

    return decorate


def require(holds: bool, transform: Transform, what: str) -> None:
    """Refuse a transform's settings unless they hold.

    Raises:
        PipelineError: They do not.
    """
    if not holds:
        raise PipelineError(f"{transform.name}: {what}, but {transform!r} came.")
