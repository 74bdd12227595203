"""Readers: one file per format; `read_clip` picks by what the file is.

A reader checks what it reads and names file, place and remedy when something is wrong.
"""

from __future__ import annotations

from pathlib import Path

from poseglot.errors import PoseglotError
from poseglot.skeletons.arrays import load_array
from poseglot.skeletons.clip import Clip, check_joints
from poseglot.skeletons.formats import nw_ucla

FORMATS = ".json (NW-UCLA), .npy (joints of one clip: people, frames, joints, channels)"


def read_clip(path: Path, *, joint_count: int | None = None) -> Clip:
    """One clip from a file of any format we read, by its ending.

    Args:
        path: the file.
        joint_count: how many joints a frame must have, if that is known.

    Raises:
        PoseglotError: no such file, another format, or not a valid clip.
    """
    try:
        if path.suffix == ".json":
            return nw_ucla.parse_clip(path.read_bytes(), origin=str(path), joint_count=joint_count)
        if path.suffix == ".npy":
            return Clip(check_joints(load_array(path), joint_count=joint_count, origin=str(path)), name=path.stem)
    except OSError as error:
        raise PoseglotError(f"could not read {path}: {error.strerror or error}.") from error
    raise PoseglotError(f"{path}: no reader for files ending in {path.suffix!r}; accepted are {FORMATS}.")
