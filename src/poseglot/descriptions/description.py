"""The description file: per class a label, synonyms, a paragraph, and a sentence for each of the six body parts.

The optional `sides` says what the limbs of each side do, for the partition `sides`; a limb that it leaves out has the sentences of the
part. The optional `manual` describes the action as the paper's annotators did: atomic movements of the most important parts, in order. The
paragraph and every part may also be a list of texts, of which training draws one. Such lists come from a language model that was asked
several times (`poseglot.descriptions.generate`); the first texts of all parts belong together, then the second, and so on.

format: poseglot-descriptions/1
name: my-actions
about: how these were written, by whom, when
classes:
  - label: put on a shoe
    synonyms: [lace up a shoe, slip on a shoe, ...]
    paragraph: The person bends down and ...
    parts:
      head: tilts forward and looks down at one foot
      hand: ...
      arm: ...
      hip: ...
      leg: ...
      foot: ...
    sides:
      left_arm: ...
      right_arm: ...
    manual: [hip bend, hand reach for, hand pull, ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poseglot.errors import FileError, InputError
from poseglot.files import packaged_yaml
from poseglot.safe_yaml import parse_yaml
from poseglot.skeletons.layout import PARTS, SIDED

FORMAT = "poseglot-descriptions/1"
_REQUIRED = {"label", "synonyms", "paragraph", "parts"}
_KEYS = {*_REQUIRED, "manual", "sides"}


@dataclass(frozen=True)
class Description:
    """The description of an action.

    Attributes:
        label: The class name.
        synonyms: Other names of the class, at least one.
        paragraph: The whole movement in some sentences.
        parts: Each of the six body parts -> a sentence.
        manual: Atomic movements in order; may be empty.
        more_paragraphs, more_parts: Further samples of `paragraph` and `parts`; may be empty.
        sides: Limbs of one side (`left_arm`, `right_arm`, `left_leg`, `right_leg`) -> a sentence; may be empty.
    """

    label: str
    synonyms: tuple[str, ...]
    paragraph: str
    parts: Mapping[str, str]
    manual: tuple[str, ...] = ()
    more_paragraphs: tuple[str, ...] = ()
    more_parts: tuple[Mapping[str, str], ...] = ()
    sides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DescriptionSet:
    """The descriptions of a data set's classes.

    Attributes:
        name: The name of the set.
        about: How it was made.
        origin: The name or path that it was loaded by.
        classes: Label -> description.
        version: Its version; empty if the file does not say.
    """

    name: str
    about: str
    origin: str
    classes: Mapping[str, Description]
    version: str = ""

    @property
    def title(self) -> str:
        """The name and the version."""
        return f"{self.name}, version {self.version}" if self.version else self.name

    def of(self, labels: Sequence[str]) -> list[Description]:
        """Return the descriptions of some classes, in their order.

        Raises:
            InputError: A class is not described.
        """
        missing = [label for label in labels if label not in self.classes]
        if missing:
            raise InputError(
                f"{self.origin} describes {', '.join(map(repr, list(self.classes)[:3]))}, ..., but not {len(missing)} classes of the data: "
                f"{', '.join(map(repr, missing))}. Add them (labels must match exactly), or set text.descriptions to another set."
            )
        return [self.classes[label] for label in labels]


def load_descriptions(name: str | Path) -> DescriptionSet:
    """Load a packaged set by name, or a user's own from a path ending in .yaml.

    Raises:
        PoseglotError: There is no such set, or it has faults, which are listed class by class.
    """
    return _without_faults(*read_description_set(name))


def parse_descriptions(text: str, *, origin: str) -> DescriptionSet:
    """Read a description set from YAML text.

    Raises:
        FileError: The text has faults, which are listed one per line.
    """
    return _without_faults(*read_descriptions(text, origin=origin))


def _without_faults(described: DescriptionSet, faults: Sequence[str]) -> DescriptionSet:
    if faults:
        raise FileError("\n  ".join([f"{described.origin} has {len(faults)} faults:", *faults]))
    return described


def read_description_set(name: str | Path) -> tuple[DescriptionSet, list[str]]:
    """Read a packaged set or a user's own that may have faults; see `read_descriptions`."""
    text = packaged_yaml("poseglot.descriptions", "sets", str(name), kind="description set")
    return read_descriptions(text, origin=str(name))


def read_descriptions(text: str, *, origin: str) -> tuple[DescriptionSet, list[str]]:
    """Read YAML text that may have faults.

    Returns:
        The classes without faults, and the faults of the others.

    Raises:
        FileError: The text is not a description set at all.
    """
    table = parse_yaml(text, origin)
    if (
        not isinstance(table, dict)
        or table.get("format") != FORMAT
        or not table.get("classes")
        or not isinstance(table["classes"], list)
    ):
        raise FileError(
            f"{origin} is not a description set: it must begin with 'format: {FORMAT}' and have a list 'classes' that is not empty."
        )
    faults: list[str] = []
    classes: dict[str, Description] = {}
    seen: set[str] = set()
    for number, entry in enumerate(table["classes"], start=1):
        found = _faults(entry)
        where = f"class {number}"
        if isinstance(entry, dict) and isinstance(entry.get("label"), str):
            where += f" ({entry['label']})"
            if entry["label"] in seen:
                found.append("the label appears twice")
            seen.add(entry["label"])
        faults += [f"{where}: {fault}" for fault in found]
        if not found:
            paragraph, *more_paragraphs = _samples(entry["paragraph"])
            parts, *more_parts = _parts(entry["parts"])
            classes[entry["label"]] = Description(
                entry["label"],
                tuple(entry["synonyms"]),
                paragraph,
                parts,
                tuple(entry.get("manual", ())),
                tuple(more_paragraphs),
                tuple(more_parts),
                {part: text.strip() for part, text in entry.get("sides", {}).items()},
            )
    name, about, version = (
        str(table.get(key, default)).strip() for key, default in (("name", origin), ("about", ""), ("version", ""))
    )
    return DescriptionSet(name, about, origin, classes, version), faults


def _faults(entry: Any) -> list[str]:
    """Return the faults of one class of a file."""
    if not isinstance(entry, dict):
        return [f"expected keys {sorted(_KEYS)}, found {entry!r}"]
    faults = [f"unknown key {key!r} (there are {sorted(_KEYS)})" for key in entry if key not in _KEYS]
    faults += [f"{key} is missing" for key in sorted(_REQUIRED) if key not in entry]
    if "label" in entry and not _is_text(entry["label"]):
        faults.append(f"label must be a text, found {entry['label']!r}")
    if "paragraph" in entry and not _is_text_or_texts(entry["paragraph"]):
        faults.append(f"paragraph must be a text, or a list of texts, found {entry['paragraph']!r}")
    if "synonyms" in entry:
        synonyms = entry["synonyms"]
        if not _are_texts(synonyms):
            faults.append("synonyms must be a list of texts, at least one (put texts like 'yes' or '10' in quotes)")
        elif len(set(synonyms)) < len(synonyms):
            faults.append("a synonym appears twice")
    if "manual" in entry and not _are_texts(entry["manual"]):
        faults.append("manual must be a list of atomic movements, at least one, or be left out")
    sides = entry.get("sides", {})
    if not isinstance(sides, dict) or not all(part in SIDED and _is_text(text) for part, text in sides.items()):
        faults.append(f"sides takes a text for any of {', '.join(SIDED)}, found {sides!r}")
    if "parts" in entry:
        parts = entry["parts"]
        if not isinstance(parts, dict):
            faults.append(f"parts must have a text for each of {', '.join(PARTS)}")
        else:
            missing = [part for part in PARTS if not _is_text_or_texts(parts.get(part))]
            unknown = [repr(part) for part in parts if part not in PARTS]
            if missing:
                faults.append(f"parts has no text for {', '.join(missing)}")
            if unknown:
                faults.append(f"parts has {', '.join(unknown)}; it takes {', '.join(PARTS)} and nothing else")
    return faults


def _samples(value: str | list[str]) -> list[str]:
    """Return one text or several as a list."""
    return [text.strip() for text in ([value] if isinstance(value, str) else value)]


def _parts(table: Mapping[str, str | list[str]]) -> list[dict[str, str]]:
    """Return as many samples as the part with the most texts has; the texts of a part with fewer are repeated."""
    texts = {part: _samples(table[part]) for part in PARTS}
    count = max(map(len, texts.values()))
    return [{part: own[sample % len(own)] for part, own in texts.items()} for sample in range(count)]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_text_or_texts(value: Any) -> bool:
    return _is_text(value) or _are_texts(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))
