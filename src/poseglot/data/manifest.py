"""The manifest of a custom set: names, labels, people and subsets of its clips before they are read.

They come from folders, from a table (`clips.csv`, `labels.csv`), or from columns beside the joints. Here they become class names, a split
and a `Benchmark`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import Benchmark
from poseglot.data.quality.issues import ClipError, ClipIssue, Kind
from poseglot.data.splits import SUBSETS, Member, custom_split
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.files import decode_text
from poseglot.safe_text import is_whole_number, name_text
from poseglot.skeletons.clip import Clip, Joints, check_joints
from poseglot.skeletons.layout import Layout

FIELDS = ("label", "subject", "camera", "setup", "split")
# Higher class numbers are taken for a mistake: one stray number would invent a million classes.
MAX_CLASSES = 10_000
MAX_COLUMNS = 10_000
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Entry:
    """A clip that is listed but not read.

    Attributes:
        name: Unique within the set.
        origin: What messages call it: its file, or where it is listed.
        label: A class name or number, as it is written.
        subject: The person's name or number, as it is written; "" if unknown.
        camera: As in `Clip`.
        setup: As in `Clip`.
        subset: `train`, `val`, `test`, or "" if the set gives none.
    """

    name: str
    origin: str
    label: str
    subject: str = ""
    camera: int = 0
    setup: int = 0
    subset: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a list of clips amounts to.

    Attributes:
        benchmark: Class names, split and pipeline.
        class_mapping: Label as written -> class number.
        people: Person as written -> number.
        split: The split in words.
    """

    benchmark: Benchmark
    class_mapping: Mapping[str, int]
    people: Mapping[str, int]
    split: str

    def clip(self, entry: Entry, joints: Joints, *, has_scores: bool) -> Clip:
        """Return the clip of an entry whose joints have been read."""
        fields = {"subject": self.people[entry.subject], "camera": entry.camera, "setup": entry.setup}
        return Clip(joints, name=entry.name, label=self.class_mapping[entry.label], has_scores=has_scores, **fields)


def make_entry(name: str, cells: Mapping[str, str], *, origin: str) -> Entry:
    """Make the entry of a clip from the cells of a table, of which `FIELDS` are used.

    Raises:
        ClipError: There is no name or label, or a cell is not valid.
    """
    name, cells = name_text(name), {field: name_text(cell) for field, cell in cells.items()}
    if not name:
        raise ClipError("malformed", f"{origin}: the clip has no name.")
    label = cells.get("label", "").strip()
    if not label:
        raise ClipError("malformed", f"{origin}: clip {name} has no label.")
    subset = cells.get("split", "").strip()
    if subset and subset not in SUBSETS:
        raise ClipError("malformed", f"{origin}: split {subset!r}; accepted are {', '.join(SUBSETS)}, or nothing.")
    subject = cells.get("subject", "").strip()
    if re.fullmatch(r"[-+.\d]+", subject):
        subject = str(_number(subject, "subject", origin))
    numbers = {field: _number(cells.get(field, ""), field, origin) for field in ("camera", "setup")}
    return Entry(name, origin, label, subject, **numbers, subset=subset)


def _number(cell: str, field: str, origin: str) -> int:
    text = cell.strip()
    if not text:
        return 0
    least = 1 if field == "subject" else 0  # 0 means an unknown person, and splits are made by people
    if not (is_whole_number(text) and int(text) >= least):
        raise ClipError("malformed", f"{origin}: {field} {text!r}; accepted are whole numbers from {least} on, or nothing.")
    return int(text)


def read_table(path: Path, key: str) -> dict[str, Entry | ClipIssue]:
    """Read a table of clips with the columns `key` (which names the clip), label[, subject, camera, setup, split].

    Returns:
        Cell of `key` -> entry. A clip that is listed twice is an issue.

    Raises:
        FileError: The table is missing, not UTF-8 text, or lacks a column.
    """
    table: dict[str, Entry | ClipIssue] = {}
    try:
        lines = decode_text(path.read_bytes(), str(path)).splitlines(keepends=True)
        header, separator = read_header(lines[0] if lines else "", str(path))
        for column in (key, "label"):
            if column not in header:
                raise FileError(f"{path} has no column {column!r}; there are {', '.join(header)}.")
        rows = csv.reader(lines[1:], delimiter=separator, skipinitialspace=True)
        for row in rows:
            if not row:
                continue
            origin = f"{path}, line {rows.line_num + 1}"
            cells = dict(zip(header, row, strict=False))
            name = cells.get(key, "").strip()
            table[name] = _row(name, cells, origin, width=len(header), found=len(row), again=name in table)
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except csv.Error as error:
        raise FileError(f"{path} is not a CSV table ({error}).") from error
    return table


def _row(name: str, cells: Mapping[str, str], origin: str, *, width: int, found: int, again: bool) -> Entry | ClipIssue:
    if found != width:
        return ClipIssue(name, origin, "malformed", f"{origin}: {found} cells under a header of {width}.")
    if again:
        return ClipIssue(name, origin, "duplicate", f"{origin}: {name} has been listed before.")
    try:
        return make_entry(name, cells, origin=origin)
    except ClipError as error:
        return ClipIssue(name, origin, error.kind, str(error))


def read_header(line: str, origin: str) -> tuple[list[str], str]:
    """Return the column names of a table's first line, in lower case, and the separator: comma, semicolon or tab.

    Raises:
        FileError: The line is empty or names a column twice.
    """
    line = line.removeprefix("\ufeff")
    separator = max(",;\t", key=line.count)
    if line.count(separator) >= MAX_COLUMNS:
        raise FileError(f"{origin} has more than {MAX_COLUMNS:,} columns; a table of joints has a few for each joint.")
    header = [name.strip().lower() for name in next(csv.reader([line], delimiter=separator), [])]
    if not any(header):
        raise FileError(f"{origin} is empty; expected a first line of column names.")
    twice = sorted(name for name, count in Counter(header).items() if name and count > 1)
    if twice:
        raise FileError(f"{origin} has more than one column named {', '.join(twice[:5])}.")
    return header, separator


def make_manifest(
    entries: Sequence[Entry],
    *,
    name: str,
    layout: Layout,
    num_dims: int,
    classes: Sequence[str] | None,
    test_subjects: Sequence[int | str] | None,
) -> Manifest:
    """Make class names, split and benchmark of a list of clips.

    Args:
        entries: The clips, at least one.
        name: Of the data set.
        layout: Of the joints.
        num_dims: 2 (pipeline `image`) or 3 (pipeline `metric`).
        classes: Their names in their order, or `label: name` for every label, which renames and joins classes. By default the labels,
            sorted, or "class i" where they are numbers (from 0 or 1 on).
        test_subjects: As in `custom_split`; people may be given by name.

    Raises:
        SettingError: A label is none of `classes`, or the split cannot be made.
    """
    assert entries
    names, class_mapping = _classes({entry.label for entry in entries}, classes)
    people = _people({entry.subject for entry in entries})
    split = custom_split(
        [Member(entry.name, class_mapping[entry.label], people[entry.subject], entry.subset) for entry in entries],
        test_subjects=None if test_subjects is None else [_person(subject, people) for subject in test_subjects],
    )
    benchmark = Benchmark(
        name=name,
        layout=layout.name,
        pipeline="metric" if num_dims == 3 else "image",
        classes=names,
        splits={split.name: split.rule},
        expected=split.counts,
        people={str(number): name for name, number in people.items() if number and name != str(number)},
    )
    return Manifest(benchmark, class_mapping, people, f"{split.name}: {split.how}")


def _people(written: set[str]) -> dict[str, int]:
    """Number people: by their own numbers, or from 1 on in the order of the alphabet if some have names; "" is 0."""
    known = written - {""}
    if all(map(is_whole_number, known)):
        return {"": 0, **{name: int(name) for name in known}}
    return {"": 0, **{name: number for number, name in enumerate(sorted(known), start=1)}}


def _person(given: int | str, people: Mapping[str, int]) -> int:
    """Return the number of a person who is given by name or number.

    Raises:
        SettingError: There is no such person.
    """
    name = str(given)
    found = people.get(name) or people.get(name.lstrip("0"))
    if not found:
        known = sorted(set(people) - {""}, key=lambda name: people[name])
        if not known:
            raise SettingError("test subjects were given, but the clips' people are not known. Add a column `subject`.")
        raise SettingError(f"there is no clip of the test subject {name}; subjects are {', '.join(known)}.")
    return found


def _classes(labels: set[str], classes: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the class names and the number of every label."""
    numbered = all(map(is_whole_number, labels))
    if classes is None and numbered:
        highest = max(map(int, labels))
        if highest >= MAX_CLASSES:
            raise SettingError(f"label {highest}: more than {MAX_CLASSES:,} classes; give the classes' names if that is meant.")
        first = int(min(map(int, labels)) == 1)  # numbers from 1 on keep their names: there is no class 0
        return class_names(highest + 1)[first:], {label: int(label) - first for label in labels}
    if classes is not None and (renamed := _renamed(labels, classes)):
        names = tuple(dict.fromkeys(renamed.values()))
        return names, {label: names.index(renamed[label]) for label in labels}
    names = tuple(classes) if classes is not None else tuple(sorted(labels))
    numbers = {name: number for number, name in enumerate(names)}
    # A class may also be given by its number, if that is no class's name: from 0 on, or from 1 on if only that fits.
    by_number = {label: int(label) for label in labels - set(numbers) if is_whole_number(label)}
    first = int(len(names) in by_number.values() and 0 not in by_number.values())
    numbers |= {label: number - first for label, number in by_number.items() if number - first < len(names)}
    unknown = sorted(labels - set(numbers))
    if unknown:
        raise SettingError(
            f"labels that are none of the {len(names)} classes: {', '.join(unknown[:10])}{', ...' if len(unknown) > 10 else ''}; the "
            f"classes are {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}."
        )
    return names, {label: numbers[label] for label in labels}


def _renamed(labels: set[str], lines: Sequence[str]) -> dict[str, str]:
    """Return label -> name of lines `label: name`; empty if the lines are not of this form, or not for these labels."""
    pairs = [line.partition(":") for line in lines]
    names = {label.strip(): name.strip() for label, _, name in pairs if name.strip()}
    return names if len(names) == len(lines) and labels <= set(names) else {}


def class_names(count: int) -> tuple[str, ...]:
    """Return names for classes that have none."""
    return tuple(f"class {number}" for number in range(count))


def spread(things: Sequence[_Thing], count: int = 25) -> list[_Thing]:
    """Return up to `count` things, evenly spaced from the first to the last, as a sample of them all."""
    return [things[round(index)] for index in np.linspace(0, len(things) - 1, min(count, len(things)))]


def clip_or_issue(read: Callable[[], Clip], *, name: str, origin: str) -> Clip | ClipIssue:
    """Return the clip that `read` returns, or the issue with it."""
    try:
        return read()
    except ClipError as error:
        return ClipIssue(name, origin, error.kind, str(error))
    except PoseglotError as error:
        return ClipIssue(name, origin, "unreadable", str(error))


def clip_joints(joints: npt.ArrayLike, *, joint_count: int | None, origin: str, has_scores: bool = False) -> Joints:
    """Check joints as `check_joints` does, with the kind of issue in the error.

    Raises:
        ClipError: They are not valid.
    """
    try:
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite and is refused
            return check_joints(joints, joint_count=joint_count, has_scores=has_scores, origin=origin)
    except PoseglotError as error:
        raise ClipError(_kind(joints, joint_count), str(error)) from error


def same_channels(joints: Joints, channels: int, origin: str) -> Joints:
    """Return the joints if they have as many channels as the other clips of the set.

    Raises:
        ClipError: They have not.
    """
    if joints.shape[-1] != channels:
        raise ClipError(
            "malformed", f"{origin}: {joints.shape[-1]} numbers per joint, but the other clips of the set have {channels}."
        )
    return joints


def _kind(joints: npt.ArrayLike, joint_count: int | None) -> Kind:
    try:
        shape = np.shape(joints)
    except ValueError:
        return "malformed"
    if len(shape) not in (3, 4):
        return "malformed"
    if 0 in shape[:-1]:
        return "empty"
    if joint_count is not None and shape[-2] != joint_count:
        return "joint count"
    array = np.asarray(joints)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            if not np.isfinite(array.astype(np.float32)).all():
                return "not finite"
    return "malformed"
