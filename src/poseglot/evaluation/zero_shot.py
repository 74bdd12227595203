"""Zero-shot recognition: a clip is what its words are nearest to. Numbers in, numbers out.

At every alignment level a clip has a feature and a class has the features of its texts. The score of a class is the mean over its texts
of the cosine, and over levels the mean of these, with equal and fixed weights. Two questions are asked (Xian et al., TPAMI 2019):

    zero-shot      clips of unseen classes, among the unseen classes
    generalised    clips of seen and of unseen classes, among all classes; the harmonic mean of both accuracies is high only if both are

A recognizer leans towards what it has learned from. A bias that is taken from the scores of seen classes (calibrated stacking, Chao et
al., ECCV 2016) straightens that; it is 0 unless given, and never chosen on the clips that it is reported on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.evaluation.metrics import Accuracy, Labels, Scores, top_k

# What `best_bias` tries.
BIASES = tuple(step / 100 for step in range(101))


@dataclass(frozen=True)
class ZeroShotResult:
    """What came of it.

    Attributes:
        zero_shot: clips of unseen classes, among these.
        by_level: the same by one alignment level alone.
        per_class: the same for each unseen class, in the order of the classes.
        seen, unseen: clips of seen and of unseen classes, among all classes.
        bias: that was taken from the scores of seen classes in `seen` and `unseen`.
    """

    zero_shot: Accuracy
    by_level: Mapping[str, Accuracy]
    per_class: Mapping[str, Accuracy]
    seen: Accuracy
    unseen: Accuracy
    bias: float

    @property
    def chance(self) -> float:
        """Of `zero_shot`, in percent, were a class drawn at random."""
        return 100 / len(self.per_class)

    @property
    def harmonic_mean(self) -> float:
        """Of the accuracies on seen and unseen classes, in percent."""
        return harmonic_mean(self.seen.percent, self.unseen.percent)


def cosines(features: npt.NDArray[np.floating], words: npt.NDArray[np.floating]) -> Scores:
    """(levels, clips, width) features of clips and (levels, classes, width) of words -> (levels, clips, classes).

    Args:
        words: of each class the mean over its texts' features, each of them normalised, so that the mean over texts of the cosine is this
            product.
    """
    length = np.linalg.norm(features, axis=2, keepdims=True)
    found: Scores = (features / np.maximum(length, 1e-12)) @ words.transpose(0, 2, 1)
    return found


def fused(scores: Scores) -> Scores:
    """(levels, clips, classes) -> (clips, classes): every level counts the same."""
    mean: Scores = scores.mean(axis=0)
    return mean


def evaluate(
    scores: Scores,
    labels: Labels,
    *,
    classes: Sequence[str],
    unseen: Sequence[str],
    levels: Sequence[str],
    bias: float = 0.0,
) -> ZeroShotResult:
    """Both questions.

    Args:
        scores: (levels, clips, classes), see `cosines`.
        labels: (clips,), places in `classes`.
        classes: all of them, seen and unseen. unseen: those that were not learned.
        bias: taken from the scores of seen classes before all classes are compared.
    """
    among = np.array([classes.index(label) for label in unseen])
    new = np.isin(labels, among)
    places = np.full(len(classes), -1)
    places[among] = np.arange(len(among))
    own = places[labels[new]]

    def count(found: Scores) -> Accuracy:
        return top_k(found[new][:, among], own, 1)

    together = fused(scores)
    only = together[new][:, among]
    seen, unseen_count = _generalised(together, labels, among, bias)
    return ZeroShotResult(
        zero_shot=count(together),
        by_level={level: count(found) for level, found in zip(levels, scores, strict=True)},
        per_class={label: top_k(only[own == place], own[own == place], 1) for place, label in enumerate(unseen)},
        seen=seen,
        unseen=unseen_count,
        bias=bias,
    )


def _generalised(together: Scores, labels: Labels, among: npt.NDArray[np.int64], bias: float) -> tuple[Accuracy, Accuracy]:
    """Clips of seen and of unseen classes, among all."""
    new = np.isin(labels, among)
    level = np.full(together.shape[1], bias)
    level[among] = 0
    found = together - level
    return top_k(found[~new], labels[~new], 1), top_k(found[new], labels[new], 1)


def best_bias(scores: Scores, labels: Labels, *, classes: Sequence[str], unseen: Sequence[str]) -> float:
    """The smallest of `BIASES` with the best harmonic mean on some clips - which must not be those that it is reported on."""
    among, together = np.array([classes.index(label) for label in unseen]), fused(scores)

    def mean(bias: float) -> float:
        return harmonic_mean(*(count.percent for count in _generalised(together, labels, among, bias)))

    return max(BIASES, key=lambda bias: (mean(bias), -bias))


def harmonic_mean(one: float, other: float) -> float:
    """2 ab / (a + b); 0 if either is 0."""
    return 2 * one * other / (one + other) if one and other else 0.0
