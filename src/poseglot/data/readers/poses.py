"""Poses of the people in a video, as `poseglot extract-poses` writes them: an `.npz` file of arrays.

    pixels      (M, T, V, 2) float32: x to the right, y down, in pixels; zero where somebody is absent
    confidence  (M, T, V) float32 from 0 to 1, in each joint
    world       (M, T, V, 3) float32, only if the estimator gives it: metres, as of a depth camera (x to the left of the picture, y up,
                z away from the camera)
    fps         frames in a second
    size        (2,) width and height of the picture
    layout      the name of a packaged layout

The file is not compressed, so that nothing read from it is larger than the file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.errors import FileError, InputError, PoseglotError
from poseglot.files import write_atomically
from poseglot.skeletons.clip import Clip, Joints, check_joints
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.zips import load_arrays, open_zip

ENDING = ".npz"
_ARRAYS = {"pixels", "confidence", "fps", "size", "layout"}


@dataclass(frozen=True, eq=False)
class Poses:
    """The tracked people of a video. A row along M is one person, or several one after the other.

    Attributes: see the head of this file.
    """

    layout: Layout
    pixels: Joints
    confidence: npt.NDArray[np.float32]
    fps: float
    size: tuple[int, int]
    world: Joints | None = None

    def joints(self, *, num_dims: int | None = None, has_scores: bool = False) -> Joints:
        """Return joints (M, T, V, C): in the world if the file has them (3 dimensions), else in the picture, or as `num_dims` says.

        Args:
            num_dims: 2 or 3; None takes the most there are.
            has_scores: Whether the confidence is put behind the coordinates.

        Raises:
            InputError: Three dimensions are asked for, and the poses have two.
        """
        if num_dims == 3 and self.world is None:
            raise InputError(
                f"these poses are 2D (layout {self.layout.name}, pixels), and 3D joints are asked for. Take an estimator that gives them "
                "(mediapipe), or a recognizer that was trained on 2D joints."
            )
        joints = self.pixels if self.world is None or num_dims == 2 else self.world
        return np.concatenate([joints, self.confidence[..., None]], axis=-1) if has_scores else joints


def write_poses(poses: Poses, path: str | Path) -> None:
    """Write poses to a file.

    Raises:
        FileError: The path has another ending.
        PoseglotError: The disk refused.
    """
    path = Path(path)
    if path.suffix.lower() != ENDING:
        raise FileError(f"{path}: poses are written as {ENDING}, not {path.suffix or 'without an ending'}.")
    arrays: dict[str, Any] = {
        "pixels": poses.pixels,
        "confidence": poses.confidence,
        "fps": np.float64(poses.fps),
        "size": np.array(poses.size, dtype=np.int64),
        "layout": np.array(poses.layout.name),
    }
    if poses.world is not None:
        arrays["world"] = poses.world
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_poses(path: str | Path) -> Poses:
    """Read poses from a file.

    Raises:
        ClipError: There is no such file, it is no file of poses, or its arrays do not fit together.
    """
    path = Path(path)
    arrays = _load(path)
    try:
        name = _one(arrays, "layout", "U")
        if not name.isalnum():  # never the path of a file
            raise ValueError(f"{name!r} is not the name of a layout.")
        layout = load_layout(name)
        fps, (width, height) = float(_one(arrays, "fps", "fiu")), arrays["size"].tolist()
        pixels = check_joints(arrays["pixels"], joint_count=len(layout), origin=str(path))
        world = None if "world" not in arrays else check_joints(arrays["world"], joint_count=len(layout), origin=str(path))
        confidence = np.asarray(arrays["confidence"], dtype=np.float32)
    except (PoseglotError, TypeError, ValueError) as error:
        raise ClipError("malformed", f"{path} does not hold poses: {error}") from error
    fits = pixels.shape[3] == 2 and confidence.shape == pixels.shape[:3] and np.isfinite(confidence).all()
    fits &= world is None or world.shape == (*pixels.shape[:3], 3)
    if not (fits and 0 < fps < 1e6):
        raise ClipError("malformed", f"{path}: its arrays do not fit together, or {fps} frames in a second cannot be.")
    return Poses(layout, pixels, confidence, fps, (int(width), int(height)), world)


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file is .npz."""
    return file.ending == ENDING


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the clip in a file: see `Poses.joints`.

    Raises:
        ClipError: As in `read_poses`.
        InputError: 3D joints are asked for, and there are none.
    """
    poses = read_poses(file.path)
    has_scores = bool(options.has_scores)
    joints = check_joints(
        poses.joints(num_dims=options.num_dims, has_scores=has_scores), has_scores=has_scores, origin=file.origin
    )
    return Recording(Clip(joints, name=file.path.stem, has_scores=has_scores), poses.layout)


def _load(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    try:
        with open_zip(path) as archive:
            members = archive.infolist()
            names = {member.filename.removesuffix(".npy") for member in members}
            if not names >= _ARRAYS:
                hint = " It looks like a data set of CTR-GCN; `poseglot prepare npz` reads those." if "x_train" in names else ""
                raise ClipError(
                    "malformed",
                    f"{path} is not what `poseglot extract-poses` writes: it lacks {', '.join(sorted(_ARRAYS - names))}.{hint}",
                )
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ClipError("malformed", f"{path} is compressed; `poseglot extract-poses` writes without (numpy.savez).")
        return load_arrays(path, _ARRAYS, ("world",))
    except FileError as error:
        raise ClipError("malformed", f"{path} is not a whole {ENDING} file: {error}") from error


def _one(arrays: Mapping[str, npt.NDArray[Any]], name: str, kinds: str) -> Any:
    array = arrays[name]
    if array.ndim or array.dtype.kind not in kinds:
        raise ValueError(f"{name} is not one value.")
    return array.item()
