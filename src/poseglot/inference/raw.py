"""Recognizers with their preparation inside: raw joints in, logits and probabilities out, in torch operations that can be exported.

    joints -> the recognizer's layout, or the common body -> people who are there -> pipeline and modality -> logits, probabilities

`ClipLoader` prepares clips for every other use. The exporter holds the two equal before it writes a file (`inference.export`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poseglot.errors import SettingError
from poseglot.inference.inputs import ClipLoader
from poseglot.models.fuse import FusedRecognizer
from poseglot.models.recognizer import RecognizerSpec
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.common_body import is_common_body, map_to_common_body
from poseglot.skeletons.layout import Layout, as_layout, load_layout
from poseglot.skeletons.mapping import map_layout
from poseglot.transforms import DropEmptyFrames, load_pipeline
from poseglot.transforms.body import common_body, map_joints


@dataclass(frozen=True)
class RawInput:
    """What the joints of an exported file are.

    Attributes:
        layout: Their layout.
        num_dims: Coordinates per joint, 2 or 3.
        has_scores: Whether the confidence in each joint follows its coordinates.
    """

    layout: Layout
    num_dims: int
    has_scores: bool

    @property
    def channels(self) -> int:
        """Numbers per joint."""
        return self.num_dims + self.has_scores

    def table(self) -> dict[str, Any]:
        """Return it as a table, from which `of` makes it again."""
        return {"layout": self.layout.table(), "num_dims": self.num_dims, "has_scores": self.has_scores}

    @staticmethod
    def of(table: Mapping[str, Any]) -> RawInput:
        """Return the input of a table."""
        return RawInput(load_layout(dict(table["layout"])), int(table["num_dims"]), bool(table["has_scores"]))

    def spec(self, spec: RecognizerSpec, layout: Layout) -> RecognizerSpec:
        """Return the spec by which clips are read for a file, from that of its recognizer, of `layout`."""
        if self.layout == layout:
            return spec
        # The coordinates of training clips are in another layout; there is nothing to compare these with.
        return replace(
            spec, layout=self.layout.described(), channels=self.channels, has_scores=self.has_scores, coordinates=None
        )


class RawRecognizer(nn.Module):
    """Raw joints (N, M, T, V, C) -> logits and probabilities (N, classes).

    Frames in which nobody is seen change nothing, so clips of different lengths are padded with zeros. A clip without people, or with
    more than the recognizer takes, gets NaN.

    Args:
        fused: The recognizer.
        layout: The layout of the joints, a packaged name, a .yaml file or a `Layout`; by default the recognizer's. Joints of another one
            are mapped by name.
        num_dims, has_scores: Coordinates per joint and whether a score follows them; for recognizers of the common body, which take any.
            By default 3 and False. Other recognizers take what they were trained on.
        temperature: The divisor of the logits.

    Raises:
        InputError: A joint cannot be made from those of the layout.
        SettingError: The pipeline counts empty frames, or the recognizer does not take such joints.
    """

    def __init__(
        self,
        fused: FusedRecognizer,
        *,
        layout: str | Layout | None = None,
        num_dims: int | None = None,
        has_scores: bool | None = None,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        spec, self.temperature = fused.spec, temperature or 1.0
        source = fused.layout if layout is None else as_layout(layout)
        self.any_layout = is_common_body(fused.layout)
        known = (3, False) if self.any_layout else (spec.channels - spec.has_scores, spec.has_scores)
        self.input = RawInput(source, num_dims or known[0], known[1] if has_scores is None else has_scores)
        is_own = source.joints == fused.layout.joints
        if (self.input.num_dims, self.input.has_scores) != known and (not self.any_layout or is_own):
            raise SettingError(
                f"the recognizer takes joints of {known[0]} coordinates {'with' if known[1] else 'without'} scores. "
                + (
                    "Other ones come in a layout of their own: name it (--layout coco17)."
                    if self.any_layout
                    else "Other ones are for recognizers for any layout, such as everyday."
                )
            )
        self.mapping = (
            None
            if is_own and not self.any_layout
            else (map_to_common_body(source) if self.any_layout else map_layout(source, fused.layout))
        )
        self.pipeline = load_pipeline(spec.pipeline)
        if not isinstance(self.pipeline.transforms[0], DropEmptyFrames):
            raise SettingError(
                f"the pipeline {self.pipeline.name} counts empty frames, so a file cannot take padded clips. Only pipelines that start "
                f"with {DropEmptyFrames.name} can be part of an exported file."
            )
        self.fused = fused

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Map raw joints to logits and probabilities."""
        spec, has_scores = self.fused.spec, self.input.has_scores
        if self.mapping is not None and self.any_layout:
            joints = common_body(joints, self.mapping, has_scores=has_scores)
        elif self.mapping is not None:
            joints = map_joints(joints, self.mapping, has_scores=has_scores)
        joints, is_valid = _present_first(joints, spec)
        count, people, frames = joints.shape[:3]
        batch = ClipBatch(
            joints, torch.full((count,), frames), torch.full((count,), people), self.fused.layout, spec.has_scores
        )
        logits = self.fused(self.pipeline(batch, modality=spec.modality))
        logits = torch.where(is_valid[:, None], logits, torch.nan)
        return logits, (logits / self.temperature).softmax(dim=-1)


def _present_first(joints: Tensor, spec: RecognizerSpec) -> tuple[Tensor, Tensor]:
    """Return the present people first, padded with zeros to the number of the spec; and whether there are any, and no more (N,)."""
    seen = joints[..., -1] > 0 if spec.has_scores else (joints != 0).any(dim=-1)
    there = seen.flatten(2).any(dim=2)  # (N, M)
    number = there.to(torch.int64).cumsum(dim=1) - 1
    takes = there[:, None] & (number[:, None] == torch.arange(spec.num_persons)[:, None])  # (N, P, M)
    chosen = takes.to(joints.dtype) @ joints.flatten(2)
    present = there.sum(dim=1)
    return chosen.unflatten(2, joints.shape[2:]), (present > 0) & (present <= spec.num_persons)


def checked_clips(raw: RawInput, num_persons: int) -> Iterator[Clip]:
    """Yield random clips with which an exported file is checked: several lengths, people, empty frames and absent persons."""
    rng = np.random.default_rng(0)
    count = len(raw.layout)
    for people, frames in ((1, 1), (1, 3), (num_persons, 20), (num_persons, 80), (num_persons, 301)):
        body = rng.normal(size=(people, 1, count, raw.num_dims)) + 0.1 * rng.normal(size=(people, frames, count, raw.num_dims))
        joints = (body + np.cumsum(0.02 * rng.normal(size=(people, frames, 1, raw.num_dims)), axis=1)).astype(np.float32)
        if raw.has_scores:
            joints = np.concatenate([joints, rng.uniform(size=(*joints.shape[:3], 1)).astype(np.float32)], axis=-1)
        if frames > 3:
            joints[:, :2] = joints[:, frames // 2] = 0  # empty frames
            joints[0, 5:9, rng.integers(count, size=3)] = 0  # hidden joints
        yield Clip(joints, f"{people} people, {frames} frames", has_scores=raw.has_scores)
        if people > 1:
            joints = joints.copy()
            joints[0] = 0
            yield Clip(joints, f"{people} people, {frames} frames, the first absent", has_scores=raw.has_scores)


def expected_logits(fused: FusedRecognizer, raw: RawInput, clip: Clip) -> Tensor:
    """Return the logits (classes,) of a clip prepared as everywhere else, by `ClipLoader`."""
    loader = ClipLoader(fused.spec, fused.layout)
    prepared = torch.from_numpy(loader.input(loader.load(clip, layout=raw.layout).clip))
    with torch.no_grad():
        logits: Tensor = fused(prepared[None])[0]
    return logits


def pad_clips(clips: Sequence[Joints]) -> Joints:
    """Return clips (M, T, V, C) as a batch (N, M, T, V, C), padded with absent people and empty frames."""
    people, frames = (max(clip.shape[axis] for clip in clips) for axis in (0, 1))
    padded = np.zeros((len(clips), people, frames, *clips[0].shape[2:]), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: clip.shape[0], : clip.shape[1]] = clip
    return padded
