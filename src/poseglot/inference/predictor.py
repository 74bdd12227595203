"""The predictor: clips in, actions with probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from poseglot.errors import PoseglotError
from poseglot.models.frozen import prepare
from poseglot.models.recognizer import RECOGNIZER_FILE, Recognizer, RecognizerSpec, load_recognizer
from poseglot.skeletons.clip import Clip, Joints, check_joints
from poseglot.skeletons.formats import read_clip
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.transforms import test_view
from poseglot.skeletons.views import Views


@dataclass(frozen=True)
class Answer:
    """One candidate: a class name and its probability."""

    action: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a clip shows.

    Attributes:
        name: of the clip.
        answers: the most probable classes, best first.
    """

    name: str
    answers: tuple[Answer, ...]


class Predictor:
    """A trained recognizer, ready for clips.

    Args:
        path: a run's folder, a recognizer's .safetensors file, or what `poseglot export` made of it, an .onnx file.
        device: where to run; by default a GPU if there is one.

    Attributes:
        spec, layout, classes: of the recognizer.
        device: where it runs.

    Raises:
        PoseglotError: no recognizer there, or it is damaged.
    """

    def __init__(self, path: str | Path, *, device: str | None = None) -> None:
        path = Path(path)
        self.spec: RecognizerSpec
        self.layout: Layout
        self.device: torch.device
        # (N, M, T, V, C), on the device -> (N, classes).
        self._logits: Callable[[torch.Tensor], torch.Tensor]
        if path.suffix == ".onnx":
            from poseglot.inference.export import ExportedRecognizer

            exported = ExportedRecognizer(path, device=device)
            self.spec, self.layout, self.device, self._logits = exported.spec, exported.layout, torch.device("cpu"), exported
        else:
            recognizer = _recognizer(path, device)
            self.spec, self.layout, self.device = recognizer.spec, recognizer.layout, recognizer.classifier.weight.device
            self._logits = prepare(recognizer)
        self.classes = self.spec.classes

    def predict(
        self, clips: Sequence[Clip | npt.ArrayLike | str | Path], *, top: int = 5, batch_size: int = 64
    ) -> list[Prediction]:
        """The most probable actions of each clip.

        Args:
            clips: files of any format we read, `Clip`s, or arrays of joints (M, T, V, C) or (T, V, C). Their people may differ in number;
                absent ones are zero.
            top: how many answers each.

        Raises:
            PoseglotError: a clip is not acceptable (the message names it).
        """
        if top < 1:
            raise PoseglotError(f"at least one answer must be asked for, not {top}.")
        predictions = []
        for some, views in self.views(clips, batch_size=batch_size):
            for name, row in zip(some, self.logits(views), strict=True):
                predictions.append(Prediction(name, best_answers(row, self.classes, top)))
        return predictions

    def views(
        self, clips: Sequence[Clip | npt.ArrayLike | str | Path], *, batch_size: int = 64
    ) -> Iterator[tuple[list[str], torch.Tensor]]:
        """What the recognizer is shown of clips, as `predict` takes them, batch by batch: their names and views (N, M, T, V, C).

        Raises:
            PoseglotError: a clip is not acceptable (the message names it).
        """
        checked = [self._clip(clip, number) for number, clip in enumerate(clips)]
        for start in range(0, len(checked), batch_size):
            some = checked[start : start + batch_size]
            yield [clip.name for clip in some], torch.from_numpy(np.stack([self._view(clip) for clip in some]))

    def logits(self, views: torch.Tensor) -> npt.NDArray[np.float32]:
        """(N, M, T, V, C) views -> (N, classes)."""
        with torch.inference_mode():
            result: npt.NDArray[np.float32] = self._logits(views.to(self.device)).cpu().numpy()
        return result

    def logits_of(self, views: Views, *, batch_size: int = 64) -> Iterator[npt.NDArray[np.float32]]:
        """The logits of every clip of a side of a store, batch by batch.

        Raises:
            PoseglotError: the store's clips have scores and the recognizer knows none, or the other way round.
        """
        info, channels = views.store.info, views.store.joints.shape[-1]
        if (channels, info.scored) != (self.spec.channels, self.spec.scored):
            raise PoseglotError(
                f"the clips of {info.name} have {_numbers(channels, info.scored)} per joint, but the recognizer was trained on "
                f"{_numbers(self.spec.channels, self.spec.scored)}. {_remedy(info.scored, self.spec.scored)}"
            )
        for view in views.test_views(batch_size, self.device):
            yield self.logits(view)

    def _clip(self, clip: Clip | npt.ArrayLike | str | Path, number: int) -> Clip:
        """A checked clip. An array, and a .npy file, does not say whether its last channel is a score: it is as in training."""
        if isinstance(clip, (str, Path)):
            clip = read_clip(Path(clip), layout=self.layout, scored=self.spec.scored)
        if isinstance(clip, Clip):
            return self._checked(clip.joints, name=clip.name, scored=clip.scored, origin=clip.name)
        name = f"clip {number}"
        return self._checked(clip, name=name, scored=self.spec.scored, origin=name)

    def _checked(self, joints: npt.ArrayLike, *, name: str, scored: bool, origin: str) -> Clip:
        return Clip(check_joints(joints, joint_count=len(self.layout), scored=scored, origin=origin), name=name, scored=scored)

    def _view(self, clip: Clip) -> Joints:
        spec = self.spec
        people, channels = clip.joints.shape[0], clip.joints.shape[3]
        if people > spec.people or (channels, clip.scored) != (spec.channels, spec.scored):
            raise PoseglotError(
                f"{clip.name}: {people} people with {_numbers(channels, clip.scored)} per joint, but the recognizer was trained on at "
                f"most {spec.people} people with {_numbers(spec.channels, spec.scored)}. {_remedy(clip.scored, spec.scored)}"
            )
        view = test_view(clip.joints, protocol=spec.protocol, stream=spec.stream, layout=self.layout, scored=spec.scored)
        absent = spec.people - len(view)
        return np.pad(view, [(0, absent)] + [(0, 0)] * 3)


def best_answers(logits: npt.NDArray[np.floating], classes: Sequence[str], top: int) -> tuple[Answer, ...]:
    """The most probable classes, best first: (classes,) logits and their names."""
    probabilities = torch.from_numpy(logits).double().softmax(dim=0)
    best = probabilities.topk(min(top, len(classes)))
    return tuple(
        Answer(classes[place], probability)
        for probability, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    )


def _recognizer(path: Path, device: str | None) -> Recognizer:
    """What is saved there, without words, on the device."""
    if path.is_dir():
        if not (path / RECOGNIZER_FILE).exists():
            raise PoseglotError(
                f"{path} holds no {RECOGNIZER_FILE}. It takes the folder of a run whose training has ended; one that was stopped "
                "goes on by --resume."
            )
        path = path / RECOGNIZER_FILE
    recognizer = load_recognizer(path).without_words()
    try:
        return recognizer.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    except (RuntimeError, AssertionError) as error:  # torch's: no such kind of device; none of it here
        raise PoseglotError(
            f"cannot run on device {device!r}: {str(error).splitlines()[0].split('Expected one of')[0].rstrip('. ')}. Try cpu."
        ) from error


def _numbers(channels: int, scored: bool) -> str:
    return f"{channels - scored} coordinates{' and a score' if scored else ''}"


def _remedy(scored: bool, wanted: bool) -> str:
    if scored and not wanted:
        return "Leave out the last channel, the confidence in each joint, or train on clips that have it."
    if wanted and not scored:
        return "Give the confidence in each joint as the last channel (1 where nothing is known), or train without it."
    return "Choose people or coordinates, or train on such clips."
