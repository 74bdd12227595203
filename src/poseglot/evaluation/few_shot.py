"""Few-shot recognition without retraining: a clip gets the class whose prototype is nearest.

A prototype is the mean of the unit features of a class's clips and, where there are texts, of its text:

    p = (w t + sum of f_i) / (w + n)

Features and texts are centred first, each by their own mean: all classes share most of their features (SimpleShot, Wang et al. 2019), and
clips and texts lie apart from each other (Liang et al., NeurIPS 2022). The weight w of a text is that of one clip, fixed beforehand: a
text counts most where there are few clips. Levels are averaged with equal weights.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseglot.evaluation.metrics import Labels, Scores

Features = npt.NDArray[np.float64]
TEXT_WEIGHT = 1.0


def unit(features: Features, centre: Features) -> Features:
    """Return (levels, N, F) features minus a centre (levels, F), at length 1."""
    centred = features - centre[:, None]
    scaled: Features = centred / np.maximum(np.linalg.norm(centred, axis=2, keepdims=True), 1e-12)
    return scaled


def prototypes(
    features: Features, labels: Labels, classes: int, *, texts: Features | None = None, text_weight: float = TEXT_WEIGHT
) -> Features:
    """Return the prototypes of classes, (levels, classes, F); zero for a class with neither clips nor text.

    Args:
        features: (levels, N, F) of length 1, see `unit`.
        labels: (N,) below `classes`.
        classes: The number of classes.
        texts: (levels, classes, F) of length 1; None without text.
        text_weight: The number of clips that a text counts as.
    """
    member = np.eye(classes)[labels]  # (N, classes)
    sums = np.einsum("nc,lnf->lcf", member, features)
    counts = member.sum(axis=0)
    if texts is not None:
        sums, counts = sums + text_weight * texts, counts + text_weight
    mean: Features = sums / np.maximum(counts, 1e-12)[:, None]
    return mean


def prototype_scores(features: Features, protos: Features) -> Scores:
    """Return the mean over levels of the cosines of clips (levels, N, F) and prototypes (levels, classes, F): (N, classes)."""
    length = np.maximum(np.linalg.norm(protos, axis=2, keepdims=True), 1e-12)
    scores: Scores = np.einsum("lnf,lcf->nc", features, protos / length) / len(protos)
    return scores
