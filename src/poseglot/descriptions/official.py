"""The text files of GAP's authors, read as a description set.

Their repository (github.com/MartinXM/GAP, Apache-2.0, folder `text`) has a line for each class, in the order of the labels, in three files:

    pasta_openai_t01.txt     label;head;hand;arm;hip;leg;foot
    sentence_openai_t01.txt  label,paragraph
    synonym_openai_t01.txt   label,synonym,synonym,...

Those of NW-UCLA begin with `ucla_`. Texts are kept as they are. Class names are those of our benchmarks ("put on a hat or cap" where the
files say "put on a hat/cap"), so a line's label is only checked against the class. A synonym that repeats another or the label is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from poseglot.descriptions.description import FORMAT, parse_descriptions
from poseglot.errors import FileError
from poseglot.files import write_atomically
from poseglot.skeletons.layout import PARTS

_PARTS_FILE, _PARAGRAPH_FILE, _SYNONYM_FILE = (f"{name}_openai_t01.txt" for name in ("pasta", "sentence", "synonym"))
_ORDER = ("head", "hand", "arm", "hip", "leg", "foot")


def import_official_texts(folder: str | Path, classes: Sequence[str], *, prefix: str, name: str, out: str | Path) -> int:
    """Write the authors' texts of a data set to a description file.

    Args:
        folder: The folder with the three files.
        classes: The class names, in the order of the labels; the files may have more.
        prefix: The beginning of the files' names.
        name: The name of the set.
        out: The path of the description file; it ends in .yaml.

    Returns:
        The number of synonyms that were left out.

    Raises:
        FileError: A file is missing, or a line is not that of its class.
    """
    assert set(_ORDER) == set(PARTS)
    folder = Path(folder)
    parts = _texts(folder / f"{prefix}{_PARTS_FILE}", classes, ";", len(_ORDER))
    paragraphs = _texts(folder / f"{prefix}{_PARAGRAPH_FILE}", classes, "", 1)
    synonyms = _texts(folder / f"{prefix}{_SYNONYM_FILE}", classes, ",")
    entries: list[dict[str, Any]] = []
    left_out = 0
    for label, own_parts, own_paragraph, own_synonyms in zip(classes, parts, paragraphs, synonyms, strict=True):
        distinct = list(
            {text.casefold(): text for text in reversed(own_synonyms) if text.casefold() != label.casefold()}.values()
        )[::-1]
        left_out += len(own_synonyms) - len(distinct)
        described = dict(zip(_ORDER, own_parts, strict=True))
        entries.append({"label": label, "synonyms": distinct, "paragraph": own_paragraph[0], "parts": described})
    about = (
        f"The texts of GAP's authors (github.com/MartinXM/GAP, Apache-2.0, by GPT-3), imported by Poseglot from {prefix}*_openai_t01.txt. "
        f"{left_out} synonyms that repeat another of their class were left out."
    )
    table = {"format": FORMAT, "name": name, "about": about, "classes": entries}
    text = str(yaml.safe_dump(table, sort_keys=False, allow_unicode=True, width=130))
    parse_descriptions(text, origin=str(out))
    write_atomically(Path(out), text)
    return left_out


def _texts(path: Path, classes: Sequence[str], separator: str, count: int = 0) -> list[list[str]]:
    """Return the texts after the label of each class's line, `count` of them, or any number if it is 0."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"could not read {path}: {error}. Expected a file of the folder `text` of GAP's repository.") from error
    if len(lines) < len(classes):
        raise FileError(f"{path} has {len(lines)} lines, fewer than the {len(classes)} classes; expected a line for each.")
    found = []
    for number, (line, label) in enumerate(zip(lines, classes, strict=False), start=1):
        own, *rest = re.split("[,;]", line, maxsplit=1)
        if _plain(own) != _plain(label) or not rest:
            raise FileError(f"{path}, line {number}: expected the class {label!r} and its texts, found {line[:60]!r}.")
        texts = [text.strip() for text in (rest[0].split(separator) if separator else rest) if text.strip()]
        if not texts or (count and len(texts) != count):
            raise FileError(
                f"{path}, line {number} ({label}): expected {count or 'some'} texts, found {len(texts)}: {line[:80]!r}."
            )
        found.append(texts)
    return found


def _plain(label: str) -> list[str]:
    """Return the words of a class name without "or", which our names have in place of a slash."""
    return [word for word in re.findall(r"\w+", label.casefold()) if word != "or"]
