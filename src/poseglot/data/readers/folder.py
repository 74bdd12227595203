"""A folder of files, one clip each, as a data set.

The class of a clip is the name of its folder (`walk/0001.npy`), also below `train/` and `test/` where the owner has split the set. Or a
pattern reads it from the name (`NamePattern`). Or annotations beside long recordings name the actions that are cut out of them
(`annotated`). Or a table `clips.csv` in the folder lists it: columns `file` and `label`, and `subject`, `camera`, `setup`, `split` where
they are known. With a table, only listed files are read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from poseglot.data.manifest import (
    FIELDS,
    Entry,
    clip_or_issue,
    make_entry,
    make_manifest,
    read_table,
    same_channels,
    spread,
)
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.annotated import (
    SegmentEntry,
    SegmentReader,
    entries_of,
    find_annotations,
    is_annotation,
    require_fps,
)
from poseglot.data.readers.formats import READERS, ClipFile, Reader, ReadOptions, Recording, Source, frame_files
from poseglot.data.readers.selection import select_joints
from poseglot.data.segments import UNKNOWN
from poseglot.data.splits import SUBSETS
from poseglot.errors import FileError, InputError, PoseglotError, SettingError
from poseglot.safe_text import is_whole_number
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

TABLE = "clips.csv"
_NUMBERED = ("subject", "camera", "setup")


@dataclass(frozen=True)
class NamePattern:
    """What the names of files say: `a{label}_s{subject}_t*`.

    A pattern describes a file's name without its ending, or its path in the folder if it has a /. Fields in braces are those of a clip
    (label, subject, camera, setup, split). `*` matches anything, as does a field with another name ({trial}). A field ends where the
    text behind it first occurs.

    Raises:
        SettingError: The pattern has no field, has one twice, or has a brace that does not close.
    """

    text: str

    def __post_init__(self) -> None:
        fields = re.findall(r"{(\w+)}", self.text)
        known = [field for field in fields if field in FIELDS]
        if not known or len(set(known)) < len(known) or re.search(r"[{}]", re.sub(r"{\w+}", "", self.text)):
            raise SettingError(
                f"the name pattern {self.text!r} is not valid. It has fields in braces, each at most once, out of {', '.join(FIELDS)}; "
                "for example 'a{label}_s{subject}_t*'."
            )

    def read(self, name: str) -> dict[str, str] | None:
        """Return the fields in a name (a path without ending, / between folders), or None if it does not fit.

        Raises:
            SettingError: The name can be read in several ways.
        """
        name = name if "/" in self.text else name.rsplit("/", 1)[-1]
        found = re.fullmatch(self._expression(), name)
        if found is None:
            return None
        if not self._is_ambiguous(found.groupdict()):
            return found.groupdict()
        # Numbers of people tell some of these: "sit_stand_s3" is person 3, not person "tand_s3".
        by_number = {tuple(fields.items()) for fields in self._readings(name)}
        if len(by_number) == 1:
            return dict(by_number.pop())
        raise SettingError(
            f"the name pattern {self.text!r} is ambiguous: {name!r} reads as {show_fields(found.groupdict())}, but the text around a "
            f"field occurs in it again. Write more of the names into the pattern, or list the clips in {TABLE}."
        )

    def _pieces(self) -> list[str]:
        return [piece for piece in re.split(r"({\w+}|\*)", self.text) if piece]

    def _expression(self, *, digits: bool = False, greedy: str | None = None) -> str:
        expression = ""
        for piece in self._pieces():
            field = piece[1:-1]
            lazy = "" if greedy in (field, piece) else "?"
            if piece == "*" or (piece.startswith("{") and field not in FIELDS):
                expression += f"[^/]*{lazy}"
            elif piece.startswith("{"):
                expression += f"(?P<{field}>" + (r"\d+" if digits and field in _NUMBERED else f"[^/]+{lazy}") + ")"
            else:
                expression += re.escape(piece)
        return expression

    def _is_ambiguous(self, fields: Mapping[str, str]) -> bool:
        pieces = self._pieces()
        for one, other in pairwise(pieces):
            for piece, text in ((one, other), (other, one)):
                if piece[1:-1] in fields and piece[0] == "{" and text[0] not in "{*" and text in fields[piece[1:-1]]:
                    return True
        return False

    def _readings(self, name: str) -> Iterator[dict[str, str]]:
        """Yield readings with numbers for people, cameras and setups: the shortest of all fields, and the longest of each."""
        if not any("{" + field + "}" in self.text for field in _NUMBERED):
            yield {}
            yield {"": ""}  # nothing tells the readings apart
        for greedy in (None, "*", *FIELDS):
            if found := re.fullmatch(self._expression(digits=True, greedy=greedy), name):
                yield found.groupdict()


def show_fields(fields: Mapping[str, str]) -> str:
    """Return fields as text: `label wave, subject 3`."""
    return ", ".join(f"{field} {value}" for field, value in fields.items())


def numbered(cells: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the cells with numbers in place of named cameras and setups: from 1 on, in the order of the alphabet.

    Numbers with leading zeros ("03") count as numbers. People keep their names; a person 0 would be nobody, so they are counted from 1.
    """
    listed = [dict(each) for each in cells]
    for field in _NUMBERED:
        values = {each[field] for each in listed if each.get(field)}
        if all(is_whole_number(value) and (int(value) > 0 or field != "subject") for value in values):
            number = {value: str(int(value)) for value in values}
        elif field == "subject" and not all(map(is_whole_number, values)):
            continue
        else:
            number = {value: str(index) for index, value in enumerate(sorted(values), start=1)}
        for each in listed:
            if each.get(field):
                each[field] = number[each[field]]
    return listed


@dataclass(frozen=True)
class FolderListing:
    """The clips of a folder before they are read.

    Attributes:
        folder: Where they are.
        found: Every clip, or what is wrong with it.
        labels: What the labels come from.
        skipped: As in `Source`.
        notes: As in `Source`.
    """

    folder: Path
    found: Sequence[Entry | ClipIssue]
    labels: str
    skipped: Mapping[str, list[str]]
    notes: tuple[str, ...]

    @property
    def entries(self) -> list[Entry]:
        return [entry for entry in self.found if isinstance(entry, Entry)]


def list_folder(folder: Path, endings: tuple[str, ...], *, names: str | None = None, frames: bool = False) -> FolderListing:
    """List the clips of a folder, named by where they lie in it, without the ending.

    Args:
        folder: The folder.
        endings: Of the files, in lower case.
        names: A `NamePattern`, used where there is no table. None goes by folders.
        frames: Whether a clip is a folder with a file for each frame.

    Raises:
        FileError: There is no such folder, or no clip with a class in it.
        SettingError: The pattern is not valid or ambiguous.
    """
    ending = " or ".join(endings)
    if not folder.is_dir():
        raise FileError(f"{folder} is not a folder. Expected one with files ending in {ending}.")
    table = folder / TABLE
    pattern = None if names is None else NamePattern(names)
    paths = _paths(folder, endings, frames)
    skipped, notes = {}, list[str]()
    if table.is_file():
        found, by = _from_table(folder, table, endings), TABLE
        named = {Path(entry.origin).resolve() for entry in found}
        if left := sorted(path.relative_to(folder).as_posix() for path in paths if path.resolve() not in named):
            skipped = {f"not in {TABLE}": left}
        if any(map(is_annotation, folder.rglob("*"))):
            notes.append(f"annotations are not read, because {TABLE} lists the clips")
    else:
        found, by = _from_names(folder, paths, pattern), "folder names" if names is None else names
        if annotations := find_annotations(folder.rglob("*")):
            found, skipped, notes = _segments(folder, found, annotations, keep="{label}" in (names or ""))
            by = "annotations"
        if names is not None:
            shown = [entry for entry in found if isinstance(entry, Entry)][:3]
            notes += [f"names as read: {'; '.join(f'{entry.name}: {_show_entry(entry)}' for entry in shown)}"] if shown else []
    if not any(isinstance(entry, Entry) for entry in found):
        reason = f"there is no clip with a class in {folder}."
        if found and isinstance(found[0], ClipIssue):
            reason = f"no clip of {folder} can be used; the first: {found[0].message}"
        raise FileError(
            f"{reason} Put the files ending in {ending} into one folder for each class, list them in {table} with columns file and label, "
            "or say what their names mean: --names 'a{label}_s{subject}_*'."
        )
    return FolderListing(folder, found, by, skipped, tuple(notes))


def folder_source(
    listing: FolderListing,
    read: Callable[[Path], Joints],
    *,
    name: str,
    layout: Layout,
    classes: Sequence[str] | None,
    test_subjects: Sequence[int | str] | None,
    has_scores: bool = False,
    fps: float | None = None,
    described: Mapping[str, Any] | None = None,
) -> Source:
    """Open the listed clips as a data set.

    Args:
        listing: The clips.
        read: Reads the joints (M, T, V, C) of one. Every clip must have as many channels as most have.
        name: Of the data set.
        layout: Of the joints.
        classes: As in `make_manifest`.
        test_subjects: As in `make_manifest`.
        has_scores: Whether the last channel is the confidence in each joint.
        fps: The frames per second of annotated recordings.
        described: More about the source, for people to read.

    Raises:
        InputError: None of some files from all over the folder can be read.
        SettingError: As in `make_manifest`.
    """
    entries = listing.entries
    if any(isinstance(entry, SegmentEntry) for entry in entries):
        described = {**(described or {}), "fps": require_fps(fps)}
    channels = _channels(entries, read)
    joints_of = SegmentReader(read, fps=fps, has_scores=has_scores)
    manifest = make_manifest(
        entries, name=name, layout=layout, num_dims=channels - has_scores, classes=classes, test_subjects=test_subjects
    )
    said = {"folder": listing.folder.name, "labels": listing.labels, "split": manifest.split, **(described or {})}

    def clip(entry: Entry) -> Clip:
        return manifest.clip(entry, same_channels(joints_of(entry), channels, entry.origin), has_scores=has_scores)

    def clips() -> Iterator[Clip | ClipIssue]:
        for entry in listing.found:
            if isinstance(entry, ClipIssue):
                yield entry
            else:
                yield clip_or_issue(partial(clip, entry), name=entry.name, origin=entry.origin)

    return Source(manifest.benchmark, layout, has_scores, clips(), said, listing.skipped, listing.notes)


def read_source(
    sources: Sequence[Path],
    *,
    kind: str,
    name: str,
    layout: Layout | None = None,
    classes: Sequence[str] | None = None,
    test_subjects: Sequence[int | str] | None = None,
    names: str | None = None,
    fps: float | None = None,
    **options: Any,
) -> Source:
    """Open a folder of files of one of `READERS`.

    Args:
        sources: The folder.
        kind: The reader.
        name: Of the data set.
        layout: The joints wanted; None takes the layout that most files have.
        classes: As in `make_manifest`.
        test_subjects: As in `make_manifest`.
        names: As in `list_folder`.
        fps: As in `folder_source`.
        options: Fields of `ReadOptions`.

    Raises:
        PoseglotError: As in `list_folder` and `folder_source`, or no file says its layout and none is given.
    """
    reader = READERS[kind]
    listing = list_folder(sources[0], reader.endings, names=names, frames=reader.frames)
    wanted = ReadOptions(**{**options, "has_scores": options.get("has_scores") or None})
    layout, has_scores = _common_form(listing, reader, replace(wanted, layout=layout), kind)
    if reader.options >= {"has_scores"}:  # the reader returns scores when it is asked to
        has_scores = bool(wanted.has_scores)
    wanted = replace(wanted, layout=layout, has_scores=has_scores)
    return folder_source(
        listing,
        partial(_joints, reader=reader, options=wanted),
        name=name,
        layout=layout,
        classes=classes,
        test_subjects=test_subjects,
        has_scores=has_scores,
        fps=fps,
        described={"format": kind},
    )


def _common_form(listing: FolderListing, reader: Reader, options: ReadOptions, kind: str) -> tuple[Layout, bool]:
    """Return the layout of most of some files, and whether they have scores."""
    found: list[Recording] = []
    first: PoseglotError | None = None
    for entry in spread(listing.entries):
        try:
            found.append(reader.read(ClipFile(entry.origin), options))
        except ClipError as error:
            first = first or error
    if not found:
        raise InputError(
            f"none of {len(spread(listing.entries))} files from all over {listing.folder} can be read; the first: {first}"
        ) from first
    has_scores = Counter(recording.clip.has_scores for recording in found).most_common(1)[0][0]
    if options.layout is not None:
        return options.layout, has_scores
    layouts = {recording.layout.name: recording.layout for recording in found if recording.layout is not None}
    if not layouts:
        names = next((recording.joint_names for recording in found if recording.joint_names), ())
        said = f" Their joints are {', '.join(names)}." if names else ""
        raise SettingError(f"the files of {listing.folder} ({kind}) do not say their layout: name it (--layout).{said}")
    most = Counter(recording.layout.name for recording in found if recording.layout is not None).most_common(1)[0][0]
    return layouts[most], has_scores


def _joints(path: Path, *, reader: Reader, options: ReadOptions) -> Joints:
    file = ClipFile(path)
    recording = select_joints(reader.read(file, options), options, origin=file.origin)
    if recording.layout is not None and options.layout is not None and recording.layout.joints != options.layout.joints:
        raise ClipError("joint count", f"{path} is of layout {recording.layout.name}, other files of {options.layout.name}.")
    if recording.clip.has_scores != bool(options.has_scores):
        raise ClipError("malformed", f"{path} has {'' if recording.clip.has_scores else 'no '}scores, unlike most files.")
    return recording.clip.joints


def _channels(entries: Sequence[Entry], read: Callable[[Path], Joints]) -> int:
    """Return how many channels most of some clips from all over the set have."""
    found: Counter[int] = Counter()
    first = None
    for entry in spread(entries):
        try:
            found[read(Path(entry.origin)).shape[-1]] += 1
        except (InputError, FileError) as error:
            first = first or error
    if not found:
        raise InputError(
            f"none of {len(spread(entries))} files from all over the folder can be read; the first: {first}"
        ) from first
    return found.most_common(1)[0][0]


def _paths(folder: Path, endings: tuple[str, ...], frames: bool) -> list[Path]:
    """Return the files of clips; where a clip is a folder of frames, that folder or FOLDER/VIDEO."""

    def fits(path: Path) -> bool:
        listed = not path.name.startswith(".") and path.name != TABLE
        return listed and path.name.lower().endswith(endings) and not is_annotation(path)

    if not frames:
        return [path for path in folder.rglob("*") if fits(path) and not path.is_dir()]
    found: list[Path] = []
    for inner in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        parts = [part for part in inner.relative_to(folder).parts if part not in SUBSETS]
        videos = {name: files for name, files in frame_files(inner).items() if fits(files[0])}
        # A folder right below the set's is a class, and holds the frames of videos; a deeper one may be a video itself.
        if len(videos) == 1 and len(parts) > 1:
            found.append(inner)
        else:
            found += [inner / video for video in videos]
        of_frames = {file for files in videos.values() for file in files}
        found += [path for path in inner.iterdir() if path.is_file() and fits(path) and path not in of_frames]
    return found


def _from_names(folder: Path, paths: Sequence[Path], pattern: NamePattern | None) -> list[Entry | ClipIssue]:
    """List files by their folders or, with a pattern, by their names. Folders `train` and `test` give the subset either way."""
    inside = {path: path.relative_to(folder) for path in paths}
    ordered = sorted(inside, key=lambda path: inside[path].as_posix())
    names = {path: _without_ending(inside[path]) for path in ordered}
    cells, found = dict[Path, dict[str, str]](), list[Entry | ClipIssue]()
    for path in ordered:
        *folders, _ = inside[path].parts
        subset = folders[0] if len(folders) > 1 and folders[0] in SUBSETS else ""
        said = {"label": folders[-1] if folders else "", "split": subset}
        fields = {} if pattern is None else pattern.read(names[path])
        if fields is not None:
            cells[path] = said | fields
    cells = dict(zip(cells, numbered(cells.values()), strict=True)) if pattern is not None else cells
    for path in ordered:
        origin = str(path)
        try:
            if path not in cells:
                assert pattern is not None
                raise ClipError("malformed", f"{origin}: the name does not fit the pattern {pattern.text!r}.")
            found.append(make_entry(names[path], cells[path], origin=origin))
        except ClipError as error:
            found.append(ClipIssue(names[path], origin, error.kind, str(error)))
    return found


def _segments(
    folder: Path, found: Sequence[Entry | ClipIssue], annotations: Mapping[Path, Path], *, keep: bool
) -> tuple[list[Entry | ClipIssue], dict[str, list[str]], list[str]]:
    """Replace annotated recordings by their segments, and keep other files if their names say a class.

    Returns:
        The clips, what is left out, and notes.
    """
    left, listed, count = dict(annotations), list[Entry | ClipIssue](), 0
    skipped, anonymous = list[str](), False
    for one in found:
        annotation = left.pop(folder / one.name, None)
        if annotation is not None:
            recording = one if isinstance(one, Entry) else Entry(one.name, one.origin, "")
            entries = entries_of(recording, annotation)
            listed += entries
            count += len(entries)
            anonymous = anonymous or not recording.subject
        elif keep:
            listed.append(one)
        else:
            skipped.append(one.name)
    if left:
        annotation = next(iter(left.values()))
        raise FileError(
            f"{annotation} annotates no recording: beside it is no file of this format that is named alike. Put them together."
        )
    if not count:
        raise InputError(f"the annotations of {folder} name no action but {UNKNOWN!r}.")
    notes = [f"the clips are the {count:,} segments of {len(annotations):,} annotated recordings"]
    if len(annotations) == 1:
        notes.append("there is one recording, so that its clips are in both subsets: the accuracy on other recordings is lower")
    elif anonymous:
        notes.append("nobody says who is in the recordings, so each counts as a person: no recording is in both subsets")
    return listed, {"not annotated": skipped} if skipped else {}, notes


def _without_ending(path: Path) -> str:
    return re.sub(r"\.gz$", "", path.as_posix(), flags=re.IGNORECASE).removesuffix(
        Path(re.sub(r"\.gz$", "", path.name, flags=re.IGNORECASE)).suffix
    )


def _from_table(folder: Path, table: Path, endings: tuple[str, ...]) -> list[Entry | ClipIssue]:
    found: list[Entry | ClipIssue] = []
    for listed, entry in read_table(table, "file").items():
        # A table written on Windows has its folders behind backslashes.
        file = listed if (folder / listed).exists() else listed.replace("\\", "/")
        path = folder / os.fsdecode(file.encode("utf-8", "surrogateescape"))
        if not file.lower().endswith(endings) and not path.exists():
            path = path.with_name(path.name + endings[0])
        if isinstance(entry, ClipIssue):
            found.append(entry)
        else:
            name = PurePosixPath(file)
            has_ending = path.name == os.fsdecode(name.name.encode("utf-8", "surrogateescape"))
            found.append(replace(entry, name=(name.with_suffix("") if has_ending else name).as_posix(), origin=str(path)))
    return found


def _show_entry(entry: Entry) -> str:
    fields = {field: getattr(entry, field) for field in ("label", "subject", "camera", "setup", "subset")}
    return show_fields({field: str(value) for field, value in fields.items() if value})
