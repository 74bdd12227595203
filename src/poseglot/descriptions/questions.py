"""The paper's three questions about a class (figure 5), and the checks of their answers.

    paragraph   Describe a person "put on a shoe" in details.
    synonyms    Suggest 10 synonyms for "put on a shoe".
    parts       Describing following body parts actions when "put on a shoe": head, hand, arm, hip, leg, foot.

Each asks for JSON of a given schema. The checks look at the structure of an answer and at its texts, which should be short and plain,
with one sentence per part and without another class's name. Faults are described in words, for the model that is asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from poseglot.descriptions.borrow import Borrowed
from poseglot.errors import FileError, SettingError
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
_WORDS = {PARAGRAPH: (8, 200), SYNONYMS: (1, 12), PARTS_OF_BODY: (2, 40)}  # minimum and maximum
_MARKDOWN = re.compile(r"\*\*|__|`|^\s*(#|[-*•]\s|\d+[.)]\s)|\]\(|</?[a-z]+>", re.M)
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.S)
_TWO_SENTENCES = re.compile(r"[.!?]\s+\S")
_SHOWN = 60
# The usual size of an answer, for estimates.
_ANSWER_TOKENS = {PARAGRAPH: 120, SYNONYMS: 80, PARTS_OF_BODY: 150}

Answer = str | list[str] | dict[str, str]


class FaultyAnswerError(Exception):
    """An answer that cannot be used. The message says why; `kind` is for counting."""

    def __init__(self, message: str, kind: str = "faulty answer") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Form:
    """The contents of the questions.

    Attributes:
        synonyms: The minimum number of synonyms.
        samples: The number of paragraphs, and of sets of sentences for the parts.
        context: Further information for the model, such as "one person, seated, seen by a Kinect".
    """

    synonyms: int = 10
    samples: int = 1
    context: str = ""

    def __post_init__(self) -> None:
        for name in ("synonyms", "samples"):
            if getattr(self, name) < 1:
                raise SettingError(f"--{name} takes a number from 1, not {getattr(self, name)}.")


@dataclass(frozen=True)
class Question:
    """A question about a class.

    Attributes:
        label: The class name.
        kind: `paragraph`, `synonyms` or `parts`.
        sample: The number, from 0, of this answer among several to the same question.
        text: The whole question.
        synonyms: The minimum number of synonyms.
        others: All class names, which no answer may use for another class.
    """

    label: str
    kind: str
    sample: int
    text: str
    synonyms: int
    others: frozenset[str]

    def preceded_by(self, lines: Sequence[str]) -> Question:
        """Return the question with more lines before its last one, which states the form."""
        *first, form = self.text.split("\n")
        return replace(self, text="\n".join([*first, *lines, form]))

    @property
    def messages(self) -> list[dict[str, str]]:
        """The messages to send."""
        return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": self.text}]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of an answer, with only what every server with structured output supports; `check` does the rest."""
        text = {"type": "string"}
        if self.kind == PARAGRAPH:
            return _object({self.kind: text})
        if self.kind == SYNONYMS:
            return _object({self.kind: {"type": "array", "items": text}})
        return _object({self.kind: _object(dict.fromkeys(PARTS, text))})

    def read(self, text: str) -> Answer:
        """Parse and check a model's reply.

        Raises:
            FaultyAnswerError: The reply has faults, which are all listed.
        """
        fenced = _FENCE.fullmatch(text)
        try:
            found = json.loads(fenced[1] if fenced else text)
        except (ValueError, RecursionError) as error:
            shown = _short(text) if text.strip() else "it is empty"
            raise FaultyAnswerError(f"it is not valid JSON ({shown})", "no JSON") from error
        if not isinstance(found, dict) or set(found) != {self.kind}:
            raise FaultyAnswerError(f'it must be a JSON object with the key "{self.kind}" and no other')
        return self.check(found[self.kind])

    def check(self, value: Any) -> Answer:
        """Check an answer and normalise its white space; the full stop after a part's sentence is removed, as commas follow it.

        Raises:
            FaultyAnswerError: The answer has faults, which are all listed.
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

    def _paragraph(self, value: Any) -> tuple[list[str], Answer]:
        text = _tidy(value)
        return [f"the paragraph {fault}" for fault in self._text_faults(value, text)], text

    def _synonyms(self, value: Any) -> tuple[list[str], Answer]:
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
        if len(kept) >= self.synonyms:  # a long list may have some bad entries
            return [], list(kept.values())
        return [f"there are {len(kept)} usable synonyms, but {self.synonyms} are needed", *faults[:5]], []

    def _parts(self, value: Any) -> tuple[list[str], Answer]:
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
        """Return the first fault of a text."""
        min_words, max_words = _WORDS[self.kind]
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
        if not min_words <= words <= max_words or len(text) > 12 * max_words:
            return [f"has {words} words and {len(text)} characters; {min_words} to {max_words} words are wanted"]
        return []


def make_questions(labels: Sequence[str], form: Form) -> list[Question]:
    """Return all questions about some classes, class by class."""
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
            # One answer has all synonyms; for the other kinds every sample is an answer.
            for sample in range(1 if kind == SYNONYMS else form.samples):
                questions.append(Question(label, kind, sample, text, form.synonyms, others))
    return questions


def estimate_tokens(questions: Sequence[Question]) -> tuple[int, int]:
    """Estimate the tokens of questions and of their answers, four characters being a token."""
    characters = sum(len(message["content"]) for question in questions for message in question.messages)
    return characters // 4, sum(_ANSWER_TOKENS[question.kind] for question in questions)


def read_labels(text: str, *, origin: str) -> list[str]:
    """Read class names, one per line; empty lines and lines that begin with # are ignored.

    Raises:
        FileError: There are no names, or one appears twice.
    """
    lines: dict[str, int] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        label = line.strip()
        if not label or label.startswith("#"):
            continue
        if label in lines:
            raise FileError(f"{origin}: {label!r} is in lines {lines[label]} and {number}; each class needs its own name.")
        lines[label] = number
    if not lines:
        raise FileError(f"{origin} has no class names; expected one per line.")
    return list(lines)


def as_entry(
    label: str, synonyms: Sequence[str], paragraphs: Sequence[str], parts: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return a class of a description file without repeated samples.

    Samples of the parts stay whole, so a part's list may contain a text twice.
    """
    paragraphs = list(dict.fromkeys(paragraphs))
    distinct = [sample for index, sample in enumerate(parts) if sample not in parts[:index]]
    return {
        "label": label,
        "synonyms": list(synonyms),
        "paragraph": one_or_all(paragraphs),
        "parts": {part: one_or_all([sample[part] for sample in distinct]) for part in PARTS},
    }


def template(labels: Iterable[str], *, synonyms: int, borrowed: Mapping[str, Borrowed] | None = None) -> str:
    """Return a description file to fill in by hand; unfilled it is refused with a list of what is missing.

    Args:
        labels: The class names.
        synonyms: How many other names are wanted.
        borrowed: Descriptions of some of the classes, from packaged sets (`borrow_descriptions`).
    """
    lines = [
        "# Fill in every text (docs/text.md says what they are for); a paragraph or a part may also be a list of texts.",
        "format: poseglot-descriptions/1",
        "name: my-actions",
        'about: ""  # how these were written, by whom, when',
        "classes:",
    ]
    for label in labels:
        if borrowed and label in borrowed:
            lines += _filled_in(borrowed[label])
            continue
        lines += [
            f"  - label: {json.dumps(label, ensure_ascii=False)}",
            f"    synonyms: []  # other names, {synonyms} or so",
            '    paragraph: ""',
            "    parts:",
            *(f'      {part}: ""' for part in PARTS),
        ]
    return "\n".join(lines) + "\n"


def _filled_in(borrowed: Borrowed) -> list[str]:
    found = borrowed.description
    read = "" if borrowed.exact else ", whose name is similar: read it"
    return [
        f"  # from the packaged set {borrowed.origin}, {borrowed.original!r}{read}",
        f"  - label: {json.dumps(found.label, ensure_ascii=False)}",
        f"    synonyms: {json.dumps(found.synonyms, ensure_ascii=False)}",
        f"    paragraph: {json.dumps(' '.join(found.paragraph.split()), ensure_ascii=False)}",
        "    parts:",
        *(f"      {part}: {json.dumps(found.parts[part], ensure_ascii=False)}" for part in PARTS),
    ]


def one_or_all(texts: list[str]) -> str | list[str]:
    """Return a text that is the same in all samples as one text, else all samples."""
    return texts[0] if len(set(texts)) == 1 else texts


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}


def _tidy(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
