"""Folders of files that hold one array each, one clip a file: `.npy`, MATLAB's `.mat`, and tables of numbers (`.txt`, `.csv`, ...).

What the axes of the arrays are is said, or is the one order that fits (`axes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from poseglot.data.manifest import clip_joints, spread
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.dim_order import NATIVE, DimOrder, arranged, one_that_fits, rows_of
from poseglot.data.readers.folder import folder_source
from poseglot.data.readers.matlab import load_variable
from poseglot.data.readers.source import Source
from poseglot.errors import PoseglotError
from poseglot.files import load_array
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

ENDINGS: Mapping[str, tuple[str, ...]] = {"npy": (".npy",), "mat": (".mat",), "txt": (".txt", ".csv", ".tsv", ".dat")}


def read_source(
    sources: Sequence[Path],
    *,
    kind: str,
    name: str,
    layout: Layout,
    classes: Sequence[str] | None = None,
    test_subjects: Sequence[int] | None = None,
    has_scores: bool = False,
    names: str | None = None,
    dim_order: str | None = None,
    skip: int = 0,
    variable: str | None = None,
) -> Source:
    """The array files of a folder.

    Args:
        sources: the folder.
        kind: of `ENDINGS`.
        name: of the data set.
        layout, classes, test_subjects, names: as in `folder_source`.
        scored: whether the last channel is the confidence in each joint.
        dim_order, skip: see `Axes`.
        variable: of MATLAB files (`load_variable`).

    Raises:
        PoseglotError: as `folder_source`, or no file holds joints.
    """
    load = partial(load_file, kind=kind, variable=variable)
    wanted = DimOrder(dim_order, skip)

    def prepare(paths: Sequence[Path]) -> Callable[[Path], Joints]:
        found = wanted if dim_order is not None else _axes_of(paths, load, layout, has_scores, skip)
        return partial(_joints, load=load, axes=found, joint_count=len(layout), has_scores=has_scores)

    return folder_source(
        sources[0],
        ENDINGS[kind],
        prepare,
        name=name,
        layout=layout,
        classes=classes,
        test_subjects=test_subjects,
        has_scores=has_scores,
        names=names,
    )


def read_clip(path: Path, *, joint_count: int | None = None, has_scores: bool = False) -> Clip:
    """The clip in a file, its axes in the only order that fits.

    Raises:
        ClipError: no such file, or not joints.
    """
    kind = next(kind for kind, endings in ENDINGS.items() if path.suffix.lower() in endings)
    joints = _joints(path, load=partial(load_file, kind=kind), axes=DimOrder(), joint_count=joint_count, has_scores=has_scores)
    return Clip(joints, name=path.stem, has_scores=has_scores)


def load_file(path: Path, *, kind: str, variable: str | None = None) -> npt.NDArray[Any]:
    """The array in a file.

    Raises:
        PoseglotError: it cannot be read.
    """
    if kind == "npy":
        return load_array(path)
    if kind == "mat":
        return load_variable(path, variable)
    try:
        return rows_of(path.read_text(encoding="utf-8"), origin=str(path))
    except OSError as error:
        raise ClipError("unreadable", f"could not read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ClipError("malformed", f"{path} is not text: {error}.") from error


def _axes_of(
    paths: Sequence[Path], load: Callable[[Path], npt.NDArray[Any]], layout: Layout, has_scores: bool, skip: int
) -> DimOrder | None:
    """The order that most of some files all over the set are in; None is the usual one, with or without people.

    Raises:
        PoseglotError: it may be several.
    """
    shapes, first = list[tuple[int, ...]](), None
    for path in spread(paths):
        try:
            shapes.append(load(path).shape)
        except PoseglotError:
            continue  # said of each file when it is read
        first = first or path
    if first is None:
        return None
    try:
        order = one_that_fits(shapes, joint_count=len(layout), has_scores=has_scores, skip=skip, origin=str(first))
    except ClipError as error:
        if error.kind == "joint count":
            return DimOrder(skip=skip)  # what is wrong with each file says more
        raise PoseglotError(str(error)) from error
    return None if order in NATIVE and not skip else DimOrder(order, skip)


def _joints(
    path: Path, *, load: Callable[[Path], npt.NDArray[Any]], axes: DimOrder | None, joint_count: int | None, has_scores: bool
) -> Joints:
    array = load(path)
    if axes is not None:
        try:
            array = arranged(array, axes, joint_count=joint_count, has_scores=has_scores, origin=str(path))
        except ClipError as error:
            if axes.order is not None or array.ndim not in (3, 4) or error.kind != "joint count":
                raise
            # As an array in the usual order it is at least understood what is wrong with it.
    return clip_joints(array, joint_count=joint_count, has_scores=has_scores, origin=str(path))
