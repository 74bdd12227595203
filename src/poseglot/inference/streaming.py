"""Recognising while it happens: one frame in, the probabilities so far out.

A frame is placed (`skeletons.frame_views`) and goes through the encoder by itself, which remembers what it needs of those before
(`models.stepwise`); no window is ever computed again. What comes out after a frame is what the recognizer says of the clip that ends
with it

  - exactly, of a recognizer made for it: a causal encoder, and a protocol that places a frame by what has been (`live`, `ntu`, `metric`);
  - else by approximation: `StreamingRecognizer.differences` says what is different, and `docs/streaming.md` what that costs.

In both cases time is as it comes, where a clip of a store is cropped, drawn or resized to the frames of its protocol; of any protocol but
`live` that can cost the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from poseglot.errors import PoseglotError
from poseglot.evaluation.temperature import temperature_of
from poseglot.inference.predictor import ClassScore, answers_of, recognizer_at, recognizer_file
from poseglot.models.continual import ContinualRecognizer, ContinualState
from poseglot.models.encoders.ctr_gcn import REFRESH
from poseglot.skeletons.clip import check_joints
from poseglot.skeletons.frame_views import FrameState, StreamingPipeline
from poseglot.skeletons.layout import Layout, as_layout
from poseglot.skeletons.mapping import map_layout
from poseglot.skeletons.protocols import load_pipeline

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StreamState:
    """Everything that is remembered of the frames so far; never changed, only followed by another.

    Attributes:
        frames: how many there have been.
        view, steps: what the view and the encoder remember.
        probabilities: (classes,), as last computed; equal for all classes before anything is known.
    """

    frames: int
    view: FrameState
    steps: ContinualState
    probabilities: Probabilities


class StreamingRecognizer:
    """A trained recognizer that is given frames.

    Args:
        path: a run's folder, or a recognizer's .safetensors file.
        device: where to run; by default the CPU, for a frame is too little for a GPU.
        layout: which joints the frames have, if not the recognizer's: they are mapped by name.
        memory: about how many frames back answers remember; None remembers all since the start or the last `reset`, as a clip does. For
            a stream without an end take about as many frames as an action has.
        refresh: after how many frames a CTR-GC that is not causal makes its topologies anew.
        every: of an encoder that is not causal: after how many frames there is a new answer, each of which costs about a dozen frames.

    Attributes:
        state: what is remembered; it can be kept and put back.
        classes: what the probabilities are of.
        latency: of how many of the newest frames an answer may know nothing.
        differences: what is not as it would be in a whole clip, in words; empty if nothing is.

    Raises:
        PoseglotError: no recognizer there, it cannot be run frame by frame, or the settings are not acceptable.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        device: str | None = None,
        layout: str | Path | Layout | None = None,
        memory: int | None = None,
        refresh: int = REFRESH,
        every: int = 4,
    ) -> None:
        path = Path(path)
        if path.suffix == ".onnx":
            raise PoseglotError(f"{path} takes whole clips. Frame by frame runs the recognizer itself: give the run's folder.")
        if type(every) is not int or every < 1:
            raise PoseglotError(f"there is an answer every so many frames, at least 1, not {every!r}.")
        recognizer = recognizer_at(path, device or "cpu").drop_heads()
        self.spec, self.layout, self.classes = recognizer.spec, recognizer.layout, recognizer.spec.classes
        pipeline = load_pipeline(self.spec.pipeline)
        self.temperature = temperature_of(recognizer_file(path))
        self._device = recognizer.classifier.weight.device
        self._views = StreamingPipeline(pipeline, self.spec.modality, self.layout, self.spec.num_persons, self.spec.has_scores)
        self._steps = ContinualRecognizer(recognizer, memory=memory, refresh=refresh)
        # Where something comes late, an answer is one as if the clip ended here, and not asked for with every frame.
        waits = bool(self._steps.lag or self._views.lag)
        self._every = every if waits else 1
        self.latency = (every if waits else self._steps.rate) - 1
        self._source = self.layout if layout is None else as_layout(layout)
        self._mapping = None if self._source.joints == self.layout.joints else map_layout(self._source, self.layout)
        self.differences = _differences(pipeline.name, pipeline.causal, self._steps, memory)
        self.state = self.start()

    def start(self) -> StreamState:
        """Before the first frame."""
        equal = np.full(len(self.classes), 1 / len(self.classes))
        return StreamState(0, FrameState(), self._steps.start(), equal)

    def reset(self) -> None:
        """Forget everything: the next frame is the first."""
        self.state = self.start()

    def step(self, frame: npt.ArrayLike) -> Probabilities:
        """One more frame.

        Args:
            frame: joints (V, C), or of several people (M, V, C); who is not there is left out or zero. Of nobody it may be empty.

        Returns:
            (classes,) probabilities so far, which add up to 1.

        Raises:
            PoseglotError: the frame is not acceptable. It is as if it had not come.
        """
        with torch.inference_mode():
            view, seen = self._views.step(self.state.view, self._checked(frame))
            steps = self.state.steps if seen is None else self._steps.step(self.state.steps, seen)
            frames, probabilities = self.state.frames + 1, self.state.probabilities
            # The first frame has an answer, and from then on every so many.
            if (frames - 1) % self._every == 0:
                probabilities = self._probabilities(view, steps)
            self.state = StreamState(frames, view, steps, probabilities)
        return probabilities

    def flush(self) -> Probabilities:
        """(classes,) probabilities of the clip that ends here. The state stays as it is: frames may go on coming."""
        with torch.inference_mode():
            return self._probabilities(self.state.view, self.state.steps)

    def best(self, top: int = 5) -> tuple[ClassScore, ...]:
        """The most probable classes so far, best first."""
        return answers_of(self.state.probabilities, self.classes, top)

    def _probabilities(self, view: FrameState, steps: ContinualState) -> Probabilities:
        last = self._views.flush(view)
        if last is not None:
            steps = self._steps.step(steps, last)
        logits = self._steps.logits(self._steps.flush(steps))
        if logits is None:
            return self.state.probabilities
        result: Probabilities = (logits.double() / (self.temperature or 1)).softmax(dim=0).cpu().numpy()
        return result

    def _checked(self, frame: npt.ArrayLike) -> torch.Tensor:
        """(M, V, C) of the recognizer's joints."""
        spec, name = self.spec, f"frame {self.state.frames}"
        try:
            array = np.asarray(frame)
        except ValueError as error:  # rows of unequal length
            raise PoseglotError(f"{name}: a frame is a regular array of numbers, which this is not ({error}).") from error
        if array.size == 0:
            array = np.zeros((len(self._source), spec.channels), dtype=np.float32)
        if array.ndim not in (2, 3):
            raise PoseglotError(
                f"{name}: a frame is (joints, channels) or (people, joints, channels), not of shape {array.shape}."
            )
        array = array[None] if array.ndim == 2 else array
        joints = check_joints(array[:, None], joint_count=len(self._source), has_scores=spec.has_scores, origin=name)
        if len(joints) > spec.num_persons or joints.shape[3] != spec.channels:
            raise PoseglotError(
                f"{name}: {len(joints)} people with {joints.shape[3]} numbers per joint came, but the recognizer was trained on at most "
                f"{spec.num_persons} people with {spec.channels}."
            )
        if self._mapping is not None:
            joints = self._mapping.apply(joints, has_scores=spec.has_scores)
        return torch.from_numpy(joints[:, 0]).to(self._device)


def _differences(pipeline: str, causal: bool, steps: ContinualRecognizer, memory: int | None) -> tuple[str, ...]:
    """What is not as it would be in a whole clip. The protocol `live` trains on clips of many lengths, the others on one."""
    found = []
    if pipeline != "live":
        found.append(
            f"time is as it comes; the protocol {pipeline} brings every clip to one number of frames, and no other was learned from"
        )
    if not causal:
        found.append(
            f"people are placed by the bounding box of the frames so far; the protocol {pipeline} has that of the whole clip"
        )
    if not steps.is_exact:
        found.append(
            "topologies are refined from the mean of the frames so far, made anew now and then, instead of the whole clip's"
        )
    if memory is not None:
        found.append(f"what lies more than about {memory} frames back is forgotten")
    return tuple(found)
