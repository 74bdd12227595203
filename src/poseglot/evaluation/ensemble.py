"""Ensembles of modalities: a weighted sum of their logits.

The default weights are those of GAP's authors (joint .8, bone .8, joint motion .2, bone motion .2). Weights chosen on the test set give
a biased result. Ours are fixed in advance, or found on other clips (`poseglot.evaluation.weight_search`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poseglot.errors import InputError, SettingError
from poseglot.evaluation.metrics import Accuracy, Scores, top_k
from poseglot.evaluation.scores import SavedScores, difference_of

GAP_WEIGHTS: Mapping[str, float] = {"joint": 0.8, "bone": 0.8, "joint_motion": 0.2, "bone_motion": 0.2}


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Several runs on the same clips and their weights.

    Attributes:
        members: The name of each run -> its scores.
        weights: One for each member, in their order.
    """

    members: Mapping[str, SavedScores]
    weights: tuple[float, ...]

    @property
    def accuracy(self) -> Accuracy:
        """The top-1 accuracy of the fused logits."""
        scores = list(self.members.values())
        return top_k(fuse([each.logits for each in scores], self.weights), scores[0].labels, 1)


def make_ensemble(members: Mapping[str, SavedScores], weights: Sequence[float] | None = None) -> Ensemble:
    """Make an ensemble of runs on the same clips.

    Args:
        members: The name of each run -> its scores; two or more.
        weights: One for each member; by default `GAP_WEIGHTS` of their modalities.

    Raises:
        InputError: There are fewer than two members, or they are not of the same clips.
        SettingError: The weights are not finite, all zero, or not one for each member; or a modality has no default weight.
    """
    if len(members) < 2:
        raise InputError("an ensemble needs at least two evaluated runs.")
    (first_name, first), *others = members.items()
    for name, scores in others:
        if difference_of(first, scores):
            raise InputError(
                f"{name} and {first_name} were not evaluated on the same clips ({_clips_of(scores)} and {_clips_of(first)}). "
                "An ensemble takes runs on one test set or one fold."
            )
    if weights is None:
        weights = fixed_weights([scores.modality for scores in members.values()])
    _check_weights(weights, len(members))
    return Ensemble(members, tuple(weights))


def fuse(scores: Sequence[Scores] | Scores, weights: Sequence[float]) -> Scores:
    """Return the weighted sum of several (N, classes) logits."""
    fused: Scores = np.tensordot(np.asarray(weights), np.asarray(scores, dtype=np.float64), axes=1)
    return fused


def fixed_weights(modalities: Sequence[str]) -> list[float]:
    """Return the weights of GAP's authors for some modalities.

    Raises:
        SettingError: They gave no weight for a modality.
    """
    if unknown := [modality for modality in modalities if modality not in GAP_WEIGHTS]:
        raise SettingError(
            f"there is no fixed weight for modality {unknown[0]!r}, only for {', '.join(GAP_WEIGHTS)}; give --weights, one per run."
        )
    return [GAP_WEIGHTS[modality] for modality in modalities]


def _clips_of(scores: SavedScores) -> str:
    return f"{scores.dataset}/{scores.split}, {scores.subset}"


def _check_weights(weights: Sequence[float], runs: int) -> None:
    if len(weights) != runs:
        raise SettingError(f"there are {len(weights)} weights for {runs} runs; give one for each, in their order.")
    if not all(map(math.isfinite, weights)):
        raise SettingError(f"the weights {', '.join(map(str, weights))} are not all finite numbers.")
    if not any(weights):
        raise SettingError("the weights are all zero; at least one must differ from zero.")
