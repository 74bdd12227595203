"""Similarity of classes by the features of their texts. The features are arrays; nothing here knows a model.

The similarity of two classes on a level is the cosine between the means of their texts' normalised features. A level separates a class
well if the similarity to its nearest class is low. `together` is the mean over the six parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.descriptions.checks import LevelTexts, plain
from poseglot.skeletons.layout import PARTS

TOGETHER = "together"
Matrix = npt.NDArray[np.float64]
# A text -> its feature.
Features = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Near:
    """Two texts of two classes with nearly the same features."""

    level: str
    a: str
    b: str
    text_a: str
    text_b: str
    similarity: float


@dataclass(frozen=True)
class Astray:
    """A synonym that is nearer to another class's names than to the other names of its own.

    Attributes:
        label, text: Its class and the synonym.
        nearest: The class that it is nearest to.
        excess: How much greater its cosine with that class is than with its own.
    """

    label: str
    text: str
    nearest: str
    excess: float


@dataclass(frozen=True)
class Pair:
    """The similarity of two classes."""

    a: str
    b: str
    similarity: float


@dataclass(frozen=True)
class Spread:
    """How similar the classes are on a level.

    Attributes:
        nearest: The mean over classes of the similarity to the nearest other class.
        most: The greatest similarity of two classes.
        typical: The mean over all pairs of classes.
        pairs: The most similar pairs, in descending order.
    """

    level: str
    nearest: float
    most: float
    typical: float
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class PartDifference:
    """The texts of a part for two classes.

    Attributes:
        texts_a, texts_b: The texts.
        similarity: Their similarity.
        typical: The mean similarity of two classes in this part.
        share: The part's share of the difference (1 - similarity, summed over the six parts); 0 if nothing differs.
    """

    part: str
    texts_a: tuple[str, ...]
    texts_b: tuple[str, ...]
    similarity: float
    typical: float
    share: float


def near_texts(
    labels: Sequence[str], level: str, texts: Sequence[Sequence[str]], features: Features, *, threshold: float
) -> list[Near]:
    """Return pairs of texts of two classes with a cosine of at least `threshold`, in descending order.

    Pairs that are equal but for case and punctuation are left out (see `checks.shared_texts`).
    """
    own = [(label, text) for label, several in enumerate(texts) for text in several]
    unit = _unit(np.stack([features[text] for _, text in own]))
    classes = np.array([label for label, _ in own])
    cosines = unit @ unit.T
    found = []
    for i, j in np.argwhere(np.triu((cosines >= threshold) & (classes[:, None] != classes), k=1)):
        (one, text_a), (other, text_b) = own[i], own[j]
        if plain(text_a) != plain(text_b):
            found.append(Near(level, labels[one], labels[other], text_a, text_b, float(cosines[i, j])))
    return sorted(found, key=lambda near: -near.similarity)


def astray_names(labels: Sequence[str], names: Sequence[Sequence[str]], features: Features) -> list[Astray]:
    """Return the synonyms that are nearer to another class than to their own, the farthest astray first.

    A class is the mean of its names' normalised features; a synonym is not counted in the mean of its own class.

    Args:
        names: For each class its label and its synonyms.
    """
    rows = [_unit(np.stack([features[name] for name in own])) for own in names]
    means = _unit(np.stack([own.mean(axis=0) for own in rows]))
    found = []
    for index, (label, own, unit) in enumerate(zip(labels, names, rows, strict=True)):
        if len(own) < 2:
            continue
        similarity = unit[1:] @ means.T
        similarity[:, index] = (_unit(unit.sum(axis=0) - unit[1:]) * unit[1:]).sum(axis=1)
        for name, values in zip(own[1:], similarity, strict=True):
            if (nearest_class := int(values.argmax())) != index:
                excess = float(values[nearest_class] - values[index])
                found.append(Astray(label, name, labels[nearest_class], excess))
    return sorted(found, key=lambda each: -each.excess)


def similarities(texts: LevelTexts, features: Features) -> dict[str, Matrix]:
    """Return level -> (classes, classes) similarities, `together` among the levels."""
    found = {}
    for level, classes in texts.items():
        means = _unit(np.stack([_unit(np.stack([features[text] for text in own])).mean(axis=0) for own in classes]))
        found[level] = means @ means.T
    found[TOGETHER] = np.mean([found[part] for part in PARTS], axis=0)
    return found


def nearest(similarity: Matrix) -> Matrix:
    """Return the similarity of each class to its nearest other one, (classes,); there must be two."""
    other = similarity.copy()
    np.fill_diagonal(other, -np.inf)
    highest: Matrix = other.max(axis=1)
    return highest


def spread(labels: Sequence[str], level: str, similarity: Matrix, *, pairs: int) -> Spread:
    """Summarise the similarities of two or more classes on a level, with the `pairs` most similar pairs."""
    rows, columns = np.triu_indices(len(labels), k=1)
    values = similarity[rows, columns]
    return Spread(
        level=level,
        nearest=float(nearest(similarity).mean()),
        most=float(values.max()),
        typical=float(values.mean()),
        pairs=tuple(extreme_pairs(labels, similarity, pairs)),
    )


def extreme_pairs(labels: Sequence[str], values: Matrix, count: int) -> list[Pair]:
    """Return the `count` pairs of classes with the greatest values of a symmetric matrix, in descending order."""
    rows, columns = np.triu_indices(len(labels), k=1)
    order = np.argsort(-values[rows, columns], kind="stable")[:count]
    return [Pair(labels[rows[at]], labels[columns[at]], float(values[rows[at], columns[at]])) for at in order]


def part_differences(texts: LevelTexts, similarity: Mapping[str, Matrix], a: int, b: int) -> list[PartDifference]:
    """Compare the six parts of the classes with indices a and b."""
    differences = {part: 1 - float(similarity[part][a, b]) for part in PARTS}
    total = sum(differences.values())
    found = []
    for part, difference in differences.items():
        rows, columns = np.triu_indices(len(similarity[part]), k=1)
        found.append(
            PartDifference(
                part=part,
                texts_a=tuple(texts[part][a]),
                texts_b=tuple(texts[part][b]),
                similarity=1 - difference,
                typical=float(similarity[part][rows, columns].mean()),
                # Equal texts differ by rounding.
                share=difference / total if total > 1e-6 else 0.0,
            )
        )
    return found


def _unit(rows: npt.NDArray[np.floating]) -> Matrix:
    """Normalise rows to length 1, in float64."""
    wide = rows.astype(np.float64)
    unit: Matrix = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit
