"""Which frames of a clip the network sees: cropping, resizing and drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from poseglot.random import Purpose
from poseglot.skeletons.batch import ClipBatch
from poseglot.transforms.transform import FrameChoice, Randomness, register_transform, require

# A network's input of more frames is a mistake, and would not fit into memory.
MAX_FRAMES = 100_000


@register_transform("drop-empty-frames")
@dataclass(frozen=True)
class DropEmptyFrames(FrameChoice):
    """Ignore empty frames, and in the other frames people who are not seen, in training as in evaluation.

    Put it first into a pipeline, before joints are moved. The transforms after it then measure, crop, resize and draw as if empty frames
    did not exist, wherever they are. In a stream, empty frames are skipped.
    """

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        present = batch.seen_persons()
        return batch.with_present(present.any(dim=1).sum(dim=1), present)

    def step(self, frame: ClipBatch, state: Any) -> tuple[ClipBatch | None, Any]:
        frame = self(frame, None)
        return (frame if bool(frame.frames.any()) else None), state


@register_transform("crop")
@dataclass(frozen=True)
class Crop(FrameChoice):
    """Keep a stretch of each clip's frames.

    Training: of random length, at a random place. Evaluation: all but a little at both ends.

    Attributes:
        min_share: The share of a clip's frames that a training crop has at least.
        min_frames: The number of frames that a training crop has at least, where the clip has so many.
        margin: The share of a clip's frames that is left out in evaluation, half of it at each end.
    """

    min_share: float = 0.5
    min_frames: int = 64
    margin: float = 0.05
    purposes: ClassVar[tuple[int, ...]] = (Purpose.CROP,)

    def __post_init__(self) -> None:
        require(0 < self.min_share <= 1 and 0 <= self.margin < 1, self, "min_share is in (0, 1] and margin in [0, 1)")
        require(self.min_frames >= 1, self, "min_frames is at least 1")

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        return _stretch(batch, *self.window(batch.frames, randomness))

    def window(self, frames: Tensor, randomness: Randomness | None) -> tuple[Tensor, Tensor]:
        """Return the first frame (N,) and the length (N,) of each crop, of clips of (N,) frames. A clip of none has none."""
        if randomness is None:
            start = (self.margin * frames.to(torch.float64) / 2).to(torch.int64)
            return start, frames - 2 * start
        share, place = randomness.uniform(Purpose.CROP, 2).unbind(1)
        share = self.min_share + (1 - self.min_share) * share
        length = torch.minimum((frames * share).to(torch.int64).clamp(min=self.min_frames), frames)
        return (place * (frames - length + 1)).to(torch.int64), length


@register_transform("random-prefix")
@dataclass(frozen=True)
class RandomPrefix(FrameChoice):
    """End some clips early, in training alone: for recognizers that are asked before an action is over.

    Put it before whatever measures or resizes clips, so that a clip that ends early is treated as one of a stream is.

    Attributes:
        min_share: The share of a clip's frames that is kept at least; what is kept is drawn evenly from there to all.
        probability: The share of clips that end early.
    """

    min_share: float = 0.25
    probability: float = 0.5
    purposes: ClassVar[tuple[int, ...]] = (Purpose.PREFIX,)

    def __post_init__(self) -> None:
        require(
            0 < self.min_share <= 1 and 0 <= self.probability <= 1, self, "min_share is in (0, 1] and probability in [0, 1]"
        )

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        if randomness is None:
            return batch
        early, share = randomness.uniform(Purpose.PREFIX, 2).unbind(1)
        share = torch.where(early < self.probability, self.min_share + (1 - self.min_share) * share, 1)
        length = (share * batch.frames).ceil().to(torch.int64)
        return _stretch(batch, torch.zeros_like(length), length)


@register_transform("resize")
@dataclass(frozen=True)
class Resize(FrameChoice):
    """Resize each clip linearly in time to a number of frames, in training as in evaluation.

    Joints and scores become what `F.interpolate(mode="linear", align_corners=False)` makes of them.

    Attributes:
        frames: The number of frames afterwards.
    """

    frames: int = 64

    def __post_init__(self) -> None:
        require(1 <= self.frames <= MAX_FRAMES, self, f"frames is a number from 1 to {MAX_FRAMES:,}")

    @property
    def output_frames(self) -> int:
        return self.frames

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        dtype = torch.promote_types(batch.dtype, torch.float32)
        before, after, weight = resize_weights(batch.frames, self.frames, dtype)
        taken = batch.take(torch.cat([before, after], dim=1))
        earlier, later = taken.joints.chunk(2, dim=2)
        joints = torch.lerp(earlier, later, weight.to(earlier.dtype)[:, None, :, None, None])
        was, will_be = taken.present_mask().chunk(2, dim=2)
        frames = torch.where(batch.frames > 0, self.frames, 0)
        return taken.with_joints(joints).with_present(frames, was | will_be)


@register_transform("sample-frames")
@dataclass(frozen=True)
class SampleFrames(FrameChoice):
    """Take a number of frames of each clip, in their order.

    Training: drawn without replacement from some copies of the frames. Evaluation: evenly spaced.

    Attributes:
        frames: The number of frames afterwards.
        copies: The number of copies of every frame that training draws from.
    """

    frames: int = 52
    copies: int = 100
    purposes: ClassVar[tuple[int, ...]] = (Purpose.FRAMES,)

    def __post_init__(self) -> None:
        require(2 <= self.frames <= MAX_FRAMES, self, f"frames is a number from 2 to {MAX_FRAMES:,}")
        require(self.copies >= self.frames, self, "copies is at least frames, or a clip of one frame could not be drawn from")

    @property
    def output_frames(self) -> int:
        return self.frames

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        if randomness is None:
            return batch.take(evenly_spaced(batch.frames, self.frames))
        return batch.take(drawn_without_replacement(batch.frames, self.frames, self.copies, randomness))


@register_transform("sample-lengths")
@dataclass(frozen=True)
class SampleLengths(FrameChoice):
    """Take frames of each clip, in training of another number in every batch: for recognizers that answer frame by frame.

    A stream does not know how long an action will be, and so cannot be resized to one length. Training: every batch has one of
    `lengths`. Each clip is cropped to about so many frames, seen somewhat faster or slower than they were, and its frames are drawn as
    by `sample-frames`. A frame's number then says nothing, and long clips are seen at about their own speed. Evaluation: evenly spaced.

    Attributes:
        frames: The number of frames in evaluation.
        lengths: The numbers of frames in training. Short ones are among them because short clips must be known at their own speed.
        speeds: Lowest and highest factor: a training crop has its batch's length times so much.
        min_share: The share of a clip's frames that a training crop has at least.
        start: Where a training crop begins: `anywhere`, or `first`, at the clip's first frame, as the frames so far of a stream do.
        copies: As in `sample-frames`.
    """

    frames: int = 52
    lengths: tuple[int, ...] = (12, 16, 20, 24, 32, 40, 48, 64)
    speeds: tuple[float, float] = (0.75, 1.5)
    min_share: float = 0.6
    start: Literal["anywhere", "first"] = "anywhere"
    copies: int = 100
    purposes: ClassVar[tuple[int, ...]] = (Purpose.LENGTH, Purpose.CROP, Purpose.FRAMES)
    many_lengths: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            len(self.lengths) > 0 and all(2 <= frames <= MAX_FRAMES for frames in (self.frames, *self.lengths)),
            self,
            f"frames and lengths are numbers from 2 to {MAX_FRAMES:,}",
        )
        require(0 < self.speeds[0] <= self.speeds[1], self, "speeds are two positive factors, the lower one first")
        require(0 < self.min_share <= 1, self, "min_share is in (0, 1]")
        require(self.start in ("anywhere", "first"), self, "start is anywhere or first")
        require(self.copies >= max(self.lengths), self, "copies is at least the largest of lengths")

    @property
    def output_frames(self) -> int:
        return self.frames

    def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
        if randomness is None:
            return batch.take(evenly_spaced(batch.frames, self.frames))
        return batch.take(self.drawn(batch.frames, randomness))

    def drawn(self, frames: Tensor, randomness: Randomness) -> Tensor:
        """Return the frame numbers (N, length of this batch) of clips of (N,) frames, ascending."""
        length = self.lengths[int(randomness.shared(Purpose.LENGTH) * len(self.lengths))]
        speed, start = randomness.uniform(Purpose.CROP, 2).unbind(1)
        low, high = self.speeds
        wanted = (length * (low + (high - low) * speed)).to(torch.int64)
        crop = wanted.maximum((self.min_share * frames).ceil().to(torch.int64)).minimum(frames)
        start = (start * (frames - crop + 1)).to(torch.int64) if self.start == "anywhere" else torch.zeros_like(crop)
        return start[:, None] + drawn_without_replacement(crop, length, self.copies, randomness)


def _stretch(batch: ClipBatch, start: Tensor, length: Tensor) -> ClipBatch:
    """Keep `length` (N,) of the frames that count of each clip, from the one numbered `start` (N,) on."""
    present = batch.present_mask()
    number = present.any(dim=1).cumsum(dim=1) - 1  # of each frame, among those that count
    kept = (number >= start[:, None]) & (number < (start + length)[:, None])
    return batch.with_present(length, present & kept[:, None])


def evenly_spaced(frames: Tensor, count: int) -> Tensor:
    """Return evenly spaced frame numbers (N, count) of clips of (N,) frames: linspace(0, T - 1, count), truncated as numpy does.

    A clip without frames is taken for one of a single frame.

    numpy computes i * ((T - 1) / (count - 1)) in float64 and sets the last one to T - 1. Truncation makes the order of operations
    matter.
    """
    frames = frames.clamp(min=1)
    step = (frames - 1).to(torch.float64) / (count - 1)
    chosen = (torch.arange(count, device=frames.device) * step[:, None]).to(torch.int64)
    chosen[:, -1] = frames - 1
    return chosen


def drawn_without_replacement(frames: Tensor, count: int, copies: int, randomness: Randomness) -> Tensor:
    """Draw frame numbers (N, count), ascending, without replacement from `copies` copies of each clip's (N,) frames.

    Floyd's algorithm (Bentley and Floyd, CACM 1987) for all samples at once: `count` short steps, however long the clips are.
    """
    frames = frames.clamp(min=1)
    population = frames * copies
    draws = randomness.uniform(Purpose.FRAMES, count)
    chosen = torch.full((len(frames), count), -1, dtype=torch.int64, device=frames.device)
    for place in range(count):
        last = population - count + place
        draw = (draws[:, place] * (last + 1)).to(torch.int64)
        taken = (chosen == draw[:, None]).any(dim=1)
        chosen[:, place] = torch.where(taken, last, draw)
    return chosen.remainder(frames[:, None]).sort(dim=1).values


def resize_weights(length: Tensor, count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return how clips of (N,) frames are resized linearly to `count` frames.

    Returns:
        (N, count) each: the frame before, the frame after, and the weight of the latter, computed in `dtype`.
    """
    place = torch.arange(count, device=length.device, dtype=dtype)
    position = ((length.to(dtype) / count)[:, None] * (place + 0.5) - 0.5).clamp(min=0)
    before = position.to(torch.int64)
    after = torch.minimum(before + 1, (length - 1).clamp(min=0)[:, None])
    return before, after, position - before
