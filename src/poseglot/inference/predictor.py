"""The predictor: clips in, actions with probabilities out.

A clip is read, mapped to the recognizer's joints and passed through its pipeline (`inputs`). torch or ONNX Runtime computes logits. The
softmax of the logits, divided by the run's temperature if it was calibrated, gives the probabilities.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from poseglot.data.dataset import ClipDataset
from poseglot.data.readers import Reading
from poseglot.errors import FileError, InputError, PoseglotError, SettingError
from poseglot.evaluation.temperature import set_threshold_of, temperature_of
from poseglot.inference.inputs import (
    ClipLike,
    ClipLoader,
    LoadedClip,
    channels_remedy,
    describe_channels,
    list_clips,
    stack_inputs,
)
from poseglot.inference.loading import Engine, check_engine, find_export, load_on_device
from poseglot.inference.prediction import Prediction, Probabilities, check_top, softmax, top_scores, warning_lines
from poseglot.models.fuse import FusedRecognizer, fuse
from poseglot.models.pretrained import find_recognizer, recognizer_file
from poseglot.models.recognizer import RecognizerSpec
from poseglot.skeletons.layout import GLOBAL, Layout, as_layout
from poseglot.skeletons.mapping import LayoutMapping

if TYPE_CHECKING:
    from poseglot.data.store import PackedStore
    from poseglot.inference.video.person import PoseEstimator

_LOGGER = logging.getLogger("poseglot.inference")


class Classifier(Protocol):
    """Classifies evaluation inputs among classes of its own: zero-shot, for example.

    Attributes:
        classes: The class names.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    def logits(self, inputs: torch.Tensor) -> npt.NDArray[np.floating]:
        """Return the logits (N, classes) of inputs (N, M, T, V, C)."""
        ...


Floats = npt.NDArray[np.float32]


class Predictor:
    """A trained recognizer, ready for clips.

    Args:
        path: A run's folder, a recognizer's .safetensors file, an .onnx file of `poseglot export`, the name of a packaged recognizer
            (`poseglot.list_recognizers`), or `hf-hub:ORGANISATION/NAME`.
        device: The device to run on; by default a GPU if there is one.
        engine: `torch`, `onnx`, or `auto`. `onnx` runs the `recognizer.onnx` beside the recognizer. `auto` takes ONNX Runtime for an .onnx
            file, and on a CPU that our own kernels do not support if the export is there, not quantized and up to date; else torch.
            Both give the same scores.
        threshold: The lowest probability of an answer; a clip whose best class is below it is `unknown`. 0 always answers.
        reading: How files are read where it differs from training: `dim_order`, `skip`, `columns`, `scale`, `variable` and `format`, as
            in `poseglot.data.read_clip`; None as a value stands for the default. Files of the format that the recognizer was trained
            on are read as they were then.
        coverage: Answer with conformal sets, too, that hold the true class with this probability, such as 0.9 (see
            `poseglot.evaluation.conformal`). The run must be calibrated.

    Attributes:
        spec, layout, classes: The recognizer's.
        device: The device it runs on.
        engine: The engine it runs with, `torch` or `onnx`.
        temperature: The divisor of the logits, of `calibration.json` or the .onnx file; None if the run was not calibrated.
        threshold: See above.

    Raises:
        FileError: There is no recognizer, it is damaged, or its calibration belongs to another one.
        NotFoundError: There is no packaged recognizer of this name.
        SettingError: The engine, device, threshold or an option of reading is not acceptable.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        device: str | None = None,
        engine: Engine = "auto",
        threshold: float = 0.0,
        reading: Mapping[str, Any] | None = None,
        coverage: float | None = None,
    ) -> None:
        path = find_recognizer(path)
        check_engine(engine, path)
        if not 0 <= threshold <= 1:
            raise SettingError(f"threshold is a probability from 0 to 1, not {threshold}.")
        self.path, self.threshold = path, threshold
        self.engine, self.device = "torch", torch.device("cpu")
        self.spec: RecognizerSpec
        self.layout: Layout
        self._logits: Callable[[torch.Tensor], torch.Tensor]  # (N, M, T, V, C), on the device -> (N, classes)
        self._fused: FusedRecognizer | None = None
        self._warned: set[str] = set()
        exported = recognizer = None
        if engine == "torch" or (engine == "auto" and path.suffix != ".onnx"):
            recognizer = load_on_device(path, device)
            self._fused = fuse(recognizer.drop_heads())
        if engine != "torch" and not (self._fused is not None and self._fused.has_kernels):
            exported = find_export(path, device, engine)
        if exported is not None:
            self._fused, self.engine = None, "onnx"
            self.spec, self.layout, self._logits = exported.spec, exported.layout, exported
        else:
            assert recognizer is not None and self._fused is not None
            self.spec, self.layout, self._logits = recognizer.spec, recognizer.layout, self._fused
            self.device = recognizer.classifier.weight.device
        self.temperature: float | None
        if exported is not None and path.suffix == ".onnx":
            self.temperature = exported.temperature
        else:
            self.temperature = temperature_of(recognizer_file(path))
        self._set_threshold = None if coverage is None else set_threshold_of(recognizer_file(path), coverage)
        raw = None if exported is None else exported.raw
        if raw is not None:  # the file prepares joints by itself, those of the layout that it was made for
            self.spec, self.layout = raw.spec(self.spec, self.layout), raw.layout
        self._loader = ClipLoader(self.spec, self.layout, self.device.type, reading=reading, prepares=raw is None)

    def __repr__(self) -> str:
        spec = self.spec
        return (
            f"Predictor({str(self.path)!r}: {spec.encoder}, {len(spec.classes)} classes, {self.layout.name}, {spec.modality}, "
            f"{self.engine} on {self.device})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities."""
        return self.spec.classes

    @property
    def recognizer_file(self) -> Path:
        """The file of the recognizer; the .onnx file of an exported one."""
        return recognizer_file(self.path)

    @property
    def reads_scores(self) -> bool:
        """Whether clips are read with the confidence in each joint."""
        return self._loader.reads_scores

    @property
    def any_layout(self) -> bool:
        """Whether it takes clips of any layout, in 2D and 3D."""
        return self._loader.any_layout

    @property
    def fused(self) -> FusedRecognizer:
        """The network; SettingError if it was exported to ONNX Runtime, which computes logits only."""
        if self._fused is None:
            raise SettingError('an exported file gives no features; load the run with engine="torch".')
        return self._fused

    @property
    def reading(self) -> Reading:
        """How files are read."""
        return self._loader.reading

    @property
    def num_dims(self) -> int | None:
        """Number of coordinates per joint that clips must have, 2 or 3; None if both are taken."""
        return self._loader.num_dims

    @property
    def levels(self) -> dict[str, tuple[int, ...]]:
        """The levels of `features` -> joint indices: the alignment's, or else the whole body and the six parts."""
        if self.spec.levels:
            return dict(self.spec.levels)
        parts = {
            part: tuple(map(self.layout.index.__getitem__, joints)) for part, joints in self.layout.parts.items() if joints
        }
        return {GLOBAL: tuple(range(len(self.layout))), **parts}

    def predict(
        self,
        clips: ClipLike | Sequence[ClipLike],
        *,
        top: int = 5,
        batch_size: int = 64,
        layout: str | PathLike[str] | Layout | None = None,
        pose: str | PoseEstimator = "auto",
        classifier: Classifier | None = None,
    ) -> list[Prediction]:
        """Return the most probable classes of each clip.

        Args:
            clips: One of the following, or a list of them: a file of any format we read; a folder, whose clips are taken in sorted order
                (a warning names its other files); a `Clip`; an array of joints (M, T, V, C) or (T, V, C). An array (N, M, T, V, C) is N
                clips. Clips may differ in their number of persons; absent persons are zero. Of a video, and of the poses of one (.npz), the
                persons who move most are taken, as many as the recognizer has.
            top: The number of classes to return for each clip.
            batch_size: The number of clips that are computed at once.
            layout: The layout of the clips, if it is not the recognizer's; joints are mapped by name (`skeletons.mapping`). Formats with
                a layout of their own (`.skeleton`, `.json` with 20 joints) are mapped without it.
            pose: The pose estimator for videos (`poseglot.inference.video.estimator`), or its name.
            classifier: Classifies instead of the recognizer, among other classes (zero-shot).

        Returns:
            A prediction for each clip, in order; a list of one for a single clip. Clips that are unlike the training clips have
            `warnings`, of which each kind is logged once.

        Raises:
            PoseglotError: A clip is not acceptable. The message names it.
        """
        check_top(top)
        predictions = []
        for loaded, inputs in self.inputs(clips, batch_size=batch_size, layout=layout, pose=pose):
            rows, classes = self._classified(inputs, classifier)
            predictions += [self._prediction(one, row, classes, top) for one, row in zip(loaded, rows, strict=True)]
        return predictions

    def predict_proba(
        self,
        clips: ClipLike | Sequence[ClipLike],
        *,
        batch_size: int = 64,
        layout: str | PathLike[str] | Layout | None = None,
        pose: str | PoseEstimator = "auto",
        classifier: Classifier | None = None,
    ) -> Probabilities:
        """Return the probabilities (N, classes) of all classes, or those of a classifier; arguments and errors as in `predict`."""
        rows = [np.zeros((0, len((classifier or self).classes)))]
        for _, inputs in self.inputs(clips, batch_size=batch_size, layout=layout, pose=pose):
            rows.append(self.probabilities(self.logits(inputs)) if classifier is None else softmax(classifier.logits(inputs)))
        return np.concatenate(rows)

    def features(
        self,
        clips: ClipLike | Sequence[ClipLike],
        *,
        batch_size: int = 64,
        layout: str | PathLike[str] | Layout | None = None,
        pose: str | PoseEstimator = "auto",
    ) -> dict[str, Floats]:
        """Return the encoder's mean features of each level; arguments and errors as in `predict`.

        Returns:
            Level -> (N, F); empty without clips. `global` is the whole body; see `levels`.

        Raises:
            SettingError: The engine is ONNX Runtime, which computes logits only.
        """
        rows: dict[str, list[Floats]] = {level: [] for level in self.levels}
        for _, inputs in self.inputs(clips, batch_size=batch_size, layout=layout, pose=pose):
            with torch.inference_mode():
                joints = self.fused.joint_features(inputs.to(self.device)).cpu().numpy()  # (N, V, F)
            for level, indices in self.levels.items():
                rows[level].append(joints[:, list(indices)].mean(axis=1))
        return {level: np.concatenate(some) for level, some in rows.items() if some}

    def predict_each(
        self,
        clips: Sequence[ClipLike],
        *,
        top: int = 5,
        layout: str | PathLike[str] | Layout | None = None,
        pose: str | PoseEstimator = "auto",
        classifier: Classifier | None = None,
        batch_size: int = 64,
    ) -> list[Prediction | PoseglotError]:
        """Predict clips as `predict` does, without its warnings; a clip that is not acceptable has its error in its place."""
        check_top(top)
        given = None if layout is None else as_layout(layout)
        if len(clips) > batch_size:
            batches = [clips[start : start + batch_size] for start in range(0, len(clips), batch_size)]
            each = [self.predict_each(batch, top=top, layout=given, pose=pose, classifier=classifier) for batch in batches]
            return [result for batch in each for result in batch]
        results: list[Prediction | PoseglotError | None] = [None] * len(clips)
        loaded: dict[int, LoadedClip] = {}
        inputs = []
        for number, clip in enumerate(clips):
            try:
                one = self._loader.load(clip, number, layout=given, pose=pose)
                inputs.append(self._loader.input(one.clip))
                loaded[number] = one
            except PoseglotError as error:
                results[number] = error
        logits, classes = self._scored(stack_inputs(inputs), classifier) if inputs else ((), ())
        for (number, one), row in zip(loaded.items(), logits, strict=True):
            try:
                results[number] = self._prediction(one, softmax(row), classes, top)
            except InputError as error:
                results[number] = InputError(f"{one.clip.name}: {error}")
        return [result for result in results if result is not None]

    def inputs(
        self,
        clips: ClipLike | Sequence[ClipLike],
        *,
        batch_size: int = 64,
        layout: str | PathLike[str] | Layout | None = None,
        pose: str | PoseEstimator = "auto",
    ) -> Iterator[tuple[list[LoadedClip], torch.Tensor]]:
        """Yield the evaluation inputs of clips in batches; arguments, errors and logged warnings as in `predict`.

        Yields:
            The clips of a batch, and their inputs (N, M, T, V, C).
        """
        given = None if layout is None else as_layout(layout)
        loaded = [self._loader.load(clip, number, layout=given, pose=pose) for number, clip in enumerate(list_clips(clips))]
        self._warn(loaded)
        for start in range(0, len(loaded), batch_size):
            batch = loaded[start : start + batch_size]
            yield batch, stack_inputs([self._loader.input(one.clip) for one in batch])

    def inputs_of_joints(self, joints: Floats, lengths: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the evaluation inputs of padded clips (N, M, T, V, C) of the recognizer's joints; see `ClipLoader.inputs`."""
        return self._loader.inputs(joints, lengths)

    def read(
        self,
        path: str | PathLike[str],
        *,
        layout: str | PathLike[str] | Layout | None = None,
        pose: str | PoseEstimator = "auto",
    ) -> LoadedClip:
        """Read everybody in a file, in the recognizer's joints: the input of `segment_recording`.

        Args:
            path: A file that `predict` takes.
            layout, pose: As in `predict`.

        Raises:
            PoseglotError: As `predict`.
        """
        return self._loader.read(path, layout=None if layout is None else as_layout(layout), pose=pose)

    def frames(
        self, path: str | PathLike[str], *, layout: str | PathLike[str] | Layout | None = None
    ) -> tuple[Iterator[Floats], Layout | None]:
        """Return the frames (M, V, C) of a file, and their layout if it is not the recognizer's: the input of `StreamingRecognizer`.

        Args:
            path: A file that `predict` takes.
            layout: As in `predict`.

        Raises:
            PoseglotError: As `predict`.
        """
        return self._loader.frames(path, layout=None if layout is None else as_layout(layout))

    def mapping(self, layout: Layout) -> LayoutMapping | None:
        """Return the mapping from a layout to the recognizer's; None if their joints are the same.

        Raises:
            PoseglotError: A joint of the recognizer cannot be made.
        """
        return self._loader.mapping(layout)

    def logits(self, inputs: torch.Tensor) -> Floats:
        """Return the logits (N, classes) of inputs (N, M, T, V, C), before the temperature.

        Raises:
            FileError: The recognizer answers with numbers of another shape.
        """
        with torch.inference_mode():
            result: Floats = self._logits(inputs.to(self.device)).cpu().numpy()
        if result.shape != (len(inputs), len(self.classes)):
            raise FileError(
                f"{self.path} answers {len(inputs)} clips with numbers of shape {result.shape}; expected {len(self.classes)} for each clip."
            )
        return result

    def probabilities(self, logits: Floats) -> Probabilities:
        """Return the calibrated probabilities of logits (..., classes)."""
        return softmax(logits / np.float32(self.temperature or 1))

    def probabilities_of(self, clip: ClipLike, *, layout: Layout | None = None) -> Probabilities:
        """Return the probabilities (classes,) of one clip without a warning of what is unlike training; see `unlike_training`.

        Raises:
            PoseglotError: As `predict`.
        """
        inputs = self._loader.input(self._loader.load(clip, layout=layout).clip)
        (row,) = self.probabilities(self.logits(stack_inputs([inputs])))
        return np.asarray(row, dtype=np.float64)

    def unlike_training(self, clip: ClipLike, *, layout: Layout | None = None) -> Mapping[str, str]:
        """Return what of a clip is unlike the training clips: kind -> sentence.

        Raises:
            PoseglotError: As `predict`.
        """
        return self._loader.load(clip, layout=layout).warnings

    def logits_of(self, dataset: ClipDataset, *, batch_size: int = 64) -> Iterator[Floats]:
        """Yield the logits of a dataset's clips, batch by batch, in order.

        Raises:
            InputError: As `check_store`.
            SettingError: The recognizer takes raw joints, and a dataset's inputs are prepared.
        """
        self._require_prepared("evaluates no store")
        self.check_store(dataset.store)
        for inputs in dataset.eval_inputs(batch_size, self.device):
            yield self.logits(inputs)

    def check_store(self, store: PackedStore) -> None:
        """Check that a store's clips have the channels that the recognizer was trained on.

        Raises:
            InputError: They have not.
        """
        info, channels = store.info, store.joints.shape[-1]
        if (channels, info.has_scores) != (self.spec.channels, self.spec.has_scores):
            raise InputError(
                f"the clips of {info.name} have {describe_channels(channels, info.has_scores)} per joint; the recognizer was trained on "
                f"{describe_channels(self.spec.channels, self.spec.has_scores)}. "
                f"{channels_remedy(info.has_scores, self.spec.has_scores)}"
            )

    def _require_prepared(self, what: str) -> None:
        """Refuse what needs prepared inputs for a file that takes raw joints.

        Raises:
            SettingError: It takes them.
        """
        if not self._loader.prepares:
            raise SettingError(
                f"{self.path} was exported with --raw and {what}; give the run, or a file exported without --raw."
            )

    def _warn(self, clips: Sequence[LoadedClip]) -> None:
        """Log the warnings of clips, each kind once in a predictor's life."""
        for line in warning_lines(clips, without=self._warned):
            _LOGGER.warning("%s", line)
        self._warned |= {kind for clip in clips for kind in clip.warnings}

    def _classified(self, inputs: torch.Tensor, classifier: Classifier | None) -> tuple[Probabilities, Sequence[str]]:
        """Return the probabilities of inputs and their classes, those of a classifier if there is one."""
        logits, classes = self._scored(inputs, classifier)
        return softmax(logits), classes

    def _scored(self, inputs: torch.Tensor, classifier: Classifier | None) -> tuple[npt.NDArray[np.floating], Sequence[str]]:
        """Return the calibrated logits of inputs and their classes, those of a classifier if there is one.

        Raises:
            SettingError: There is a classifier, and the predictor has a coverage, which is that of its own classes, or takes raw joints.
        """
        if classifier is not None:
            self._require_prepared("has its own classes alone")
        if classifier is not None and self._set_threshold is not None:
            raise SettingError("coverage is that of the recognizer's own classes; it does not go with added classes.")
        if classifier is None:
            return self.logits(inputs) / np.float32(self.temperature or 1), self.classes
        return classifier.logits(inputs), classifier.classes

    def _prediction(self, loaded: LoadedClip, probabilities: Probabilities, classes: Sequence[str], top: int) -> Prediction:
        scores, candidates = top_scores(probabilities, classes, top), None
        if self._set_threshold is not None:
            ranked = top_scores(probabilities, classes, len(classes))
            candidates = tuple(score.action for score in ranked if score.probability >= self._set_threshold)
        unknown = scores[0].probability < self.threshold
        return Prediction(loaded.clip.name, scores, unknown, loaded.mapping, loaded.warnings, candidates)
