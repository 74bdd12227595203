"""A file from a request becomes a clip.

Of what the browser says only the ending of the name is used, if it is one of those below; the content lies for a moment in a folder of our
own under a name of ours. No name from a request is ever opened, and nothing that is a pickle is ever read.
"""

from __future__ import annotations

import csv
import re
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poseglot.app.web.limits import Limits, TooLargeError, check_size
from poseglot.data.manifest import read_header
from poseglot.data.readers import layout_of, read_clip
from poseglot.data.readers.poses import read_poses
from poseglot.errors import PoseglotError
from poseglot.files import load_array
from poseglot.inference.predictor import people_of_video
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout

ENDINGS = (".csv.gz", ".csv", ".json", ".npy", ".skeleton", ".bvh", ".npz")


@dataclass(frozen=True)
class Taker:
    """What a model takes: joints, whether with scores, how many coordinates, and how many people."""

    layout: Layout
    has_scores: bool
    num_dims: int
    people: int


def read_upload(name: str, content: bytes, *, takers: Sequence[Taker], limits: Limits) -> tuple[Clip, Layout]:
    """The clip in an uploaded file, and which joints it has.

    A format that says its joints has those; of others the joints are those of the first model that the file can be read for.

    Args:
        name: what the browser calls the file; only its ending counts.
        takers: the models that are to look at it. Poses are given as the first takes them: of a video's people those who move most.

    Raises:
        TooLargeError: more people, frames or unpacked bytes than the limits allow.
        PoseglotError: another kind of file, or not a valid clip.
    """
    shown = shown_name(name)
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    if ending is None:
        pickles = (
            " Pickles are never read here, for they can hold programs."
            if name.lower().endswith((".pkl", ".pickle", ".pt"))
            else ""
        )
        raise PoseglotError(f"{shown}: no reader for such files; accepted are those ending in {', '.join(ENDINGS)}.{pickles}")
    with tempfile.TemporaryDirectory(prefix="poseglot-upload-") as folder:
        path = Path(folder) / f"clip{ending.removesuffix('.gz')}"
        try:
            path.write_bytes(_unpacked(content, limits.unpacked) if ending.endswith(".gz") else content)
            _check_claims(path, limits)
            clip, layout = _read(path, takers, limits)
        except TooLargeError:
            raise
        except (PoseglotError, RecursionError, MemoryError) as error:
            raise PoseglotError(_said(error).replace(str(path), shown).replace(folder, "")) from error
        except Exception as error:  # a defect of a reader: the file is refused all the same, and the log has it
            raise UnreadableError(f"{shown} cannot be read ({type(error).__name__}).") from error
        people, frames = clip.joints.shape[:2]
        check_size(limits, people=people, frames=frames)
        name = re.sub(r"(\.\w+){1,2}$", "", shown) or shown
        return replace(clip, joints=clip.joints.copy(), name=name), layout


def _read(path: Path, takers: Sequence[Taker], limits: Limits) -> tuple[Clip, Layout]:
    first = takers[0]
    if path.suffix == ".npz":
        poses = read_poses(path)
        joints = poses.joints(num_dims=first.num_dims, has_scores=first.has_scores)
        check_size(limits, people=joints.shape[0], frames=joints.shape[1])
        return people_of_video(Clip(joints, name=path.stem, has_scores=first.has_scores), first.people)[0], poses.layout
    own = layout_of(path)
    refused: PoseglotError | None = None
    # As the Predictor: a `.skeleton` is NTU RGB+D's, but NW-UCLA's JSON is also written with other joints.
    for taker in () if path.suffix == ".skeleton" else takers:
        try:
            return read_clip(path, layout=taker.layout, has_scores=taker.has_scores), taker.layout
        except PoseglotError as error:
            refused = refused or error
    if own is not None:  # joints that no model has, but whose names are known: a model may take them by name
        try:
            return read_clip(path, layout=own), own
        except PoseglotError as error:
            refused = refused or error
    assert refused is not None
    raise refused


class UnreadableError(PoseglotError):
    """A file on which a reader failed otherwise than it should."""


def shown_name(name: str) -> str:
    """A file's name as it may be shown: without folders and signs that mean something, and not long."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.() -]", "_", last)[-80:] or "the file"


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, PoseglotError) else f"the file is too deep or too large ({type(error).__name__})."


def _unpacked(content: bytes, most: int) -> bytes:
    """What a gzip file holds, if that is not too much: a few kilobytes can unpack to gigabytes."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(content, most)
    except zlib.error as error:
        raise PoseglotError(f"the file is not a gzip file ({error}).") from error
    if unpacker.unconsumed_tail:
        raise TooLargeError(f"the file unpacks to more than {most:,} bytes. Cut it into pieces.")
    if not unpacker.eof:
        raise PoseglotError("the gzip file is cut short.")
    return unpacked


def _check_claims(path: Path, limits: Limits) -> None:
    """Refuse a clip that says itself that it is too large, before room is made for it.

    Raises:
        TooLargeError: it is.
    """
    if path.suffix == ".npy":
        shape = load_array(path).shape
        if len(shape) in (3, 4):
            check_size(limits, people=shape[0] if len(shape) == 4 else 1, frames=shape[-3])
    elif path.suffix == ".csv":
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                header, separator = read_header(next(file, ""), path.name)
                rows = list(csv.reader(file, delimiter=separator, skipinitialspace=True))
        except (UnicodeDecodeError, csv.Error):
            return  # the reader says it better
        for column, most in (("frame", limits.frames), ("person", limits.people)):
            if column in header:
                place = header.index(column)
                found = len({row[place] for row in rows if len(row) > place})
                if found > most:
                    what = "frames" if column == "frame" else "people"
                    raise TooLargeError(
                        f"the table has {found:,} {what}; at most {most:,} are accepted here. Cut it into pieces."
                    )
