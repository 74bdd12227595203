"""Recognise among actions that somebody names, on the command line or on the page: trained ones, described ones, or any by their names."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poseglot.errors import NotFoundError, as_known, nearest
from poseglot.inference.actions import ActionTexts, classify_among
from poseglot.inference.predictor import Classifier, Predictor
from poseglot.models.recognizer import Recognizer, load_recognizer

if TYPE_CHECKING:
    from poseglot.training.zero_shot import ZeroShotRecognizer

_LOGGER = logging.getLogger("poseglot.app")
_KEPT = 16  # lists whose texts are not encoded again: somebody types, and looks at several clips


def split_names(text: str) -> list[str]:
    """Return the names of a text in which commas divide them."""
    return [" ".join(name.split()) for name in text.split(",") if name.strip()]


@dataclass(frozen=True, eq=False)
class ChosenActions:
    """A list of actions.

    Attributes:
        classifier: It chooses among them.
        notes: Remarks on names that no description is known for.
    """

    classifier: Classifier
    notes: tuple[str, ...] = ()


class ActionLists:
    """The lists of actions that a predictor is asked for. The text encoder is loaded once, when it is needed. Threads may share it.

    Args:
        predictor: A predictor.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._lock = threading.Lock()
        self._chosen: OrderedDict[tuple[str, ...], ChosenActions] = OrderedDict()
        self._recognizer: Recognizer | None = None
        self._by_text: ZeroShotRecognizer | None = None

    def choose(self, actions: Sequence[str]) -> ChosenActions:
        """Return a classifier of some actions: of trained classes, of actions whose texts the recognizer brings, or of any by their texts.

        Args:
            actions: Two or more names, whose case does not matter.

        Raises:
            NotFoundError: An action is in none of these, and there is no text encoder.
            SettingError: Fewer than two actions were given, or one twice; or the recognizer was trained without text.
            FileError: The run's text encoder is gone.
        """
        key = tuple(actions)
        with self._lock:
            chosen = self._chosen.pop(key, None) or self._made(key)
            self._chosen[key] = chosen
            if len(self._chosen) > _KEPT:
                self._chosen.popitem(last=False)
        return chosen

    def _made(self, actions: Sequence[str]) -> ChosenActions:
        try:
            return ChosenActions(self._classifier(actions))
        except NotFoundError as error:
            by_text = self._loaded(error)
            known = tuple(dict.fromkeys((*self._predictor.classes, *error.known, *by_text.described)))
        actions = [as_known(action, known) for action in actions]
        texts = ActionTexts(tuple(actions), by_text.action_features(actions), by_text.logit_scale)
        notes = (_note(action, known) for action in actions if action not in known)
        return ChosenActions(self._classifier(actions, texts), tuple(notes))

    def _classifier(self, actions: Sequence[str], texts: ActionTexts | None = None) -> Classifier:
        if self._recognizer is None and self._predictor.recognizer_file.suffix != ".onnx":
            self._recognizer = load_recognizer(self._predictor.recognizer_file)
        return classify_among(self._predictor, actions, texts, recognizer=self._recognizer)

    def _loaded(self, error: NotFoundError) -> ZeroShotRecognizer:
        """Return the recognizer that encodes texts, for a name that is not known without it."""
        if self._by_text is None:
            try:
                from poseglot.training.run import open_run
                from poseglot.training.zero_shot import ZeroShotRecognizer
            except ImportError:
                raise NotFoundError(
                    error.name,
                    error.known,
                    kind="action",
                    advice="Other names need the text encoder: pip install 'poseglot[train]'.",
                ) from error
            folder = self._predictor.recognizer_file.parent
            self._by_text = ZeroShotRecognizer(open_run(folder, device=self._predictor.device))
        return self._by_text


def classifier_among(predictor: Predictor, actions: str) -> Classifier:
    """Return a classifier of the actions of a text, which commas divide. Notes are logged; errors are those of `ActionLists.choose`."""
    chosen = ActionLists(predictor).choose(split_names(actions))
    for note in chosen.notes:
        _LOGGER.warning("%s", note)
    return chosen.classifier


def _note(action: str, known: Sequence[str]) -> str:
    alike = nearest(action, known)
    hint = f" Did you mean {alike!r}?" if alike else ""
    return f"{action!r} is not described, so it is recognised by its name alone.{hint}"
