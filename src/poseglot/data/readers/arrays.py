"""Files that hold one array each, one clip a file: `.npy`, MATLAB's `.mat`, and tables of numbers (`.txt`, `.csv`, ...).

The order of the dimensions is given, or is the one order that fits (`dim_order.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.manifest import clip_joints, spread
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.dim_order import NATIVE, DimOrder, arrange, find_order, select_columns, without_skipped
from poseglot.data.readers.folder import folder_source, list_folder
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, Source
from poseglot.data.readers.joint_names import joints_by_name
from poseglot.data.readers.matlab import load_variable
from poseglot.data.readers.number_table import axis_columns, is_number_table, joint_columns, parse_numbers
from poseglot.data.readers.pose_arrays import recognizes_movenet
from poseglot.errors import PoseglotError, SettingError
from poseglot.files import load_array
from poseglot.safe_text import is_whole_number
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

_AXES = ("x", "y", "z", "score")
_ENDINGS = {"npy": (".npy",), "mat": (".mat",), "txt": (".txt", ".csv", ".tsv", ".dat")}


@dataclass(frozen=True, eq=False)
class Loaded:
    """The array of a file.

    Attributes:
        array: As it lies in the file; (T, V, C) if its joints were found by name.
        named: Whether they were.
        axes: What the numbers of a joint are (x, y, z, score), if a header says it; the last dimension has them in this order.
        joints: The names of the joints in the header, if no layout was given to find them by.
    """

    array: npt.NDArray[Any]
    named: bool = False
    axes: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file is an array or a table of numbers, or text in UTF-16, which is refused by name."""
    if file.ending == ".npy":
        return not recognizes_movenet(file)
    return file.ending == ".mat" or b"\0" in file.head[:200] or is_number_table(file.lines)


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the clip in a file.

    Raises:
        FileError: There is no such file, or it is damaged.
        ClipError: It does not hold joints.
    """
    kind = next(kind for kind, endings in _ENDINGS.items() if file.ending in endings)
    order = DimOrder(options.dim_order, options.skip, options.columns)
    has_scores = bool(options.has_scores)
    loaded = load_file(file.path, kind=kind, variable=options.variable, layout=options.layout, skip=options.skip)
    joints = _joints(loaded, order, joint_count=options.count, has_scores=has_scores, origin=file.origin)
    return Recording(
        Clip(joints, name=file.path.stem, has_scores=has_scores), joint_names=loaded.joints, says_axes=bool(loaded.axes)
    )


def read_source(
    sources: Sequence[Path],
    *,
    kind: str,
    name: str,
    layout: Layout,
    classes: Sequence[str] | None = None,
    test_subjects: Sequence[int | str] | None = None,
    has_scores: bool = False,
    names: str | None = None,
    dim_order: str | None = None,
    skip: int = 0,
    columns: Sequence[int] | None = None,
    scale: float = 1.0,
    up: str | None = None,
    variable: str | None = None,
    fps: float | None = None,
) -> Source:
    """Open a folder of array files.

    Args:
        sources: The folder.
        kind: `npy`, `mat` or `txt`.
        name: Of the data set.
        layout: Of the joints.
        classes: As in `make_manifest`.
        test_subjects: As in `make_manifest`.
        has_scores: Whether the last channel is the confidence in each joint.
        names: As in `list_folder`.
        dim_order: As in `DimOrder`.
        skip: As in `DimOrder`.
        columns: As in `DimOrder`.
        scale: As in `ReadOptions`.
        up: As in `ReadOptions`.
        variable: Of MATLAB files (`load_variable`).
        fps: As in `folder_source`.

    Raises:
        PoseglotError: As in `list_folder` and `folder_source`, or no file holds joints.
    """
    listing = list_folder(sources[0], _ENDINGS[kind], names=names)
    units = ReadOptions(scale=scale, up=up)
    load = partial(load_file, kind=kind, variable=variable, layout=layout, skip=skip)
    order: DimOrder | None = DimOrder(dim_order, skip, None if columns is None else tuple(columns))
    if order is not None and dim_order is None:
        order = _common_order([Path(entry.origin) for entry in listing.entries], load, order, layout, has_scores)

    def joints(path: Path) -> Joints:
        found = _joints(load(path), order, joint_count=len(layout), has_scores=has_scores, origin=str(path))
        return units.in_units(found, has_scores=has_scores, origin=str(path))

    return folder_source(
        listing,
        joints,
        name=name,
        layout=layout,
        classes=classes,
        test_subjects=test_subjects,
        has_scores=has_scores,
        fps=fps,
        described={"format": kind, **({"dim_order": order.order} if order and order.order else {})},
    )


def load_file(path: Path, *, kind: str, variable: str | None = None, layout: Layout | None = None, skip: int = 0) -> Loaded:
    """Load the array in a file. `skip` columns in front are not looked at for names of joints and axes, but stay in the array.

    Raises:
        FileError: There is no such file, or it is damaged.
        ClipError: It holds no array of numbers, or a joint of the layout is not among its named columns.
    """
    if kind == "npy":
        return Loaded(load_array(path))
    if kind == "mat":
        return Loaded(load_variable(path, variable))
    table = parse_numbers(ClipFile(path).text, origin=str(path))
    names = table.names[skip:]
    if named := joint_columns(names):
        return _by_name(table.rows[:, skip:], named, layout, str(path))
    if axes := axis_columns(names):
        ordered = tuple(axis for axis in _AXES if axis in axes)
        rows = table.rows[:, skip:][:, [axes[axis] for axis in ordered]]
        return Loaded(np.concatenate([table.rows[:, :skip], rows], axis=1), axes=ordered)
    return Loaded(table.rows)


def _by_name(rows: npt.NDArray[np.float64], named: dict[str, dict[str, int]], layout: Layout | None, origin: str) -> Loaded:
    """Return the named columns as (T, V, C), in the order of the layout or, without one, of the header."""
    joints = list(named)
    if layout is not None:
        if sorted(joints, key=len) and all(map(is_whole_number, joints)):
            numbers = sorted(joints, key=int)
            if len(numbers) != len(layout):
                raise ClipError(
                    "joint count", f"{origin}: {len(numbers)} joints in the header, but the layout has {len(layout)}."
                )
            joints = numbers
        else:
            found = joints_by_name(joints, layout)
            missing = [joint for joint in layout.joints if joint not in found]
            if missing:
                raise ClipError(
                    "joint count",
                    f"{origin}: its header names no {', '.join(missing)} of layout {layout.name}; it has {', '.join(joints)}.",
                )
            joints = [joints[found[joint]] for joint in layout.joints]
    axes = tuple(axis for axis in _AXES if all(axis in named[joint] for joint in joints))
    array = np.stack([rows[:, [named[joint][axis] for axis in axes]] for joint in joints], axis=1)
    own = tuple(joints) if layout is None and not all(map(is_whole_number, joints)) else ()
    return Loaded(array, True, axes, own)


def _common_order(paths: Sequence[Path], load: Any, order: DimOrder, layout: Layout, has_scores: bool) -> DimOrder | None:
    """Return the order that most of some files from all over the set are in; None if it is the default one.

    Raises:
        SettingError: Several orders fit.
    """
    shapes, first = list[tuple[int, ...]](), None
    for path in spread(paths):
        try:
            loaded: Loaded = load(path)
        except PoseglotError:
            continue  # becomes an issue of the file when it is read
        if not loaded.axes:
            shapes.append(without_skipped(loaded.array.shape, order.skip))
            first = first or path
    if first is None:  # headers say what is what
        return order
    try:
        found = find_order(shapes, order, joint_count=len(layout), has_scores=has_scores, origin=str(first))
    except ClipError as error:
        if error.kind == "joint count":
            return order  # the issue of each file says more
        raise SettingError(str(error)) from error
    is_default = found in NATIVE and not order.skip and order.columns is None
    return None if is_default else DimOrder(found, order.skip, order.columns)


def _joints(loaded: Loaded, order: DimOrder | None, *, joint_count: int | None, has_scores: bool, origin: str) -> Joints:
    array, columns = loaded.array, None if order is None else order.columns
    if columns is None and "score" in loaded.axes and not has_scores:  # a score that nobody asked for
        columns = tuple(range(1, len(loaded.axes)))
        order = replace(order or DimOrder(), columns=columns)
    if loaded.axes and has_scores and columns is None and "score" not in loaded.axes:
        raise ClipError("malformed", f"{origin}: its header names no score of a joint. Read it without scores.")
    if loaded.axes and not loaded.named and (order is None or order.order is None):  # a row for each joint
        order = replace(order or DimOrder(), order="tv,c")
    if loaded.named:
        array = select_columns(array, columns, origin)
    elif order is not None:
        try:
            array = arrange(array, order, joint_count=joint_count, has_scores=has_scores, origin=origin)
        except ClipError as error:
            if order.order is not None or array.ndim not in (3, 4) or error.kind != "joint count":
                raise
            # Read in the default order, the array yields the more exact message.
    return clip_joints(array, joint_count=joint_count, has_scores=has_scores, origin=origin)
