"""Zero-shot recognition: a clip gets the class with the nearest text features.

At every alignment level a clip has a feature and a class has the features of its texts. The score of a class is the mean over its texts
of the cosine, averaged over the levels with equal weights. Two tasks are evaluated (Xian et al., TPAMI 2019):

    zero-shot      clips of unseen classes, among the unseen classes
    generalised    clips of seen and of unseen classes, among all classes; summarised by the harmonic mean of both accuracies

A recognizer prefers the classes that it was trained on. Calibrated stacking (Chao et al., ECCV 2016) subtracts a bias from the scores of
seen classes. It must not be chosen on the clips that it is reported on: `keeping_bias` needs training clips alone, `best_bias` clips of
other classes that were left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.evaluation.metrics import Accuracy, Labels, Scores, top_k

# The values that `best_bias` tries.
BIASES = tuple(step / 100 for step in range(101))
# The share of training clips that `keeping_bias` leaves with the classes that were trained.
KEPT = 0.9


@dataclass(frozen=True)
class ZeroShotResult:
    """The accuracies of zero-shot and generalised recognition.

    Attributes:
        zero_shot: Clips of unseen classes, among these.
        by_level: The same with one alignment level alone.
        per_class: The same for the clips of each unseen class.
        seen, unseen: Clips of seen and of unseen classes, among all classes.
        bias: What was subtracted from the scores of seen classes in `seen` and `unseen`.
    """

    zero_shot: Accuracy
    by_level: Mapping[str, Accuracy]
    per_class: Mapping[str, Accuracy]
    seen: Accuracy
    unseen: Accuracy
    bias: float

    @property
    def chance(self) -> float:
        """The accuracy of a random choice among the unseen classes, in percent."""
        return 100 / len(self.per_class)

    @property
    def harmonic_mean(self) -> float:
        """The harmonic mean of the accuracies on seen and unseen classes, in percent."""
        return harmonic_mean(self.seen.percent, self.unseen.percent)


def cosines(features: npt.NDArray[np.floating], texts: npt.NDArray[np.floating]) -> Scores:
    """Return the cosines of clips and classes, (levels, clips, classes).

    Args:
        features: (levels, clips, width) of the clips.
        texts: (levels, classes, width), the mean over each class's texts of their normalised features, so that the product is the mean
            over the texts of the cosine.
    """
    length = np.linalg.norm(features, axis=2, keepdims=True)
    found: Scores = (features / np.maximum(length, 1e-12)) @ texts.transpose(0, 2, 1)
    return found


def mean_over_levels(scores: Scores) -> Scores:
    """Average (levels, clips, classes) scores over the levels."""
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
    """Evaluate both tasks.

    Args:
        scores: (levels, clips, classes), see `cosines`.
        labels: (clips,) indices into `classes`.
        classes: All classes, seen and unseen.
        unseen: The classes that were not trained on.
        levels: The names of the alignment levels.
        bias: Is subtracted from the scores of seen classes before all classes are compared.
    """
    among = np.array([classes.index(label) for label in unseen])
    new = np.isin(labels, among)
    index_among = np.full(len(classes), -1)
    index_among[among] = np.arange(len(among))
    own = index_among[labels[new]]

    def zero_shot(found: Scores) -> Accuracy:
        return top_k(found[new][:, among], own, 1)

    together = mean_over_levels(scores)
    only = together[new][:, among]
    of_seen, of_unseen = _generalised(together, labels, among, bias)
    return ZeroShotResult(
        zero_shot=zero_shot(together),
        by_level={level: zero_shot(found) for level, found in zip(levels, scores, strict=True)},
        per_class={label: top_k(only[own == index], own[own == index], 1) for index, label in enumerate(unseen)},
        seen=of_seen,
        unseen=of_unseen,
        bias=bias,
    )


def _generalised(scores: Scores, labels: Labels, unseen: npt.NDArray[np.int64], bias: float) -> tuple[Accuracy, Accuracy]:
    """Count the clips of seen and of unseen classes that are correct among all classes."""
    new = np.isin(labels, unseen)
    subtracted = np.full(scores.shape[1], bias)
    subtracted[unseen] = 0
    found = scores - subtracted
    return top_k(found[~new], labels[~new], 1), top_k(found[new], labels[new], 1)


def keeping_bias(scores: Scores, unseen: Sequence[int], *, kept: float = KEPT) -> float:
    """Return the bias at which this share of training clips is still nearer to a seen class than to any unseen one.

    No clip of an unseen class is needed. It is below 0 if more training clips than that are nearer to unseen classes without a bias.

    Args:
        scores: (levels, clips, classes) of training clips, see `cosines`.
        unseen: The columns of unseen classes.
        kept: The share.
    """
    together, new = mean_over_levels(scores), np.zeros(scores.shape[2], dtype=bool)
    new[list(unseen)] = True
    return float(np.quantile(together[:, ~new].max(axis=1) - together[:, new].max(axis=1), 1 - kept))


def best_bias(scores: Scores, labels: Labels, *, classes: Sequence[str], unseen: Sequence[str]) -> float:
    """Return the smallest of `BIASES` with the best harmonic mean; the arguments are those of `evaluate`."""
    among, together = np.array([classes.index(label) for label in unseen]), mean_over_levels(scores)

    def mean(bias: float) -> float:
        return harmonic_mean(*(accuracy.percent for accuracy in _generalised(together, labels, among, bias)))

    return max(BIASES, key=lambda bias: (mean(bias), -bias))


def harmonic_mean(one: float, other: float) -> float:
    """Return 2 ab / (a + b); 0 if either is 0."""
    return 2 * one * other / (one + other) if one and other else 0.0
