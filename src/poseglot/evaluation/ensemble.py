"""Fusing streams: a weighted sum of their logits, with fixed weights.

The default weights are those of GAP's authors (joint .8, bone .8, joint motion .2, bone motion .2). Weights tried out on the test set
make a number that nobody else can trust; ours are fixed before it is seen, or found on other clips (`evaluation.search`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from poseglot.errors import PoseglotError
from poseglot.evaluation.metrics import Scores
from poseglot.evaluation.scores import SavedScores, what_differs

GAP_WEIGHTS: Mapping[str, float] = {"joint": 0.8, "bone": 0.8, "joint_motion": 0.2, "bone_motion": 0.2}


def fuse(scores: Sequence[Scores] | Scores, weights: Sequence[float]) -> Scores:
    """The weighted sum of several (N, classes) logits."""
    fused: Scores = np.tensordot(np.asarray(weights), np.asarray(scores, dtype=np.float64), axes=1)
    return fused


def check_number(runs: int) -> None:
    """See that there is something to fuse.

    Raises:
        PoseglotError: fewer than two runs.
    """
    if runs < 2:
        raise PoseglotError("an ensemble needs at least two evaluated runs.")


def check_members(names: Sequence[str], members: Sequence[SavedScores]) -> None:
    """See that runs can be fused.

    Args:
        names: of the runs, for messages.

    Raises:
        PoseglotError: not on the same clips.
    """
    first = members[0]
    for name, scores in zip(names, members, strict=True):
        if what_differs(first, scores):
            raise PoseglotError(
                f"{name} and {names[0]} were not evaluated on the same clips ({_looked_at(scores)} and "
                f"{_looked_at(first)}); only runs on one test set, or one fold, can be fused."
            )


def _looked_at(scores: SavedScores) -> str:
    return f"{scores.dataset}/{scores.split}, {scores.subset}"


def fixed_weights(modalities: Sequence[str]) -> list[float]:
    """The weights of GAP's authors.

    Raises:
        PoseglotError: a stream for which they gave none.
    """
    if unknown := [modality for modality in modalities if modality not in GAP_WEIGHTS]:
        raise PoseglotError(
            f"there is no fixed weight for stream {unknown[0]!r}, only for {', '.join(GAP_WEIGHTS)}; give --weights, one per run."
        )
    return [GAP_WEIGHTS[modality] for modality in modalities]


def check_weights(weights: Sequence[float], runs: int) -> None:
    """See that given weights fit.

    Raises:
        PoseglotError: not one for each run, not finite, or all zero.
    """
    if len(weights) != runs:
        raise PoseglotError(f"{len(weights)} weights for {runs} runs; give one for each, in their order.")
    if not all(map(math.isfinite, weights)):
        raise PoseglotError(f"the weights {', '.join(map(str, weights))} are not all finite numbers; every run needs one.")
    if not any(weights):
        raise PoseglotError("the weights are all zero; at least one run must count.")
