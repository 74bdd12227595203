"""Poses of the people in a video, as `poseglot extract-poses` writes them: an `.npz` file of a few arrays.

    pixels      (M, T, V, 2) float32: x to the right, y down, in pixels of the picture; zero where somebody is not there
    confidence  (M, T, V) float32 from 0 to 1, in each joint
    world       (M, T, V, 3) float32, only of estimators that give it: metres, as a depth camera has them (x to the left of the picture,
                y up, z away from the camera)
    fps         frames in a second
    size        (2,) width and height of the picture
    layout      the name of a packaged layout

It is written without compression, so that nothing read from it is larger than the file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.folder import folder_source
from poseglot.data.readers.source import Source
from poseglot.errors import PoseglotError
from poseglot.files import write_atomically
from poseglot.skeletons.clip import Clip, Joints, check_joints
from poseglot.skeletons.layout import Layout, load_layout

ENDING = ".npz"
_ARRAYS = {"pixels", "confidence", "fps", "size", "layout"}


@dataclass(frozen=True, eq=False)
class Poses:
    """The people of a video, tracked: one place along M is one person, or people one after the other.

    Attributes: see above.
    """

    layout: Layout
    pixels: Joints
    confidence: npt.NDArray[np.float32]
    fps: float
    size: tuple[int, int]
    world: Joints | None = None

    def joints(self, *, num_dims: int | None = None, has_scores: bool = False) -> Joints:
        """(M, T, V, C): in the world if there is one (3 num_dims), else in the picture (2 num_dims), or as `num_dims` says.

        Args:
            scored: whether to put the confidence behind them.

        Raises:
            PoseglotError: three num_dims, and there is no world.
        """
        if num_dims == 3 and self.world is None:
            raise PoseglotError(
                f"these poses are 2D (layout {self.layout.name}, pixels), and 3D joints are asked for. Take an estimator that gives them "
                "(mediapipe), or a recognizer that was trained on 2D joints."
            )
        joints = self.pixels if self.world is None or num_dims == 2 else self.world
        return np.concatenate([joints, self.confidence[..., None]], axis=-1) if has_scores else joints


def write_poses(poses: Poses, path: Path) -> None:
    """Write the file.

    Raises:
        PoseglotError: another ending, or the disk refused.
    """
    if path.suffix.lower() != ENDING:
        raise PoseglotError(f"{path}: poses are written as {ENDING}, not {path.suffix or 'without an ending'}.")
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


def read_poses(path: Path) -> Poses:
    """Read it again.

    Raises:
        ClipError: not there, not such a file, or its arrays do not fit together.
    """
    arrays = _load(path)
    try:
        name = _one(arrays, "layout", "U")
        if not name.isalnum():  # a path would be opened
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


def read_clip(path: Path, *, joint_count: int | None = None, has_scores: bool = False, num_dims: int | None = None) -> Clip:
    """The clip in a file: see `Poses.joints`.

    Raises:
        PoseglotError: as `read_poses`, another number of joints, or 3D joints where there are none.
    """
    poses = read_poses(path)
    joints = check_joints(
        poses.joints(num_dims=num_dims, has_scores=has_scores), joint_count=joint_count, has_scores=has_scores, origin=str(path)
    )
    return Clip(joints, name=path.stem, has_scores=has_scores)


def read_source(
    sources: Sequence[Path],
    *,
    name: str,
    classes: Sequence[str] | None = None,
    test_subjects: Sequence[int] | None = None,
    has_scores: bool = False,
    names: str | None = None,
) -> Source:
    """The files of a folder; all must be of the layout of the first.

    Args:
        sources: the folder.
        name: of the data set.
        classes, test_subjects, names: as in `folder_source`.
        scored: put the confidence behind the joints.

    Raises:
        PoseglotError: as `folder_source`, or no file holds poses.
    """
    layout = _layout_of_first(sources[0])

    def reader(paths: Sequence[Path]) -> Callable[[Path], Joints]:
        return partial(_joints, layout=layout, has_scores=has_scores)

    return folder_source(
        sources[0],
        (ENDING,),
        reader,
        name=name,
        layout=layout,
        classes=classes,
        test_subjects=test_subjects,
        has_scores=has_scores,
        names=names,
    )


def _layout_of_first(folder: Path) -> Layout:
    first: PoseglotError | None = None
    for path in sorted(folder.rglob(f"*{ENDING}")):
        try:
            return read_poses(path).layout
        except PoseglotError as error:
            first = first or error
    said = f" Of the first file it is said: {first}" if first else ""
    raise PoseglotError(f"{folder} holds no poses ({ENDING} files that `poseglot extract-poses` wrote).{said}")


def _joints(path: Path, *, layout: Layout, has_scores: bool) -> Joints:
    poses = read_poses(path)
    if poses.layout.name != layout.name:
        raise ClipError("joint count", f"{path} is of layout {poses.layout.name}, other files are of {layout.name}.")
    return poses.joints(has_scores=has_scores)


def _load(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = {member.filename.removesuffix(".npy") for member in members}
            if not names >= _ARRAYS:
                add_class = (
                    " It looks like a data set of CTR-GCN; `poseglot prepare npz` reads those." if "x_train" in names else ""
                )
                raise ClipError(
                    "malformed",
                    f"{path} is not what `poseglot extract-poses` writes: it lacks {', '.join(sorted(_ARRAYS - names))}.{add_class}",
                )
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ClipError("malformed", f"{path} is compressed; `poseglot extract-poses` writes without (numpy.savez).")
        with np.load(path, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in _ARRAYS | (names & {"world"})}
    except ClipError:
        raise
    except OSError as error:
        raise ClipError("unreadable", f"could not read {path}: {error.strerror or error}.") from error
    except Exception as error:  # numpy and zipfile raise many kinds on a damaged file
        raise ClipError("malformed", f"{path} is not a whole {ENDING} file ({error}).") from error


def _one(arrays: Mapping[str, npt.NDArray[Any]], name: str, kinds: str) -> Any:
    array = arrays[name]
    if array.ndim or array.dtype.kind not in kinds:
        raise ValueError(f"{name} is not one value.")
    return array.item()
