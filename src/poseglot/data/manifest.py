"""What is known of the clips of somebody's own set before they are read: names, labels, people, sides.

It comes from folders, from a table (`clips.csv`, `labels.csv`), or from columns beside the joints; here it becomes class names, a
split and a `Benchmark`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import Benchmark
from poseglot.data.quality.issues import ClipError, ClipIssue, Kind
from poseglot.data.splits import SUBSETS, Member, custom_split
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip, Joints, check_joints
from poseglot.skeletons.layout import Layout

FIELDS = ("label", "subject", "camera", "setup", "split")
# Class numbers beyond this are taken for a mistake: a million classes would be invented for one stray number.
MOST_CLASSES = 10_000
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Listed:
    """A clip that is known of but not read.

    Attributes:
        name: unique within the set.
        origin: what messages call it, usually its file or where it is listed.
        label: a class name or number, as it was written.
        subject, camera, setup: as in `Clip`.
        side: `train`, `val`, `test`, or "" where nobody said.
    """

    name: str
    origin: str
    label: str
    subject: int = 0
    camera: int = 0
    setup: int = 0
    subset: str = ""


@dataclass(frozen=True)
class Known:
    """What a list of clips comes to: `benchmark`, the class number of every label as written, and how they are split, in words."""

    benchmark: Benchmark
    numbers: Mapping[str, int]
    split: str

    def clip(self, listed: Listed, joints: Joints, *, has_scores: bool) -> Clip:
        """A clip that has now been read."""
        fields = {"subject": listed.subject, "camera": listed.camera, "setup": listed.setup}
        return Clip(joints, name=listed.name, label=self.numbers[listed.label], has_scores=has_scores, **fields)


def listed(name: str, cells: Mapping[str, str], *, origin: str) -> Listed:
    """A clip by the cells of a table, of which `FIELDS` are looked at.

    Raises:
        ClipError: no name, no label, or a cell that cannot be.
    """
    if not name:
        raise ClipError("malformed", f"{origin}: the clip has no name.")
    label = cells.get("label", "").strip()
    if not label:
        raise ClipError("malformed", f"{origin}: clip {name} has no label.")
    subset = cells.get("split", "").strip()
    if subset and subset not in SUBSETS:
        raise ClipError("malformed", f"{origin}: split {subset!r}; accepted are {', '.join(SUBSETS)}, or nothing.")
    numbers = {field: _number(cells.get(field, ""), field, origin) for field in ("subject", "camera", "setup")}
    return Listed(name, origin, label, **numbers, subset=subset)


def _number(cell: str, field: str, origin: str) -> int:
    text = cell.strip()
    if not text:
        return 0
    least = 1 if field == "subject" else 0  # 0 means that a person is not known, and splits are made by people
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise ClipError("malformed", f"{origin}: {field} {text!r}; accepted are whole numbers from {least} on, or nothing.")
    return int(text)


def read_table(path: Path, key: str) -> dict[str, Listed | ClipIssue]:
    """A table of clips: `key` (the column that names the clip), label[, subject, camera, setup, split].

    Returns:
        What the `key` cell says -> the clip; the last of several rows of one clip is a Fault.

    Raises:
        PoseglotError: not there, not text, or without the columns `key` and `label`.
    """
    table: dict[str, Listed | ClipIssue] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, separator = read_header(file.readline(), str(path))
            for column in (key, "label"):
                if column not in header:
                    raise PoseglotError(f"{path} has no column {column!r}; there are {', '.join(header)}.")
            rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
            for row in rows:
                if not row:
                    continue
                origin = f"{path}, line {rows.line_num + 1}"
                cells = dict(zip(header, row, strict=False))
                name = cells.get(key, "").strip()
                table[name] = _row(name, cells, origin, width=len(header), found=len(row), again=name in table)
    except OSError as error:
        raise PoseglotError(f"could not read {path}: {error.strerror or error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise PoseglotError(f"{path} is not a CSV table ({error}).") from error
    return table


def _row(name: str, cells: Mapping[str, str], origin: str, *, width: int, found: int, again: bool) -> Listed | ClipIssue:
    if found != width:
        return ClipIssue(name, origin, "malformed", f"{origin}: {found} cells under a header of {width}.")
    if again:
        return ClipIssue(name, origin, "duplicate", f"{origin}: {name} has been listed before.")
    try:
        return listed(name, cells, origin=origin)
    except ClipError as error:
        return ClipIssue(name, origin, error.kind, str(error))


def read_header(line: str, origin: str) -> tuple[list[str], str]:
    """The column names in the first line of a table, in lower case, and what separates the columns: comma, semicolon or tab.

    Raises:
        PoseglotError: the line is empty or names a column twice.
    """
    separator = max(",;\t", key=line.count)
    header = [name.strip().lower() for name in next(csv.reader([line], delimiter=separator), [])]
    if not any(header):
        raise PoseglotError(f"{origin} is empty; expected a first line of column names.")
    twice = {name for name in header if name and header.count(name) > 1}
    if twice:
        raise PoseglotError(f"{origin} has more than one column named {', '.join(sorted(twice))}.")
    return header, separator


def make_benchmark(
    clips: Sequence[Listed],
    *,
    name: str,
    layout: Layout,
    axes: int,
    classes: Sequence[str] | None,
    test_subjects: Sequence[int] | None,
) -> Known:
    """Class names, split and protocol of a list of clips.

    Args:
        axes: 2 (fed as `image`) or 3 (fed as `metric`).
        classes: their names in their order; by default the labels, sorted, or "class i" where they are numbers (from 0 on).
        test_subjects: as in `own_split`.

    Raises:
        PoseglotError: a label is none of `classes`, or the split cannot be made.
    """
    assert clips
    names, numbers = _classes({clip.label for clip in clips}, classes)
    split = custom_split(
        [Member(clip.name, numbers[clip.label], clip.subject, clip.subset) for clip in clips], test_subjects=test_subjects
    )
    benchmark = Benchmark(
        name=name,
        layout=layout.name,
        pipeline="metric" if axes == 3 else "image",
        classes=names,
        splits={split.name: split.rule},
        expected=split.counts,
    )
    return Known(benchmark, numbers, f"{split.name}: {split.how}")


def _classes(labels: set[str], classes: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, int]]:
    """Class names, and the number of every label."""
    numbered = all(label.isascii() and label.isdigit() for label in labels)
    if classes is None and numbered:
        highest = max(map(int, labels))
        if highest >= MOST_CLASSES:
            raise PoseglotError(
                f"label {highest}: more than {MOST_CLASSES:,} classes; give the classes' names if that is meant."
            )
        return class_names(highest + 1), {label: int(label) for label in labels}
    names = tuple(classes) if classes is not None else tuple(sorted(labels))
    numbers = {name: number for number, name in enumerate(names)}
    # A class may also be given by its number, where that is not some class's name; from 1 on where only that can be meant.
    by_number = {label: int(label) for label in labels - set(numbers) if label.isascii() and label.isdigit()}
    first = int(len(names) in by_number.values() and 0 not in by_number.values())
    numbers |= {label: number - first for label, number in by_number.items() if number - first < len(names)}
    unknown = sorted(labels - set(numbers))
    if unknown:
        raise PoseglotError(
            f"labels that are none of the {len(names)} classes: {', '.join(unknown[:10])}{', ...' if len(unknown) > 10 else ''}; the "
            f"classes are {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}."
        )
    return names, {label: numbers[label] for label in labels}


def class_names(count: int) -> tuple[str, ...]:
    """Names for classes that have none."""
    return tuple(f"class {number}" for number in range(count))


def spread(things: Sequence[_Thing], count: int = 25) -> list[_Thing]:
    """Up to `count` things, evenly spaced from the first to the last; what most of them are, the others should be."""
    return [things[round(place)] for place in np.linspace(0, len(things) - 1, min(count, len(things)))]


def clip_or_fault(read: Callable[[], Clip], *, name: str, origin: str) -> Clip | ClipIssue:
    """What `read` returns, or why it cannot."""
    try:
        return read()
    except ClipError as error:
        return ClipIssue(name, origin, error.kind, str(error))
    except PoseglotError as error:
        return ClipIssue(name, origin, "unreadable", str(error))


def clip_joints(joints: npt.ArrayLike, *, joint_count: int | None, origin: str, has_scores: bool = False) -> Joints:
    """`check_joints` that says which kind of fault it found.

    Raises:
        ClipError: as `check_joints`.
    """
    try:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused as that
            return check_joints(joints, joint_count=joint_count, has_scores=has_scores, origin=origin)
    except PoseglotError as error:
        raise ClipError(_kind(joints, joint_count), str(error)) from error


def same_channels(joints: Joints, channels: int, origin: str) -> Joints:
    """`joints`, if they have as many channels as the other clips of the set.

    Raises:
        ClipError: they have not.
    """
    if joints.shape[-1] != channels:
        raise ClipError(
            "malformed", f"{origin}: {joints.shape[-1]} numbers per joint, where the other clips of the set have {channels}."
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
