"""The paper's three questions about a class (figure 5), and what counts as an answer.

    paragraph   Describe a person "put on a shoe" in details.
    synonyms    Suggest 10 synonyms for "put on a shoe".
    parts       Describing following body parts actions when "put on a shoe": head, hand, arm, hip, leg, foot.

Each asks for JSON of a given schema. An answer is checked before it counts: its structure, and whether its texts are ones that a text
encoder should read - short, plain, one sentence a part, no other class's name. What is wrong is said in words, for the model that is
asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import PARTS

PARAGRAPH, SYNONYMS, PARTS_OF_BODY = "paragraph", "synonyms", "parts"
_SYSTEM = (
    "You describe human actions for a system that sees nothing but moving skeletons. Say how the body moves; leave out colors, faces, "
    "thoughts, and what objects look like. Answer with JSON only, in plain words: no Markdown, no remarks."
)
_FORMS = {
    PARAGRAPH: 'The form: {{"paragraph": "two to five sentences"}}',
    SYNONYMS: 'The form: {{"synonyms": ["other name", ...]}}, at least {synonyms} names of a few words each.',
    PARTS_OF_BODY: 'The form: {{"parts": {{"head": "one short sentence", '
    + ", ".join(f'"{part}": "..."' for part in PARTS[1:])
    + "}}}}",
}
_WORDS = {PARAGRAPH: (8, 200), SYNONYMS: (1, 12), PARTS_OF_BODY: (2, 40)}  # fewest and most
_MARKDOWN = re.compile(r"\*\*|__|`|^\s*(#|[-*•]\s|\d+[.)]\s)|\]\(|</?[a-z]+>", re.M)
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.S)
_TWO_SENTENCES = re.compile(r"[.!?]\s+\S")
_SHOWN = 60

ClassScore = str | list[str] | dict[str, str]


class FaultyAnswerError(Exception):
    """An answer that cannot be used; the message says why, `kind` for counting."""

    def __init__(self, message: str, kind: str = "faulty answer") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Form:
    """What is asked for.

    Attributes:
        synonyms: how many at least.
        samples: how many paragraphs, and how many sets of sentences for the parts.
        context: what the model should know besides, such as "one person, seated, seen by a Kinect".
    """

    synonyms: int = 10
    samples: int = 1
    context: str = ""

    def __post_init__(self) -> None:
        for name in ("synonyms", "samples"):
            if getattr(self, name) < 1:
                raise PoseglotError(f"--{name} takes a number from 1, not {getattr(self, name)}.")


@dataclass(frozen=True)
class Question:
    """One question about a class.

    Attributes:
        label: the class name.
        kind: `paragraph`, `synonyms` or `parts`.
        sample: which of several answers to the same question, from 0.
        text: the whole question.
        synonyms: how many are asked for at least.
        others: all class names, which no answer may use for this one.
    """

    label: str
    kind: str
    sample: int
    text: str
    synonyms: int
    others: frozenset[str]

    @property
    def messages(self) -> list[dict[str, str]]:
        """What is sent."""
        return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": self.text}]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of an answer (only what every server with structured output knows; the rest is for `read`)."""
        text = {"type": "string"}
        if self.kind == PARAGRAPH:
            return _object({self.kind: text})
        if self.kind == SYNONYMS:
            return _object({self.kind: {"type": "array", "items": text}})
        return _object({self.kind: _object(dict.fromkeys(PARTS, text))})

    def read(self, text: str) -> ClassScore:
        """The answer in a model's reply, checked.

        Raises:
            FaultyAnswerError: everything that is wrong with it.
        """
        fenced = _FENCE.fullmatch(text)
        try:
            found = json.loads(fenced[1] if fenced else text)
        except (ValueError, RecursionError) as error:
            said = _short(text) if text.strip() else "it is empty"
            raise FaultyAnswerError(f"it is not valid JSON ({said})", "no JSON") from error
        if not isinstance(found, dict) or set(found) != {self.kind}:
            raise FaultyAnswerError(f'it must be a JSON object with the key "{self.kind}" and no other')
        return self.check(found[self.kind])

    def check(self, value: Any) -> ClassScore:
        """An answer that has been read, checked and tidied (white space; the full stop after a part's sentence, which commas follow).

        Raises:
            FaultyAnswerError: everything that is wrong with it.
        """
        if self.kind == PARAGRAPH:
            faults, answer = self._paragraph(value)
        elif self.kind == SYNONYMS:
            faults, answer = self._synonyms(value)
        else:
            faults, answer = self._parts(value)
        if faults:
            raise FaultyAnswerError("; ".join(faults))
        return answer

    def _paragraph(self, value: Any) -> tuple[list[str], ClassScore]:
        text = _tidy(value)
        return [f"the paragraph {fault}" for fault in self._text_faults(value, text)], text

    def _synonyms(self, value: Any) -> tuple[list[str], ClassScore]:
        if not isinstance(value, list):
            return ['"synonyms" must be a list'], []
        kept, faults = dict[str, str](), []
        for each in value:
            text = _tidy(each).rstrip(".")
            found = self._text_faults(each, text)
            if not found and text.casefold() == self.label.casefold():
                found = ["is the class name itself"]
            elif not found and text.casefold() in kept:
                found = ["appears twice"]
            if found:
                faults.append(f"{_short(str(each))} {found[0]}")
            else:
                kept[text.casefold()] = text
        if len(kept) >= self.synonyms:  # of a long list, what is good is good
            return [], list(kept.values())
        return [f"there are {len(kept)} usable synonyms, but {self.synonyms} are needed", *faults[:5]], []

    def _parts(self, value: Any) -> tuple[list[str], ClassScore]:
        if not isinstance(value, dict):
            return ['"parts" must be an object with a sentence for each part'], {}
        missing = [part for part in PARTS if part not in value]
        unknown = [part for part in value if part not in PARTS]
        faults = [f"the parts lack {', '.join(missing)}"] if missing else []
        if unknown:
            faults.append(f"{_short(', '.join(unknown))} is no part; the parts are {', '.join(PARTS)}")
        answer = {part: _tidy(value[part]).rstrip(".") for part in PARTS if part in value}
        for part, text in answer.items():
            found = self._text_faults(value[part], text)
            if not found and _TWO_SENTENCES.search(text):
                found = ["has more than one sentence"]
            faults += [f"the text of {part} {fault}" for fault in found]
        if not faults and len({text.casefold() for text in answer.values()}) < len(PARTS) // 2:
            faults.append("the parts have the same text")
        return faults, answer

    def _text_faults(self, value: Any, text: str) -> list[str]:
        """What is wrong with one text; the first thing only."""
        fewest, most = _WORDS[self.kind]
        words = len(text.split())
        if not isinstance(value, str):
            return ["is not a text"]
        if not words:
            return ["is empty"]
        if _MARKDOWN.search(value):
            return ["has Markdown in it"]
        if text.casefold() in self.others and text.casefold() != self.label.casefold():
            return ["is the name of another class"]
        if self.kind != SYNONYMS and text.casefold() == self.label.casefold():
            return ["is only the name of the class"]
        if not fewest <= words <= most or len(text) > 12 * most:
            return [f"has {words} words and {len(text)} characters; {fewest} to {most} words are wanted"]
        return []


def make_questions(labels: Sequence[str], form: Form) -> list[Question]:
    """All questions about these classes, class by class."""
    others = frozenset(label.casefold() for label in labels)
    questions = []
    for label in labels:
        asked = {
            PARAGRAPH: f'Describe a person "{label}" in details.',
            SYNONYMS: f'Suggest {form.synonyms} synonyms for "{label}".',
            PARTS_OF_BODY: f'Describing following body parts actions when "{label}": {", ".join(PARTS)}.',
        }
        for kind, question in asked.items():
            context = [f"What is seen: {form.context}."] if form.context else []
            text = "\n".join([question, *context, _FORMS[kind].format(synonyms=form.synonyms)])
            # Several synonyms come in one answer; of the others every sample is an answer.
            for sample in range(1 if kind == SYNONYMS else form.samples):
                questions.append(Question(label, kind, sample, text, form.synonyms, others))
    return questions


def read_labels(text: str, *, origin: str) -> list[str]:
    """Class names, one a line; empty lines and lines that begin with # do not count.

    Raises:
        PoseglotError: there are none, or one appears twice.
    """
    lines: dict[str, int] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        label = line.strip()
        if not label or label.startswith("#"):
            continue
        if label in lines:
            raise PoseglotError(
                f"{origin}: {label!r} stands in lines {lines[label]} and {number}; each class needs a name of its own."
            )
        lines[label] = number
    if not lines:
        raise PoseglotError(f"{origin} has no class names; it takes one a line.")
    return list(lines)


def as_entry(
    label: str, synonyms: Sequence[str], paragraphs: Sequence[str], parts: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """A class of a description file; samples that equal an earlier one are left out.

    Samples of the parts stay whole, so a part's list may have a text twice.
    """
    paragraphs = list(dict.fromkeys(paragraphs))
    distinct = [parts[place] for place in range(len(parts)) if parts[place] not in parts[:place]]
    return {
        "label": label,
        "synonyms": list(synonyms),
        "paragraph": _one_or_all(paragraphs),
        "parts": {part: _one_or_all([sample[part] for sample in distinct]) for part in PARTS},
    }


def template(labels: Iterable[str], *, synonyms: int) -> str:
    """A description file to fill by hand; unfilled it is refused, with what is missing, class by class."""
    lines = [
        "# Fill in every text (docs/text.md says what they are for); a paragraph or a part may also be a list of texts.",
        "format: poseglot-descriptions/1",
        "name: my-actions",
        'about: ""  # how these were written, by whom, when',
        "classes:",
    ]
    for label in labels:
        lines += [
            f"  - label: {json.dumps(label, ensure_ascii=False)}",
            f"    synonyms: []  # other names, {synonyms} or so",
            '    paragraph: ""',
            "    parts:",
            *(f'      {part}: ""' for part in PARTS),
        ]
    return "\n".join(lines) + "\n"


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if len(set(texts)) == 1 else texts


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}


def _tidy(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
