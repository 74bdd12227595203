"""Text that is safe where it goes: to a terminal, into a CSV table that a spreadsheet opens, and as JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any, TextIO

# Control characters but tab and newline, marks that turn the direction of writing, and halves of characters.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# A spreadsheet takes a cell that begins so as a formula; numbers begin with a sign, too.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shown(text: object) -> str:
    """Return text for a terminal. Characters that would move the cursor or reverse the line are shown as `\\x1b` or `\\u202e`."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], str(text))


def name_text(name: str) -> str:
    """Return the name of a file as text. Bytes that the locale could not decode are taken as UTF-8, or else shown as `\\xff`."""
    if name.isascii():
        return name
    try:
        content = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a character, which is no byte
        content = name.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


def csv_cell(value: object) -> object:
    """Return a cell of a CSV table; a text that a spreadsheet would take as a formula gets an apostrophe before it."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def from_csv_cell(text: str) -> str:
    """Return the text of a cell that `csv_cell` made."""
    return text[1:] if text[:1] == "'" and csv_cell(text[1:]) != text[1:] else text


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON, in ASCII. JSON has no NaN and no infinity; they become null."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


class ShownStream:
    """A text stream that passes everything through `shown`.

    Args:
        stream: The stream that is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text and return its length."""
        self._stream.write(shown(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def counted(count: int, one: str, several: str = "") -> str:
    """Return text such as `1 clip` or `1,484 clips`; `several` is given where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def counted_people(count: int) -> str:
    """Return `1 person`, `2 people`."""
    return counted(count, "person", "people")


def is_whole_number(text: str) -> bool:
    """Tell whether text is a whole number from 0 on, of at most nine digits: one that Python and numpy take."""
    return text.isascii() and text.isdigit() and len(text) < 10


def parse_json(text: str | bytes) -> Any:
    """Parse JSON as `json.loads` does, with whole numbers beyond 64 bits as floats: numpy takes no others.

    Raises:
        ValueError: It is not JSON.
    """
    return json.loads(text, parse_int=_parse_int)


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits.lstrip("-")) < 19 else float(digits)
