"""What a prediction is: the most probable classes of a clip, made of a recognizer's logits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from poseglot.errors import InputError, SettingError
from poseglot.inference.inputs import LoadedClip
from poseglot.skeletons.mapping import LayoutMapping

UNKNOWN = "unknown"
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassScore:
    """A class and its probability."""

    action: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The classes of a clip.

    Attributes:
        name: The clip's.
        scores: The most probable classes, best first.
        unknown: Whether even the first is below the predictor's threshold.
        mapping: How the joints were made from those of another layout; None if they were the recognizer's.
        warnings: What of the clip's coordinates is unlike the training clips (`skeletons.coordinates.compare`), each in a sentence.
            The scores of such a clip may mean nothing.
        candidates: The classes of the conformal set, best first, which holds the true class with the predictor's coverage; empty if the
            clip is like none of them, None without a coverage.
    """

    name: str
    scores: tuple[ClassScore, ...]
    unknown: bool = False
    mapping: LayoutMapping | None = None
    warnings: Mapping[str, str] = field(default_factory=dict)
    candidates: tuple[str, ...] | None = None

    @property
    def action(self) -> str:
        """The most probable class, or `unknown`."""
        return UNKNOWN if self.unknown else self.scores[0].action

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.scores[0].probability

    def table(self) -> dict[str, Any]:
        """Return action, unknown, scores and, if there are any, candidates and warnings as plain data."""
        table: dict[str, Any] = {
            "action": self.action,
            "unknown": self.unknown,
            "scores": [asdict(score) for score in self.scores],
        }
        if self.candidates is not None:
            table["candidates"] = list(self.candidates)
        return table | ({"warnings": list(self.warnings.values())} if self.warnings else {})


def softmax(logits: npt.NDArray[np.floating]) -> Probabilities:
    """Return the probabilities of logits (..., classes), in double precision.

    Raises:
        InputError: A logit is not finite, so that there is no answer.
    """
    if not np.isfinite(logits).all():
        raise InputError(
            "the recognizer's scores are not finite: the coordinates are too large for metres or pixels, or its weights are damaged."
        )
    result: Probabilities = torch.from_numpy(logits).double().softmax(dim=-1).numpy()
    return result


def warning_lines(clips: Sequence[Prediction | LoadedClip], *, without: Collection[str] = ()) -> list[str]:
    """Return a line for each kind of warning that is not in `without`: that of the first clip, and how many others have it."""
    first: dict[str, str] = {}
    for clip in clips:
        for kind, sentence in clip.warnings.items():
            first.setdefault(kind, f"{clip.name}: {sentence}")
    others = {kind: sum(kind in clip.warnings for clip in clips) - 1 for kind in first}
    return [
        f"{line}{f' (and {others[kind]:,} more clips)' if others[kind] else ''}."
        for kind, line in first.items()
        if kind not in without
    ]


def check_top(top: int) -> None:
    """Refuse a number of classes below one.

    Raises:
        SettingError: It is.
    """
    if top < 1:
        raise SettingError(f"top is the number of classes to return, at least 1, not {top}.")


def top_scores(probabilities: Probabilities, classes: Sequence[str], top: int) -> tuple[ClassScore, ...]:
    """Return the most probable classes, best first, of probabilities (classes,)."""
    best = torch.from_numpy(probabilities).topk(min(top, len(classes)))
    return tuple(
        ClassScore(classes[index], probability)
        for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    )
