"""Conformal sets: sets of classes that hold the true one with a stated probability.

A class is in a clip's set if its probability is at least a threshold. The threshold comes from n clips that were not trained on: it is
the floor((n + 1) (1 - coverage))-th smallest probability of their true classes. A new clip that is exchangeable with them has its true
class in its set with at least that coverage (Vovk et al. 2005; the score is that of Sadinle et al., JASA 2019). A set may be empty:
then the clip is like none of the classes.

The statement is about new clips *like those*. Clips of another camera, or of people who move otherwise, are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from poseglot.errors import InputError, SettingError
from poseglot.evaluation.metrics import Accuracy, Labels

Probabilities = npt.NDArray[np.float64]


def set_threshold(probabilities: Probabilities, labels: Labels, coverage: float) -> float:
    """Return the lowest probability of a class in a set with this coverage; 0, which admits all classes, if the clips are too few.

    Args:
        probabilities: (N, classes) of clips that were not trained on, N >= 1.
        labels: (N,).
        coverage: The share of new clips whose set holds the true class, above 0 and below 1.

    Raises:
        SettingError: The coverage is not between 0 and 1.
        InputError: There are no clips.
    """
    if not 0 < coverage < 1:
        raise SettingError(f"coverage is a share above 0 and below 1, for example 0.9, not {coverage}.")
    if not len(labels):
        raise InputError("conformal sets need clips that were not trained on; there are none.")
    own = np.sort(probabilities[np.arange(len(labels)), labels])
    rank = math.floor((len(own) + 1) * (1 - coverage) + 1e-9)
    return float(own[rank - 1]) if rank else 0.0


def prediction_sets(probabilities: Probabilities, threshold: float) -> npt.NDArray[np.bool_]:
    """Return (N, classes): which classes are in the set of each clip."""
    return np.asarray(probabilities >= threshold)


def left_out_coverage(probabilities: Probabilities, labels: Labels, groups: Sequence[str], coverage: float) -> Accuracy:
    """Count the clips whose true class is in their set, the threshold being that of the clips of all other groups.

    Args:
        probabilities, labels, coverage: As for `set_threshold`.
        groups: (N,) the group of each clip, such as its person; at least two are different.
    """
    own, held = np.asarray(groups), 0
    for group in dict.fromkeys(groups):
        left_out = own == group
        threshold = set_threshold(probabilities[~left_out], labels[~left_out], coverage)
        held += set_quality(probabilities[left_out], labels[left_out], threshold)[0].correct
    return Accuracy(held, len(labels))


def set_quality(probabilities: Probabilities, labels: Labels, threshold: float) -> tuple[Accuracy, float, Accuracy]:
    """Count the sets that hold the true class.

    Returns:
        The sets that do out of all, the mean number of classes in a set, and the empty sets out of all.
    """
    sets = prediction_sets(probabilities, threshold)
    held, sizes = sets[np.arange(len(labels)), labels], sets.sum(axis=1)
    return (
        Accuracy(int(held.sum()), len(labels)),
        float(sizes.mean()) if len(sizes) else math.nan,
        Accuracy(int((sizes == 0).sum()), len(labels)),
    )
