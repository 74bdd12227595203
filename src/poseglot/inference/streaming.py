"""Streaming: one frame in, the probabilities so far out.

Two methods stand behind `StreamingRecognizer` (`inference.stream_methods`). The result after a frame is that for the clip that ends with
it: exactly so by `window`, and by `frame` with recognizers that were made for streams.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from os import PathLike
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from poseglot.errors import InputError, NotFoundError, SettingError
from poseglot.evaluation.temperature import temperature_of
from poseglot.inference.loading import load_on_device
from poseglot.inference.prediction import ClassScore, Probabilities, top_scores
from poseglot.inference.predictor import Predictor
from poseglot.inference.stream_methods import FrameMethod, Memory, StreamMethod, WindowMethod, made_for_streams, together
from poseglot.models.encoders.ctr_gcn import TOPOLOGY_INTERVAL
from poseglot.models.pretrained import find_recognizer, recognizer_file
from poseglot.skeletons.clip import Joints
from poseglot.skeletons.common_body import is_common_body
from poseglot.skeletons.layout import Layout, as_layout

_LOGGER = logging.getLogger("poseglot.inference")
_COMPARED_FRAMES = 30
METHODS = ("auto", "frame", "window")


@dataclass(frozen=True, eq=False)
class StreamState:
    """The memory of a stream. It is immutable, so it can be kept and restored.

    Attributes:
        frames: The number of frames so far.
        memory: What the method knows of them.
        probabilities: (classes,), as last computed; uniform before the first.
    """

    frames: int
    memory: Memory
    probabilities: Probabilities


class StreamingRecognizer:
    """A trained recognizer that takes frames.

    Args:
        path: What `poseglot.load` takes: a run's folder, a recognizer's file, a name.
        method: `frame` passes each frame through the encoder once; `window` recognises the frames so far anew, as a clip. `auto` takes
            `frame` if the recognizer was made for streams, else `window`.
        device: The device to run on; by default the CPU, since one frame is too little work for a GPU.
        layout: The layout of the frames, if it is not the recognizer's; joints are mapped by name.
        memory: About how many frames back the result remembers; None remembers all since the start or the last `reset`, as a clip does.
            For an endless stream take about the length of an action.
        topology_interval: After how many frames a CTR-GCN that is not causal renews its topologies (`frame`).
        every: After how many frames the result is renewed, unless the recognizer was made for streams. Each costs about as much as a
            clip by `window`, and about a dozen frames by `frame`.

    Attributes:
        method: The method that is used.
        state: The `StreamState`; it may be kept and put back.
        classes: The class names, in the order of the probabilities.
        latency: The largest number of newest frames that a result may not know.
        differences: What differs from the result for a whole clip, in words; empty if nothing does.
        warnings: What of the first frames is unlike the training clips: kind -> sentence, each logged once. Empty until then.

    Raises:
        FileError: There is no recognizer, or it is damaged.
        SettingError: The encoder cannot run frame by frame, or a setting is not acceptable.
        NotFoundError: There is no such method.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        method: Literal["auto", "frame", "window"] = "auto",
        device: str | None = None,
        layout: str | PathLike[str] | Layout | None = None,
        memory: int | None = None,
        topology_interval: int = TOPOLOGY_INTERVAL,
        every: int = 4,
    ) -> None:
        path = find_recognizer(path)
        if method not in METHODS:
            raise NotFoundError(method, METHODS, kind="method")
        for name, value in (("every", every), ("memory", memory)):
            if value is not None and (type(value) is not int or value < 1):
                raise SettingError(f"{name} is a number of frames, at least 1, not {value!r}.")
        source = None if layout is None else as_layout(layout)
        recognizer = None if path.suffix == ".onnx" else load_on_device(path, device or "cpu").drop_heads()
        if method == "frame" and (recognizer is None or is_common_body(recognizer.layout)):
            raise SettingError(f"{path} takes whole clips only; take the method window.")
        self.method: Literal["frame", "window"] = "window"
        self._method: StreamMethod
        if recognizer is not None and (method == "frame" or (method == "auto" and made_for_streams(recognizer))):
            self.method = "frame"
            self.spec, self.layout = recognizer.spec, recognizer.layout
            temperature = temperature_of(recognizer_file(path))
            self._method = FrameMethod(
                recognizer,
                layout=source,
                temperature=temperature,
                memory=memory,
                topology_interval=topology_interval,
                every=every,
            )
        else:
            predictor = Predictor(path, device=device or "cpu")
            self.spec, self.layout = predictor.spec, predictor.layout
            self._method = WindowMethod(predictor, layout=source, memory=memory, every=every)
        self.classes = self.spec.classes
        self.latency, self.differences = self._method.latency, self._method.differences
        self._source = source or self.layout
        self.warnings: dict[str, str] = {}
        self._first: tuple[Joints, ...] = ()
        self.state = self.start()

    def __repr__(self) -> str:
        return (
            f"StreamingRecognizer({self.spec.encoder}, {len(self.classes)} classes, {self.method}, frame {self.state.frames})"
        )

    def start(self) -> StreamState:
        """Return the state before the first frame."""
        return StreamState(0, self._method.start(), np.full(len(self.classes), 1 / len(self.classes)))

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
        joints = self._method.accept(self._as_array(frame), f"frame {self.state.frames}")
        self._compare(joints)
        with torch.inference_mode():
            memory = self._method.step(self.state.memory, joints)
            frames, probabilities = self.state.frames + 1, self.state.probabilities
            if (frames - 1) % self._method.every == 0:  # the first frame has a result
                found = self._method.probabilities(memory)
                probabilities = probabilities if found is None else found
            self.state = StreamState(frames, memory, probabilities)
        return probabilities

    def flush(self) -> Probabilities:
        """Return the probabilities (classes,) of the clip that ends here. The state stays as it is: more frames may follow."""
        with torch.inference_mode():
            found = self._method.probabilities(self.state.memory) if self.state.frames else None
        return self.state.probabilities if found is None else found

    def best(self, top: int = 5) -> tuple[ClassScore, ...]:
        """Return the most probable classes so far, best first."""
        return top_scores(self.state.probabilities, self.classes, top)

    def _as_array(self, frame: npt.ArrayLike) -> Joints:
        """Return a frame as an array (M, V, C)."""
        name = f"frame {self.state.frames}"
        try:
            array = np.asarray(frame)
        except ValueError as error:  # rows of unequal length
            raise InputError(f"{name} is not a regular array of numbers ({error}).") from error
        if array.size == 0:
            shape = (len(self._source), self.spec.channels) if not self._first else self._first[-1].shape[1:]
            array = np.zeros(shape, dtype=np.float32)
        if array.ndim not in (2, 3):
            raise InputError(f"{name}: accepted are (joints, channels) and (people, joints, channels), not {array.shape}.")
        return array[None] if array.ndim == 2 else array

    def _compare(self, joints: Joints) -> None:
        """Compare the first frames that hold somebody with the training clips."""
        if len(self._first) == _COMPARED_FRAMES or not joints.any():
            return
        # Of one person: somebody else may come in between.
        self._first += (joints[joints.any(axis=(1, 2))][:1],)
        if len(self._first) == _COMPARED_FRAMES:
            self.warnings = dict(self._method.unlike_training(together(self._first)))
            for sentence in self.warnings.values():
                _LOGGER.warning("the first %d frames: %s", _COMPARED_FRAMES, sentence)
