"""Readers of whole data sets, by the name of their format."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseglot.data.readers.source import Source
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import Layout


@dataclass(frozen=True)
class SetFormat:
    """A form in which whole data sets come.

    Attributes:
        described: what its sources are, for help.
        module: where its `read_source` is; imported when it is asked for.
        options: of `open_source`, which it takes.
        kind: where a module reads several formats, which of them.
        needs_layout: whether nothing in it says what the joints are.
        several: whether it may be spread over several sources.
    """

    described: str
    module: str
    options: frozenset[str]
    kind: str | None = None
    needs_layout: bool = False
    several: bool = False


_OWN = frozenset({"layout", "classes", "test_subjects"})
_FILES = _OWN | {"has_scores", "names", "dim_order", "skip"}
FORMATS_OF_SETS: Mapping[str, SetFormat] = {
    "pyskl": SetFormat("a .pkl file of PYSKL", "pyskl", frozenset({"layout", "classes"})),
    "npz": SetFormat("an .npz file of CTR-GCN (x_train, y_train, x_test, y_test)", "npz", frozenset({"classes"})),
    "npy": SetFormat("a folder of .npy files, one clip each", "array_files", _FILES, "npy", needs_layout=True),
    "mat": SetFormat("a folder of MATLAB files, one clip each", "array_files", _FILES | {"variable"}, "mat", needs_layout=True),
    "txt": SetFormat("a folder of text files of numbers, one clip each", "array_files", _FILES, "txt", needs_layout=True),
    "csv": SetFormat(".csv or .csv.gz files, one row for each joint", "csv_clips", _OWN, needs_layout=True, several=True),
    "bvh": SetFormat("a folder of .bvh files, one clip each", "bvh", _OWN | {"names"}, needs_layout=True),
    "poses": SetFormat(
        "a folder of .npz files of poses, one clip each",
        "poses",
        frozenset({"classes", "test_subjects", "has_scores", "names"}),
    ),
}
# Why a format does not take an option.
_WHY_NOT = {
    "layout": "its joints are known",
    "test_subjects": "it brings its own split, or does not know people by number",
    "has_scores": "it says itself whether joints have scores",
    "names": "it does not go by names of files",
    "dim_order": "it says itself what is what",
    "skip": "it says itself what is what",
    "variable": "it has none",
}


def open_source(
    format: str,
    sources: Sequence[Path],
    *,
    layout: Layout | None,
    name: str,
    classes: Sequence[str] | None,
    test_subjects: Sequence[int] | None,
    has_scores: bool,
    names: str | None = None,
    dim_order: str | None = None,
    skip: int = 0,
    variable: str | None = None,
) -> Source:
    """A data set in one of `FORMATS_OF_SETS`, its clips not yet read.

    Args:
        format: which.
        sources: its file or folder; some formats take several.
        layout: of the joints; None where the format knows.
        name: of the data set.
        classes: the class names in the order of their numbers; None takes them from the data.
        test_subjects: the people who are for testing; None takes the split of the set, or makes one (`own_split`).
        scored: whether the last channel is the confidence in each joint, where the format does not say.
        names: what the names of files say (`poseglot.data.readers.name_pattern`).
        dim_order, skip: what the axes of arrays are (`poseglot.data.readers.dim_order`).
        variable: of MATLAB files.

    Raises:
        PoseglotError: unknown format, an option that it cannot use or lacks, or its reader refuses the sources.
    """
    if format not in FORMATS_OF_SETS:
        raise PoseglotError(f"unknown format {format!r}; there are {', '.join(FORMATS_OF_SETS)}.")
    rules = FORMATS_OF_SETS[format]
    options: dict[str, Any] = {
        "layout": layout,
        "classes": classes or None,
        "test_subjects": test_subjects or None,
        "has_scores": has_scores,
        "names": names,
        "dim_order": dim_order,
        "skip": skip,
        "variable": variable,
    }
    for option, value in options.items():
        if value and option not in rules.options:
            raise PoseglotError(f"the format {format} takes no {option.replace('_', ' ')}: {_WHY_NOT[option]}. Leave it out.")
    if rules.needs_layout and layout is None:
        raise PoseglotError(
            f"the format {format} does not say what its joints are: name their layout (kinect20, ntu25, coco17, ..., or your own .yaml)."
        )
    if not sources or (len(sources) > 1 and not rules.several):
        expected = "one or more" if rules.several else "one"
        raise PoseglotError(
            f"the format {format} is read from {expected} ({rules.described}); {len(sources)} sources were given."
        )
    if classes and len(set(classes)) != len(classes):
        raise PoseglotError("two classes have the same name; every class needs one of its own.")
    reader = importlib.import_module(f"poseglot.data.readers.{rules.module}")
    taken = {option: options[option] for option in rules.options} | ({"kind": rules.kind} if rules.kind else {})
    source: Source = reader.read_source(sources, name=name, **taken)
    return source
