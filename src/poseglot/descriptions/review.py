"""Looking at a description set before anything is trained with it: what is missing, too long, said of two classes, or hard to tell apart.

A class has texts on eight levels: its names (label and synonyms), its paragraph, and one level for each of the six parts. Here they are
taken without the label: with it every text of two classes differs, and the label decides how far. (`with_label` writes them as training
reads them.) What a text encoder makes of the texts comes in as arrays; nothing here knows a model.

Two classes are as similar on a level as the cosine between the means of their texts' features, each of length 1. How well a level tells
a class from the others is the similarity to its nearest class: the lower, the better. `together` is the mean over the six parts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.descriptions.description import Description
from poseglot.descriptions.prompts import make_prompts
from poseglot.skeletons.layout import GLOBAL, PARTS

NAMES, PARAGRAPH, TOGETHER = "names", "paragraph", "together"
LEVELS = (NAMES, PARAGRAPH, *PARTS)
# The prompts whose texts may be long, each with the partitions that join more or fewer parts.
LONG_PROMPTS = (
    ("synonym", GLOBAL),
    ("paragraph", GLOBAL),
    ("manual", GLOBAL),
    ("parts", "six"),
    ("parts", "four"),
    ("parts", "two"),
    ("parts", GLOBAL),
)
CLIP_LONGEST = 77
# What CLIP's tokenizer splits at before it looks for pieces of words: contractions, words, digits, runs of other signs.
_CLIP_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)

Matrix = npt.NDArray[np.float64]
# A text -> its feature.
Features = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Shared:
    """A text that several classes have on one level, but for capitals and punctuation."""

    level: str
    text: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Near:
    """Two texts of two classes that the text encoder hardly tells apart."""

    level: str
    a: str
    b: str
    text_a: str
    text_b: str
    similarity: float


@dataclass(frozen=True)
class TooLong:
    """The longest text of a class on a level of a prompt, if the text encoder would cut it."""

    label: str
    level: str
    tokens: int


@dataclass(frozen=True)
class Lengths:
    """How long the texts are that a prompt makes.

    Attributes:
        prompt, partition: see `poseglot.descriptions.prompts`.
        longest, label: most tokens of a text, and whose it is.
        too_long: those longer than the limit.
    """

    prompt: str
    partition: str
    longest: int
    label: str
    too_long: tuple[TooLong, ...]

    @property
    def joined(self) -> bool:
        """Whether a text joins the sentences of several parts: then its length is the partition's doing, not that of who wrote it."""
        return self.prompt == "parts" and self.partition != "six"


@dataclass(frozen=True)
class Pair:
    """How similar two classes are."""

    a: str
    b: str
    similarity: float


@dataclass(frozen=True)
class Spread:
    """How far apart the classes are on a level.

    Attributes:
        nearest: the mean over classes of the similarity to the nearest other class.
        most: the greatest similarity of two classes.
        typical: the mean over all pairs of classes.
        pairs: the most similar pairs, most similar first.
    """

    level: str
    nearest: float
    most: float
    typical: float
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class PartDifference:
    """What a part says of two classes.

    Attributes:
        texts_a, texts_b: its texts.
        similarity: of them.
        typical: the mean similarity of two classes there.
        share: of the difference (1 - similarity, summed over the six parts) that is this part's; 0 where nothing differs.
    """

    part: str
    texts_a: tuple[str, ...]
    texts_b: tuple[str, ...]
    similarity: float
    typical: float
    share: float


@dataclass(frozen=True)
class LevelChange:
    """A level in two sets, over the classes that both describe.

    Attributes:
        classes: whose texts differ.
        gone, new: how many texts only the first set has, and only the second.
        nearest_a, nearest_b: mean similarity to the nearest class (`Spread.nearest`); None without features.
    """

    level: str
    classes: tuple[str, ...]
    gone: int
    new: int
    nearest_a: float | None = None
    nearest_b: float | None = None


def texts_of(description: Description, level: str, *, with_label: bool = False) -> tuple[str, ...]:
    """The texts of a class on a level, one or more.

    Args:
        with_label: write them as training reads them (`poseglot.descriptions.prompts`).
    """
    if level == NAMES:
        return (description.label, *description.synonyms)
    if level == PARAGRAPH:
        texts = (description.paragraph, *description.more_paragraphs)
    else:
        texts = tuple(dict.fromkeys(parts[level] for parts in (description.parts, *description.more_parts)))
    if not with_label:
        return texts
    return tuple(f"{description.label}{': ' if level == PARAGRAPH else ', '}{text}" for text in texts)


def level_texts(descriptions: Iterable[Description], *, with_label: bool = False) -> dict[str, list[tuple[str, ...]]]:
    """Each level -> for each class its texts."""
    several = list(descriptions)
    return {level: [texts_of(each, level, with_label=with_label) for each in several] for level in LEVELS}


def undescribed(described: Collection[str], classes: Sequence[str]) -> dict[str, str | None]:
    """The classes of a data set that are not described, each with the described label that may be meant."""
    spare = {label.casefold(): label for label in described if label not in classes}
    missing = {}
    for label in classes:
        if label not in described:
            meant = difflib.get_close_matches(label.casefold(), spare, n=1, cutoff=0.8)
            missing[label] = spare[meant[0]] if meant else None
    return missing


def plain(text: str) -> str:
    """A text without what does not tell texts apart: capitals, punctuation, spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def shared_texts(labels: Sequence[str], level: str, texts: Sequence[Sequence[str]]) -> list[Shared]:
    """Texts of a level that more than one class has."""
    first: dict[str, str] = {}
    owners: dict[str, list[str]] = {}
    for label, own in zip(labels, texts, strict=True):
        for text in own:
            classes = owners.setdefault(plain(text), [])
            first.setdefault(plain(text), text)
            if label not in classes:
                classes.append(label)
    return [Shared(level, first[key], tuple(classes)) for key, classes in owners.items() if len(classes) > 1]


def near_texts(
    labels: Sequence[str], level: str, texts: Sequence[Sequence[str]], features: Features, *, threshold: float
) -> list[Near]:
    """Pairs of texts of two classes with a cosine of at least `threshold`, nearest first; those of `shared_texts` are left out."""
    own = [(place, text) for place, several in enumerate(texts) for text in several]
    unit = _unit(np.stack([features[text] for _, text in own]))
    classes = np.array([place for place, _ in own])
    cosines = unit @ unit.T
    found = []
    for i, j in np.argwhere(np.triu((cosines >= threshold) & (classes[:, None] != classes), k=1)):
        (one, text_a), (other, text_b) = own[i], own[j]
        if plain(text_a) != plain(text_b):
            found.append(Near(level, labels[one], labels[other], text_a, text_b, float(cosines[i, j])))
    return sorted(found, key=lambda near: -near.similarity)


def fewest_clip_tokens(text: str) -> int:
    """The fewest tokens that CLIP's tokenizer can make of a text: one for each word, digit and run of other signs, and two at the ends.

    Words that its vocabulary does not have as a whole take more.
    """
    return len(_CLIP_PIECES.findall(text)) + 2


def prompt_lengths(descriptions: Sequence[Description], count: Callable[[str], int], *, limit: int) -> list[Lengths]:
    """The lengths of what each of `LONG_PROMPTS` makes of a set; `manual` is left out where a class has none.

    Args:
        count: of a text's tokens, with those at its ends.
        limit: most tokens that the text encoder reads.
    """
    found = []
    for prompt, partition in LONG_PROMPTS:
        if prompt == "manual" and not all(each.manual for each in descriptions):
            continue
        table = make_prompts(descriptions, prompt=prompt, partition=partition)
        tokens = np.array([count(text) for text in table.texts])
        longest = tokens[table.candidates.numpy()].max(axis=2)  # (levels, classes)
        level, place = np.unravel_index(longest.argmax(), longest.shape)
        too_long = tuple(
            TooLong(descriptions[column].label, table.levels[row], int(longest[row, column]))
            for row, column in np.argwhere(longest > limit)
        )
        found.append(Lengths(prompt, partition, int(longest[level, place]), descriptions[place].label, too_long))
    return found


def similarities(texts: Mapping[str, Sequence[Sequence[str]]], features: Features) -> dict[str, Matrix]:
    """Each level, and `together`, -> (classes, classes), how similar each class is to each."""
    found = {}
    for level, classes in texts.items():
        means = _unit(np.stack([_unit(np.stack([features[text] for text in own])).mean(axis=0) for own in classes]))
        found[level] = means @ means.T
    found[TOGETHER] = np.mean([found[part] for part in PARTS], axis=0)
    return found


def nearest(similarity: Matrix) -> Matrix:
    """(classes,) the similarity of each class to its nearest other; there must be two."""
    other = similarity.copy()
    np.fill_diagonal(other, -np.inf)
    highest: Matrix = other.max(axis=1)
    return highest


def spread(labels: Sequence[str], level: str, similarity: Matrix, *, pairs: int) -> Spread:
    """How far apart the classes (two or more) are on a level, with so many of the most similar pairs."""
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
    """The `count` pairs of classes with the greatest values of a symmetric matrix, greatest first."""
    rows, columns = np.triu_indices(len(labels), k=1)
    order = np.argsort(-values[rows, columns], kind="stable")[:count]
    return [Pair(labels[rows[at]], labels[columns[at]], float(values[rows[at], columns[at]])) for at in order]


def part_differences(
    texts: Mapping[str, Sequence[Sequence[str]]], similarity: Mapping[str, Matrix], a: int, b: int
) -> list[PartDifference]:
    """What the six parts say of the classes at places a and b, and how much of the difference each carries."""
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
                # Rounding leaves a trace of difference between equal texts.
                share=difference / total if total > 1e-6 else 0.0,
            )
        )
    return found


def level_changes(
    labels: Sequence[str], a: Mapping[str, Sequence[Sequence[str]]], b: Mapping[str, Sequence[Sequence[str]]]
) -> list[LevelChange]:
    """Which texts of two sets differ, level by level; both give the texts of the same classes in the same order."""
    found = []
    for level in LEVELS:
        both = [(label, set(one), set(other)) for label, one, other in zip(labels, a[level], b[level], strict=True)]
        found.append(
            LevelChange(
                level,
                classes=tuple(label for label, one, other in both if one != other),
                gone=sum(len(one - other) for _, one, other in both),
                new=sum(len(other - one) for _, one, other in both),
            )
        )
    return found


def _unit(rows: npt.NDArray[np.floating]) -> Matrix:
    """Rows at length 1, in float64."""
    wide = rows.astype(np.float64)
    unit: Matrix = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit
