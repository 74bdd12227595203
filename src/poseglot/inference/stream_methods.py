"""The two ways of recognising a stream, behind `StreamingRecognizer`.

frame    A frame passes through the encoder once, which keeps the state that it needs (`models.continual`). No window is computed
         twice. Exact for recognizers that were made for streams: a causal encoder, and a pipeline that places a frame by earlier
         ones only.
window   The frames so far are recognised again as one clip, every few frames, exactly as `Predictor` does. For every recognizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from poseglot.errors import InputError, SettingError
from poseglot.inference.inputs import ClipLoader, unsaid_scores
from poseglot.inference.prediction import Probabilities, softmax
from poseglot.inference.predictor import Predictor
from poseglot.models.continual import ContinualRecognizer, ContinualState
from poseglot.models.recognizer import Recognizer, RecognizerSpec
from poseglot.safe_text import counted_people
from poseglot.skeletons.clip import Joints, check_joints
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.mapping import map_layout
from poseglot.transforms import FrameState, Pipeline, load_pipeline

Memory = Any  # what a method knows of earlier frames; immutable


class StreamMethod(Protocol):
    """A way of recognising a stream.

    Attributes:
        latency: The largest number of newest frames that a result may not know.
        every: After how many frames the result is renewed.
        differences: What differs from the result for a whole clip, in words.
    """

    latency: int
    every: int
    differences: tuple[str, ...]

    def start(self) -> Memory:
        """Return the memory before the first frame."""

    def accept(self, frame: Joints, name: str) -> Joints:
        """Check a frame (M, V, C) and map its joints if the method takes those of the recognizer.

        Raises:
            InputError: The frame is not acceptable.
        """

    def step(self, memory: Memory, frame: Joints) -> Memory:
        """Return the memory after an accepted frame."""

    def probabilities(self, memory: Memory) -> Probabilities | None:
        """Return the probabilities (classes,) of the clip that ends here; None if nothing is known yet."""

    def unlike_training(self, clip: Joints) -> Mapping[str, str]:
        """Return what of accepted frames (M, T, V, C) is unlike the training clips: kind -> sentence."""


class FrameMethod:
    """Each frame passes through the encoder once; see the module.

    Args:
        recognizer: Without alignment heads.
        layout: The layout of the frames; joints are mapped by name. None: the recognizer's.
        temperature: The divisor of the logits; None divides by 1.
        memory: About how many frames back the result remembers; None remembers all.
        topology_interval: After how many frames a CTR-GCN that is not causal renews its topologies.
        every: After how many frames the result is renewed if it is computed as if the clip ended here.

    Raises:
        SettingError: The encoder or the pipeline cannot run frame by frame.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        layout: Layout | None,
        temperature: float | None,
        memory: int | None,
        topology_interval: int,
        every: int,
    ) -> None:
        spec = recognizer.spec
        pipeline = load_pipeline(spec.pipeline)
        self._spec, self._temperature = spec, temperature
        self._device = recognizer.classifier.weight.device
        self._pipeline = pipeline.streaming(
            recognizer.layout, modality=spec.modality, max_persons=spec.num_persons, has_scores=spec.has_scores
        )
        self._encoder = ContinualRecognizer(recognizer, memory=memory, topology_interval=topology_interval)
        # With a lag, a result is computed as if the clip ended here, which is too much work for every frame.
        has_lag = bool(self._encoder.lag or self._pipeline.lag)
        self.every = every if has_lag else 1
        self.latency = (every if has_lag else self._encoder.rate) - 1
        self.differences = _differences(pipeline, self._encoder) + _forgotten(memory)
        self._source = layout or recognizer.layout
        same = self._source.joints == recognizer.layout.joints
        self._mapping = None if same else map_layout(self._source, recognizer.layout)
        self._loader = ClipLoader(spec, recognizer.layout)

    def start(self) -> Memory:
        return self._pipeline.start(), self._encoder.start()

    def accept(self, frame: Joints, name: str) -> Joints:
        joints = _checked(frame, self._source, self._spec, name)
        if self._mapping is not None:
            joints = self._mapping.apply(joints, has_scores=self._spec.has_scores)
        return joints[:, 0]

    def step(self, memory: Memory, frame: Joints) -> Memory:
        pipeline, encoder = memory
        pipeline, placed = self._pipeline.step(pipeline, torch.from_numpy(frame).to(self._device))
        return pipeline, encoder if placed is None else self._encoder.step(encoder, placed)

    def probabilities(self, memory: Memory) -> Probabilities | None:
        pipeline: FrameState = memory[0]
        encoder: ContinualState = memory[1]
        last = self._pipeline.flush(pipeline)
        if last is not None:
            encoder = self._encoder.step(encoder, last)
        logits = self._encoder.logits(self._encoder.flush(encoder))
        return None if logits is None else softmax((logits.double() / (self._temperature or 1)).cpu().numpy())

    def unlike_training(self, clip: Joints) -> Mapping[str, str]:
        found = self._loader.unlike_training(clip, has_scores=self._spec.has_scores)
        # A mapping keeps third numbers, or takes means of them.
        return found if self._mapping is None or self._spec.has_scores else {**found, **unsaid_scores(clip, self._source)}


class WindowMethod:
    """The frames so far are recognised as a clip, as `predictor.predict` does; see the module.

    Args:
        predictor: The recognizer, of any kind.
        layout: The layout of the frames, if it is not the recognizer's; one for any layout tells it from the number of joints.
        memory: How many frames the clip has at most; None takes all since the start.
        every: After how many frames the result is renewed.
    """

    def __init__(self, predictor: Predictor, *, layout: Layout | None, memory: int | None, every: int) -> None:
        self._predictor, self._layout, self._memory = predictor, layout, memory
        self._any_layout = predictor.any_layout
        self.every, self.latency, self.differences = every, every - 1, _forgotten(memory)

    def start(self) -> Memory:
        return ()

    def accept(self, frame: Joints, name: str) -> Joints:
        spec = self._predictor.spec
        if self._any_layout:
            layout = self._layout
            count = frame.shape[1] if layout is None else len(layout)
            return check_joints(frame[:, None], joint_count=count, has_scores=False, origin=name)[:, 0]
        return _checked(frame, self._layout or self._predictor.layout, spec, name)[:, 0]

    def step(self, memory: Memory, frame: Joints) -> Memory:
        if memory and memory[-1].shape[1:] != frame.shape[1:]:
            if not any(earlier.any() for earlier in memory):  # nobody yet
                return self.step((np.zeros_like(frame),) * len(memory), frame)
            raise InputError(
                f"a frame of {frame.shape[1]} joints with {frame.shape[2]} numbers came after frames of {memory[-1].shape[1]} joints with "
                f"{memory[-1].shape[2]}; a stream keeps to one kind. Reset it first."
            )
        return (*memory, frame)[-self._memory if self._memory else 0 :]

    def probabilities(self, memory: Memory) -> Probabilities | None:
        clip = together(memory)
        if not clip.any():
            return None
        return self._predictor.probabilities_of(clip, layout=self._layout)

    def unlike_training(self, clip: Joints) -> Mapping[str, str]:
        return self._predictor.unlike_training(clip, layout=self._layout)


def together(frames: tuple[Joints, ...]) -> Joints:
    """Return frames (M, V, C) as a clip (M, T, V, C); people who are absent from a frame are zero there."""
    people = max(len(frame) for frame in frames)
    return np.stack([np.pad(frame, ((0, people - len(frame)), (0, 0), (0, 0))) for frame in frames], axis=1)


def _checked(frame: Joints, layout: Layout, spec: RecognizerSpec, name: str) -> Joints:
    """Return a frame (M, V, C) as a clip (M, 1, V, C) of as many people and numbers as the recognizer takes."""
    joints = check_joints(frame[:, None], joint_count=len(layout), has_scores=spec.has_scores, origin=name)
    if len(joints) > spec.num_persons or joints.shape[3] != spec.channels:
        raise InputError(
            f"{name}: {counted_people(len(joints))} with {joints.shape[3]} numbers per joint came; the recognizer was trained on at "
            f"most {counted_people(spec.num_persons)} with {spec.channels}."
        )
    return joints


def made_for_streams(recognizer: Recognizer) -> bool:
    """Tell whether frame by frame a recognizer gives what it gives for whole clips."""
    pipeline = load_pipeline(recognizer.spec.pipeline)
    if not (pipeline.many_lengths and pipeline.causal):
        return False
    try:
        return ContinualRecognizer(recognizer).is_exact
    except SettingError:
        return False


def _differences(pipeline: Pipeline, encoder: ContinualRecognizer) -> tuple[str, ...]:
    """Return what differs from a whole clip frame by frame, in words."""
    found = []
    if not pipeline.many_lengths:
        found.append(f"frames keep their own pace; pipeline {pipeline.name} trained on clips of one length only")
    if not pipeline.causal:
        found.append(
            f"people are placed by the bounding box of the frames so far; pipeline {pipeline.name} uses the whole clip's"
        )
    if not encoder.is_exact:
        found.append(
            "topologies are refined from the mean of the frames so far, renewed now and then, not from the whole clip's"
        )
    return tuple(found)


def _forgotten(memory: int | None) -> tuple[str, ...]:
    return () if memory is None else (f"frames more than about {memory} back are forgotten",)
