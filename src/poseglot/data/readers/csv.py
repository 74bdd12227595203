"""CSV tables in long form, one row for each joint: what spreadsheets and data frames export. `.csv` or `.csv.gz`.

    clip      which clip; the rows of one clip stand together
    frame     a whole number; frames are put in ascending order, and gaps in the numbers are ignored
    person    anything that tells people apart, numbered in the order of their first rows (may be left out: one person)
    joint     a name of the layout, or its number from 0 on
    x, y[, z] coordinates; a joint without a row was not seen, and is zero
    score     the confidence in the joint, if there is such a column; 0 for a joint without a row
    label[, subject, camera, setup, split]
              the same in all rows of a clip; or in a table of their own, `labels.csv`, with a column `clip`

Other columns are ignored. The file is read twice, once for the list of clips and once for their joints, so that only one clip is in memory
at a time. Where the separator is not a comma, numbers may have decimal commas. Wide tables, one row for each frame, are read by
`number_table.py`.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseglot.data.manifest import (
    FIELDS,
    Entry,
    Manifest,
    clip_joints,
    clip_or_issue,
    make_entry,
    make_manifest,
    read_header,
    read_table,
)
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, Source, parse_float
from poseglot.data.tracking import join_absent
from poseglot.errors import FileError, InputError, PoseglotError
from poseglot.safe_text import is_whole_number
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

LABELS = "labels.csv"
ENDINGS = (".csv", ".csv.gz")
_COLUMNS = {"clip", "frame", "person", "joint", "x", "y", "z", "score", *FIELDS}
# With fewer rows than this share of people x frames x joints, people or frames are numbered by mistake.
MIN_FILLED = 0.01


@dataclass(frozen=True)
class _Form:
    """The header of a file: the index of each column, and the separator."""

    columns: Mapping[str, int]
    width: int
    separator: str

    @property
    def num_dims(self) -> int:
        return 3 if "z" in self.columns else 2

    @property
    def has_scores(self) -> bool:
        return "score" in self.columns

    @property
    def channels(self) -> tuple[str, ...]:
        return ("x", "y", "z")[: self.num_dims] + (("score",) if self.has_scores else ())


@dataclass(frozen=True)
class _Rows:
    """The rows of a clip that stand together, and the line of each."""

    clip: str
    path: Path
    lines: Sequence[int]
    rows: Sequence[Sequence[str]]


def read_source(
    sources: Sequence[Path],
    *,
    name: str,
    layout: Layout,
    classes: Sequence[str] | None = None,
    test_subjects: Sequence[int | str] | None = None,
) -> Source:
    """Open the clips of one or more files.

    Args:
        sources: The files, or folders of them. A file called `labels.csv` is the table of labels; it is also looked for beside the
            first file if the files have no column `label`.
        name: Of the data set.
        layout: Of the joints.
        classes: As in `make_manifest`.
        test_subjects: As in `make_manifest`.

    Raises:
        FileError: A file is missing, cut short, no table, or lacks a column.
        InputError: No clip has a label.
        SettingError: As in `make_manifest`.
    """
    paths, labels = _files(sources)
    forms = {path: _form(path) for path in paths}
    first = forms[paths[0]]
    for path, form in forms.items():
        if form.channels != first.channels:
            raise FileError(
                f"{path} has the columns {', '.join(form.channels)}, but {paths[0]} has {', '.join(first.channels)}; the files of a set "
                "have the same columns."
            )
    if labels is None and "label" not in first.columns:
        labels = paths[0].parent / LABELS
        if not labels.is_file():
            raise FileError(f"{paths[0]} has no column `label`, and there is no {labels} with the columns clip and label.")
    table = read_table(labels, "clip") if labels is not None else None
    found = _list_clips(forms, table)
    entries = [entry for entry in found.values() if isinstance(entry, Entry)]
    if not entries:
        first_issue = next((entry for entry in found.values() if isinstance(entry, ClipIssue)), None)
        reason = f"; the first: {first_issue.message}" if first_issue else ": there are no rows."
        raise InputError(f"no clip of {', '.join(map(str, sources))} can be used{reason}")
    manifest = make_manifest(
        entries, name=name, layout=layout, num_dims=first.num_dims, classes=classes, test_subjects=test_subjects
    )
    described = {
        "files": [path.name for path in paths],
        "format": "csv",
        "labels": labels.name if labels is not None else "column",
        "split": manifest.split,
    }
    unused = sorted({column for form in forms.values() for column in form.columns} - _COLUMNS)
    notes = (f"columns that are not used: {', '.join(unused)} (the confidence in a joint is called score)",) if unused else ()
    clips = _clips(forms, found, manifest, layout)
    return Source(manifest.benchmark, layout, first.has_scores, clips, described, notes=notes)


def recognizes_clip(file: ClipFile) -> bool:
    """Tell whether the file is a table with columns frame and joint."""
    try:
        with _opened(file.path) as lines:
            header, _ = read_header(next(lines, ""), file.origin)
    except PoseglotError:
        return file.ending == ".csv.gz"
    return {"frame", "joint"} <= set(header) or file.ending == ".csv.gz"


def read_clip(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the one clip in a file. Without a layout joints are numbers; the expected or the highest number says how many there are.

    Raises:
        FileError: There is no such file, it is no such table, or it holds several clips.
        ClipError: A row is not valid.
    """
    path = file.path
    form = _form(path, single=True)
    with _opened(path) as lines:
        groups = _groups(lines, form, path)
        rows, another = next(groups, None), next(groups, None)
    if rows is None:
        raise ClipError("empty", f"{path}: there are no rows under the header.")
    if another is not None:
        raise FileError(f"{path} holds several clips ({rows.clip}, {another.clip}); prepare it as a set of the format csv.")
    joints = _joints(rows, form, _indices(options.layout), options.count, str(path))
    return Recording(Clip(joints, name=rows.clip, has_scores=form.has_scores))


def _files(sources: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Return the files with joints, and the table of labels if it is among the sources."""
    paths: list[Path] = []
    for source in sources:
        if source.is_dir():
            paths += sorted(
                path for path in source.iterdir() if path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")
            )
        else:
            paths.append(source)
    labels = [path for path in paths if path.name == LABELS]
    paths = [path for path in paths if path.name != LABELS]
    if not paths or len(labels) > 1:
        raise FileError(
            f"expected one or more files ending in {' or '.join(ENDINGS)}, and at most one {LABELS}; found {len(paths)} and "
            f"{len(labels)} in {', '.join(map(str, sources))}."
        )
    return paths, labels[0] if labels else None


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[str]]:
    """Open a file for reading by lines; whatever is wrong with it as a whole is a FileError."""
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rt", newline="", encoding="utf-8-sig") as file:
            yield file
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FileError(f"{path} is not a whole gzip file ({error}); it may be cut short. Fetch or export it again.") from error
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise FileError(f"{path} is not a CSV table ({error}).") from error


def _form(path: Path, *, single: bool = False) -> _Form:
    with _opened(path) as file:
        header, separator = read_header(next(file, ""), str(path))
    for column in ("frame", "joint", "x", "y", *(() if single else ("clip",))):
        if column not in header:
            raise FileError(f"{path} has no column {column!r}; there are {', '.join(header)}.")
    return _Form({column: index for index, column in enumerate(header)}, len(header), separator)


def _groups(file: Iterator[str], form: _Form, path: Path) -> Iterator[_Rows]:
    """Yield rows that stand together and belong to one clip, in the order of the file."""
    next(file, "")
    reader = csv.reader(file, delimiter=form.separator, skipinitialspace=True)
    index = form.columns.get("clip")
    current = re.sub(r"\.csv(\.gz)?$", "", path.name, flags=re.IGNORECASE) if index is None else ""
    lines: list[int] = []
    rows: list[Sequence[str]] = []
    for row in reader:
        if not row:
            continue
        # A row too short to name its clip counts as one of the clip around it, and is refused with it.
        clip = row[index] if index is not None and index < len(row) else current
        if clip != current and rows:
            yield _Rows(current, path, lines, rows)
            lines, rows = [], []
        current = clip
        lines.append(reader.line_num + 1)
        rows.append(row)
    if rows:
        yield _Rows(current, path, lines, rows)


def _list_clips(forms: Mapping[Path, _Form], table: Mapping[str, Entry | ClipIssue] | None) -> dict[str, Entry | ClipIssue]:
    """Return clip -> entry or issue, in the order of the files; then the clips that only the table has."""
    found: dict[str, Entry | ClipIssue] = {}
    for path, form in forms.items():
        with _opened(path) as file:
            for rows in _groups(file, form, path):
                origin = f"{path}, line {rows.lines[0]}"
                if rows.clip in found:
                    message = f"{origin}: rows of clip {rows.clip} came before; the rows of a clip must stand together."
                    found[rows.clip] = ClipIssue(rows.clip, str(path), "duplicate", message)
                elif table is not None:
                    message = f"{origin}: the table of labels has no clip {rows.clip}."
                    found[rows.clip] = table.get(rows.clip, ClipIssue(rows.clip, str(path), "malformed", message))
                else:
                    found[rows.clip] = _entry(rows, form, origin)
    for clip, entry in (table or {}).items():
        if clip not in found:
            found[clip] = ClipIssue(clip, entry.origin, "empty", f"{entry.origin}: no file has rows of clip {clip}.")
    return found


def _entry(rows: _Rows, form: _Form, origin: str) -> Entry | ClipIssue:
    row = rows.rows[0]
    cells = {field: row[form.columns[field]] for field in FIELDS if field in form.columns and form.columns[field] < len(row)}
    try:
        return make_entry(rows.clip, cells, origin=origin)
    except ClipError as error:
        return ClipIssue(rows.clip, str(rows.path), error.kind, str(error))


def _clips(
    forms: Mapping[Path, _Form], found: Mapping[str, Entry | ClipIssue], manifest: Manifest, layout: Layout
) -> Iterator[Clip | ClipIssue]:
    indices, left = _indices(layout), dict(found)
    for path, form in forms.items():
        with _opened(path) as file:
            for rows in _groups(file, form, path):
                entry = left.pop(rows.clip, None)
                if isinstance(entry, ClipIssue):
                    yield entry
                elif entry is not None:
                    read = partial(_clip, rows, form, entry, manifest, indices, len(layout))
                    yield clip_or_issue(read, name=rows.clip, origin=str(path))
    for entry in left.values():
        if isinstance(entry, ClipIssue):
            yield entry


def _clip(
    rows: _Rows, form: _Form, entry: Entry, manifest: Manifest, indices: Mapping[str, int] | None, joint_count: int
) -> Clip:
    return manifest.clip(entry, _joints(rows, form, indices, joint_count, str(rows.path)), has_scores=form.has_scores)


def _indices(layout: Layout | None) -> dict[str, int] | None:
    """Return what a cell of `joint` may say -> index along V."""
    return None if layout is None else {**{str(index): index for index in range(len(layout))}, **layout.index}


def _joints(rows: _Rows, form: _Form, indices: Mapping[str, int] | None, joint_count: int | None, origin: str) -> Joints:
    """Return the rows of a clip as (M, T, V, C).

    Raises:
        ClipError: A row is not valid; the message names its line.
    """
    for line, row in zip(rows.lines, rows.rows, strict=True):
        if len(row) != form.width:
            raise ClipError("malformed", f"{origin}, line {line}: {len(row)} cells under a header of {form.width}.")
    columns = list(zip(*rows.rows, strict=True))
    cells = {column: columns[index] for column, index in form.columns.items()}
    for field in FIELDS:
        if field in cells and len(set(cells[field])) > 1:
            line = next(line for line, cell in zip(rows.lines, cells[field], strict=True) if cell != cells[field][0])
            raise ClipError("malformed", f"{origin}, line {line}: {field} changes within clip {rows.clip}.")

    frames, frame = np.unique(_whole_numbers(cells["frame"], rows.lines, origin), return_inverse=True)
    persons: dict[str, int] = {}
    person = np.array([persons.setdefault(cell, len(persons)) for cell in cells.get("person", ("",) * len(frame))])
    joint = _joint_indices(cells["joint"], indices, joint_count, rows.lines, origin)
    count = joint_count if joint_count is not None else int(joint.max()) + 1
    shape = (len(persons), len(frames), count, len(form.channels))
    if len(frame) < MIN_FILLED * shape[0] * shape[1] * shape[2]:
        raise ClipError(
            "body count",
            f"{origin}, line {rows.lines[0]}: clip {rows.clip} has {len(frame):,} rows for {shape[0]:,} people x {shape[1]:,} frames x "
            f"{count:,} joints. Are people and frames numbered as intended?",
        )
    index = np.ravel_multi_index((person, frame, joint), shape[:3])
    _refuse_duplicates(index, rows, origin)
    joints = np.zeros((np.prod(shape[:3]), shape[3]), dtype=np.float32)
    for channel, column in enumerate(form.channels):
        joints[index, channel] = _numbers(cells[column], column, rows.lines, origin, form.separator != ",")
    whole = clip_joints(joints.reshape(shape), joint_count=joint_count, has_scores=form.has_scores, origin=origin)
    return join_absent(whole, has_scores=form.has_scores, origin=origin)


def _whole_numbers(cells: Sequence[str], lines: Sequence[int], origin: str) -> npt.NDArray[np.int64]:
    try:
        return np.fromiter(map(_whole_number, cells), dtype=np.int64, count=len(cells))
    except (ValueError, OverflowError) as error:
        line, cell = _first_that_fails(lambda cell: np.int64(_whole_number(cell)), cells, lines)
        message = f"{origin}, line {line}: frame {cell!r} is not a whole number of at most 64 bits."
        raise ClipError("malformed", message) from error


def _joint_indices(
    cells: Sequence[str], indices: Mapping[str, int] | None, joint_count: int | None, lines: Sequence[int], origin: str
) -> npt.NDArray[np.int64]:
    limit = joint_count if joint_count is not None else 10_000
    known: dict[str, int] = {}
    for line, cell in zip(lines, cells, strict=True):
        if cell not in known:
            name = cell.strip()
            index = indices.get(name, -1) if indices is not None else int(name) if is_whole_number(name) else -1
            if not 0 <= index < limit:
                accepted = (
                    f"a name of the layout, or a number from 0 to {limit - 1}" if indices else f"a number from 0 to {limit - 1}"
                )
                raise ClipError("joint count", f"{origin}, line {line}: joint {name!r} is not {accepted}.")
            known[cell] = index
    return np.array([known[cell] for cell in cells], dtype=np.int64)


def _numbers(
    cells: Sequence[str], column: str, lines: Sequence[int], origin: str, decimal_comma: bool
) -> npt.NDArray[np.float32]:
    if decimal_comma and any("," in cell for cell in cells):
        cells = [cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell for cell in cells]
    try:
        if any("_" in cell for cell in set(cells)):  # Python reads 1_0 as 10
            raise ValueError
        values = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
    except ValueError as error:
        line, cell = _first_that_fails(parse_float, cells, lines)
        raise ClipError("malformed", f"{origin}, line {line}: {column} {cell!r} is not a number.") from error
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(short))
    if len(bad):
        raise ClipError(
            "not finite",
            f"{origin}, line {lines[bad[0]]}: {column} {cells[bad[0]]!r}. Leave out the rows of joints that were not seen.",
        )
    return short


def _whole_number(cell: str) -> int:
    if "_" in cell:  # Python reads 3_0 as 30
        raise ValueError(cell)
    return int(cell)


def _first_that_fails(convert: Callable[[str], object], cells: Sequence[str], lines: Sequence[int]) -> tuple[int, str]:
    for line, cell in zip(lines, cells, strict=True):
        try:
            convert(cell)
        except (ValueError, OverflowError):
            return line, cell
    raise AssertionError("one of them has failed before")


def _refuse_duplicates(index: npt.NDArray[np.int64], rows: _Rows, origin: str) -> None:
    order = np.argsort(index, kind="stable")
    again = order[1:][np.diff(index[order]) == 0]
    if len(again):
        line = rows.lines[int(again.min())]
        raise ClipError("duplicate", f"{origin}, line {line}: this joint of this person in this frame had a row before.")
