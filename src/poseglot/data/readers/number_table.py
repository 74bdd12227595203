"""Tables of numbers in text: one row per frame, or one per joint of each frame.

Between the numbers stand semicolons, tabs, blanks or commas. Where commas are not the separator they are decimal commas. `#` begins a
comment. A header may name the columns (`head_x head_y head_z ...`), also in a comment; joints and axes are then found by name. A first
row 0, 1, 2, ... is a header of pandas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError

# What programs write for a number that is missing. A header has none of these.
_MISSING = {
    "",
    "-",
    "--",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "#num!",
    "#value!",
    "#ref!",
    "#div/0!",
    "null",
    "none",
    "nan",
    "inf",
    "?",
}
_COMMENT = re.compile(r"(^|\s)#(?!N/A|NA\b|NUM!|VALUE!|REF!|DIV/0!).*")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_AXES = {
    "x": "x", "y": "y", "z": "z", "score": "score", "s": "score", "c": "score", "conf": "score", "confidence": "score", "v": "score",
    "visibility": "score", "likelihood": "score", "prob": "score",
}  # fmt: skip
_MAX_NAME = 200  # characters; the patterns for names are slow on what is no name
# Names of columns that are no joints'.
_OTHER = {
    "frame",
    "frames",
    "frame_id",
    "frameid",
    "frame_number",
    "frame_idx",
    "index",
    "idx",
    "time",
    "timestamp",
    "time_s",
    "t",
    "",
}


# A row 0, 1, 2, ... of at least so many numbers is no frame.
_COUNTED = 6
# Numbers from which on their signs and lengths say something.
_MANY = 16


@dataclass(frozen=True, eq=False)
class NumberTable:
    """A table: its rows (float64), and the names of its columns if it has a header of as many cells."""

    rows: npt.NDArray[np.float64]
    names: tuple[str, ...] = ()


def is_number_table(lines: Sequence[str]) -> bool:
    """Tell whether the first lines of a file look like a table of numbers: a row of numbers, perhaps under a header."""
    for line in lines[:5]:
        cells = [cell for cell in re.split(r"[\s,;]+", _COMMENT.sub("", line).strip()) if cell]
        if cells and sum(bool(_NUMBER.fullmatch(cell)) for cell in cells) * 2 > len(cells):
            return True
    return False


def parse_numbers(text: str, *, origin: str) -> NumberTable:
    """Parse a table of numbers.

    Raises:
        ClipError: There are no numbers, a cell is not one (the message names line and cell), or rows differ in length.
    """
    written = text.lstrip("\ufeff").splitlines()
    lines = [(number, _COMMENT.sub("", line).strip(" \r\n")) for number, line in enumerate(written, start=1)]
    lines = [(number, line) for number, line in lines if line.strip()]
    header, data = _split_header(lines)
    if not data:
        raise ClipError("empty", f"{origin}: there are no numbers in it.")
    separator, decimal_comma = _separator([line for _, line in data], origin)
    if separator == "," and (doubtful := _decimal_commas_among_commas([line for _, line in data])):
        raise ClipError(
            "malformed",
            f"{origin}: {doubtful!r} looks like numbers with decimal commas, separated by commas. Separate the numbers by semicolons, or "
            "write decimal points.",
        )
    has_index = False
    if not header and len(data) > 1 and (counted := _pandas_header([_cells(line, separator) for _, line in data])):
        has_index, data = counted == "index", data[1:]
    if not header:  # numpy writes headers as comments
        header = next((line.strip().lstrip("# ") for line in reversed(written[: data[0][0] - 1]) if "#" in line), "")
    rows: list[list[float]] = []
    for number, line in data:
        cells = _cells(line, separator)
        row = [_number(cell, column, f"{origin}, line {number}", decimal_comma) for column, cell in enumerate(cells, start=1)]
        if rows and len(row) != len(rows[0]):
            raise ClipError(
                "malformed", f"{origin}, line {number}: {len(row)} numbers, but the lines before have {len(rows[0])}."
            )
        rows.append(row)
    array = np.array(rows)
    if has_index:
        return NumberTable(array[:, 1:])
    names = _names(header, separator, len(rows[0])) if header else ()
    if len(names) != len(rows[0]):
        if joint_columns(names) or _is_of_axes(names):
            raise ClipError(
                "malformed",
                f"{origin}: its header names {len(names)} columns ({', '.join(names[:3])}, ...), but the rows have {len(rows[0])} numbers.",
            )
        names = ()
    return NumberTable(array, names)


def _names(header: str, separator: str | None, width: int) -> tuple[str, ...]:
    """Return the names of a header; it may have blanks in them where the rows have another separator."""
    forms = [[cell.strip() for cell in header.rstrip(separator).split(separator)]] if separator else []
    forms += [_cells(header, separator), header.split(), re.split(r"[;,\t]", header)]
    found = [tuple(name.strip("\"' ") for name in form) for form in forms]
    return next((names for names in found if len(names) == width), max(found, key=lambda names: len(joint_columns(names))))


def _pandas_header(rows: Sequence[Sequence[str]]) -> str:
    """Tell whether a table begins with the header 0, 1, 2, ... of pandas: `columns`, `index` (with a column of row numbers), or ""."""
    first = [cell.strip("\"' ") for cell in rows[0]]
    kind = "index" if first and not first[0] else "columns"
    counted = first[kind == "index" :]
    if counted != [str(number) for number in range(len(counted))] or not counted:
        return ""
    if kind == "index" or len(counted) >= _COUNTED:
        return kind
    return kind if not any(all(cell.strip().lstrip("+-").isdigit() for cell in row) for row in rows[1:]) else ""


def _is_of_axes(names: Sequence[str]) -> bool:
    return bool(axis_columns(names))


def _split_header(lines: Sequence[tuple[int, str]]) -> tuple[str, Sequence[tuple[int, str]]]:
    """Return the last header line and the lines of data. A line without any number or missing value is a header."""
    header = ""
    for index, (_, line) in enumerate(lines):
        cells = [cell.strip("\"' ") for cell in re.split(r"[;\t,]|\s+", line)]
        # An empty cell at the edge is a corner of the header; inside it is a missing value.
        marks = [cell for cell in cells if cell.lower() in _MISSING - {""} or _NUMBER.fullmatch(cell)]
        if marks:
            return header, lines[index:]
        header = line
    return header, ()


def _separator(lines: Sequence[str], origin: str) -> tuple[str | None, bool]:
    """Return what separates the cells (None: blanks), and whether commas are decimal commas."""
    for separator in (";", "\t"):
        if any(separator in line for line in lines):
            return separator, any("," in line for line in lines)
    if not any("," in line for line in lines):
        return None, False
    words = [word for line in lines for word in line.split()]
    blanks_separate = any(len(line.split()) > 1 for line in lines)
    if (
        not blanks_separate
        or any(word.endswith(",") or word.startswith(",") for word in words)
        or any("." in word for word in words)
    ):
        return ",", False
    if any(word.count(",") > 1 for word in words):
        return ",", False
    if all(re.fullmatch(r"\d{2,4},[1-9]\d{1,2}", word) for word in words):
        raise ClipError(
            "malformed",
            f"{origin}: {words[0]!r} may be two numbers or one with a decimal comma. Separate the numbers by semicolons.",
        )
    return None, True


def _decimal_commas_among_commas(lines: Sequence[str]) -> str:
    """Return the beginning of a line of whole numbers that must be pieces of numbers with decimal commas (`0,05,-0,7`), or ""."""
    if any("." in line or re.search(r"[^\d,+\-\s]", line) for line in lines):
        return ""
    rows = [[cell.strip() for cell in line.strip().rstrip(",").split(",")] for line in lines]
    for line, row in zip(lines, rows, strict=True):
        if len(row) > 1 and any(re.fullmatch(r"[+-]?0\d+|-0", cell) for cell in row):
            return line[:40]
    whole, fraction = ([cell for row in rows for cell in row[start::2]] for start in (0, 1))
    even = all(len(row) % 2 == 0 for row in rows)
    signed = any(cell.startswith("-") for cell in whole) and not any(cell[:1] in "+-" for cell in fraction)
    return lines[0][:40] if even and signed and len(fraction) >= _MANY and len({*map(len, fraction)}) == 1 else ""


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    if separator == ",":  # blanks separate, too: "1, 2 3"
        return [cell for part in line.rstrip(",").split(",") for cell in (part.split() or [""])]
    cells = [cell.strip() for cell in line.split(separator)]
    if separator == "\t":
        cells = [word for cell in cells for word in (cell.split() or [""])]
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells  # a separator at the end of the line


def _number(cell: str, column: int, origin: str, decimal_comma: bool) -> float:
    cell = cell.strip("\"' ")
    if not _NUMBER.fullmatch(cell) or ("," in cell and not decimal_comma) or (decimal_comma and "," in cell and "." in cell):
        raise ClipError("malformed", f"{origin}, cell {column}: {cell[:40]!r} is not a number.")
    value = float(cell.replace(",", "."))
    if not np.isfinite(value):
        raise ClipError(
            "not finite", f"{origin}, cell {column}: {cell!r} is not finite. Write zeros for a joint that was not seen."
        )
    return value


def joint_columns(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Find the columns of joints by the names in a header: `head_x`, `head.x`, `x_head`, `Head X`, `LeftHandX`, `x0`.

    Returns:
        Joint as written -> axis (x, y, z, score) -> column; empty if the header does not name joints.
    """
    found: dict[str, dict[str, int]] = {}
    for column, name in enumerate(names):
        joint, axis = _joint_axis(name)
        if axis and axis not in found.get(joint, {}):
            found.setdefault(joint, {})[axis] = column
    whole = {joint: axes for joint, axes in found.items() if {"x", "y"} <= set(axes) and joint}
    others = sum(name.strip().lower() in _OTHER for name in names)
    covered = sum(len(axes) for axes in whole.values())
    return whole if whole and 2 * covered >= len(names) - others else {}


def axis_columns(names: Sequence[str]) -> dict[str, int]:
    """Return axis (x, y, z, score) -> column of a header that names axes alone, beside frame and time; else nothing."""
    plain = [name.strip().lower() for name in names]
    found = {_AXES[name]: column for column, name in enumerate(plain) if name in _AXES and name not in ("v", "c", "s")}
    others = [name for name in plain if name not in _AXES and name not in _OTHER]
    return found if {"x", "y"} <= set(found) and not others and len(found) == sum(name in _AXES for name in plain) else {}


def _joint_axis(name: str) -> tuple[str, str]:
    """Split a column's name into joint and axis; the axis is empty if there is none."""
    name = name.strip()
    if len(name) > _MAX_NAME:
        return name, ""
    for form in (r"(?P<joint>.+?)[\s_.:\-/\[(]+(?P<axis>[A-Za-z]+)[\])]?", r"(?P<axis>[A-Za-z]+)[\s_.:\-/]+(?P<joint>.+)"):
        match = re.fullmatch(form, name)
        if match and match["axis"].lower() in _AXES:
            return match["joint"], _AXES[match["axis"].lower()]
    match = re.fullmatch(r"(?P<axis>[A-Za-z]+?)(?P<joint>\d+)", name)
    if match and match["axis"].lower() in _AXES:
        return match["joint"], _AXES[match["axis"].lower()]
    if match := re.fullmatch(r"(?P<joint>.*[a-z0-9])(?P<axis>[XYZ])", name):
        return match["joint"], match["axis"].lower()
    return name, ""
