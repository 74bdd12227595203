"""A run as the page shows it: what it answers, what it would have answered moment by moment, and how close each part is to its words.

Answers are the `Predictor`'s. Closeness is looked up with the whole recognizer, alignment heads and all, beside it; the text features
are encoded once, by a thread that starts with the server, so that the page does not wait for the text encoder.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from poseglot.app.web.limits import Limits
from poseglot.app.web.upload import Taker
from poseglot.colors import PART_COLORS
from poseglot.errors import PoseglotError
from poseglot.inference import Predictor
from poseglot.models.recognizer import RECOGNIZER_FILE, Recognizer, load_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import GLOBAL, PARTITIONS, Layout
from poseglot.skeletons.mapping import LayoutMapping
from poseglot.skeletons.transforms import apply_pipeline

TOP = 5
_SHORTEST_WINDOW = 8
_MOST_TEXTS = 5  # of a class at a level that are shown; all are read


@dataclass(frozen=True, eq=False)
class _Heads:
    """A recognizer with heads, and what they are compared with: level -> (classes, width) of length 1, and the sentences."""

    recognizer: Recognizer
    texts: Mapping[str, torch.Tensor]
    sentences: Mapping[str, Sequence[str]]
    note: str


class Served:
    """A model of the page.

    Args:
        path: a run's folder, or a recognizer's file.
        id: what requests call it.
        limits: of the server.

    Attributes:
        state, note: of the words: `loading`, `ready`, `none` (trained without) or `missing` (the note says what).

    Raises:
        PoseglotError: no recognizer there.
    """

    def __init__(self, path: Path, *, id: str, limits: Limits, device: str | None = None) -> None:
        self.path, self.id, self.limits = path, id, limits
        self.predictor = Predictor(path, device=device)
        self.spec, self.layout = self.predictor.spec, self.predictor.layout
        self.state, self.note = "loading", ""
        self._heads: _Heads | None = None
        self._lock = threading.Lock()

    def info(self) -> dict[str, Any]:
        """The `ModelInfo`."""
        spec = self.spec
        options = " ".join(f"{name} {value}" for name, value in (spec.encoder_kwargs or {}).items())
        return {
            "id": self.id,
            "about": f"{spec.encoder} {options}, {spec.modality.replace('_', ' ')} stream".replace(" ,", ","),
            "layout": self.layout.name,
            "joints": len(self.layout),
            "people": spec.num_persons,
            "channels": spec.channels,
            "classes": list(spec.classes),
            "words": self.state,
            "note": self.note,
        }

    def answers(self, clip: Clip, top: int) -> list[dict[str, Any]]:
        """The most probable actions of a clip.

        Raises:
            PoseglotError: the model does not take such clips, or its answer is no number.
        """
        found = self.predictor.predict([clip], top=top)[0].answers
        if not all(math.isfinite(answer.probability) for answer in found):
            raise PoseglotError(
                "the model's answer is not a number; the coordinates of the clip are too large to be metres or pixels."
            )
        return [{"action": answer.action, "probability": round(answer.probability, 6)} for answer in found]

    @property
    def taker(self) -> Taker:
        """What it takes."""
        return Taker(self.layout, self.spec.has_scores, self.predictor.num_dims, self.spec.num_persons)

    def look(self, clip: Clip, layout: Layout) -> dict[str, Any]:
        """The `Seen` of a clip; what the model does not take is an `error` in it, for another model may.

        Args:
            layout: which joints the clip has; if they are not the model's, these are made of them by name.
        """
        try:
            mapping = self.predictor.mapping(layout)
            if mapping is not None:
                clip = replace(clip, joints=mapping.apply(clip.joints, has_scores=clip.has_scores))
            answers = self.answers(clip, TOP)
            names = [answer["action"] for answer in answers]
            words = self._words(clip, names)
            if mapping is not None:
                for level in words["levels"]:  # the page lights joints of the clip as it is drawn
                    level["joints"] = _sources(mapping, level["joints"])
            seen = {"answers": answers, "over_time": self._over_time(clip, names), "words": words}
        except PoseglotError as error:
            return {"model": self.id, "error": str(error)}
        return {"model": self.id, "error": "", "mapped": mapping.report() if mapping else "", **seen}

    def _over_time(self, clip: Clip, names: Sequence[str]) -> dict[str, Any] | None:
        """Probabilities of some classes in stretches of the clip, a third of it long each; None if it is too short for that."""
        frames = clip.joints.shape[1]
        width = max(_SHORTEST_WINDOW, math.ceil(frames / 3))
        count = min(self.limits.windows, frames - width + 1)
        if count < 2:
            return None
        starts = np.unique(np.linspace(0, frames - width, count).round().astype(int))
        stretches = [replace(clip, joints=np.ascontiguousarray(clip.joints[:, start : start + width])) for start in starts]
        found = self.predictor.predict(stretches, top=len(self.spec.classes))
        rows = [{answer.action: answer.probability for answer in prediction.answers} for prediction in found]
        return {
            "frames": [float(start + (width - 1) / 2) for start in starts],
            "width": width,
            "probabilities": {name: [_finite(row[name]) for row in rows] for name in names},
        }

    def load_words(self) -> None:
        """Read the descriptions by the run's text encoder; what is missing for that is said in `note`. Once; others wait."""
        with self._lock:
            if self.state != "loading":
                return
            try:
                state, note, heads = self._loaded()
            except PoseglotError as error:
                state, note, heads = "missing", str(error), None
            except ImportError as error:
                state, heads = "missing", None
                note = (
                    f"to compare parts with words the package {error.name!r} is needed, which is not installed: "
                    "pip install 'poseglot[train]'"
                )
            except Exception:  # whatever it is, the page works without
                logging.getLogger(__name__).exception("the words of %s could not be loaded", self.path)
                state, note, heads = "missing", "the words could not be loaded; the server's log says why.", None
            self._heads, self.note, self.state = heads, note, state

    def _loaded(self) -> tuple[str, str, _Heads | None]:
        if self.path.suffix == ".onnx":
            return "missing", "an exported recognizer has no alignment heads; serve the run's folder.", None
        folder = self.path if self.path.is_dir() else self.path.parent
        recognizer = load_recognizer(folder / RECOGNIZER_FILE if self.path.is_dir() else self.path)
        if not recognizer.spec.levels:
            return "none", "This model was trained without words.", None
        from poseglot.training.restore import class_texts
        from poseglot.training.run import Run

        words = class_texts(Run(folder), self.spec.classes)
        if words is None:
            return "none", "The parts of this model learned from class numbers, not from words.", None
        note = (
            "The text encoder was tuned in the training, but the run's checkpoint is gone: the sentences are read as they were before."
            if words.pretrained
            else ""
        )
        texts = {level: F.normalize(features.float(), dim=1) for level, features in words.features.items()}
        table = words.prompts
        sentences = {
            level: [
                _sentence([table.texts[int(place)] for place in places[: int(count)]], name)
                for name, places, count in zip(self.spec.classes, table.candidates[number], table.counts[number], strict=True)
            ]
            for number, level in enumerate(table.levels)
        }
        return "ready", note, _Heads(recognizer, texts, sentences, note)

    def _words(self, clip: Clip, names: Sequence[str]) -> dict[str, Any]:
        """The `Words` of a clip, for some classes."""
        heads = self._heads
        if heads is None:
            return {"state": self.state, "note": self.note, "levels": [], "classes": {}}
        spec = heads.recognizer.spec
        view = apply_pipeline(
            clip.joints, pipeline=spec.pipeline, modality=spec.modality, layout=self.layout, has_scores=spec.has_scores
        )
        view = np.pad(view, [(0, spec.num_persons - len(view))] + [(0, 0)] * 3)
        with torch.inference_mode():
            features = heads.recognizer(torch.from_numpy(view)[None])["alignment"]
            cosines = {
                level: (heads.texts[level] @ F.normalize(features[level][0].float(), dim=0)).numpy() for level in heads.texts
            }
        levels = [
            {"name": level, "color": level_color(level), "joints": list((spec.levels or {})[level])} for level in heads.texts
        ]
        classes = {
            name: [self._close(heads.sentences[level], values, spec.classes.index(name)) for level, values in cosines.items()]
            for name in names
        }
        return {"state": "ready", "note": heads.note, "levels": levels, "classes": classes}

    def _close(self, sentences: Sequence[str], cosines: np.ndarray[Any, Any], own: int) -> dict[str, Any]:
        others = np.delete(cosines, own)
        rival = int(others.argmax()) if len(others) else own
        rival += rival >= own if len(others) else 0
        return {
            "sentence": sentences[own],
            "cosine": _finite(float(cosines[own])),
            "rank": 1 + int((others > cosines[own]).sum()),
            "rival": self.spec.classes[rival],
            "rival_cosine": _finite(float(cosines[rival])),
        }


def level_color(level: str) -> str:
    """A level made of one part has its color; of several, that of the part that names it, or of the first; the whole body has none."""
    if level == GLOBAL:
        return ""
    pieces = next((parts[level] for parts in PARTITIONS.values() if level in parts), ())
    return PART_COLORS[level] if level in pieces else PART_COLORS[pieces[0]] if pieces else ""


def _sentence(texts: Sequence[str], label: str) -> str:
    """The texts of a class at a level as one to show: a part's sentence without the class name that stands before it, or all names."""
    shown = list(dict.fromkeys(text.removeprefix(f"{label}, ").removeprefix(f"{label}: ") for text in texts))
    more = len(shown) - _MOST_TEXTS
    return " · ".join(shown[:_MOST_TEXTS]) + (f" · and {more} more" if more > 0 else "")


def _sources(mapping: LayoutMapping, places: Sequence[int]) -> list[int]:
    """The joints that some joints of the model are made of."""
    return sorted({mapping.source.index[name] for place in places for name in mapping.joints[place].weights})


def _finite(value: float) -> float:
    return round(value, 4) if math.isfinite(value) else 0.0
