"""Segment files, written and read: CSV, JSON, WebVTT for players, ELAN `.eaf` 3.0 for annotators (one tier per person).

The CSV of BORIS's aggregated events is read, too.

Times are seconds, or whole milliseconds in `.vtt` and `.eaf`.
"""

from __future__ import annotations

import csv
import html
import io
import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from poseglot.data.manifest import read_header
from poseglot.errors import FileError, SettingError
from poseglot.files import write_atomically
from poseglot.safe_text import csv_cell, from_csv_cell, parse_json

UNKNOWN = "unknown"
FORMAT = "poseglot-segments-1"
_COLUMNS = ("start", "end", "action", "score", "person")
# BORIS's columns, in lower case -> ours.
_BORIS = {"start (s)": "start", "stop (s)": "end", "behavior": "action"}
# SubRip's comma is accepted, too.
_CLOCK = r"((?:[0-9]+:)?[0-5][0-9]:[0-5][0-9][.,][0-9]{3})"
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^ >]*)?\s([^>]*)>")
_PERSON = re.compile(r"person ([0-9]{1,9})")
_MAX_SECONDS = 1e6  # eleven days; beyond, times are of another unit, such as seconds since 1970
_FAULTS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)  # of rows that are not what they should be
_SHARE = re.compile(r"(.*?)(?: \((\d+)%\))?")
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
# Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Segment:
    """An action of a person from `start` to `end`.

    Attributes:
        start, end: Seconds from the beginning of the recording.
        action: A class name, or `unknown`.
        score: Its probability.
        person: Counted from 1; 0 for all together.
    """

    start: float
    end: float
    action: str
    score: float = 1.0
    person: int = 1


def check_segments_name(path: str | PathLike[str]) -> None:
    """Check that `write_segments` supports a file's ending.

    Raises:
        SettingError: It does not.
    """
    if (ending := Path(path).suffix.lower()) not in WRITERS:
        raise SettingError(f"{path}: segments are written as {', '.join(WRITERS)}, not {ending or 'without an ending'}.")


def write_segments(segments: Sequence[Segment], path: str | PathLike[str]) -> None:
    """Write segments as .csv, .json, .vtt or .eaf, by the file's ending.

    Raises:
        SettingError: The file has another ending.
        FileError: The file cannot be written.
    """
    check_segments_name(path)
    write_atomically(Path(path), WRITERS[Path(path).suffix.lower()](segments))


def read_segments(path: str | PathLike[str]) -> list[Segment]:
    """Read segments from .csv, .json, .vtt or .eaf: ours, or those of annotators.

    A table has columns start, end and action (score and person default to 1), or those of BORIS's aggregated events, separated by commas,
    semicolons or tabs. A tier of ELAN, a
    voice of WebVTT and a subject of BORIS is a person: `person 2` is the second, `all` is everybody, and others take the numbers that
    are left, in their order.

    Raises:
        FileError: The file is missing or of another format, or a segment has no action, or no time, score or person that can be.
    """
    path = Path(path)
    if (ending := path.suffix.lower()) not in READERS:
        raise FileError(f"{path}: segments are read from {', '.join(READERS)}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"could not read {path}: {error}.") from error
    try:
        return [_segment(row, number) for number, row in enumerate(READERS[ending](text), start=1)]
    except (*_FAULTS, FileError, csv.Error, SyntaxError, RecursionError) as error:  # XML that is none is a SyntaxError
        raise FileError(
            f"{path} does not hold segments ({_reason(error)}); expected are {', '.join(_COLUMNS)}, the last two are optional."
        ) from error


def from_csv(text: str) -> list[dict[str, Any]]:
    """Return the rows of a table separated by commas, semicolons or tabs, ours or of BORIS's aggregated events.

    Spreadsheets that separate by semicolons write decimal commas.
    """
    lines = io.StringIO(text)
    header, separator = read_header(next(lines, ""), "the table")
    rows: list[dict[str, Any]] = list(csv.DictReader(lines, header, delimiter=separator, skipinitialspace=True))
    if separator != ",":
        numbers = {*_COLUMNS, *_BORIS} - {"action", "behavior"}
        rows = [{name: _decimal_point(cell) if name in numbers else cell for name, cell in row.items()} for row in rows]
    if rows and set(_BORIS) <= set(rows[0]):
        rows = _with_numbers(
            {"person": row.get("subject") or "", **{name: row[column] for column, name in _BORIS.items()}} for row in rows
        )
    for row in rows:
        row["action"] = from_csv_cell(row["action"] or "")
    return rows


def _decimal_point(cell: Any) -> Any:
    return cell.replace(",", ".") if isinstance(cell, str) else cell


def from_json(text: str) -> list[Any]:
    """Return the rows of a JSON object that `to_json` made."""
    table = parse_json(text)
    if table["format"] != FORMAT:
        raise ValueError(f"its format is {table['format']!r}")
    rows: list[Any] = table["segments"]
    return rows


def from_vtt(text: str) -> list[dict[str, Any]]:
    """Return a row for each cue of WebVTT; a share in brackets behind the action, such as (87%), is its score."""
    if not text.startswith("WEBVTT"):
        raise ValueError("it does not begin with WEBVTT")
    cues: list[tuple[str, str, list[str]]] = []
    said: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if "-->" in line:  # begins a cue even without an empty line before
            if (timing := _TIMING.fullmatch(line)) is None:
                raise ValueError(f"line {number} is no time of a cue, such as 00:01.000 --> 00:02.500: {line.strip()[:80]!r}")
            said = []
            cues.append((timing[1], timing[2], said))
        elif line.strip():
            said.append(line)
        else:
            said = []  # what follows is no cue's
    return _with_numbers(_cue(*cue) for cue in cues)


def _cue(start: str, end: str, lines: list[str]) -> dict[str, Any]:
    text = " ".join(" ".join(lines).split())
    voice = _VOICE.match(text)
    action, score = _SHARE.fullmatch(html.unescape(re.sub("<[^>]*>", "", text)).strip()).groups()  # type: ignore[union-attr]
    row = {"start": _seconds(start), "end": _seconds(end), "person": voice[1] if voice else "", "action": action}
    return row if score is None else {**row, "score": int(score) / 100}


def from_eaf(text: str) -> list[dict[str, Any]]:
    """Return a row for each time-aligned annotation of an ELAN document."""
    if "<!DOCTYPE" in text:
        raise ValueError("it declares entities, which ELAN does not")
    document, rows = ET.fromstring(text), []
    times = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in document.iter("TIME_SLOT")}
    for tier in document.iter("TIER"):
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            first, last = times[annotation.get("TIME_SLOT_REF1")], times[annotation.get("TIME_SLOT_REF2")]
            if first is None or last is None:
                raise ValueError("an annotation has no time; align it in ELAN")
            action = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
            person = tier.get("TIER_ID") or ""
            rows.append({"start": int(first) / 1000, "end": int(last) / 1000, "person": person, "action": action})
    return _with_numbers(rows)


READERS = {".csv": from_csv, ".json": from_json, ".vtt": from_vtt, ".eaf": from_eaf}


def _with_numbers(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with numbers of people instead of their names: those of `_who`, and for other names what these leave, in order."""
    rows = list(rows)
    names = list(dict.fromkeys(row["person"] for row in rows))
    numbers = {name: int(found[1]) for name in names if (found := _PERSON.fullmatch(name))} | {_who(0): 0}
    taken = set(numbers.values())
    left = (number for number in itertools.count(1) if number not in taken)
    numbers |= {name: next(left) for name in names if name not in numbers}
    return [{**row, "person": numbers[row["person"]]} for row in rows]


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _segment(row: Any, number: int) -> Segment:
    try:
        start, end, action = float(row["start"]), float(row["end"]), row["action"]
        score, person = (float(1 if row.get(name) in (None, "") else row[name]) for name in ("score", "person"))
    except _FAULTS as error:
        raise ValueError(f"segment {number}: {_reason(error)}") from error
    if not 0 <= start < end <= _MAX_SECONDS:
        raise ValueError(f"segment {number} is from {start} to {end} seconds")
    if not isinstance(action, str) or not action.strip():
        raise ValueError(f"segment {number} has no action")
    if not 0 <= score <= 1:
        raise ValueError(f"segment {number} has a score of {score}, which is not from 0 to 1")
    if not (0 <= person < 1e9 and person.is_integer()):
        raise ValueError(f"segment {number} has person {person}, which is not a whole number from 0 on")
    return Segment(start, end, action, score, int(person))


def to_csv(segments: Sequence[Segment]) -> str:
    """Return a CSV table with a header."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(_COLUMNS)
    rows.writerows([f"{s.start:.3f}", f"{s.end:.3f}", csv_cell(s.action), f"{s.score:.4f}", s.person] for s in segments)
    return file.getvalue()


def to_json(segments: Sequence[Segment]) -> str:
    """Return a JSON object with `format` and `segments`."""
    rows = [{**asdict(s), "start": round(s.start, 3), "end": round(s.end, 3), "score": round(s.score, 4)} for s in segments]
    return json.dumps({"format": FORMAT, "segments": rows}, indent=1, ensure_ascii=False) + "\n"


def to_vtt(segments: Sequence[Segment]) -> str:
    """Return WebVTT cues in order of time, with the person as the voice."""
    cues = ["WEBVTT\n"]
    for segment in sorted(segments, key=lambda s: (s.start, s.person)):
        start, end = _milliseconds(segment)
        # A line break would end the line, an empty line the cue.
        text = html.escape(" ".join(segment.action.split()), quote=False)
        cues.append(f"{_clock(start)} --> {_clock(end)}\n<v {_who(segment.person)}>{text} ({segment.score:.0%})\n")
    return "\n".join(cues)


def to_eaf(segments: Sequence[Segment], *, date: datetime | None = None) -> str:
    """Return an ELAN document with a tier for each person. ELAN refuses overlapping segments of one person; ours do not overlap.

    Args:
        segments: The segments.
        date: The date of the document; by default now.
    """
    when = (date or datetime.now(UTC)).isoformat(timespec="seconds")
    ET.register_namespace("xsi", _XSI)
    document = ET.Element(
        "ANNOTATION_DOCUMENT",
        {"AUTHOR": "poseglot", "DATE": when, "FORMAT": "3.0", "VERSION": "3.0", f"{{{_XSI}}}noNamespaceSchemaLocation": _SCHEMA},
    )  # fmt: skip
    ET.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    order = ET.SubElement(document, "TIME_ORDER")
    times = sorted({time for segment in segments for time in _milliseconds(segment)})
    slots = {time: f"ts{number}" for number, time in enumerate(times, start=1)}
    for time, slot in slots.items():
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    number = 0
    for person in sorted({segment.person for segment in segments}):
        tier = ET.SubElement(document, "TIER", LINGUISTIC_TYPE_REF="action", TIER_ID=_who(person))
        for segment in sorted((s for s in segments if s.person == person), key=lambda s: s.start):
            start, end = _milliseconds(segment)
            number += 1
            names = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": slots[start], "TIME_SLOT_REF2": slots[end]}
            annotation = ET.SubElement(ET.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", names)
            ET.SubElement(annotation, "ANNOTATION_VALUE").text = _NOT_XML.sub("\ufffd", segment.action)
    ET.SubElement(document, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="action", TIME_ALIGNABLE="true")
    ET.indent(document)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(document, encoding="unicode") + "\n"


WRITERS = {".csv": to_csv, ".json": to_json, ".vtt": to_vtt, ".eaf": to_eaf}


def _who(person: int) -> str:
    return f"person {person}" if person else "all"


def _milliseconds(segment: Segment) -> tuple[int, int]:
    """Return start and end; players and annotators require a later end."""
    start = round(segment.start * 1000)
    return start, max(start + 1, round(segment.end * 1000))


def _seconds(clock: str) -> float:
    """Return the seconds of a time of WebVTT; hours may be missing."""
    seconds = 0.0
    for part in clock.split(":"):
        seconds = 60 * seconds + float(part.replace(",", "."))
    return seconds


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
