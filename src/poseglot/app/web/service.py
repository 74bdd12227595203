"""A run behind the page: its scores, its scores over time, and how well each body part fits its text.

Scores are the `Predictor`'s. The cosines need the whole recognizer with its alignment heads; its texts are encoded once, by a thread that
starts with the server, so that the page does not wait for the text encoder.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from poseglot.app.action_lists import ActionLists
from poseglot.app.web.limits import Limits
from poseglot.app.web.upload import ClipFormat
from poseglot.colors import PART_COLORS
from poseglot.errors import InputError, PoseglotError
from poseglot.inference import Prediction, Predictor
from poseglot.inference.dense import has_segmenter
from poseglot.inference.predictor import Classifier
from poseglot.inference.segmentation import SegmentConfig, segment_recording
from poseglot.models.pretrained import recognizer_file
from poseglot.models.recognizer import Recognizer, load_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import GLOBAL, PARTITIONS, Layout
from poseglot.skeletons.mapping import LayoutMapping

TOP = 5
_MIN_WINDOW = 8  # frames
# A clip of so many frames, eight seconds as the page plays it, is a recording in which several things may be done.
_LONG = 240
_FPS = 30.0
_MAX_WINDOWS = 150  # of a recording without a segmenter; dividing it should not take longer than a request may
_MAX_PERSON_FRAMES = 9000  # of a recording that is divided at all
_MAX_TEXTS = 5  # texts of a class that are shown per level; all are encoded

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Texts:
    """A recognizer with heads, and the texts: level -> (classes, width) unit vectors, and a sentence for each class."""

    recognizer: Recognizer
    features: Mapping[str, torch.Tensor]
    sentences: Mapping[str, Sequence[str]]


class ModelService:
    """A model of the page.

    Args:
        path: A run's folder, a recognizer's file, or a name that `poseglot.load` knows.
        id: Its name in requests.
        limits: The limits of the server.
        device: The device to run on; by default a GPU if there is one.

    Attributes:
        state: The state of the texts: `loading`, `ready`, `none` (trained without) or `missing`.
        note: The reason for another state than `ready`, or a remark.

    Raises:
        FileError: There is no recognizer.
    """

    def __init__(self, path: str | PathLike[str], *, id: str, limits: Limits, device: str | None = None) -> None:
        self.id, self.limits = id, limits
        self.predictor = Predictor(path, device=device)
        self.path = self.predictor.path
        self.spec, self.layout = self.predictor.spec, self.predictor.layout
        self.state, self.note = "loading", ""
        self._texts: _Texts | None = None
        self._lock = threading.Lock()
        self._lists = ActionLists(self.predictor)

    def info(self) -> dict[str, Any]:
        """Return the `ModelInfo`."""
        spec = self.spec
        settings = [f"{name} {value}" for name, value in (spec.encoder_kwargs or {}).items()]
        return {
            "id": self.id,
            "about": ", ".join([spec.encoder, *settings, f"modality {spec.modality}"]).replace("_", " "),
            "layout": self.layout.name,
            "joints": len(self.layout),
            "num_persons": spec.num_persons,
            "channels": spec.channels,
            "classes": list(spec.classes),
            "text": self.state,
            "note": self.note,
        }

    @property
    def format(self) -> ClipFormat:
        """The clips that it takes."""
        return ClipFormat(
            self.layout, self.predictor.reads_scores, self.predictor.num_dims, self.spec.num_persons, self.predictor.reading
        )

    def can_map(self, layout: Layout) -> bool:
        """Tell whether it takes clips of a layout."""
        try:
            self.predictor.mapping(layout)
        except PoseglotError:
            return False
        return True

    def scores(self, clip: Clip, top: int, actions: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the most probable actions of a clip, best first.

        Args:
            clip: The clip.
            top: How many.
            actions: What to recognise among; by default the model's actions.

        Raises:
            InputError: The model does not take the clip, or its scores are not finite.
            SettingError: The model cannot recognise among these actions.
        """
        chosen = self._lists.choose(actions) if actions else None
        return _rounded(self.predictor.predict([clip], top=top, classifier=chosen.classifier if chosen else None)[0])

    def result(self, clip: Clip, layout: Layout, actions: Sequence[str] = ()) -> dict[str, Any]:
        """Return the `ModelResult` of a clip; a clip that the model does not take gives an `error`, since another model may take it.

        Args:
            clip: The clip.
            layout: The layout of its joints, which are mapped by name if it is not the model's.
            actions: What to recognise among; by default the model's actions.
        """
        try:
            chosen = self._lists.choose(actions) if actions else None
            classifier = chosen.classifier if chosen else None
            mapping = self.predictor.mapping(layout)
            if mapping is not None:
                clip = replace(clip, joints=mapping.apply(clip.joints, has_scores=clip.has_scores))
            prediction = self.predictor.predict([clip], top=TOP, classifier=classifier)[0]
            scores = _rounded(prediction)
            timeline = None if chosen else self._timeline(clip)
            over_time = None if timeline else self._over_time(clip, [score["action"] for score in scores], classifier)
            # Classes that lead in some window are shown, too, and have their texts.
            names = list(over_time["probabilities"]) if over_time else [score["action"] for score in scores]
            text = self._text(clip, names)
            if mapping is not None:
                for level in text["levels"]:  # the page highlights the joints of the clip as drawn
                    level["joints"] = _source_joints(mapping, level["joints"])
        except PoseglotError as error:
            return {"model": self.id, "error": str(error), "actions": list(actions)}
        return {
            "model": self.id,
            "error": "",
            "actions": list(chosen.classifier.classes) if chosen else [],
            "notes": list(chosen.notes) if chosen else [],
            "mapped": mapping.report() if mapping else "",
            "warnings": list(prediction.warnings.values()),
            "scores": scores,
            "over_time": over_time,
            "timeline": timeline,
            "text": text,
        }

    def _over_time(self, clip: Clip, names: Sequence[str], classifier: Classifier | None) -> dict[str, Any] | None:
        """Return the `OverTime` of a clip in windows of a third of its length, or None if it is too short.

        The classes are those named, and all that lead in some window.
        """
        classes = classifier.classes if classifier else self.spec.classes
        frames = clip.joints.shape[1]
        width = max(_MIN_WINDOW, math.ceil(frames / 3))
        count = min(self.limits.windows, frames - width + 1)
        if count < 2:
            return None
        starts = np.unique(np.linspace(0, frames - width, count).round().astype(int))
        windows = [replace(clip, joints=np.ascontiguousarray(clip.joints[:, start : start + width])) for start in starts]
        rows = self.predictor.predict_proba(windows, classifier=classifier)
        leading = (classes[index] for index in rows.argmax(axis=1).tolist())
        shown = dict.fromkeys([*names, *leading])
        return {
            "frames": [float(start + (width - 1) / 2) for start in starts],
            "width": width,
            "probabilities": {name: [_finite(value) for value in rows[:, classes.index(name)]] for name in shown},
        }

    def _timeline(self, clip: Clip) -> dict[str, Any] | None:
        """Return the `Timeline` of a long recording; None for a clip."""
        persons, frames = clip.joints.shape[:2]
        if frames < _LONG:
            return None
        if persons * frames > _MAX_PERSON_FRAMES:
            return {
                "segments": [],
                "note": "This recording is too long to be divided here; the command poseglot segment does it.",
            }
        config, note = SegmentConfig(), ""
        if not has_segmenter(self.path):
            stride = max(config.stride, 2 * persons * frames / _MAX_WINDOWS / _FPS)
            windows = (max(1.0, stride), max(2.0, stride))
            config = SegmentConfig(method="frames", windows=windows, stride=stride)
            note = "Found by windows of a second or two. The command poseglot train-segmenter makes a model better at this."
        try:
            segments = segment_recording(self.predictor, clip.joints, fps=_FPS, config=config)
        except PoseglotError as error:  # nobody stays long enough, for example
            return {"segments": [], "note": str(error)}
        rows = [
            {
                "start": round(segment.start * _FPS),
                "end": round(segment.end * _FPS),
                "action": segment.action,
                "score": _finite(segment.score),
                "person": segment.person,
            }
            for segment in segments
        ]
        return {"segments": rows, "note": note}

    def load_texts(self) -> None:
        """Encode the descriptions with the run's text encoder, once; `note` says what is missing for that. Other callers wait."""
        with self._lock:
            if self.state != "loading":
                return
            try:
                state, note, texts = self._load_texts()
            except PoseglotError as error:
                state, note, texts = "missing", str(error), None
            except ImportError as error:
                state, texts = "missing", None
                note = f"texts need the package {error.name!r}, which is not installed: pip install 'poseglot[train]'."
            except Exception:  # the page works without texts
                logger.exception("the texts of %s could not be loaded", self.path)
                state, note, texts = "missing", "the texts could not be loaded; the server's log says why.", None
            self._texts, self.note, self.state = texts, note, state

    def _load_texts(self) -> tuple[str, str, _Texts | None]:
        if self.path.suffix == ".onnx":
            return "missing", "an exported recognizer has no alignment heads; serve the run's folder.", None
        recognizer = load_recognizer(recognizer_file(self.path))
        if not recognizer.spec.levels:
            return "none", "This model was trained without text.", None
        from poseglot.training.run import open_run

        run = open_run(self.path if self.path.is_dir() else self.path.parent, device="cpu")
        table = run.prompts
        if table is None:
            return "none", "The parts of this model were aligned with class numbers, not with text.", None
        note = (
            "The text encoder was fine-tuned, but the run's checkpoint is gone: texts are encoded as before the training."
            if run.text_encoder_lost
            else ""
        )
        encoded = run.encode_prompts(pretrained=run.text_encoder_lost)
        features = {level: F.normalize(rows.float(), dim=1).cpu() for level, rows in encoded.items()}
        sentences = {
            level: [
                _sentence([table.texts[int(index)] for index in indices[: int(count)]], name)
                for name, indices, count in zip(self.spec.classes, table.candidates[number], table.counts[number], strict=True)
            ]
            for number, level in enumerate(table.levels)
        }
        return "ready", note, _Texts(recognizer, features, sentences)

    def _text(self, clip: Clip, names: Sequence[str]) -> dict[str, Any]:
        """Return the `TextResult` of a clip for some classes."""
        if not set(names) <= set(self.spec.classes):
            note = "Sentences are shown of the model's own actions; these were compared with their texts."
            return {"state": "none", "note": note, "levels": [], "classes": {}}
        texts = self._texts
        if texts is None:
            return {"state": self.state, "note": self.note, "levels": [], "classes": {}}
        (_, inputs), *_ = self.predictor.inputs([clip])
        with torch.inference_mode():
            alignment = texts.recognizer(inputs)["alignment"]
            cosines = {
                level: (features @ F.normalize(alignment[level][0].float(), dim=0)).numpy()
                for level, features in texts.features.items()
            }
        joints = texts.recognizer.spec.levels or {}
        return {
            "state": "ready",
            "note": self.note,
            "levels": [{"name": level, "color": level_color(level), "joints": list(joints[level])} for level in cosines],
            "classes": {
                name: [self._match(texts.sentences[level], cosines[level], self.spec.classes.index(name)) for level in cosines]
                for name in names
            },
        }

    def _match(self, sentences: Sequence[str], cosines: npt.NDArray[np.float32], own: int) -> dict[str, Any]:
        """Return the `TextMatch` of a class."""
        others = np.delete(cosines, own)
        other = own
        if len(others):
            other = int(others.argmax())
            other += other >= own
        return {
            "sentence": sentences[own],
            "cosine": _finite(cosines[own]),
            "rank": 1 + int((others > cosines[own]).sum()),
            "other": self.spec.classes[other],
            "other_cosine": _finite(cosines[other]),
        }


def level_color(level: str) -> str:
    """Return the color of a level: its part's, or that of the part that names it, or of the first; none for the whole body."""
    if level == GLOBAL:
        return ""
    parts = next((levels[level] for levels in PARTITIONS.values() if level in levels), ())
    return PART_COLORS[level] if level in parts else PART_COLORS[parts[0]] if parts else ""


def _sentence(texts: Sequence[str], label: str) -> str:
    """Return the texts of a class at a level as one line, without the class name before them."""
    shown = list(dict.fromkeys(text.removeprefix(f"{label}, ").removeprefix(f"{label}: ") for text in texts))
    more = len(shown) - _MAX_TEXTS
    return " · ".join(shown[:_MAX_TEXTS]) + (f" · and {more} more" if more > 0 else "")


def _source_joints(mapping: LayoutMapping, indices: Sequence[int]) -> list[int]:
    """Return the source joints that some joints of the model are made from."""
    return sorted({mapping.source.index[name] for index in indices for name in mapping.joints[index].weights})


def _finite(value: float) -> float:
    return round(float(value), 4) if math.isfinite(value) else 0.0


def _rounded(prediction: Prediction) -> list[dict[str, Any]]:
    """Return the scores of a prediction as plain data.

    Raises:
        InputError: They are not finite.
    """
    if not all(math.isfinite(score.probability) for score in prediction.scores):
        raise InputError("the scores are not finite; the coordinates of the clip are too large for metres or pixels.")
    return [{**asdict(score), "probability": round(score.probability, 6)} for score in prediction.scores]
