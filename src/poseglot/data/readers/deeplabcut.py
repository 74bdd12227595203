"""DeepLabCut's predictions: CSV, or HDF5 (`.h5`, the extra `poseglot[hdf5]`).

Above the rows stand three lines of names, `scorer`, `bodyparts`, `coords`; with several animals a line `individuals` is added. The
coordinates are x, y, likelihood, in pixels. Joints have the names that the project gave them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, parse_float
from poseglot.data.readers.hdf5 import open_hdf5
from poseglot.data.readers.people import Person, recording_of
from poseglot.data.readers.unpickle import parse_plain
from poseglot.errors import FileError

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_CHANNELS = ("x", "y", "z", "likelihood")


def recognizes_csv(file: ClipFile) -> bool:
    """Tell whether the file begins with DeepLabCut's lines of names."""
    first = [line.split(",")[0].strip().lower() for line in file.lines[:4]]
    return first[:1] == ["scorer"] and "bodyparts" in first and "coords" in first


def read_csv(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the rows of a table. Empty cells are joints that were not seen.

    Raises:
        ClipError: A cell is no number.
    """
    lines = list(csv.reader(io.StringIO(file.text)))
    levels = {}
    while lines and lines[0] and lines[0][0].strip().lower() in _LEVELS:
        levels[lines[0][0].strip().lower()] = [cell.strip() for cell in lines[0][1:]]
        lines = lines[1:]
    rows = []
    for number, line in enumerate(lines, start=len(levels) + 1):
        if line:
            try:
                rows.append([parse_float(cell or "nan") for cell in line[1:]])
            except ValueError as error:
                raise ClipError("malformed", f"{file.origin}, line {number}: {error}.") from error
    count = len(levels.get("coords", ()))
    if not count or any(len(row) != count for row in rows) or len(levels.get("bodyparts", ())) != count:
        raise ClipError("malformed", f"{file.origin}: its rows do not fit the names above them.")
    columns = list(zip(levels.get("individuals", [""] * count), levels["bodyparts"], levels["coords"], strict=True))
    return _recording(columns, np.array(rows), file)


def recognizes_h5(file: ClipFile) -> bool:
    """Tell whether the file is HDF5 with DeepLabCut's table."""
    return b"df_with_missing" in file.head


def read_h5(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the table that pandas wrote.

    Raises:
        MissingPackageError: h5py is not installed.
        ClipError: It has another form.
    """
    with open_hdf5(file) as h5:
        try:
            table = h5["df_with_missing/table"]
            values = np.concatenate([table[name] for name in table.dtype.names if name.startswith("values_block")], axis=1)
            names = [name for key in sorted(table.attrs) if key.startswith("values_block") and key.endswith("kind")
                     for name in parse_plain(bytes(table.attrs[key]), file.origin)]  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError, FileError) as error:
            raise ClipError("malformed", f"{file.origin} is not a table of DeepLabCut that can be read ({error}).") from error
    if not names or any(not isinstance(name, (list, tuple)) or len(name) not in (3, 4) for name in names):
        raise ClipError("malformed", f"{file.origin}: its columns are not named as DeepLabCut does. Export it as CSV.")
    columns = [(name[1] if len(name) == 4 else "", name[-2], name[-1]) for name in names]
    return _recording(columns, np.asarray(values, dtype=np.float64), file)


def _recording(columns: Sequence[tuple[Any, ...]], rows: npt.NDArray[np.float64], file: ClipFile) -> Recording:
    index = {tuple(map(str, column)): number for number, column in enumerate(columns)}
    people = list(dict.fromkeys(person for person, _, _ in index))
    joints = list(dict.fromkeys(joint for _, joint, _ in index))
    channels = [channel for channel in _CHANNELS if any(name == channel for _, _, name in index)]
    frames = []
    for row in rows:
        found = []
        for person in people:
            numbers = [
                [row[index[person, joint, channel]] if (person, joint, channel) in index else np.nan for channel in channels]
                for joint in joints
            ]
            found.append(Person(np.array(numbers), person))
        frames.append(found)
    return recording_of(frames, file, has_scores="likelihood" in channels, joint_names=joints)
