"""Descriptions borrowed from the packaged sets, for classes that are described there under the same or nearly the same name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from poseglot.descriptions.description import Description, load_descriptions
from poseglot.files import packaged_names

# The share of words that two names must have in common.
_MIN_COMMON = 0.5
_IGNORED = {"a", "an", "the", "of", "with", "and", "to", "your", "ones", "s", "something", "action", "person"}


@dataclass(frozen=True)
class Borrowed:
    """A packaged description under another class's name.

    Attributes:
        description: The description, with the label of the class that borrows it.
        origin: The packaged set.
        original: Its label there.
        exact: Whether the class has this label or a synonym there; otherwise the names are only near, and the texts must be read.
    """

    description: Description
    origin: str
    original: str
    exact: bool


def borrow_descriptions(labels: Sequence[str]) -> dict[str, Borrowed]:
    """Return label -> description, of those labels for which a packaged set has one. No two labels get the same."""
    known = [
        (name, each)
        for name in packaged_names("poseglot.descriptions", "sets")
        for each in load_descriptions(name).classes.values()
    ]
    found: dict[str, Borrowed] = {}
    candidates = []
    for label in labels:
        words = _words(label)
        for place, (origin, each) in enumerate(known):
            common = _common(words, _words(each.label))
            exact = common == 1 or any(_words(name) == words for name in each.synonyms)
            if exact or common >= _MIN_COMMON:
                candidates.append((not exact, -common, place, label, origin, each))
    taken = set()
    for near, _, _, label, origin, each in sorted(candidates, key=lambda row: row[:4]):
        if label not in found and each.label not in taken:
            found[label] = Borrowed(replace(each, label=label), origin, each.label, not near)
            taken.add(each.label)
    return {label: found[label] for label in labels if label in found}


def _words(name: str) -> frozenset[str]:
    """Return the words of a name without articles and endings."""
    plain = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower().replace("'", "")
    return frozenset(_stem(word) for word in re.findall(r"[a-z0-9]+", plain) if word not in _IGNORED)


def _stem(word: str) -> str:
    for ending in ("ing", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            word = word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls" else word
            break
    return word.removesuffix("e") if len(word) > 3 else word


def _common(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def borrowed_notes(labels: Sequence[str], borrowed: Mapping[str, Borrowed]) -> list[str]:
    """Return what was borrowed and what is left to write, in sentences."""
    if not borrowed:
        return []
    near = {label: found for label, found in borrowed.items() if not found.exact}
    left = len(labels) - len(borrowed)
    notes = [
        f"descriptions.yaml has texts from the packaged sets for {len(borrowed)} of {len(labels)} classes"
        + (f"; {left} are left to write." if left else ".")
    ]
    if near:
        shown = ", ".join(f"{label} from {found.original!r}" for label, found in list(near.items())[:4])
        notes.append(
            f"{len(near)} of these are of classes with a similar name only, read them: {shown}{', ...' if len(near) > 4 else ''}."
        )
    return notes
