"""Motion capture as points in space: TRC, C3D, Motive's CSV. Rotations of a skeleton are in `bvh.py` and `asf_amc.py`.

    TRC      OpenSim, Cortex, Pose2Sim, Sports2D: a row for each frame, markers by name, in the units of the file
    C3D      by the package ezc3d (the extra `poseglot[mocap]`)
    Motive   OptiTrack's CSV export; positions of bones if there are any, else of markers

Points that are missing are zero. A layout finds its joints by name.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, parse_float
from poseglot.data.readers.people import Person, recording_of
from poseglot.errors import MissingPackageError


def recognizes_trc(file: ClipFile) -> bool:
    """Tell whether the file begins as TRC does."""
    return file.head.lstrip(b"\xef\xbb\xbf").startswith(b"PathFileType")


def read_trc(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the markers.

    Raises:
        ClipError: A row does not fit the header, or a cell is no number.
    """
    lines = file.text.splitlines()
    if len(lines) < 6:
        raise ClipError(
            "cut short", f"{file.origin}: a TRC file has five lines of header, and this one has {len(lines)} lines."
        )
    names = [name.strip() for name in lines[3].split("\t")[2:] if name.strip()]
    rows = []
    for number, line in enumerate(lines[5:], start=6):
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")[2 : 2 + 3 * len(names)]
        try:
            numbers = [parse_float(cell) if cell.strip() else np.nan for cell in cells]
        except ValueError as error:
            raise ClipError("malformed", f"{file.origin}, line {number}: {error}.") from error
        if len(numbers) < 3 * len(names):  # trailing empty cells are often cut
            numbers += [np.nan] * (3 * len(names) - len(numbers))
        rows.append(numbers)
    return _markers(names, np.array(rows).reshape(len(rows), len(names), 3), file)


def recognizes_c3d(file: ClipFile) -> bool:
    """Tell whether the file is C3D: its second byte is 0x50."""
    return file.head[1:2] == b"\x50" and file.ending == ".c3d"


def read_c3d(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the points.

    Raises:
        MissingPackageError: ezc3d is not installed.
        ClipError: ezc3d cannot read it.
    """
    try:
        import ezc3d
    except ImportError as error:
        raise MissingPackageError("reading .c3d files needs the package ezc3d: pip install 'poseglot[mocap]'.") from error
    try:
        content = ezc3d.c3d(str(file.path))
        points = np.array(content["data"]["points"], dtype=np.float64)[:3].transpose(2, 1, 0)
        names = [str(name) for name in content["parameters"]["POINT"]["LABELS"]["value"]]
    except Exception as error:  # what it raises on a damaged file may be anything
        raise ClipError("unreadable", f"{file.origin} is not a C3D file that can be read ({error}).") from error
    return _markers(names[: points.shape[1]], points, file)


def recognizes_motive(file: ClipFile) -> bool:
    """Tell whether the file is an export of Motive."""
    return bool(file.lines) and file.lines[0].lower().startswith("format version")


def read_motive(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the positions of bones, or of markers.

    Raises:
        ClipError: There are no positions, or a cell is no number.
    """
    rows = list(csv.reader(io.StringIO(file.text)))
    head = next((number for number, row in enumerate(rows) if row and row[0] == "Frame"), None)
    by_title = {row[1].strip().lower(): row for row in rows[:head] if len(row) > 1 and row[1].strip()}
    if head is None or "name" not in by_title or "type" not in by_title:
        raise ClipError("malformed", f"{file.origin} has no lines Type, Name and Frame as Motive writes them.")
    kinds, names, axes = by_title["type"], by_title["name"], rows[head]
    what = rows[head - 1]  # Rotation or Position
    columns: dict[str, dict[str, dict[str, int]]] = {}
    for column in range(2, min(map(len, (kinds, names, axes, what)))):
        if what[column] == "Position" and axes[column].lower() in "xyz":
            columns.setdefault(kinds[column], {}).setdefault(names[column], {})[axes[column].lower()] = column
    kind = next((kind for kind in ("Bone", "Marker", "Bone Marker", "Rigid Body") if kind in columns), None)
    if kind is None:
        raise ClipError("malformed", f"{file.origin} has no positions of bones or markers.")
    found = {name: [axis[letter] for letter in "xyz"] for name, axis in columns[kind].items() if len(axis) == 3}
    points = []
    for number, row in enumerate(rows[head + 1 :], start=head + 2):
        try:
            points.append([[parse_float(row[column] or "nan") for column in places] for places in found.values()])
        except (ValueError, IndexError) as error:
            raise ClipError("malformed", f"{file.origin}, line {number}: {error}.") from error
    return _markers(list(found), np.array(points).reshape(len(points), len(found), 3), file)


def _markers(names: Sequence[str], points: npt.NDArray[np.float64], file: ClipFile) -> Recording:
    return recording_of([[Person(frame, 0)] for frame in points], file, has_scores=False, joint_names=names)
