"""The predictor: clips in, actions with probabilities out.

What a clip goes through: its file is read; its joints become those of the recognizer, by name, where they are others
(`skeletons.mapping`); the view that the recognizer was trained on is made; torch or ONNX Runtime gives logits; these, divided by the
run's temperature if it was calibrated, become probabilities; and below a threshold that the caller names, the answer is "unknown".
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt
import torch

from poseglot.data.dataset import ClipDataset
from poseglot.data.readers import clip_files, is_video, layout_of, read_clip
from poseglot.data.readers.poses import ENDING as POSES
from poseglot.data.readers.poses import Poses, read_poses
from poseglot.data.tracking import together, tracks_of
from poseglot.errors import PoseglotError
from poseglot.files import sha256_of
from poseglot.inference.calibration import temperature_of
from poseglot.inference.windows import most_moving
from poseglot.models.fuse import ChannelsLastRecognizer, FusedRecognizer, prepare
from poseglot.models.recognizer import RECOGNIZER_FILE, Recognizer, RecognizerSpec, load_recognizer
from poseglot.skeletons.clip import Clip, Joints, check_joints
from poseglot.skeletons.layout import GLOBAL, Layout, as_layout
from poseglot.skeletons.mapping import LayoutMapping, map_layout
from poseglot.skeletons.transforms import apply_pipeline

if TYPE_CHECKING:
    from poseglot.data.store import PackedStore
    from poseglot.inference.export import ExportedRecognizer
    from poseglot.inference.video.estimator import PoseEstimator

Engine = Literal["auto", "torch", "onnx"]
ENGINES: tuple[Engine, ...] = ("auto", "torch", "onnx")
# What `poseglot export` calls its file in the folder of a run.
EXPORTED_FILE = "recognizer.onnx"
UNKNOWN = "unknown"
# What can be recognised: a file, a folder of files, a clip, or an array of joints.
ClipLike = Clip | npt.ArrayLike | str | Path


@dataclass(frozen=True)
class ClassScore:
    """One candidate: a class name and its probability."""

    action: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a clip shows.

    Attributes:
        name: of the clip.
        answers: the most probable classes, best first.
        unknown: whether even the first is less probable than the predictor was told to answer.
        features: part -> (F,) mean features of the encoder, if they were asked for; `global` is the whole body.
        mapping: how the joints came about, if they were those of another layout.
    """

    name: str
    answers: tuple[ClassScore, ...]
    unknown: bool = False
    features: Mapping[str, npt.NDArray[np.float32]] | None = None
    mapping: LayoutMapping | None = None

    @property
    def action(self) -> str:
        """The answer: the most probable class, or `unknown`."""
        return UNKNOWN if self.unknown else self.answers[0].action


class Predictor:
    """A trained recognizer, ready for clips.

    Args:
        path: a run's folder, a recognizer's .safetensors file, or what `poseglot export` made of it, an .onnx file.
        device: where to run; by default a GPU if there is one.
        engine: `torch`, `onnx` (ONNX Runtime, with the `recognizer.onnx` that `poseglot export` has put into the run's folder), or `auto`:
            ONNX Runtime for an .onnx file, and for a run on a CPU that our own kernels cannot take (no compiler, another encoder) if it has
            such a file, not rounded and of the same recognizer, and ONNX Runtime is installed; else torch. Both give the same answers.
        unknown_below: a clip whose most probable action is less probable than this is answered "unknown"; 0 always answers.

    Attributes:
        spec, layout, classes: of the recognizer.
        device: where it runs. engine: by what, `torch` or `onnx`.
        temperature: by which logits are divided: of the run's `calibration.json`, or what the .onnx file has of it; None if there is none.

    Raises:
        PoseglotError: no recognizer there, it is damaged, or its calibration is that of another one.
    """

    def __init__(self, path: str | Path, *, device: str | None = None, engine: Engine = "auto", threshold: float = 0.0) -> None:
        path = Path(path)
        if engine not in ENGINES:
            raise PoseglotError(f"there is no engine {engine!r}; accepted are {', '.join(ENGINES)}.")
        if not 0 <= threshold <= 1:
            raise PoseglotError(f"the threshold for unknown is a probability from 0 to 1, not {threshold}.")
        self.threshold = threshold
        self.spec: RecognizerSpec
        self.layout: Layout
        self.device: torch.device
        self.temperature: float | None
        # (N, M, T, V, C), on the device -> (N, classes).
        self._logits: Callable[[torch.Tensor], torch.Tensor]
        self._fused: FusedRecognizer | ChannelsLastRecognizer | None = None
        exported, recognizer = None, None
        if engine == "torch" and path.suffix == ".onnx":
            raise PoseglotError(f"torch cannot run {path}; give the run's folder, or its {RECOGNIZER_FILE}.")
        if engine == "torch" or (engine == "auto" and path.suffix != ".onnx"):
            recognizer = recognizer_at(path, device)
            self._fused = prepare(recognizer.drop_heads())
        if engine != "torch" and not isinstance(self._fused, ChannelsLastRecognizer):
            exported = _exported(path, device, engine)
        if exported is not None:
            self._fused = None
            self.spec, self.layout, self.device, self._logits = exported.spec, exported.layout, torch.device("cpu"), exported
            self.engine = "onnx"
        else:
            assert recognizer is not None and self._fused is not None
            self.spec, self.layout, self.device = recognizer.spec, recognizer.layout, recognizer.classifier.weight.device
            self._logits, self.engine = self._fused, "torch"
        if exported is not None and path.suffix == ".onnx":
            self.temperature = exported.temperature
        else:
            self.temperature = temperature_of(recognizer_file(path))
        self.classes = self.spec.classes
        self._mappings: dict[str, LayoutMapping] = {}
        self._estimators: dict[str, PoseEstimator] = {}

    def predict(
        self,
        clips: ClipLike | Sequence[ClipLike],
        *,
        top: int = 5,
        batch_size: int = 64,
        layout: str | Path | Layout | None = None,
        features: bool = False,
        pose: str | PoseEstimator = "auto",
    ) -> list[Prediction]:
        """The most probable actions of each clip.

        Args:
            clips: one or a list of: files of any format we read; folders, of which every file that ends as a clip does is taken, sorted,
                and a warning names the others; `Clip`s; arrays of joints (M, T, V, C) or (T, V, C). An array of five axes
                (N, M, T, V, C) is N clips. People may differ in number; absent ones are zero. Of a video, and of the poses of one (.npz),
                those who move most are taken, as many as the recognizer knows.
            top: how many answers each.
            layout: which joints the clips have, if not the recognizer's: they are mapped by name (`skeletons.mapping`). Files whose
                format has a layout of its own (`.skeleton`; `.json` with 20 joints) are mapped without it.
            features: give the encoder's mean features, too: of the parts that the recognizer was aligned with, or else of the six parts.
            pose: what finds the people in videos (`poseglot.inference.video.estimator`), or its name.

        Returns:
            A prediction for each clip, in their order; also of a single clip a list, of one.

        Raises:
            PoseglotError: a clip is not acceptable (the message names it), a joint of the recognizer cannot be made of the layout's, or
                features are asked of ONNX Runtime.
        """
        if top < 1:
            raise PoseglotError(f"at least one answer must be asked for, not {top}.")
        if features and self._fused is None:
            raise PoseglotError(
                'an exported file gives logits only, no features; load the run or its recognizer.safetensors with engine="torch".'
            )
        predictions = []
        for some, views in self.views(clips, batch_size=batch_size, layout=layout, pose=pose):
            joints, logits = self._features_and_logits(views) if features else (None, self.logits(views))
            for place, ((name, mapping), row) in enumerate(zip(some, logits, strict=True)):
                parts = None if joints is None else self._parts(joints[place])
                predictions.append(replace(self._prediction(name, row, mapping, top), features=parts))
        return predictions

    def predict_each(
        self, clips: Sequence[ClipLike], *, top: int = 5, layout: str | Path | Layout | None = None
    ) -> list[Prediction | PoseglotError]:
        """As `predict`, of clips that go through the network at once; one that is not acceptable has its error in its place."""
        given = None if layout is None else as_layout(layout)
        errors: dict[int, PoseglotError] = {}
        seen: list[tuple[str, LayoutMapping | None]] = []
        views: list[Joints] = []
        for number, clip in enumerate(clips):
            try:
                checked, mapping = self._clip(clip, number, given, "auto")
                views.append(self._view(checked))
                seen.append((checked.name, mapping))
            except PoseglotError as error:
                errors[number] = error
        logits = self.logits(torch.from_numpy(np.stack(views))) if views else ()
        answered = (self._prediction(name, row, mapping, top) for (name, mapping), row in zip(seen, logits, strict=True))
        return [errors[number] if number in errors else next(answered) for number in range(len(clips))]

    def views(
        self,
        clips: ClipLike | Sequence[ClipLike],
        *,
        batch_size: int = 64,
        layout: str | Path | Layout | None = None,
        pose: str | PoseEstimator = "auto",
    ) -> Iterator[tuple[list[tuple[str, LayoutMapping | None]], torch.Tensor]]:
        """What the recognizer is shown of clips, as `predict` takes them, batch by batch.

        Yields:
            For each clip its name and how its joints came about, and their views (N, M, T, V, C).

        Raises:
            PoseglotError: a clip is not acceptable (the message names it).
        """
        given = None if layout is None else as_layout(layout)
        checked = [self._clip(clip, number, given, pose) for number, clip in enumerate(_listed(clips))]
        for start in range(0, len(checked), batch_size):
            some = checked[start : start + batch_size]
            yield (
                [(clip.name, mapping) for clip, mapping in some],
                torch.from_numpy(np.stack([self._view(clip) for clip, _ in some])),
            )

    def logits(self, views: torch.Tensor) -> npt.NDArray[np.float32]:
        """(N, M, T, V, C) views -> (N, classes)."""
        with torch.inference_mode():
            result: npt.NDArray[np.float32] = self._logits(views.to(self.device)).cpu().numpy()
        return result

    def logits_of(self, views: ClipDataset, *, batch_size: int = 64) -> Iterator[npt.NDArray[np.float32]]:
        """The logits of every clip of a side of a store, batch by batch.

        Raises:
            PoseglotError: as `check_store`.
        """
        self.check_store(views.store)
        for view in views.eval_inputs(batch_size, self.device):
            yield self.logits(view)

    def check_store(self, store: PackedStore) -> None:
        """See that a store's clips have what this recognizer was trained on.

        Raises:
            PoseglotError: the store's clips have scores and the recognizer knows none, or the other way round.
        """
        info, channels = store.info, store.joints.shape[-1]
        if (channels, info.has_scores) != (self.spec.channels, self.spec.has_scores):
            raise PoseglotError(
                f"the clips of {info.name} have {_numbers(channels, info.has_scores)} per joint, but the recognizer was trained on "
                f"{_numbers(self.spec.channels, self.spec.has_scores)}. {_remedy(info.has_scores, self.spec.has_scores)}"
            )

    @property
    def num_dims(self) -> int:
        """How many coordinates of a joint the recognizer knows, 2 or 3."""
        return self.spec.channels - self.spec.has_scores

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """What `features` are of -> places along V: the levels of the alignment, or without words the whole body and the six parts."""
        if self.spec.levels:
            return dict(self.spec.levels)
        six = {
            part: tuple(self.layout.index[joint] for joint in joints) for part, joints in self.layout.parts.items() if joints
        }
        return {GLOBAL: tuple(range(len(self.layout))), **six}

    def mapping(self, layout: Layout) -> LayoutMapping | None:
        """How clips of a layout are taken; None if they are of the recognizer's joints, in its order.

        Raises:
            PoseglotError: a joint cannot be made.
        """
        if layout.joints == self.layout.joints:
            return None
        known = self._mappings.get(layout.name)
        if known is None or known.source != layout:
            known = self._mappings[layout.name] = map_layout(layout, self.layout)
        return known

    def _features_and_logits(self, views: torch.Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """(N, M, T, V, C) views -> (N, V, F) mean features of the joints, (N, classes) logits, both from one pass."""
        assert self._fused is not None
        with torch.inference_mode():
            joints = self._fused.joint_features(views.to(self.device))
            logits = self._fused.classify(joints.mean(dim=1))
        return joints.cpu().numpy(), logits.cpu().numpy()

    def _prediction(self, name: str, logits: npt.NDArray[np.float32], mapping: LayoutMapping | None, top: int) -> Prediction:
        """What a clip's logits (classes,) say."""
        answers = best_answers(logits / (self.temperature or 1), self.classes, top)
        return Prediction(name, answers, unknown=answers[0].probability < self.threshold, mapping=mapping)

    def _parts(self, joints: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """(V, F) -> part -> (F,)."""
        return {part: joints[list(places)].mean(axis=0) for part, places in self.parts.items()}

    def recording(
        self, path: str | Path, *, pose: str | PoseEstimator = "auto"
    ) -> tuple[Clip, LayoutMapping | None, float | None]:
        """Everybody in a file, in the recognizer's joints: what `segment_recording` takes.

        Args:
            path: a file that `predict` takes.
            pose: as in `predict`.

        Returns:
            The clip, with as many people as there are; how its joints came about; and frames in a second, if the file says.

        Raises:
            PoseglotError: as `predict`.
        """
        clip, layout, fps = self._read(Path(path), None, pose)
        return *self._mapped(clip, layout, str(path)), fps

    def _clip(
        self, clip: ClipLike, number: int, layout: Layout | None, pose: str | PoseEstimator
    ) -> tuple[Clip, LayoutMapping | None]:
        """A checked clip of the recognizer's joints, and how they came about.

        An array, and a .npy file, does not say whether its last channel is a score: it is as in training.
        """
        origin = ""
        if isinstance(clip, (str, Path)):
            origin = str(clip)
            clip, layout, fps = self._read(Path(clip), layout, pose)
            if fps is not None:
                clip = self._most_moving(clip, origin)
        if not isinstance(clip, Clip):
            has_scores, name = self.spec.has_scores, f"clip {number}"
            clip = Clip(check_joints(clip, has_scores=has_scores, origin=name), name=name, has_scores=has_scores)
        return self._mapped(clip, layout, origin or clip.name)

    def _mapped(self, clip: Clip, layout: Layout | None, origin: str) -> tuple[Clip, LayoutMapping | None]:
        """A clip checked, and of the recognizer's joints."""
        source = layout or self.layout
        joints = check_joints(clip.joints, joint_count=len(source), has_scores=clip.has_scores, origin=origin)
        checked = Clip(joints, name=clip.name, has_scores=clip.has_scores)
        mapping = self.mapping(source)
        if mapping is None:
            return checked, None
        return replace(checked, joints=mapping.apply(joints, has_scores=clip.has_scores)), mapping

    def _read(self, path: Path, layout: Layout | None, pose: str | PoseEstimator) -> tuple[Clip, Layout | None, float | None]:
        """A file's clip, its layout if it is not the recognizer's, and frames in a second of poses, who may be any number of people."""
        if is_video(path) or path.suffix.lower() == POSES:
            poses = self._poses(path, pose) if is_video(path) else read_poses(path)
            has_scores = self.spec.has_scores
            joints = poses.joints(num_dims=self.num_dims, has_scores=has_scores)
            return Clip(joints, name=path.stem, has_scores=has_scores), poses.layout, poses.fps
        if layout is None and (own := layout_of(path)) is not None:
            clip = read_clip(path, has_scores=self.spec.has_scores)
            # NW-UCLA's JSON is also written with other joints; as many as the recognizer has are taken for those.
            is_own = path.suffix.lower() == ".skeleton" or clip.joints.shape[2] != len(self.layout)
            return clip, own if is_own and clip.joints.shape[2] == len(own) else None, None
        return read_clip(path, layout=layout or self.layout, has_scores=self.spec.has_scores), layout, None

    def _poses(self, path: Path, pose: str | PoseEstimator) -> Poses:
        """The people in a video."""
        from poseglot.inference.video.estimator import load_estimator
        from poseglot.inference.video.extract import poses_of_video

        if isinstance(pose, str):
            if pose not in self._estimators:
                try:
                    self._estimators[pose] = load_estimator(pose, num_dims=self.num_dims, device=self.device.type)
                except PoseglotError as error:
                    raise PoseglotError(f"{path}: {error}") from error
            pose = self._estimators[pose]
        self.mapping(pose.layout)  # better refused now than when the video has been gone through
        return poses_of_video(path, pose, progress=True)

    def _most_moving(self, clip: Clip, origin: str) -> Clip:
        """As many of a video's people as the recognizer knows, in the frames in which any of them is there."""
        chosen_clip, found = people_of_video(clip, self.spec.num_persons)
        if (count := len(chosen_clip.joints)) < found:
            chosen = "the one who moves" if count == 1 else f"the {count} who move"
            warnings.warn(
                f"{origin}: {found} people, or one who was out of sight; recognised: {chosen} most. `poseglot segment` recognises "
                "everybody.",
                stacklevel=2,
            )
        return chosen_clip

    def _view(self, clip: Clip) -> Joints:
        spec = self.spec
        people, channels = clip.joints.shape[0], clip.joints.shape[3]
        if people > spec.num_persons or (channels, clip.has_scores) != (spec.channels, spec.has_scores):
            raise PoseglotError(
                f"{clip.name}: {people} people with {_numbers(channels, clip.has_scores)} per joint, but the recognizer was trained on at "
                f"most {spec.num_persons} people with {_numbers(spec.channels, spec.has_scores)}. {_remedy(clip.has_scores, spec.has_scores)}"
            )
        view = apply_pipeline(
            clip.joints, pipeline=spec.pipeline, modality=spec.modality, layout=self.layout, has_scores=spec.has_scores
        )
        absent = spec.num_persons - len(view)
        return np.pad(view, [(0, absent)] + [(0, 0)] * 3)


def people_of_video(clip: Clip, count: int) -> tuple[Clip, int]:
    """The people of a video who move most, at most so many, in the frames in which any of them is there; and how many were found."""
    tracks = tracks_of(clip.joints)
    joints = most_moving(together(tracks, clip.joints.shape[1]), count)
    return replace(clip, joints=joints[:, (joints != 0).any(axis=(0, 2, 3))]), len(tracks)


def best_answers(logits: npt.NDArray[np.floating], classes: Sequence[str], top: int) -> tuple[ClassScore, ...]:
    """The most probable classes, best first: (classes,) logits and their names."""
    return answers_of(torch.from_numpy(logits).double().softmax(dim=0).numpy(), classes, top)


def answers_of(probabilities: npt.NDArray[np.float64], classes: Sequence[str], top: int) -> tuple[ClassScore, ...]:
    """The most probable classes, best first: (classes,) probabilities and their names."""
    best = torch.from_numpy(probabilities).topk(min(top, len(classes)))
    return tuple(
        ClassScore(classes[place], probability)
        for probability, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    )


def _listed(clips: ClipLike | Sequence[ClipLike]) -> list[ClipLike]:
    """One clip as a list of one, an array of many as a list of arrays, folders as the files in them."""
    is_one = isinstance(clips, (str, Path, Clip)) or (isinstance(clips, (np.ndarray, torch.Tensor)) and clips.ndim < 5)
    listed: list[ClipLike] = []
    for clip in cast("Sequence[ClipLike]", [clips] if is_one else clips):
        if isinstance(clip, (str, Path)) and Path(clip).is_dir():
            listed += _files_in(Path(clip))
        else:
            listed.append(clip)
    return listed


def _files_in(folder: Path) -> list[Path]:
    """The clips of a folder.

    Raises:
        PoseglotError: there are none.
    """
    found, others = clip_files(folder)
    if not found:
        raise PoseglotError(f"{folder} holds no file that ends as a clip does, and {len(others)} others.")
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:5])
        warnings.warn(
            f"{len(others)} files of {folder} are no clips: {names}{', ...' if len(others) > 5 else ''}", stacklevel=4
        )
    return found


def recognizer_file(path: Path) -> Path:
    """The recognizer's file of a run's folder, or that file itself.

    Raises:
        PoseglotError: the folder has none.
    """
    if path.is_dir():
        if not (path / RECOGNIZER_FILE).exists():
            raise PoseglotError(
                f"{path} holds no {RECOGNIZER_FILE}. It takes the folder of a run whose training has ended; one that was stopped "
                "goes on by --resume."
            )
        return path / RECOGNIZER_FILE
    return path


def _exported(path: Path, device: str | None, engine: Engine) -> ExportedRecognizer | None:
    """The exported recognizer to run, if it is to be one.

    Raises:
        PoseglotError: `onnx` was asked for and cannot be.
    """
    if path.suffix == ".onnx":
        from poseglot.inference.export import ExportedRecognizer

        return ExportedRecognizer(path, device=device)
    file = recognizer_file(path)
    beside = file.with_name(EXPORTED_FILE)
    asked = engine == "onnx"
    if not asked:
        # On a GPU torch is the better one, and what is not there or cannot be run is not chosen.
        on_cpu = device == "cpu" or (device is None and not torch.cuda.is_available())
        if not (on_cpu and beside.exists() and importlib.util.find_spec("onnxruntime")):
            return None
    elif not beside.exists():
        raise PoseglotError(f"there is no {beside}; `poseglot export {path}` writes it.")
    from poseglot.inference.export import ExportedRecognizer

    exported = ExportedRecognizer(beside, device=device)
    if exported.made_from == sha256_of(file) and (asked or exported.int8 == "none"):
        return exported
    if asked:
        raise PoseglotError(f"{beside} was made from another recognizer than {file} is now; delete it and export again.")
    return None


def recognizer_at(path: Path, device: str | None) -> Recognizer:
    """What is saved in a run's folder or a file, on a device, by default a GPU if there is one.

    Raises:
        PoseglotError: nothing is, or there is no such device.
    """
    recognizer = load_recognizer(recognizer_file(path))
    try:
        return recognizer.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    except (RuntimeError, AssertionError) as error:  # torch's: no such kind of device; none of it here
        raise PoseglotError(
            f"cannot run on device {device!r}: {str(error).splitlines()[0].split('Expected one of')[0].rstrip('. ')}. Try cpu."
        ) from error


def _numbers(channels: int, has_scores: bool) -> str:
    return f"{channels - has_scores} coordinates{' and a score' if has_scores else ''}"


def _remedy(has_scores: bool, wanted: bool) -> str:
    if has_scores and not wanted:
        return "Leave out the last channel, the confidence in each joint, or train on clips that have it."
    if wanted and not has_scores:
        return "Give the confidence in each joint as the last channel (1 where nothing is known), or train without it."
    return "Choose people or coordinates, or train on such clips."
