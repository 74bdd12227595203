"""A folder of files, one clip each: arrays in `array_files`, motion capture in `bvh`.

A clip's class is the name of the folder that its file lies in (`walk/0001.npy`; under `train/` and `test/`, where the owner has split
the set: `train/walk/0001.npy`), or what a pattern finds in its name (`names`), or what a table `clips.csv` in the folder says: columns
`file` and `label`, and `subject`, `camera`, `setup` and `split` where they are known. With a table, only the files it lists are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from poseglot.data.manifest import (
    Known,
    Listed,
    clip_or_fault,
    listed,
    make_benchmark,
    read_table,
    same_channels,
    spread,
)
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.name_pattern import NamePattern, numbered
from poseglot.data.readers.source import Source
from poseglot.data.splits import SUBSETS
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

TABLE = "clips.csv"


def folder_source(
    folder: Path,
    endings: tuple[str, ...],
    reader: Callable[[Sequence[Path]], Callable[[Path], Joints]],
    *,
    name: str,
    layout: Layout,
    classes: Sequence[str] | None,
    test_subjects: Sequence[int] | None,
    has_scores: bool = False,
    names: str | None = None,
) -> Source:
    """The files of a folder, one clip each; named by where they lie in it, without the ending.

    Args:
        endings: of the files, in lower case.
        reader: makes, of all files, what reads the joints (M, T, V, C) of one; every clip must have as many channels as most have.
        layout: of the joints.
        classes, test_subjects: as in `make_benchmark`.
        names: what the files' names say (see `NamePattern`), where there is no table; None goes by folders.

    Raises:
        PoseglotError: no such folder, nothing in it that can be read, or `make_benchmark` refuses it.
    """
    ending = " or ".join(endings)
    if not folder.is_dir():
        raise PoseglotError(f"{folder} is not a folder; expected one with files ending in {ending}.")
    table = folder / TABLE
    pattern = None if names is None else NamePattern(names)
    if table.is_file():
        found, by = _from_table(folder, table, endings), TABLE
    else:
        found, by = _from_names(folder, endings, pattern), "folder names" if names is None else names
    clips = [entry for entry in found if isinstance(entry, Listed)]
    if not clips:
        reason = f"there is no clip with a class in {folder}."
        if found and isinstance(found[0], ClipIssue):
            reason = f"no clip of {folder} can be used; of the first it is said: {found[0].message}"
        raise PoseglotError(
            f"{reason} Put the files ending in {ending} into one folder for each class, list them in {table} with columns file and label, "
            "or say what their names mean: --names 'a{label}_s{subject}_*'."
        )
    read = reader([Path(entry.origin) for entry in clips])
    channels = _channels(clips, read)
    known = make_benchmark(
        clips, name=name, layout=layout, axes=channels - has_scores, classes=classes, test_subjects=test_subjects
    )
    described = {"folder": folder.name, "labels": by, "split": known.split}
    skipped = _unlisted(folder, endings, found) if table.is_file() else {}
    return Source(known.benchmark, layout, has_scores, _clips(found, known, read, channels, has_scores), described, skipped)


def _unlisted(folder: Path, endings: tuple[str, ...], found: Sequence[Listed | ClipIssue]) -> dict[str, list[str]]:
    """Files that the table does not name: left out, and said so."""
    named = {Path(entry.origin).resolve() for entry in found}
    left = sorted(path.relative_to(folder).as_posix() for path in _paths(folder, endings) if path.resolve() not in named)
    return {f"not in {TABLE}": left} if left else {}


def _paths(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in endings and not path.name.startswith(".") and path.name != TABLE
    ]


def _clips(
    found: Sequence[Listed | ClipIssue], known: Known, read: Callable[[Path], Joints], channels: int, has_scores: bool
) -> Iterator[Clip | ClipIssue]:
    for entry in found:
        if isinstance(entry, ClipIssue):
            yield entry
        else:
            yield clip_or_fault(partial(_clip, entry, known, read, channels, has_scores), name=entry.name, origin=entry.origin)


def _clip(entry: Listed, known: Known, read: Callable[[Path], Joints], channels: int, has_scores: bool) -> Clip:
    return known.clip(entry, same_channels(read(Path(entry.origin)), channels, entry.origin), has_scores=has_scores)


def _channels(clips: Sequence[Listed], read: Callable[[Path], Joints]) -> int:
    """How many channels most clips have, by some that lie all over the set."""
    found: Counter[int] = Counter()
    first = None
    for entry in spread(clips):
        try:
            found[read(Path(entry.origin)).shape[-1]] += 1
        except PoseglotError as error:
            first = first or error
    if not found:
        raise PoseglotError(
            f"none of {len(spread(clips))} files from all over the folder could be read; of the first it is said: {first}"
        ) from first
    return found.most_common(1)[0][0]


def _from_names(folder: Path, endings: tuple[str, ...], pattern: NamePattern | None) -> list[Listed | ClipIssue]:
    """The files by the folders that they lie in or, with a pattern, by their names; with a pattern, too, folders give the side."""
    inside = {path: path.relative_to(folder) for path in _paths(folder, endings)}
    paths = sorted(inside, key=lambda path: inside[path].as_posix())
    names = {path: inside[path].with_suffix("").as_posix() for path in paths}
    cells, found = dict[Path, dict[str, str]](), list[Listed | ClipIssue]()
    for path in paths:
        *folders, _ = inside[path].parts
        subset = folders[0] if len(folders) > 1 and folders[0] in SUBSETS else ""
        said = {"label": folders[-1] if folders else "", "split": subset}
        told = {} if pattern is None else pattern.read(names[path])
        if told is not None:
            cells[path] = said | told
    cells = dict(zip(cells, numbered(cells.values()), strict=True)) if pattern is not None else cells
    for path in paths:
        origin = str(path)
        try:
            if path not in cells:
                assert pattern is not None
                raise ClipError("malformed", f"{origin}: the name does not fit the pattern {pattern.text!r}.")
            found.append(listed(names[path], cells[path], origin=origin))
        except ClipError as error:
            found.append(ClipIssue(names[path], origin, error.kind, str(error)))
    return found


def _from_table(folder: Path, table: Path, endings: tuple[str, ...]) -> list[Listed | ClipIssue]:
    found: list[Listed | ClipIssue] = []
    for file, entry in read_table(table, "file").items():
        path = folder / (file if file.lower().endswith(endings) else file + endings[0])
        if isinstance(entry, ClipIssue):
            found.append(entry)
        else:
            name = PurePosixPath(file.replace("\\", "/"))
            found.append(
                replace(entry, name=(name.with_suffix("") if path.name == name.name else name).as_posix(), origin=str(path))
            )
    return found
