"""Checks of the texts of a description set: missing, too long, or shared by several classes.

A class has texts on eight levels: its names (label and synonyms), its paragraph, and one level for each of the six parts. Here they are
taken without the label, because with it all texts of two classes differ. (`with_label` writes them as training does.)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poseglot.descriptions.description import Description
from poseglot.descriptions.prompts import make_prompts
from poseglot.skeletons.layout import GLOBAL, PARTS

NAMES, PARAGRAPH = "names", "paragraph"
LEVELS = (NAMES, PARAGRAPH, *PARTS)
# Prompts whose texts may be long, with the partitions that join more or fewer parts.
LONG_PROMPTS = (
    ("synonym", GLOBAL),
    ("paragraph", GLOBAL),
    ("manual", GLOBAL),
    ("parts", "six"),
    ("parts", "four"),
    ("parts", "two"),
    ("parts", GLOBAL),
)
CLIP_MAX_TOKENS = 77
# What CLIP's tokenizer splits before it looks for pieces of words: contractions, words, digits, runs of other characters.
_CLIP_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)

# level -> for each class its texts
LevelTexts = Mapping[str, Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Shared:
    """A text that several classes have on one level, ignoring case and punctuation."""

    level: str
    text: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class TooLong:
    """The longest text of a class on a level of a prompt, if the text encoder would truncate it."""

    label: str
    level: str
    tokens: int


@dataclass(frozen=True)
class Lengths:
    """The lengths of the texts that a prompt makes.

    Attributes:
        prompt, partition: See `poseglot.descriptions.prompts`.
        longest, label: The number of tokens of the longest text, and its class.
        too_long: The texts beyond the limit.
    """

    prompt: str
    partition: str
    longest: int
    label: str
    too_long: tuple[TooLong, ...]

    @property
    def joined(self) -> bool:
        """Whether a text joins the sentences of several parts; its length then depends on the partition, not on the writer."""
        return self.prompt == "parts" and self.partition != "six"


@dataclass(frozen=True)
class LevelChange:
    """A level in two sets, over the classes that both describe.

    Attributes:
        classes: The classes whose texts differ.
        gone, new: The number of texts that only the first set has, and only the second.
        nearest_a, nearest_b: The mean similarity to the nearest class (`Spread.nearest`); None without features.
    """

    level: str
    classes: tuple[str, ...]
    gone: int
    new: int
    nearest_a: float | None = None
    nearest_b: float | None = None


def texts_of(description: Description, level: str, *, with_label: bool = False) -> tuple[str, ...]:
    """Return the texts of a class on a level, one or more.

    Args:
        with_label: Write them as training does (`poseglot.descriptions.prompts`).
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
    """Return level -> for each class its texts."""
    several = list(descriptions)
    return {level: [texts_of(each, level, with_label=with_label) for each in several] for level in LEVELS}


def undescribed(described: Collection[str], classes: Sequence[str]) -> dict[str, str | None]:
    """Return the classes of a data set that are not described, each with the described label that may be meant."""
    spare = {label.casefold(): label for label in described if label not in classes}
    missing = {}
    for label in classes:
        if label not in described:
            meant = difflib.get_close_matches(label.casefold(), spare, n=1, cutoff=0.8)
            missing[label] = spare[meant[0]] if meant else None
    return missing


def plain(text: str) -> str:
    """Return a text in lower case, without punctuation and extra spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def shared_texts(labels: Sequence[str], level: str, texts: Sequence[Sequence[str]]) -> list[Shared]:
    """Return the texts of a level that more than one class has."""
    first: dict[str, str] = {}
    owners: dict[str, list[str]] = {}
    for label, own in zip(labels, texts, strict=True):
        for text in own:
            classes = owners.setdefault(plain(text), [])
            first.setdefault(plain(text), text)
            if label not in classes:
                classes.append(label)
    return [Shared(level, first[key], tuple(classes)) for key, classes in owners.items() if len(classes) > 1]


def min_clip_tokens(text: str) -> int:
    """Return a lower bound of the number of CLIP's tokens: one for each word, digit and run of other characters, and two at the ends.

    Words that are not in its vocabulary as a whole take more.
    """
    return len(_CLIP_PIECES.findall(text)) + 2


def prompt_lengths(descriptions: Sequence[Description], count: Callable[[str], int], *, limit: int) -> list[Lengths]:
    """Return the lengths of the texts of each of `LONG_PROMPTS`; `manual` is left out if a class has none.

    Args:
        count: Counts the tokens of a text, including those at its ends.
        limit: The maximum number of tokens of the text encoder.
    """
    found = []
    for prompt, partition in LONG_PROMPTS:
        if prompt == "manual" and not all(each.manual for each in descriptions):
            continue
        table = make_prompts(descriptions, prompt=prompt, partition=partition)
        tokens = np.array([count(text) for text in table.texts])
        longest = tokens[table.candidates.numpy()].max(axis=2)  # (levels, classes)
        level, label = np.unravel_index(longest.argmax(), longest.shape)
        too_long = tuple(
            TooLong(descriptions[column].label, table.levels[row], int(longest[row, column]))
            for row, column in np.argwhere(longest > limit)
        )
        found.append(Lengths(prompt, partition, int(longest[level, label]), descriptions[label].label, too_long))
    return found


def level_changes(labels: Sequence[str], a: LevelTexts, b: LevelTexts) -> list[LevelChange]:
    """Compare the texts of two sets level by level; both give the texts of the same classes in the same order."""
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
