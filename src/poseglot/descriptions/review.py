"""Review of description sets before training: one set, or what changed between two.

described, faults = read_description_set("mine.yaml")
review = review_set(described, faults, classes=store.info.classes, encode=encode)
print(review.undescribed, review.shared, review.spreads)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.descriptions.checks import (
    NAMES,
    PARAGRAPH,
    Lengths,
    LevelChange,
    LevelTexts,
    Shared,
    level_changes,
    level_texts,
    prompt_lengths,
    shared_texts,
    undescribed,
)
from poseglot.descriptions.description import DescriptionSet
from poseglot.descriptions.similarity import (
    Astray,
    Features,
    Matrix,
    Near,
    PartDifference,
    Spread,
    astray_names,
    extreme_pairs,
    near_texts,
    nearest,
    part_differences,
    similarities,
    spread,
)
from poseglot.errors import InputError, NotFoundError, SettingError

# Texts -> their features (texts, width).
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class TokenLimit:
    """A text encoder that may truncate texts.

    Attributes:
        name: Its name.
        limit: The maximum number of tokens.
        counted: Whether tokens are counted by its tokenizer; otherwise a lower bound is used.
    """

    name: str
    limit: int
    counted: bool


@dataclass(frozen=True, eq=False)
class Review:
    """The findings on one set.

    Attributes:
        described: The classes without faults.
        faults: The faults of the other classes and of the file.
        without_manual: Classes without the list `manual`, which only its prompt needs.
        undescribed: Classes of the data that are not described -> the label that may be meant; None without data.
        not_in_data: Described classes that the data do not have.
        texts: Level -> the number of different texts.
        words: Level -> the minimum, mean and maximum number of words of a text.
        lengths: The lengths of the prompts for each text encoder.
        shared: Texts that several classes have.
        near: Nearly identical texts of two classes.
        astray: Synonyms nearer to another class than to their own.
        spreads: How similar the classes are, for each level.
        similarity: Level -> (classes, classes).
        pair: Two classes, and their parts side by side.

    `near`, `astray`, `spreads`, `similarity` and `pair` need features.
    """

    described: DescriptionSet
    faults: Sequence[str]
    without_manual: Sequence[str]
    undescribed: Mapping[str, str | None] | None
    not_in_data: Sequence[str]
    texts: Mapping[str, int]
    words: Mapping[str, tuple[int, float, int]]
    lengths: Mapping[TokenLimit, Sequence[Lengths]]
    shared: Sequence[Shared]
    near: Sequence[Near] = ()
    astray: Sequence[Astray] = ()
    spreads: Sequence[Spread] = ()
    similarity: Mapping[str, Matrix] | None = None
    pair: tuple[str, str, Sequence[PartDifference]] | None = None

    @property
    def acceptable(self) -> bool:
        """Whether nothing is missing or too long, and no two classes share a name or a paragraph.

        Parts of two classes may be equal. A text that joins several parts may be too long, which is the choice of the recipe.
        """
        same = any(shared.level in (NAMES, PARAGRAPH) for shared in self.shared)
        too_long = any(each.too_long and not each.joined for several in self.lengths.values() for each in several)
        return not (self.faults or self.undescribed or same or too_long)

    def table(self) -> dict[str, Any]:
        """Return the review as plain dicts and lists for JSON."""
        return {
            "set": self.described.origin,
            "classes": list(self.described.classes),
            "faults": list(self.faults),
            "without_manual": list(self.without_manual),
            "undescribed": self.undescribed,
            "not_in_data": list(self.not_in_data),
            "texts": dict(self.texts),
            "words": {level: dict(zip(("min", "mean", "max"), own, strict=True)) for level, own in self.words.items()},
            "lengths": [
                {**asdict(limit), "prompts": [asdict(lengths) for lengths in several]}
                for limit, several in self.lengths.items()
            ],
            "identical": [asdict(each) for each in self.shared],
            "near": [asdict(each) for each in self.near],
            "astray": [asdict(each) for each in self.astray],
            "levels": [asdict(each) for each in self.spreads],
            "pair": None if self.pair is None else [*self.pair[:2], [asdict(each) for each in self.pair[2]]],
            "similarity": _rounded(self.similarity),
        }


def review_set(
    described: DescriptionSet,
    faults: Sequence[str] = (),
    *,
    classes: Sequence[str] | None = None,
    token_counters: Mapping[TokenLimit, Callable[[str], int]] | None = None,
    encode: Encode | None = None,
    with_label: bool = False,
    threshold: float = 0.95,
    pairs: int = 5,
    pair: tuple[str, str] | None = None,
) -> Review:
    """Review a description set.

    Args:
        described, faults: The set and its faults (`read_description_set`).
        classes: The classes of the data, which should be described.
        token_counters: For each text encoder a function that counts the tokens of a text.
        encode: Returns the features of texts; None skips what needs them.
        with_label: Encode texts with the class's label in front, as training does.
        threshold: The cosine from which texts of two classes are nearly identical.
        pairs: How many of the most similar pairs of classes are listed per level.
        pair: Two classes to compare part by part.

    Raises:
        SettingError: A class of `pair` is not described, or an argument is out of range.
    """
    if pairs < 0:
        raise SettingError(f"the number of pairs must be 0 or more, not {pairs}.")
    if not 0 < threshold <= 1:
        raise SettingError(f"the threshold for near texts must be a cosine above 0, at most 1, not {threshold:g}.")
    for label in pair or ():
        if label not in described.classes:
            raise NotFoundError(label, described.classes, kind="class")
    if pair and pair[0] == pair[1]:
        raise SettingError(f"a pair takes two classes, not {pair[0]!r} twice.")
    labels, descriptions = list(described.classes), list(described.classes.values())
    texts = level_texts(descriptions)
    words = {level: [len(text.split()) for own in several for text in own] for level, several in texts.items()}
    review = Review(
        described=described,
        faults=faults,
        without_manual=[each.label for each in descriptions if not each.manual],
        undescribed=None if classes is None else undescribed(labels, classes),
        not_in_data=[] if classes is None else [label for label in labels if label not in classes],
        texts={level: len({text for own in several for text in own}) for level, several in texts.items()},
        words={level: (min(own), sum(own) / len(own), max(own)) for level, own in words.items() if own},
        lengths={
            limit: prompt_lengths(descriptions, count, limit=limit.limit)
            for limit, count in (token_counters or {}).items()
            if descriptions
        },
        shared=[shared for level, several in texts.items() for shared in shared_texts(labels, level, several)],
    )
    if encode is None or not labels:
        return review
    texts = level_texts(descriptions, with_label=with_label)
    features = _features(encode, texts)
    similarity = similarities(texts, features)
    review = replace(
        review,
        near=[each for level, own in texts.items() for each in near_texts(labels, level, own, features, threshold=threshold)],
        astray=astray_names(labels, texts[NAMES], features),
        spreads=[spread(labels, level, values, pairs=pairs) for level, values in similarity.items() if len(labels) > 1],
        similarity=similarity,
    )
    if pair is None:
        return review
    a, b = pair
    return replace(review, pair=(a, b, part_differences(texts, similarity, labels.index(a), labels.index(b))))


@dataclass(frozen=True, eq=False)
class SetComparison:
    """Two sets, A and B, over the classes that both describe.

    Attributes:
        labels: These classes.
        only_a, only_b: The other classes.
        changes: The changes of the texts, level by level.
        similarity_a, similarity_b: Level -> (classes, classes); None without features.
    """

    a: DescriptionSet
    b: DescriptionSet
    labels: Sequence[str]
    only_a: Sequence[str]
    only_b: Sequence[str]
    changes: Sequence[LevelChange]
    similarity_a: Mapping[str, Matrix] | None = None
    similarity_b: Mapping[str, Matrix] | None = None

    @property
    def similarity_change(self) -> dict[str, Matrix]:
        """Level -> (classes, classes), the similarity in B minus that in A; empty without features."""
        if self.similarity_a is None or self.similarity_b is None:
            return {}
        return {level: self.similarity_b[level] - of_a for level, of_a in self.similarity_a.items()}

    def table(self, *, pairs: int = 5) -> dict[str, Any]:
        """Return the comparison as plain dicts and lists for JSON, with the `pairs` pairs of classes that changed most."""
        moved = {}
        for level, change in self.similarity_change.items():
            farther = extreme_pairs(self.labels, -change, pairs)
            moved[level] = {
                "nearer": [asdict(each) for each in extreme_pairs(self.labels, change, pairs)],
                "farther": [asdict(replace(each, similarity=-each.similarity)) for each in farther],
            }
        return {
            "a": self.a.origin,
            "b": self.b.origin,
            "classes": list(self.labels),
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "levels": [asdict(change) for change in self.changes],
            "moved": moved,
            "similarity_a": _rounded(self.similarity_a),
            "similarity_b": _rounded(self.similarity_b),
        }


def compare_sets(
    a: DescriptionSet, b: DescriptionSet, *, encode: Encode | None = None, with_label: bool = False
) -> SetComparison:
    """Compare two description sets over the classes that both describe.

    Args:
        encode: Returns the features of texts; None compares the texts alone.
        with_label: Encode texts with the class's label in front, as training does.

    Raises:
        InputError: No class is described by both.
    """
    labels = [label for label in a.classes if label in b.classes]
    if not labels:
        raise InputError(f"no class is described by both {a.origin} and {b.origin}.")
    comparison = SetComparison(
        a=a,
        b=b,
        labels=labels,
        only_a=[label for label in a.classes if label not in b.classes],
        only_b=[label for label in b.classes if label not in a.classes],
        changes=level_changes(labels, level_texts(a.of(labels)), level_texts(b.of(labels))),
    )
    if encode is None or len(labels) < 2:
        return comparison
    texts = [level_texts(each.of(labels), with_label=with_label) for each in (a, b)]
    features = _features(encode, *texts)
    of_a, of_b = (similarities(each, features) for each in texts)
    changes = [
        replace(
            change,
            nearest_a=float(nearest(of_a[change.level]).mean()),
            nearest_b=float(nearest(of_b[change.level]).mean()),
        )
        for change in comparison.changes
    ]
    return replace(comparison, changes=changes, similarity_a=of_a, similarity_b=of_b)


def _features(encode: Encode, *several: LevelTexts) -> Features:
    """Encode each distinct text once."""
    distinct = list(dict.fromkeys(text for texts in several for level in texts.values() for own in level for text in own))
    return dict(zip(distinct, encode(distinct), strict=True))


def _rounded(similarity: Mapping[str, Matrix] | None) -> dict[str, list[list[float]]] | None:
    """Round matrices to four digits, which is as exact as a text encoder is."""
    return None if similarity is None else {level: values.round(4).tolist() for level, values in similarity.items()}
