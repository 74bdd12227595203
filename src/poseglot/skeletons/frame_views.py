"""Views of frames that come one after the other: what `transforms.make_view` does to a clip, while it happens.

Placing is the protocol's (`Protocol.place_next`), the stream is the usual one; a motion stream knows a frame when the next one is there.
Time is as it comes: nothing is cropped, drawn or resized, since nobody knows yet how long a clip will be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.skeletons.layout import Layout
from poseglot.skeletons.protocols import Protocol, RawClips
from poseglot.skeletons.streams import to_modality


@dataclass(frozen=True, eq=False)
class FrameState:
    """What is remembered of the frames before.

    Attributes:
        place: the protocol's.
        placed: (M, V, C), the last frame, where a motion stream waits for the next.
    """

    place: Any = None
    placed: Tensor | None = None


@dataclass(frozen=True, eq=False)
class StreamingPipeline:
    """Frames (M, V, C) in, frames of the view out.

    Attributes:
        protocol, stream, layout, scored: as in `make_view`.
        people: in a view; missing ones are zero.
    """

    pipeline: Protocol
    modality: str
    layout: Layout
    people: int
    has_scores: bool = False

    @property
    def lag(self) -> int:
        """How many frames late a frame of the view is."""
        return int(self.modality.endswith("motion"))

    def step(self, state: FrameState, frame: Tensor) -> tuple[FrameState, Tensor | None]:
        """One more frame, of at most `people` people -> the state after it, and a frame of the view (people, V, C) if there is one."""
        one = torch.ones(1, dtype=torch.int64, device=frame.device)
        clips = RawClips(frame[None, :, None], one, len(frame) * one, self.layout, self.has_scores)
        placed, place = self.pipeline.place_next(clips, state.place)
        placed = F.pad(placed[0, :, 0], (0, 0, 0, 0, 0, self.people - len(frame)))
        if not self.lag:
            return FrameState(place), self._seen(placed[:, None])
        before = state.placed
        return FrameState(place, placed), None if before is None else self._seen(torch.stack([before, placed], dim=1))

    def flush(self, state: FrameState) -> Tensor | None:
        """The frame of the view (people, V, C) that is still to come when no frame does."""
        return None if state.placed is None else self._seen(state.placed[:, None])

    def _seen(self, frames: Tensor) -> Tensor:
        """The first of some placed frames (M, T, V, C), in the stream."""
        return to_modality(frames, self.modality, self.layout, has_scores=self.has_scores)[:, 0]
