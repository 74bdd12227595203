"""What the names of files say: a{label}_s{subject}_t*.mat -> label, subject.

A pattern is a file's name without its ending, or - with a / in it - its path in the folder. In braces stand the fields of a clip (label,
subject, camera, setup, split); `*` is anything, and so is a field whose name is none of them ({trial}). Subjects, cameras and setups
are numbers; people with names are numbered in the order of the alphabet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from poseglot.data.manifest import FIELDS
from poseglot.errors import PoseglotError

_NUMBERED = ("subject", "camera", "setup")


@dataclass(frozen=True)
class NamePattern:
    """A pattern, checked.

    Raises:
        PoseglotError: no field in it, one that appears twice, or a brace that does not close.
    """

    text: str

    def __post_init__(self) -> None:
        fields = re.findall(r"{(\w+)}", self.text)
        known = [field for field in fields if field in FIELDS]
        if not known or len(set(known)) < len(known) or re.search(r"[{}]", re.sub(r"{\w+}", "", self.text)):
            raise PoseglotError(
                f"the pattern of names {self.text!r} cannot be: it has fields in braces, each at most once, out of {', '.join(FIELDS)}; "
                "for example 'a{label}_s{subject}_t*'."
            )

    def read(self, name: str) -> dict[str, str] | None:
        """The fields in a name (a path without ending, / between folders); None if it does not fit."""
        found = self._compiled.fullmatch(name if "/" in self.text else name.rsplit("/", 1)[-1])
        return None if found is None else found.groupdict()

    @property
    def _compiled(self) -> re.Pattern[str]:
        pieces = []
        for piece in re.split(r"({\w+}|\*)", self.text):
            field = piece[1:-1]
            if piece == "*" or (piece.startswith("{") and field not in FIELDS):
                pieces.append("[^/]*?")
            elif piece.startswith("{"):
                pieces.append(f"(?P<{field}>[^/]+?)")
            else:
                pieces.append(re.escape(piece))
        return re.compile("".join(pieces))


def numbered(cells: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """The same cells, with numbers for people, cameras and setups that have names (from 1 on, by the alphabet).

    Numbers with zeros in front ("s03") are numbers.
    """
    listed = [dict(each) for each in cells]
    for field in _NUMBERED:
        values = {each[field] for each in listed if each.get(field)}
        if all(value.isascii() and value.isdigit() and (int(value) > 0 or field != "subject") for value in values):
            number = {value: str(int(value)) for value in values}
        else:
            number = {value: str(place) for place, value in enumerate(sorted(values), start=1)}
        for each in listed:
            if each.get(field):
                each[field] = number[each[field]]
    return listed
