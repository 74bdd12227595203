"""An uploaded file becomes a clip.

Of the browser's file name only the ending is used, if it is one of those below. The content lies in a temporary folder under our own name
while it is read. No name from a request is opened, and no pickle is read.
"""

from __future__ import annotations

import csv
import re
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poseglot.app.web.limits import MAX_JOINTS, Limits, TooLargeError, check_size
from poseglot.data.manifest import read_header
from poseglot.data.readers import ClipFile, Reading, endings, is_video, read_any, read_as_trained, recognize
from poseglot.data.readers.hdf5 import open_hdf5
from poseglot.data.readers.matlab import declared_bytes
from poseglot.data.readers.poses import ENDING as POSES_ENDING
from poseglot.data.readers.poses import read_poses
from poseglot.data.tracking import select_people
from poseglot.errors import InputError, PoseglotError
from poseglot.files import load_array
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.mapping import map_layout
from poseglot.zips import open_zip

# Everything that `poseglot predict` reads as one file, longest endings first.
ENDINGS = tuple(sorted(endings(), key=lambda ending: (-len(ending), ending)))
_PICKLES = (".pkl", ".pickle", ".pt")


@dataclass(frozen=True)
class ClipFormat:
    """The clips that a model takes: layout, scores, coordinates per joint, persons, and how it reads files."""

    layout: Layout
    has_scores: bool
    num_dims: int | None
    num_persons: int
    reading: Reading = field(default_factory=Reading)

    def read_with(self, given: Mapping[str, Any]) -> ClipFormat:
        """Return it with other options of reading.

        Raises:
            SettingError: One is not valid.
        """
        return replace(self, reading=Reading(self.reading.remembered, given))


def read_upload(
    name: str, content: bytes, *, formats: Sequence[ClipFormat], limits: Limits, layout: Layout | None = None
) -> tuple[Clip, Layout]:
    """Return the clip in an uploaded file, and its layout.

    Without `layout`, it is that of the file's format, or else of the first model for which the file can be read.

    Args:
        name: The browser's name of the file.
        content: The file.
        formats: The clips that the models take. Poses are read as the first takes them, with the people who move most.
        limits: The limits of the server.
        layout: The layout of the file's joints, if the user chose it.

    Raises:
        TooLargeError: The clip has more people, frames or unpacked bytes than the limits allow.
        InputError: The file is of another kind, or not a valid clip.
    """
    shown = shown_name(name)
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    if ending is None:
        reason = " Pickles are never read, since they can hold programs." if name.lower().endswith(_PICKLES) else ""
        if is_video(name):
            reason = " Of a video, upload the poses that `poseglot extract-poses` writes (.npz)."
        raise InputError(f"{shown}: accepted are files ending in {', '.join(ENDINGS)}.{reason}")
    with tempfile.TemporaryDirectory(prefix="poseglot-upload-") as folder:
        path = Path(folder) / f"clip{ending.removesuffix('.gz')}"
        try:
            path.write_bytes(_unpacked(content, limits.unpacked) if ending.endswith(".gz") else content)
            _check_declared_size(path, limits)
            clip, layout = _read(path, formats, limits, layout)
        except TooLargeError:
            raise
        except (PoseglotError, RecursionError, MemoryError) as error:
            raise InputError(_message(error).replace(str(path), shown).replace(folder, "")) from error
        people, frames = clip.joints.shape[:2]
        check_size(limits, people=people, frames=frames)
        name = re.sub(r"(\.\w+){1,2}$", "", shown) or shown
        return replace(clip, joints=clip.joints.copy(), name=name), layout


def _read(path: Path, formats: Sequence[ClipFormat], limits: Limits, layout: Layout | None) -> tuple[Clip, Layout]:
    first = formats[0]
    if path.suffix == POSES_ENDING and recognize(ClipFile(path)) == "poses":
        poses = read_poses(path)
        joints = first.reading.joints_of_poses(poses, num_dims=first.num_dims, has_scores=first.has_scores, origin=path.name)
        check_size(limits, people=joints.shape[0], frames=joints.shape[1])
        clip = Clip(joints, name=path.stem, has_scores=first.has_scores)
        return select_people(clip, first.num_persons)[0], poses.layout
    if first.num_dims is None:
        return read_any(path, first.reading, layout)
    read: tuple[Clip, Layout] | None = None
    refusal: PoseglotError | None = None
    for format in formats:
        try:
            clip, own = read_as_trained(path, format.reading, format.layout, layout=layout, has_scores=format.has_scores)
        except PoseglotError as error:
            refusal = refusal or error
            continue
        if layout is not None or own is None:
            return clip, own or format.layout
        if own.bones_are_known:
            read = read or (clip, own)
        else:  # joints with names of their own are drawn as those of the model
            try:
                mapped = map_layout(own, format.layout).apply(clip.joints, has_scores=clip.has_scores)
                return replace(clip, joints=mapped), format.layout
            except PoseglotError as error:
                refusal = refusal or error
    if read is not None:  # no model has these joints, but a model may map them by name
        return read
    assert refusal is not None
    raise refusal


def shown_name(name: str) -> str:
    """Return a file name that is safe to show: no folders, no special characters, not long."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.() -]", "_", last)[-80:] or "the file"


def _message(error: BaseException) -> str:
    return (
        str(error)
        if isinstance(error, PoseglotError)
        else f"the file is nested too deeply or too large ({type(error).__name__})."
    )


def _unpacked(content: bytes, limit: int) -> bytes:
    """Return the content of a gzip file, up to a limit: a few kilobytes can unpack to gigabytes."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(content, limit)
    except zlib.error as error:
        raise InputError(f"the file is not a gzip file ({error}).") from error
    if unpacker.unconsumed_tail:
        raise TooLargeError(f"the file unpacks to more than {limit:,} bytes. Cut it into pieces.")
    if not unpacker.eof:
        raise InputError("the gzip file is truncated.")
    return unpacked


def _bytes_of_zip(path: Path) -> int:
    with open_zip(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _bytes_of_hdf5(path: Path) -> int:
    sizes: list[int] = []
    with open_hdf5(ClipFile(path)) as file:
        file.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
    return sum(sizes)


# Ending -> a function that returns how many bytes a packed file declares, without unpacking it.
_PACKED = {".npz": _bytes_of_zip, ".mat": declared_bytes, ".h5": _bytes_of_hdf5, ".slp": _bytes_of_hdf5}


def _check_declared_size(path: Path, limits: Limits) -> None:
    """Refuse a clip whose file declares too large a size, before memory is allocated.

    Raises:
        TooLargeError: It does.
    """
    if path.suffix == ".npy":
        shape = load_array(path).shape
        if len(shape) in (3, 4):
            check_size(limits, people=shape[0] if len(shape) == 4 else 1, frames=shape[-3])
    elif path.suffix in _PACKED:
        size = 0
        with suppress(Exception):  # a damaged file, of which its reader says what is wrong
            size = _PACKED[path.suffix](path)
        if size > limits.unpacked:
            raise TooLargeError(f"the file unpacks to more than {limits.unpacked:,} bytes. Cut it into pieces.")
    elif path.suffix == ".csv":
        if path.read_bytes().count(b"\n") > limits.people * limits.frames * MAX_JOINTS:
            raise TooLargeError("the table has more lines than a clip within the limits. Cut it into pieces.")
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                header, separator = read_header(next(file, ""), path.name)
                counted = [(column, header.index(column)) for column in ("frame", "person") if column in header]
                found: dict[str, set[str]] = {column: set() for column, _ in counted}
                for row in csv.reader(file, delimiter=separator, skipinitialspace=True):
                    for column, index in counted:
                        if index < len(row):
                            found[column].add(row[index])
        except (UnicodeDecodeError, csv.Error):
            return  # the reader has the better message
        for column, what, limit in (("frame", "frames", limits.frames), ("person", "people", limits.people)):
            if len(found.get(column, ())) > limit:
                raise TooLargeError(
                    f"the table has {len(found[column]):,} {what}; at most {limit:,} are accepted. Cut it into pieces."
                )
