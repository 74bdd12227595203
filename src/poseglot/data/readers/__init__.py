"""Readers of clips and data sets: one file per format or family of formats; `formats.py` lists them all.

`read_clip` reads a single clip and recognizes its format by content. `open_source` opens a whole data set. A reader checks what it reads,
and its errors name file, place and remedy. An unreadable clip of a set becomes a `ClipIssue` among the clips; the others are read.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poseglot.data.manifest import spread
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import (
    READERS,
    ClipFile,
    Reader,
    ReadOptions,
    Recording,
    Source,
    frame_files,
    register_reader,
    set_formats,
)
from poseglot.data.readers.joint_names import named_layout
from poseglot.data.readers.reading import Reading, as_columns, reading_of
from poseglot.data.readers.selection import refuse_unsaid_scores, select_joints, warn_of_unseen_centre, without_scores
from poseglot.data.store import is_store
from poseglot.errors import FileError, InputError, NotFoundError, PoseglotError, SettingError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, as_layout, list_layouts, load_layout
from poseglot.zips import open_zip, unpack

# Files that a pose estimator makes clips of (`poseglot.inference.video`); no reader here takes them.
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
# Files beside the clips of a folder that describe them.
_TABLES = ("clips.csv", "labels.csv")
# Larger members of a zip are not looked into to guess its format.
_MAX_SAMPLE = 64 * 2**20
# Endings that are also those of files with other content; such a file counts as a clip if a reader recognizes it.
_COMMON_ENDINGS = (".txt", ".tsv", ".dat", ".h5", ".npz")


def read_clip(
    path: str | Path,
    layout: Layout | str | Path | None = None,
    *,
    joint_count: int | None = None,
    has_scores: bool | None = None,
    num_dims: int | None = None,
    dim_order: str | None = None,
    skip: int = 0,
    columns: Sequence[int] | str | None = None,
    scale: float = 1.0,
    up: str | None = None,
    variable: str | None = None,
    format: str | None = None,
) -> Clip:
    """Read one clip from a file, or from a folder with a file for each frame. The format is recognized by content.

    Args:
        path: The file or folder.
        layout: The joints, as a layout, a packaged layout's name or the path of one. Named joints are found by name.
        joint_count: The number of joints a frame must have, if only that is known.
        has_scores: Whether an array's last channel is the confidence in each joint. Of pose estimators' files, False leaves scores out.
        num_dims: 2 or 3 coordinates, of poses that have both. By default all that the file has.
        dim_order: The axes of an array, such as `v,c,t`.
        skip: How many numbers at the beginning of a table row are not joints.
        columns: Which of a joint's numbers are read, counted from 1: (1, 2, 3) or `1-3`.
        scale: Factor on all coordinates.
        up: The axis that points up in the file (`z`, `-y`, ...): 3D coordinates are turned so that y points up.
        variable: The variable of a MATLAB file.
        format: The format, where content must not decide.

    Returns:
        A clip whose joints are (M, T, V, C) in the coordinates of the file, with scores behind them if it has any.

    Raises:
        FileError: There is no such file, or it has a format that is not read.
        InputError: It is not a valid clip.
        SettingError: An argument is not valid.
    """
    options = ReadOptions(
        layout=None if layout is None else as_layout(layout),
        joint_count=joint_count,
        has_scores=has_scores,
        num_dims=num_dims,
        dim_order=dim_order,
        skip=skip,
        columns=None if columns is None else as_columns(columns),
        scale=scale,
        up=up,
        variable=variable,
    )
    recording = read_recording(path, options, format)
    warn_of_unseen_centre(recording.clip, options.layout or recording.layout, str(path))
    refuse_unsaid_scores(recording, options.layout or recording.layout, options, str(path))
    return recording.clip


def read_recording(path: str | Path, options: ReadOptions | None = None, format: str | None = None) -> Recording:
    """Read one clip, with what its file says about its joints. Arguments and errors as in `read_clip`."""
    options = options or ReadOptions()
    file = ClipFile(path)
    reader = READERS[recognize(file) if format is None else format]
    return select_joints(reader.read(file, options), options, origin=file.origin)


def read_as_trained(
    path: str | Path, reading: Reading, wanted: Layout, *, layout: Layout | None = None, has_scores: bool
) -> tuple[Clip, Layout | None]:
    """Read a clip for a recognizer, as its training clips were read.

    Args:
        path: The file or folder.
        reading: How those were read, and what is said otherwise.
        wanted: The recognizer's layout.
        layout: The layout of the file's joints, if it is not the recognizer's and the format does not say it.
        has_scores: Whether the recognizer takes scores.

    Returns:
        The clip, and its layout if that is not the recognizer's. Joints with names of their own get a layout of these names.

    Raises:
        PoseglotError: As `read_clip`.
    """
    file = ClipFile(path)
    format, options = reading.of(file)
    said = options.has_scores
    options, reader = replace(options, has_scores=has_scores or bool(said)), READERS[format or recognize(file)]
    if layout is None and reader.says_layout:
        found = select_joints(reader.read(file, options), options, origin=file.origin)
        count = found.clip.joints.shape[2]
        if found.layout is not None:
            # NW-UCLA's JSON is also written with other joints: a number that fits the recognizer is taken for its own.
            is_own = file.ending == ".skeleton" or count != len(wanted)
            return _as_taken(found.clip, has_scores), found.layout if is_own and count == len(found.layout) else None
    options = replace(options, layout=layout or wanted)
    try:
        found = select_joints(reader.read(file, options), options, origin=file.origin)
    except ClipError as error:
        if layout is not None or error.kind != "joint count":
            raise
        options = replace(options, layout=None)
        try:
            found = select_joints(reader.read(file, options), options, origin=file.origin)
        except PoseglotError:
            raise error from None
        if not found.joint_names:
            raise
        layout = named_layout(found.joint_names, name=file.ending.removeprefix("."))
    warn_of_unseen_centre(found.clip, layout or wanted, file.origin)
    # Clips of the recognizer's own layout are read as its training clips were, whatever their numbers mean.
    refuse_unsaid_scores(found, layout, replace(options, has_scores=said or None), file.origin)
    return _as_taken(found.clip, has_scores), layout


def _as_taken(clip: Clip, has_scores: bool) -> Clip:
    """Return a clip as a recognizer takes it, which has scores or not."""
    return clip if has_scores else without_scores(clip)


def read_any(path: str | Path, reading: Reading, layout: Layout | None = None) -> tuple[Clip, Layout]:
    """Read a clip of any layout for a recognizer that takes them all, with scores where the file has them.

    Args:
        path: The file or folder.
        reading: What is said about files.
        layout: The layout of the file's joints. By default the one that the format says, or the only packaged one of its joints.

    Returns:
        The clip and its layout.

    Raises:
        PoseglotError: As `read_clip`; or the layout is not known.
    """
    file = ClipFile(path)
    format, options = reading.of(file)
    reader = READERS[format or recognize(file)]
    if layout is not None and not reader.says_layout:
        options = replace(options, layout=layout)
    found = select_joints(reader.read(file, options), options, origin=file.origin)
    clip, known = found.clip, layout if options.layout is not None else found.layout
    if known is None and found.joint_names:
        known = named_layout(found.joint_names, name=file.ending.removeprefix("."))
    known = known or layout_by_count(clip.joints.shape[2], file.origin)
    warn_of_unseen_centre(clip, known, file.origin)
    refuse_unsaid_scores(found, known, options, file.origin)
    return clip, known


def layout_by_count(count: int, origin: str) -> Layout:
    """Return the only packaged layout with so many joints.

    Raises:
        InputError: There is none, or more than one.
    """
    fitting = [name for name in list_layouts() if len(load_layout(name)) == count]
    if len(fitting) != 1:
        choice = f"; {' and '.join(fitting)} have so many" if fitting else ""
        raise InputError(
            f"{origin}: {count} joints without names{choice}. Give the layout: its name, or a .yaml file (--layout)."
        )
    return load_layout(fitting[0])


def recognize(file: ClipFile) -> str:
    """Return the name of the reader that recognizes a file.

    Raises:
        FileError: There is no such file, or no reader takes it.
    """
    path = file.path
    if path.is_dir() and not file.frames:
        packed = "; `poseglot export-clip` writes a clip of a store as a file" if is_store(path) else ""
        raise FileError(f"could not read {path}: Is a directory, without a file for each frame{packed}.")
    if not path.exists() and not file.frames:
        raise FileError(f"could not read {path}: No such file or directory.")
    ending = file.ending
    for name, reader in READERS.items():
        if ending in reader.endings and (not file.frames or reader.frames) and reader.recognizes(file):
            return name
    known = [f"{reader.described} ({name})" for name, reader in READERS.items() if ending in reader.endings]
    if known:
        raise ClipError("malformed", f"{path} is none of the {ending} files that are read: {'; '.join(known)}.")
    raise FileError(f"{path}: no reader for files ending in {path.suffix!r}; accepted are {', '.join(endings())}.")


def endings() -> tuple[str, ...]:
    """Return the endings of all files that are read as clips."""
    return tuple(sorted({ending for reader in READERS.values() for ending in reader.endings}))


def is_video(path: str | Path) -> bool:
    """Tell by its ending whether a file is a video."""
    return Path(path).suffix.lower() in VIDEOS


def layout_of(path: str | Path) -> Layout | None:
    """Return the layout that a file's format tells, or None if it tells none.

    Raises:
        FileError: The file cannot be read.
        InputError: It is not a valid clip.
    """
    file = ClipFile(path)
    reader = READERS[recognize(file)]
    return reader.read(file, ReadOptions()).layout if reader.says_layout else None


def clip_files(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """List the clips and videos in a folder and below it, then the other files. Both are sorted; hidden files are in neither.

    A folder with a file for each frame counts as one clip.

    Raises:
        FileError: A store is there, whose arrays would pass for clips.
    """
    folder = Path(folder)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if stores := sorted({path.parent for path in files if path.name == "store.json" and is_store(path.parent)}):
        raise FileError(
            f"{stores[0]} is a store, whose clips are packed. `poseglot predict RUN {stores[0]} --engine local --out FOLDER` predicts "
            "all of them; `poseglot export-clip` writes one as a file."
        )
    clips, of_frames = list[Path](), set[Path]()
    for inner in sorted({path.parent for path in files}):
        videos = {name: frames for name, frames in frame_files(inner).items() if _is_of_frames(frames[0])}
        clips += [inner] if len(videos) == 1 else [inner / video for video in videos]
        of_frames |= {frame for frames in videos.values() for frame in frames}
    others = list[Path]()
    for path in files:
        if path in of_frames:
            continue
        (clips if _is_clip(path) else others).append(path)
    return sorted(clips), others


def _is_clip(path: Path) -> bool:
    name = path.name.lower()
    if path.name in _TABLES or not name.endswith((*endings(), *VIDEOS)):
        return False
    if not name.endswith(_COMMON_ENDINGS):
        return True
    return any(reader.recognizes(ClipFile(path)) for reader in _readers_for(path))


def _is_of_frames(path: Path) -> bool:
    return any(reader.frames and reader.recognizes(ClipFile(path)) for reader in _readers_for(path))


def _readers_for(path: Path) -> Iterator[Reader]:
    ending = ClipFile(path).ending
    return (reader for reader in READERS.values() if ending in reader.endings)


def guess_format(sources: Sequence[str | Path]) -> str:
    """Return the format of a data set by looking into some of its files. Zips are looked into, too.

    Raises:
        FileError: No file is of a format that is read.
    """
    from poseglot.data.readers.annotated import is_annotation

    paths = [Path(source) for source in sources]
    for path in paths:
        if not path.exists():
            raise FileError(f"{path} does not exist; --source takes a folder, a zip, or files.")
    if len(paths) == 1 and paths[0].is_file() and (whole := _WHOLE_SETS.get(paths[0].suffix.lower())):
        return whole
    if all(path.is_file() and path.name.lower().endswith((".csv", ".csv.gz")) for path in paths):
        return "csv"
    found: Counter[str] = Counter()
    with ExitStack() as stack:
        for path in paths:
            if path.suffix.lower() == ".zip" and path.is_file():
                path = _unpacked_sample(path, Path(stack.enter_context(TemporaryDirectory(prefix="poseglot-"))))
            if any(path.rglob("*_label.pkl")) and any(path.rglob("*_data*.npy")):
                return "st-gcn"
            files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
            found += _recognized([file for file in files if file.name not in _TABLES and not is_annotation(file)])
            if found["long-csv"] and (path / "labels.csv").is_file():
                return "csv"
    if not found:
        raise FileError(
            f"no file in {', '.join(map(str, paths))} has a format that is read. Accepted are files ending in {', '.join(endings())}; the "
            "simplest is .npy, an array (frames, joints, 3) for each clip."
        )
    return found.most_common(1)[0][0]


# Single files that are a whole data set.
_WHOLE_SETS = {".pkl": "pyskl", ".pickle": "pyskl", ".npz": "npz"}


def _unpacked_sample(path: Path, folder: Path) -> Path:
    """Unpack some files of a zip from all over it."""
    with open_zip(path) as archive:
        names = [member.filename for member in archive.infolist() if not member.is_dir() and member.file_size < _MAX_SAMPLE]
        chosen = spread(names) + [name for name in names if name.endswith((".asf", "labels.csv"))][:5]
    unpack(path, folder, chosen)
    return folder


def _recognized(files: Sequence[Path]) -> Counter[str]:
    """Count the formats of some files."""
    found: Counter[str] = Counter()
    for file in spread(files):
        if file.suffix.lower() in _WHOLE_SETS and file.suffix.lower() != ".npz":
            found[_WHOLE_SETS[file.suffix.lower()]] += 1
            continue
        for name, reader in READERS.items():
            with suppress(PoseglotError):
                if ClipFile(file).ending in reader.endings and reader.recognizes(ClipFile(file)):
                    found[name] += 1
                    break
    return found


# Why a format does not take an option.
_WHY_NOT = {
    "layout": "its joints are known",
    "test_subjects": "it brings its own split, or does not know people by number",
    "has_scores": "it says itself whether joints have scores",
    "names": "it does not go by file names",
    "variable": "it has none",
    "fps": "no recordings with annotations are cut out of it",
}


def open_source(
    format: str,
    sources: Sequence[str | Path],
    *,
    layout: Layout | None = None,
    name: str,
    classes: Sequence[str] | None = None,
    test_subjects: Sequence[int | str] | None = None,
    **options: Any,
) -> Source:
    """Open a data set without reading its clips.

    Args:
        format: One of `set_formats()`.
        sources: Its file or folder; some formats take several.
        layout: Of the joints; None where the format knows.
        name: Of the data set.
        classes: The class names in the order of their numbers; None takes them from the data.
        test_subjects: The people held out for testing; None takes the split of the set, or makes one (`custom_split`).
        options: `names` (a `NamePattern`) and fields of `ReadOptions`.

    Raises:
        SettingError: The format is unknown, or an option is missing or not taken.
        PoseglotError: The reader refuses the sources.
    """
    formats = set_formats()
    if format not in formats:
        raise NotFoundError(format, formats, kind="format")
    rules = formats[format]
    given: dict[str, Any] = {"layout": layout, "classes": classes, "test_subjects": test_subjects, **options}
    unset = {"scale": 1.0}
    for option, value in given.items():
        if value and value != unset.get(option) and option not in rules.options:
            why = _WHY_NOT.get(option, "it says itself what is what")
            raise SettingError(f"the format {format} takes no {option.replace('_', ' ')}: {why}. Leave it out.")
    if rules.needs_layout and layout is None:
        raise SettingError(
            f"the format {format} does not say what its joints are: name their layout (--layout kinect20, ntu25, coco17, ..., or "
            "your own .yaml)."
        )
    if not sources or (len(sources) > 1 and not rules.several):
        expected = "one or more" if rules.several else "one"
        raise SettingError(
            f"the format {format} is read from {expected} ({rules.described}); {len(sources)} sources were given."
        )
    if classes and len(set(classes)) != len(classes):
        raise SettingError("two classes have the same name; every class needs its own.")
    reader = importlib.import_module(f"poseglot.data.readers.{rules.module}")
    taken = {option: value for option, value in given.items() if option in rules.options and value}
    taken |= {"kind": rules.kind} if rules.kind else {}
    source: Source = reader.read_source([Path(source) for source in sources], name=name, **taken)
    return source


__all__ = [
    "READERS",
    "VIDEOS",
    "ClipFile",
    "ReadOptions",
    "Reading",
    "Recording",
    "Source",
    "clip_files",
    "endings",
    "guess_format",
    "is_video",
    "layout_of",
    "open_source",
    "read_as_trained",
    "read_clip",
    "read_recording",
    "reading_of",
    "recognize",
    "register_reader",
    "set_formats",
]
