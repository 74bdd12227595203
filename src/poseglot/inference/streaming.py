"""Streaming: one frame in, the probabilities so far out.

A frame is placed by the pipeline (`StreamingPipeline`) and passes through the encoder once; the encoder keeps the state that it needs
(`models.continual`). No window is computed twice. The result after a frame is that for the clip that ends with it:

  - exactly, with a causal encoder and a pipeline that places a frame by earlier ones only (`live`, `ntu`, `metric`);
  - approximately otherwise: `StreamingRecognizer.differences` says what differs, `docs/streaming.md` what that costs.

In both cases frames keep their own pace, while a stored clip is cropped or resized to its pipeline's number of frames. With any pipeline
but `live` this can cost the most accuracy.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from os import PathLike

import numpy as np
import numpy.typing as npt
import torch

from poseglot.errors import InputError, SettingError
from poseglot.evaluation.temperature import temperature_of
from poseglot.inference.inputs import ClipLoader
from poseglot.inference.loading import load_on_device
from poseglot.inference.prediction import ClassScore, Probabilities, softmax, top_scores
from poseglot.models.continual import ContinualRecognizer, ContinualState
from poseglot.models.encoders.ctr_gcn import TOPOLOGY_INTERVAL
from poseglot.models.pretrained import find_recognizer, recognizer_file
from poseglot.safe_text import counted_people
from poseglot.skeletons.clip import Joints, check_joints
from poseglot.skeletons.common_body import is_common_body
from poseglot.skeletons.layout import Layout, as_layout
from poseglot.skeletons.mapping import map_layout
from poseglot.transforms import FrameState, Pipeline, load_pipeline

_LOGGER = logging.getLogger("poseglot.inference")
_COMPARED_FRAMES = 30


@dataclass(frozen=True, eq=False)
class StreamState:
    """The memory of a stream. It is immutable, so it can be kept and restored.

    Attributes:
        frames: The number of frames so far.
        pipeline: The pipeline's state.
        encoder: The encoder's state.
        probabilities: (classes,), as last computed; uniform before the first.
    """

    frames: int
    pipeline: FrameState
    encoder: ContinualState
    probabilities: Probabilities


class StreamingRecognizer:
    """A trained recognizer that takes frames.

    Args:
        path: A run's folder, a recognizer's .safetensors file, or a name that `poseglot.load` knows.
        device: The device to run on; by default the CPU, since one frame is too little work for a GPU.
        layout: The layout of the frames, if it is not the recognizer's; joints are mapped by name.
        memory: About how many frames back the result remembers; None remembers all since the start or the last `reset`, as a clip does.
            For an endless stream take about the length of an action.
        topology_interval: After how many frames a CTR-GCN that is not causal renews its topologies.
        every: For an encoder that is not causal: after how many frames the result is renewed. Each costs about a dozen frames.

    Attributes:
        state: The `StreamState`; it may be kept and put back.
        classes: The class names, in the order of the probabilities.
        latency: The largest number of newest frames that a result may not know.
        differences: What differs from the result for a whole clip, in words; empty if nothing does.
        warnings: What of the first frames is unlike the training clips: kind -> sentence, each logged once. Empty until then.

    Raises:
        FileError: There is no recognizer, or it is damaged.
        SettingError: The encoder cannot run frame by frame, or a setting is not acceptable.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        device: str | None = None,
        layout: str | PathLike[str] | Layout | None = None,
        memory: int | None = None,
        topology_interval: int = TOPOLOGY_INTERVAL,
        every: int = 4,
    ) -> None:
        path = find_recognizer(path)
        if path.suffix == ".onnx":
            raise SettingError(f"{path} takes whole clips only; for streaming give the run's folder.")
        if type(every) is not int or every < 1:
            raise SettingError(f"every is a number of frames, at least 1, not {every!r}.")
        recognizer = load_on_device(path, device or "cpu").drop_heads()
        self.spec, self.layout, self.classes = recognizer.spec, recognizer.layout, recognizer.spec.classes
        if is_common_body(self.layout):
            raise SettingError(
                f"{path} takes whole clips, whose bodies are scaled by all of their frames. Predict windows of the stream, as `poseglot "
                "webcam` does, or train with the pipeline live."
            )
        pipeline = load_pipeline(self.spec.pipeline)
        self.temperature = temperature_of(recognizer_file(path))
        self._device = recognizer.classifier.weight.device
        self._pipeline = pipeline.streaming(
            self.layout,
            modality=self.spec.modality,
            max_persons=self.spec.num_persons,
            has_scores=self.spec.has_scores,
        )
        self._encoder = ContinualRecognizer(recognizer, memory=memory, topology_interval=topology_interval)
        # With a lag, a result is computed as if the clip ended here, which is too much work for every frame.
        has_lag = bool(self._encoder.lag or self._pipeline.lag)
        self._every = every if has_lag else 1
        self.latency = (every if has_lag else self._encoder.rate) - 1
        self._source = self.layout if layout is None else as_layout(layout)
        self._mapping = None if self._source.joints == self.layout.joints else map_layout(self._source, self.layout)
        self.differences = _differences(pipeline, self._encoder, memory)
        self.warnings: dict[str, str] = {}
        self._loader, self._first = ClipLoader(self.spec, self.layout), list[Joints]()
        self.state = self.start()

    def __repr__(self) -> str:
        return f"StreamingRecognizer({self.spec.encoder}, {len(self.classes)} classes, frame {self.state.frames})"

    def start(self) -> StreamState:
        """Return the state before the first frame."""
        uniform = np.full(len(self.classes), 1 / len(self.classes))
        return StreamState(0, self._pipeline.start(), self._encoder.start(), uniform)

    def reset(self) -> None:
        """Forget everything: the next frame is the first."""
        self.state = self.start()

    def step(self, frame: npt.ArrayLike) -> Probabilities:
        """Take one frame.

        Args:
            frame: Joints (V, C), or of several people (M, V, C). Absent people are left out or zero; a frame of nobody may be empty.

        Returns:
            (classes,) probabilities so far.

        Raises:
            InputError: The frame is not acceptable. The state is as before.
        """
        with torch.inference_mode():
            pipeline, placed = self._pipeline.step(self.state.pipeline, self._checked(frame))
            encoder = self.state.encoder if placed is None else self._encoder.step(self.state.encoder, placed)
            frames, probabilities = self.state.frames + 1, self.state.probabilities
            if (frames - 1) % self._every == 0:  # the first frame has a result
                probabilities = self._probabilities(pipeline, encoder)
            self.state = StreamState(frames, pipeline, encoder, probabilities)
        return probabilities

    def flush(self) -> Probabilities:
        """Return the probabilities (classes,) of the clip that ends here. The state stays as it is: more frames may follow."""
        with torch.inference_mode():
            return self._probabilities(self.state.pipeline, self.state.encoder)

    def best(self, top: int = 5) -> tuple[ClassScore, ...]:
        """Return the most probable classes so far, best first."""
        return top_scores(self.state.probabilities, self.classes, top)

    def _probabilities(self, pipeline: FrameState, encoder: ContinualState) -> Probabilities:
        last = self._pipeline.flush(pipeline)
        if last is not None:
            encoder = self._encoder.step(encoder, last)
        logits = self._encoder.logits(self._encoder.flush(encoder))
        if logits is None:
            return self.state.probabilities
        return softmax((logits.double() / (self.temperature or 1)).cpu().numpy())

    def _checked(self, frame: npt.ArrayLike) -> torch.Tensor:
        """Return a frame (M, V, C) of the recognizer's joints."""
        spec, name = self.spec, f"frame {self.state.frames}"
        try:
            array = np.asarray(frame)
        except ValueError as error:  # rows of unequal length
            raise InputError(f"{name} is not a regular array of numbers ({error}).") from error
        if array.size == 0:
            array = np.zeros((len(self._source), spec.channels), dtype=np.float32)
        if array.ndim not in (2, 3):
            raise InputError(f"{name}: accepted are (joints, channels) and (people, joints, channels), not {array.shape}.")
        array = array[None] if array.ndim == 2 else array
        joints = check_joints(array[:, None], joint_count=len(self._source), has_scores=spec.has_scores, origin=name)
        if len(joints) > spec.num_persons or joints.shape[3] != spec.channels:
            raise InputError(
                f"{name}: {counted_people(len(joints))} with {joints.shape[3]} numbers per joint came; the recognizer was trained on at "
                f"most {counted_people(spec.num_persons)} with {spec.channels}."
            )
        if self._mapping is not None:
            joints = self._mapping.apply(joints, has_scores=spec.has_scores)
        self._compare(joints)
        return torch.from_numpy(joints[:, 0]).to(self._device)

    def _compare(self, joints: Joints) -> None:
        """Compare the first frames that hold somebody with the training clips."""
        if len(self._first) == _COMPARED_FRAMES or not joints.any():
            return
        # Of one person: somebody else may come in between.
        self._first.append(joints[joints.any(axis=(1, 2, 3))][:1])
        if len(self._first) == _COMPARED_FRAMES:
            clip = np.concatenate(self._first, axis=1)
            self.warnings = self._loader.unlike_training(clip, has_scores=self.spec.has_scores)
            for sentence in self.warnings.values():
                _LOGGER.warning("the first %d frames: %s", _COMPARED_FRAMES, sentence)


def _differences(pipeline: Pipeline, encoder: ContinualRecognizer, memory: int | None) -> tuple[str, ...]:
    """Return what differs from a whole clip, in words."""
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
    if memory is not None:
        found.append(f"frames more than about {memory} back are forgotten")
    return tuple(found)
