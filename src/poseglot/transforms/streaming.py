"""A pipeline's input frame by frame: what `Pipeline` makes of a whole clip, while it happens.

Every transform sees one frame after the other (`Transform.step`). Nothing is cropped, drawn or resized, because
the length of the clip is not known yet. A motion modality outputs a frame when the next one has come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.layout import Layout
from poseglot.transforms.modality import check_modality, to_modality
from poseglot.transforms.transform import Transform


@dataclass(frozen=True, eq=False)
class FrameState:
    """What is remembered of the frames before. It is never changed, so that a stream may be continued in two ways.

    Attributes:
        states: Each transform's own state.
        last: (max_persons, V, C), the last frame as placed, where a motion modality waits for the next.
    """

    states: tuple[Any, ...]
    last: Tensor | None = None


@dataclass(frozen=True, eq=False)
class StreamingPipeline:
    """Stored frames (M, V, C) in, the network's input frames (max_persons, V, C) out; see `Pipeline.streaming`.

    Attributes:
        transforms: The pipeline's.
        modality: As in `Pipeline.__call__`.
        layout: The layout of the joints.
        max_persons: The number of people in the input; missing ones are zero.
        has_scores: Whether the last channel is the confidence in each joint.
    """

    transforms: tuple[Transform, ...]
    modality: str
    layout: Layout
    max_persons: int
    has_scores: bool = False

    def __post_init__(self) -> None:
        check_modality(self.modality)

    @property
    def lag(self) -> int:
        """The number of frames by which the output is late: 1 for motion modalities, else 0."""
        return int(self.modality.endswith("motion"))

    def start(self) -> FrameState:
        """Return the state before the first frame."""
        return FrameState((None,) * len(self.transforms))

    def step(self, state: FrameState, frame: Tensor) -> tuple[FrameState, Tensor | None]:
        """Take one more frame.

        Args:
            state: The state that the frame before left, or `start()`.
            frame: (M, V, C), of at most `max_persons` people.

        Returns:
            The state after the frame, and a frame of the input (max_persons, V, C) if there is one.
        """
        one = torch.ones(1, dtype=torch.int64, device=frame.device)
        batch: ClipBatch | None = ClipBatch(frame[None, :, None], one, len(frame) * one, self.layout, self.has_scores)
        states = []
        for transform, before in zip(self.transforms, state.states, strict=True):
            if batch is None:
                states.append(before)
                continue
            batch, after = transform.step(batch, before)
            states.append(after)
        if batch is None:
            return FrameState(tuple(states), state.last), None
        placed = torch.where(batch.present_mask()[..., None, None], batch.joints, 0)[0, :, 0]
        placed = F.pad(placed, (0, 0, 0, 0, 0, self.max_persons - len(frame)))
        if not self.lag:
            return FrameState(tuple(states)), self._seen(placed[:, None])
        seen = None if state.last is None else self._seen(torch.stack([state.last, placed], dim=1))
        return FrameState(tuple(states), placed), seen

    def flush(self, state: FrameState) -> Tensor | None:
        """Return the input frame (max_persons, V, C) that is still to come when no more frames do, or None."""
        return None if state.last is None else self._seen(state.last[:, None])

    def _seen(self, frames: Tensor) -> Tensor:
        """Return the first of some placed frames (M, T, V, C), in the modality."""
        return to_modality(frames, self.modality, self.layout, has_scores=self.has_scores)[:, 0]
