"""Readers: one file per format. `read_clip` reads a single clip and picks by what the file is; `open_source` opens a whole data set.

A reader checks what it reads and names file, place and remedy when something is wrong. What is wrong with one clip of a set is a `Fault`
among its clips; the others are read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poseglot.data.readers import nw_ucla
from poseglot.data.readers.datasets import FORMATS_OF_SETS, open_source
from poseglot.data.store import is_store
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip, check_joints
from poseglot.skeletons.layout import Layout, load_layout

# Endings of files that hold one clip.
ENDINGS = (".json", ".npy", ".skeleton", ".csv", ".csv.gz", ".bvh", ".npz")
FORMATS = (
    ".json (NW-UCLA), .npy (joints of one clip: people, frames, joints, channels), .skeleton (NTU RGB+D), "
    ".csv and .csv.gz (a row for each joint), .bvh (motion capture), .npz (poses of a video), .mat (MATLAB), .txt (rows of numbers)"
)
# Files that a pose estimator makes clips of (`poseglot.inference.video`); no reader here takes them.
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its ending."""
    return path.suffix.lower() in VIDEOS


def read_clip(
    path: Path,
    *,
    joint_count: int | None = None,
    layout: Layout | None = None,
    has_scores: bool = False,
    num_dims: int | None = None,
) -> Clip:
    """One clip from a file of any format we read, by its ending.

    Args:
        path: the file.
        joint_count: how many joints a frame must have, if that is known.
        layout: which joints; finds them by name in `.csv` and `.bvh` files, which without it are taken by number or in their order.
        scored: whether the last channel of an array (.npy, .mat, .txt) is the confidence in each joint; whether that of poses (.npz) shall
            be.
        num_dims: 2 or 3, of poses (.npz) that have both; by default 3.

    Raises:
        PoseglotError: no such file, another format, or not a valid clip.
    """
    joint_count = len(layout) if layout is not None else joint_count
    ending = path.suffix.lower()
    try:
        if ending == ".json":
            return nw_ucla.parse_clip(path.read_bytes(), origin=str(path), joint_count=joint_count)
        # The others are loaded when they are needed.
        if ending in (".npy", ".mat", ".txt"):
            from poseglot.data.readers import array_files

            return array_files.read_clip(path, joint_count=joint_count, has_scores=has_scores)
        if ending == ".skeleton":
            from poseglot.data.readers import ntu

            clip = ntu.read_clip(path)
            return replace(clip, joints=check_joints(clip.joints, joint_count=joint_count, origin=str(path)))
        if path.name.lower().endswith((".csv", ".csv.gz")):
            from poseglot.data.readers import long_table

            return long_table.read_clip(path, joint_count=joint_count, layout=layout)
        if ending == ".bvh":
            from poseglot.data.readers import bvh

            return bvh.read_clip(path, joint_count=joint_count, layout=layout)
        if ending == ".npz":
            from poseglot.data.readers import poses

            return poses.read_clip(path, joint_count=joint_count, has_scores=has_scores, num_dims=num_dims)
        if path.is_dir():
            packed = "; `poseglot export-clip` writes a clip of a store as one" if is_store(path) else ""
            raise PoseglotError(f"{path} is a folder, and a file is needed{packed}.")
    except OSError as error:
        raise PoseglotError(f"could not read {path}: {error.strerror or error}.") from error
    raise PoseglotError(f"{path}: no reader for files ending in {path.suffix!r}; accepted are {FORMATS}.")


def layout_of(path: Path) -> Layout | None:
    """The layout that a file's format has: Kinect v2's of a `.skeleton` file, Kinect v1's of NW-UCLA's `.json`; None of others.

    A file of poses (`.npz`) says its own.

    Raises:
        PoseglotError: it cannot be read.
    """
    if path.suffix.lower() == ".npz":
        from poseglot.data.readers import poses

        return poses.read_poses(path).layout
    name = {".skeleton": "ntu25", ".json": "kinect20"}.get(path.suffix.lower())
    return load_layout(name) if name else None


def clip_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files in a folder and below it, sorted: those that end as a clip or a video does, and the others. Hidden ones are in neither.

    Raises:
        PoseglotError: a store is there, whose arrays would pass for clips.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if stores := sorted({path.parent for path in files if path.name == "store.json" and is_store(path.parent)}):
        raise PoseglotError(
            f"{stores[0]} is a store, whose clips are packed. `poseglot predict RUN {stores[0]} --engine local --out FOLDER` answers for "
            "all of them, `poseglot export-clip` writes one as a file."
        )
    named = [path.name.lower().endswith(ENDINGS + VIDEOS) and path.name not in _TABLES for path in files]
    return [p for p, ours in zip(files, named, strict=True) if ours], [
        p for p, ours in zip(files, named, strict=True) if not ours
    ]


# What describes the clips of a folder is none.
_TABLES = ("clips.csv", "labels.csv")

__all__ = ["ENDINGS", "FORMATS", "FORMATS_OF_SETS", "VIDEOS", "clip_files", "is_video", "layout_of", "open_source", "read_clip"]
