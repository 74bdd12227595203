"""Recognise among a list of actions, trained or not: `poseglot predict everyday clip.json --actions "wave,sit down,fall down"`.

If the recognizer was trained on all of them, its classifier chooses among them. Otherwise the features of the body parts are compared with
those of the actions' texts, all on one scale. A published recognizer brings the text features of its vocabulary (`texts.safetensors`), so
these actions need no text encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from poseglot.errors import FileError, NotFoundError, SettingError, as_known
from poseglot.evaluation.zero_shot import cosines, mean_over_levels
from poseglot.inference.predictor import Classifier, Predictor
from poseglot.models.pretrained import TEXTS_FILE
from poseglot.models.recognizer import Recognizer, load_recognizer
from poseglot.models.tensor_file import read_tensors, write_tensors

FORMAT = "poseglot-texts/1"


@dataclass(frozen=True, eq=False)
class ActionTexts:
    """The text features of some actions.

    Attributes:
        actions: Their names.
        features: (levels, actions, width), the mean over an action's texts of their normalised features.
        logit_scale: The factor of the cosines in training.
    """

    actions: tuple[str, ...]
    features: npt.NDArray[np.float64]
    logit_scale: float

    def of(self, actions: Sequence[str]) -> ActionTexts:
        """Return the features of some of the actions; the case of a name does not matter.

        Raises:
            NotFoundError: One is not among them.
            SettingError: One was given twice.
        """
        actions = _each_once([as_known(action, self.actions) for action in actions])
        for action in actions:
            if action not in self.actions:
                raise NotFoundError(action, self.actions, kind="action")
        return ActionTexts(
            tuple(actions), self.features[:, [self.actions.index(action) for action in actions]], self.logit_scale
        )


def save_action_texts(texts: ActionTexts, folder: str | Path) -> None:
    """Write text features into the folder of a recognizer, in half precision.

    Raises:
        FileError: The disk refused.
    """
    table = {"format": FORMAT, "actions": list(texts.actions), "logit_scale": texts.logit_scale}
    write_tensors(Path(folder) / TEXTS_FILE, {"features": torch.from_numpy(texts.features).half()}, table)


def read_action_texts(folder: str | Path) -> ActionTexts | None:
    """Read the text features in the folder of a recognizer; None if there are none.

    Raises:
        FileError: The file is damaged.
    """
    path = Path(folder) / TEXTS_FILE
    if not path.is_file():
        return None
    table, tensors = read_tensors(path)
    features, actions = tensors.get("features"), table.get("actions")
    if table.get("format") != FORMAT or features is None or not isinstance(actions, list) or features.dim() != 3:
        raise FileError(f"{path} holds no text features ({FORMAT}).")
    if features.shape[1] != len(actions):
        raise FileError(f"{path} has {features.shape[1]} features for {len(actions)} actions; it is damaged.")
    return ActionTexts(tuple(actions), features.double().numpy(), float(table["logit_scale"]))


class TrainedActions:
    """Chooses among some of the classes that a predictor was trained on.

    Attributes:
        classes: These classes.
    """

    def __init__(self, predictor: Predictor, actions: Sequence[str]) -> None:
        self.classes = tuple(actions)
        self._predictor, self._columns = predictor, [predictor.classes.index(action) for action in actions]

    def logits(self, inputs: torch.Tensor) -> npt.NDArray[np.floating]:
        """Return the calibrated logits (N, classes) of inputs (N, M, T, V, C)."""
        scale = np.float32(self._predictor.temperature or 1)
        chosen: npt.NDArray[np.floating] = self._predictor.logits(inputs)[:, self._columns] / scale
        return chosen


class DescribedActions:
    """Chooses among actions by their texts.

    Attributes:
        classes: The actions.
    """

    def __init__(self, recognizer: Recognizer, texts: ActionTexts) -> None:
        self.classes = texts.actions
        self._recognizer, self._texts = recognizer, texts

    def logits(self, inputs: torch.Tensor) -> npt.NDArray[np.floating]:
        """Return scaled cosines (N, actions) of inputs (N, M, T, V, C)."""
        with torch.inference_mode():
            features = self._recognizer.alignment_features(inputs).double().numpy()
        logits: npt.NDArray[np.floating] = self._texts.logit_scale * mean_over_levels(cosines(features, self._texts.features))
        return logits


def classify_among(
    predictor: Predictor, actions: Sequence[str], texts: ActionTexts | None = None, *, recognizer: Recognizer | None = None
) -> Classifier:
    """Return a classifier of some actions.

    Args:
        predictor: Made of a recognizer.
        actions: Two or more names, whose case does not matter. They are recognised by the classifier if all are trained classes.
        texts: The text features of other actions; by default those that the recognizer brings.
        recognizer: The predictor's with its alignment heads; by default it is read from its file.

    Raises:
        SettingError: Fewer than two actions were given, or one twice; or the recognizer was trained without text.
        NotFoundError: An action is neither trained nor in `texts`.
    """
    actions = _each_once([as_known(action, predictor.classes) for action in actions])
    if set(actions) <= set(predictor.classes):
        return TrainedActions(predictor, actions)
    file = predictor.recognizer_file
    if file.suffix == ".onnx":
        raise SettingError(f"{file} has no text features; for actions by text give the run's folder or the recognizer's name.")
    texts = texts or read_action_texts(file.parent)
    if texts is None:
        raise NotFoundError(next(each for each in actions if each not in predictor.classes), predictor.classes, kind="action")
    chosen, recognizer = texts.of(actions), recognizer or load_recognizer(file)
    if len(recognizer.spec.levels or ()) != len(chosen.features):
        raise SettingError(
            f"{predictor.path} was trained without text, or with other parts; it knows {', '.join(predictor.classes)}."
        )
    return DescribedActions(recognizer, chosen)


def _each_once(actions: Sequence[str]) -> tuple[str, ...]:
    """Return the actions if there are at least two, each once.

    Raises:
        SettingError: There are not.
    """
    if len(actions) < 2 or len(set(map(str.casefold, actions))) < len(actions):
        raise SettingError(f"actions takes at least two names, each once; {', '.join(actions) or 'none'} came.")
    return tuple(actions)
