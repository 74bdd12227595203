"""Novelty: how much a clip is unlike everything that was trained on. Higher is more novel.

probability   1 - the highest probability (Hendrycks and Gimpel, ICLR 2017)
energy        -log sum exp of the logits (Liu et al., NeurIPS 2020)
distance      the squared Mahalanobis distance of the features to the nearest class mean, with one covariance for all classes, shrunk
              towards a multiple of the identity (Lee et al., NeurIPS 2018; Ledoit and Wolf, 2004)

`auroc` measures them: the probability that a novel clip scores higher than a known one; 0.5 is chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from scipy.stats import rankdata

from poseglot.errors import InputError
from poseglot.evaluation.metrics import Labels, Scores

Array = npt.NDArray[np.float64]


def improbability(logits: Scores, temperature: float = 1.0) -> Array:
    """Return 1 - the highest probability of each clip, (N,)."""
    result: Array = 1 - softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1).max(axis=1)
    return result


def energy(logits: Scores) -> Array:
    """Return -log sum exp of the logits (N, classes) of each clip, (N,)."""
    result: Array = -np.asarray(logsumexp(np.asarray(logits, dtype=np.float64), axis=1))
    return result


@dataclass(frozen=True, eq=False)
class ClassDistance:
    """The distance of features to the nearest class of the training clips.

    Attributes:
        means: (classes, F); classes without clips are left out.
        precision: (F, F), the inverse of the shrunk covariance.
    """

    means: Array
    precision: Array

    @classmethod
    def fit(cls, features: npt.NDArray[np.floating], labels: Labels) -> ClassDistance:
        """Learn the classes of training clips.

        Args:
            features: (N, F), N >= 2.
            labels: (N,).

        Raises:
            InputError: There are fewer than two clips, or all clips of a class are alike.
        """
        x = np.asarray(features, dtype=np.float64)
        if len(x) < 2:
            raise InputError(f"distances to classes need at least two training clips; there are {len(x)}.")
        present, index = np.unique(labels, return_inverse=True)
        means = np.stack([x[index == number].mean(axis=0) for number in range(len(present))])
        centred = x - means[index]
        covariance = centred.T @ centred / len(x)
        scale = float(np.trace(covariance)) / x.shape[1]
        if scale <= 0:
            raise InputError("the training clips of each class have equal features, so there is no distance to them.")
        identity = scale * np.eye(x.shape[1])
        spread = float(((covariance - identity) ** 2).sum())
        noise = float(((centred**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()) / len(x)
        shrinkage = min(1.0, max(0.0, noise / spread)) if spread > 0 else 1.0
        shrunk = (1 - shrinkage) * covariance + max(shrinkage, 1e-6) * identity
        return cls(means, np.linalg.inv(shrunk))

    def __call__(self, features: npt.NDArray[np.floating]) -> Array:
        """Return the squared distance of each clip (N, F) to its nearest class, (N,)."""
        root = np.linalg.cholesky(self.precision)  # |(x - m) L|^2 is the distance for precision = L L'
        x, means = np.asarray(features, dtype=np.float64) @ root, self.means @ root
        distances: Array = cdist(x, means, "sqeuclidean").min(axis=1)
        return distances


def auroc(known: npt.ArrayLike, novel: npt.ArrayLike) -> float:
    """Return the probability that a novel clip scores higher than a known one; ties count half.

    Raises:
        InputError: One of the two has no clips.
    """
    low, high = np.asarray(known, dtype=np.float64), np.asarray(novel, dtype=np.float64)
    if not len(low) or not len(high):
        raise InputError(f"an AUROC needs known and novel clips; there are {len(low)} and {len(high)}.")
    ranks = rankdata(np.concatenate([low, high]))[len(low) :]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(low) * len(high)))
