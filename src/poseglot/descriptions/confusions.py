"""Descriptions that learn from mistakes: which classes a recognizer confuses, and the questions that tell exactly these apart.

For each class of a confused pair a language model is shown the sentences of both and asked for sharper ones of this class. Other classes,
and the synonyms and paragraphs of all, stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from poseglot.descriptions.description import FORMAT, Description, DescriptionSet, parse_descriptions
from poseglot.descriptions.generate import Answers
from poseglot.descriptions.questions import PARTS_OF_BODY, Form, Question, make_questions, one_or_all
from poseglot.errors import InputError
from poseglot.skeletons.layout import PARTS


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes, and how often one is taken for the other.

    Attributes:
        one, other: Their names.
        wrong: The clips of either that were taken for the other.
        clips: The clips of both.
    """

    one: str
    other: str
    wrong: int
    clips: int

    def __str__(self) -> str:
        return f"{self.one} / {self.other}: {self.wrong}/{self.clips} = {100 * self.wrong / self.clips:.1f} %"


def confused_pairs(counts: npt.NDArray[np.int64], classes: Sequence[str], most: int) -> list[ConfusedPair]:
    """Return the pairs of classes with the largest shares of clips that are taken for the other, at most so many, worst first.

    Args:
        counts: (classes, classes) clips; rows are true classes, columns predicted ones.
        classes: The class names.
        most: The largest number of pairs.
    """
    total = counts.sum(axis=1)
    pairs = [
        ConfusedPair(one, other, int(counts[a, b] + counts[b, a]), int(total[a] + total[b]))
        for a, one in enumerate(classes)
        for b, other in enumerate(classes)
        if a < b and counts[a, b] + counts[b, a]
    ]
    return sorted(pairs, key=lambda pair: (-pair.wrong / pair.clips, -pair.wrong))[:most]


def sharpening_questions(described: DescriptionSet, pairs: Sequence[ConfusedPair], form: Form) -> list[Question]:
    """Return the questions about the parts of all classes of some pairs, each with the sentences of what it is taken for.

    Raises:
        InputError: There is no pair, or a class is not described.
    """
    if not pairs:
        raise InputError("no class was taken for another one on the clips that were held out; there is nothing to sharpen.")
    rivals: dict[str, list[str]] = {}
    for pair in pairs:
        rivals.setdefault(pair.one, []).append(pair.other)
        rivals.setdefault(pair.other, []).append(pair.one)
    shown: dict[str, list[str]] = {}
    for own, (label, others) in zip(described.of(list(rivals)), rivals.items(), strict=True):
        shown[label] = [
            f"A system that sees only moving skeletons takes it for {' and for '.join(map(json.dumps, others))}.",
            f'So far "{label}" is described so: {_parts_text(own)}.',
            *(f'And "{each.label}": {_parts_text(each)}.' for each in described.of(others)),
            f'Sharpen the sentences of "{label}": where a part moves otherwise than there, say how; where it moves alike, keep them.',
        ]
    questions = make_questions(list(described.classes), form)
    return [each.preceded_by(shown[each.label]) for each in questions if each.kind == PARTS_OF_BODY and each.label in shown]


def sharpened(described: DescriptionSet, questions: Sequence[Question], answers: Answers, *, name: str, about: str) -> str:
    """Return a description file with the new sentences; it is read back as a check.

    Raises:
        KeyError: An answer is missing.
    """
    new: dict[str, list[Any]] = {}
    for question in questions:
        new.setdefault(question.label, []).append(answers[question])
    classes = [_entry(each, new.get(label)) for label, each in described.classes.items()]
    table = {"format": FORMAT, "name": name, "about": about, "classes": classes}
    text = str(yaml.safe_dump(table, sort_keys=False, allow_unicode=True, width=130))
    parse_descriptions(text, origin=name)
    return text


def _parts_text(description: Description) -> str:
    return "; ".join(f"{part}: {description.parts[part]}" for part in PARTS)


def _entry(description: Description, parts: Sequence[Mapping[str, str]] | None) -> dict[str, Any]:
    """Return a class of a description file, with other sentences of the parts if given."""
    samples = list(parts or [description.parts, *description.more_parts])
    entry: dict[str, Any] = {
        "label": description.label,
        "synonyms": list(description.synonyms),
        "paragraph": one_or_all([description.paragraph, *description.more_paragraphs]),
        "parts": {part: one_or_all([sample[part] for sample in samples]) for part in PARTS},
    }
    # The limbs of a side are not asked about; old sentences would contradict new ones.
    if description.sides and parts is None:
        entry["sides"] = dict(description.sides)
    if description.manual:
        entry["manual"] = list(description.manual)
    return entry
