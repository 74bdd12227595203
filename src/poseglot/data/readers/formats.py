"""The list of formats, and how a plugin adds one.

`READERS` holds the readers of single clips by name. A reader takes one file, or a folder with a file for each frame, and returns a
`Recording`. A folder of such files is a data set (`folder.py`). `set_formats()` lists the formats of data sets.

A plugin adds a reader with the decorator:

    @register_reader("studio", "the studio's .mot files", endings=(".mot",))
    def read(file: ClipFile, options: ReadOptions) -> Recording: ...
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from poseglot import safe_text
from poseglot.data.benchmarks import Benchmark
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.errors import FileError, SettingError
from poseglot.files import as_path, decode_text
from poseglot.registry import Registry
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.orientation import UP_AXES, turn_up

# The bytes of a file that a reader may look at to recognize it without reading all of it.
_HEAD = 1 << 16
# A file of one frame: `walk_000000000012_keypoints.json`, `walk_12.txt`, `frame0012.json`.
_FRAME_FILE = re.compile(
    r"(?P<clip>.*?)[_.-]?(?P<frame>\d+)(_keypoints|_landmarks|_pose)?\.(?P<ending>json|txt)", re.IGNORECASE
)


@dataclass(frozen=True)
class ReadOptions:
    """How a clip is to be read. A reader ignores what its format does not need.

    Attributes:
        layout: The joints wanted. Readers of named joints find them by name.
        joint_count: The number of joints expected, if only that is known.
        has_scores: True: the last number of a joint is its confidence, or the confidence shall be returned. False: without it. None:
            as the file has it.
        num_dims: 2 or 3 coordinates, of formats that have both.
        dim_order: The axes of an array; see `dim_order.py`.
        skip: How many numbers at the beginning of every table row are not joints.
        columns: Which of a joint's numbers are read, counted from 1; None reads all.
        scale: Factor on all coordinates: 0.001 turns millimetres into metres.
        up: The axis that points up in 3D files (`z`, `-y`, ...), if the coordinates are to be turned so that y does; None leaves them.
        variable: The variable of a MATLAB file.
    """

    layout: Layout | None = None
    joint_count: int | None = None
    has_scores: bool | None = None
    num_dims: int | None = None
    dim_order: str | None = None
    skip: int = 0
    columns: tuple[int, ...] | None = None
    scale: float = 1.0
    up: str | None = None
    variable: str | None = None

    def __post_init__(self) -> None:
        for name in ("joint_count", "num_dims", "skip"):
            value = getattr(self, name)
            if not (type(value) is int and value >= 0) and (value is not None or name == "skip"):
                raise SettingError(f"{name} is a whole number from 0 on, not {value!r}.")
        if self.num_dims not in (None, 2, 3):
            raise SettingError(f"num_dims is 2 or 3, not {self.num_dims}.")
        for name in ("dim_order", "variable"):
            if not isinstance(value := getattr(self, name), (str, type(None))):
                raise SettingError(f"{name} is text, such as v,c,t, not {value!r}.")
        if isinstance(self.scale, bool) or not isinstance(self.scale, (int, float)):
            raise SettingError(f"the scale is a number, not {self.scale!r}.")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise SettingError(f"the scale is a finite number above 0, not {self.scale!r}; 0.001 makes metres of millimetres.")
        if self.up is not None and self.up not in UP_AXES:
            raise SettingError(f"up is one of {', '.join(UP_AXES)}, the axis that points up in the files; not {self.up!r}.")

    @property
    def count(self) -> int | None:
        """The number of joints expected; None if it is not known."""
        return len(self.layout) if self.layout is not None else self.joint_count

    def in_units(self, joints: Joints, *, has_scores: bool, origin: str) -> Joints:
        """Return joints (..., C) of a file, scaled, and turned so that y points up if `up` says which axis does.

        Raises:
            ClipError: `up` is given for joints that are not 3D.
        """
        if self.scale == 1 and self.up is None:
            return joints
        dims = joints.shape[-1] - has_scores
        position = joints[..., :dims] * np.float32(self.scale)
        if self.up is not None:
            if dims != 3:
                raise ClipError(
                    "malformed", f"{origin}: its joints are {dims}D; which axis points up is for 3D joints. Leave it out."
                )
            position = turn_up(position, self.up)
        return np.concatenate([position, joints[..., dims:]], axis=-1)


def parse_columns(text: str) -> tuple[int, ...]:
    """Parse `1-3` or `1,2,4` as columns counted from 1.

    Raises:
        SettingError: It is neither.
    """
    columns: list[int] = []
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?", piece)
        if match is None or int(match[1]) < 1 or int(match[2] or match[1]) < int(match[1]):
            raise SettingError(f"columns {text!r} are not valid; accepted are such as 1-3 or 1,2.")
        columns += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(columns)


@dataclass(frozen=True, eq=False)
class Recording:
    """A clip as its file has it.

    Attributes:
        clip: In the coordinates of the file.
        layout: What the joints are, if the format says it.
        joint_names: Names of the joints as the file writes them, if it does and they are no layout's.
        says_axes: Whether the file says what the numbers of a joint are: coordinates or a score.
    """

    clip: Clip
    layout: Layout | None = None
    joint_names: tuple[str, ...] = ()
    says_axes: bool = True


class ClipFile:
    """A file, or a folder with a file for each frame. Its content is read once, when a reader looks at it.

    A folder may hold the frames of several videos; `FOLDER/VIDEO` names those of one (`VIDEO_000000000012_keypoints.json`).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path)

    @property
    def origin(self) -> str:
        """What messages call it."""
        return str(self.path)

    @property
    def ending(self) -> str:
        """The ending of its name in lower case; of a folder, that of its frames."""
        first = self.frames[0] if self.frames else self.path
        return ".csv.gz" if first.name.lower().endswith(".csv.gz") else first.suffix.lower()

    @cached_property
    def frames(self) -> tuple[Path, ...]:
        """The files of the frames in their order; empty for a single file.

        Raises:
            FileError: the folder holds no frames, or those of several videos.
        """
        if self.path.is_file():
            return ()
        if self.path.is_dir():
            videos = frame_files(self.path)
            if len(videos) > 1:
                raise FileError(
                    f"{self.path} holds the frames of {len(videos)} videos ({', '.join(sorted(videos)[:3])}, ...). Read one as "
                    f"{self.path / min(videos)}, or put each into a folder of its own."
                )
            return next(iter(videos.values()), ())
        return frame_files(self.path.parent).get(self.path.name, ()) if self.path.parent.is_dir() else ()

    @cached_property
    def content(self) -> bytes:
        """All bytes of the file; of a folder, those of its first frame.

        Raises:
            ClipError: It cannot be read.
        """
        path = self.frames[0] if self.frames else self.path
        try:
            return path.read_bytes()
        except OSError as error:
            raise ClipError("unreadable", f"could not read {path}: {error.strerror or error}.") from error

    @cached_property
    def head(self) -> bytes:
        """The first bytes; none if it cannot be read."""
        path = self.frames[0] if self.frames else self.path
        try:
            with path.open("rb") as file:
                return file.read(_HEAD)
        except OSError:
            return b""

    @cached_property
    def text(self) -> str:
        """The text of the file.

        Raises:
            ClipError: It cannot be read, or is not UTF-8.
        """
        try:
            return decode_text(self.content, self.origin)
        except FileError as error:
            raise ClipError("malformed", str(error)) from error

    @cached_property
    def lines(self) -> list[str]:
        """The first lines, for recognition; decoding errors are ignored."""
        return self.head.decode("utf-8-sig", "replace").splitlines()[:50]

    @cached_property
    def json(self) -> Any:
        """The parsed JSON of the file; of a folder, that of its first frame. JSON Lines become a list.

        Raises:
            ClipError: It is not JSON.
        """
        return parse_json(self.text, self.origin)

    def frame_tables(self) -> Iterator[tuple[str, Any]]:
        """Yield (origin, parsed JSON) of every frame of a folder, or of the one file."""
        for path in self.frames or (self.path,):
            frame = ClipFile(path)
            yield frame.origin, frame.json


def parse_json(text: str, origin: str) -> Any:
    """Parse JSON, or JSON Lines as a list.

    Raises:
        ClipError: It is neither.
    """
    try:
        return safe_text.parse_json(text)
    except (ValueError, RecursionError) as error:
        rows = text.strip().splitlines()
        if len(rows) > 1 and all(row.startswith("{") and row.rstrip().endswith("}") for row in (rows[0], rows[-1])):
            try:
                return [safe_text.parse_json(row) for row in rows if row.strip()]
            except (ValueError, RecursionError):
                pass
        raise ClipError(
            "cut short", f"{origin} is not valid JSON ({error}); it may be cut short. Fetch or export it again."
        ) from error


def frame_files(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of frames in a folder, by the name of their video, ordered by frame number."""
    found: dict[str, dict[str, list[tuple[int, Path]]]] = {}
    for path in folder.iterdir():
        match = _FRAME_FILE.fullmatch(path.name)
        if match and path.is_file() and not path.name.startswith("."):
            video = match["clip"] or folder.name
            found.setdefault(video, {}).setdefault(match["ending"].lower(), []).append((int(match["frame"]), path))
    largest = {video: max(by_ending.values(), key=len) for video, by_ending in found.items()}
    return {video: tuple(path for _, path in sorted(frames)) for video, frames in largest.items()}


def parse_float(text: str) -> float:
    """Return a number as `float` does, but for underscores: Python reads 1_0 as 10.

    Raises:
        ValueError: The text is no number.
    """
    if "_" in text:
        raise ValueError(f"could not convert string to float: {text!r}")
    return float(text)


ReadFunction = Callable[[ClipFile, ReadOptions], Recording]


@dataclass(frozen=True)
class Reader:
    """A reader of clips.

    Attributes:
        described: What its files are, for help.
        endings: Of the files, in lower case with the dot.
        read: Reads one.
        recognizes: Tells by its content whether a file is of the format.
        frames: Whether a clip may also be a folder with a file for each frame.
        says_layout: Whether the format tells what the joints are.
        options: The `ReadOptions` that it uses, besides the layout.
    """

    described: str
    endings: tuple[str, ...]
    read: ReadFunction
    recognizes: Callable[[ClipFile], bool]
    frames: bool = False
    says_layout: bool = True
    options: frozenset[str] = frozenset({"scale", "up"})


READERS: Registry[Reader] = Registry("reader")


def register_reader(
    name: str,
    described: str,
    *,
    endings: tuple[str, ...],
    recognizes: Callable[[ClipFile], bool] | None = None,
    frames: bool = False,
    says_layout: bool = True,
) -> Callable[[ReadFunction], ReadFunction]:
    """Return a decorator that registers a function as the reader of a format.

    Args:
        name: What `prepare NAME` and messages call the format.
        described: What its files are, for help.
        endings: Of the files, in lower case with the dot.
        recognizes: Tells whether a file is of the format; by default every file with such an ending is.
        frames: Whether a clip may also be a folder with a file for each frame.
        says_layout: Whether the recordings name their layout. Without it users give one.
    """

    def decorate(function: ReadFunction) -> ReadFunction:
        recognize = recognizes or (lambda file: file.ending in endings)
        READERS.register(name)(Reader(described, endings, function, recognize, frames, says_layout))
        return function

    return decorate


def _builtin(
    name: str,
    described: str,
    endings: str,
    module: str,
    kind: str = "",
    *,
    frames: bool = False,
    says_layout: bool = True,
    options: str = "scale up",
) -> None:
    """Register a reader whose module is imported when it is used: its functions `read` and `recognizes`, with `_KIND` behind them."""
    suffix = f"_{kind}" if kind else ""

    def call(function: str, *args: Any) -> Any:
        return getattr(importlib.import_module(f"poseglot.data.readers.{module}"), function + suffix)(*args)

    reader = Reader(
        described,
        tuple(endings.split()),
        partial(call, "read"),
        partial(call, "recognizes"),
        frames,
        says_layout,
        frozenset(options.split()),
    )
    READERS.register(name)(reader)


# The readers of Poseglot. Where several share an ending, the first that recognizes a file reads it.
_ARRAYS = "scale up dim_order skip columns has_scores"
_builtin("nw-ucla-json", "a clip of NW-UCLA", ".json", "nw_ucla", "clip")
_builtin("ntu-skeleton", "a .skeleton file of NTU RGB+D", ".skeleton", "ntu")
# Pose estimators.
_builtin("openpose", "OpenPose, a JSON file for each frame", ".json", "openpose", frames=True)
_builtin("alphapose", "AlphaPose's results", ".json", "coco", "alphapose")
_builtin("coco", "COCO keypoint results or labels", ".json", "coco", "coco")
_builtin("mmpose", "MMPose's predictions", ".json", "mmpose")
_builtin("ultralytics", "Ultralytics, JSON", ".json", "ultralytics", "json", frames=True)
_builtin("ultralytics-txt", "Ultralytics' save_txt, a text file for each frame", ".txt", "ultralytics", "txt", frames=True)
_builtin("mediapipe", "MediaPipe's landmarks, JSON", ".json", "mediapipe", "json", options="scale up num_dims")
_builtin("mediapipe-csv", "landmarks of MediaPipe or FreeMoCap, CSV", ".csv", "mediapipe", "csv", options="scale up num_dims")
_builtin("rtmlib", "keypoints and scores of rtmlib", ".npz", "pose_arrays", "rtmlib")
_builtin("movenet", "outputs of MoveNet", ".npy", "pose_arrays", "movenet")
_builtin("deeplabcut-csv", "DeepLabCut's CSV", ".csv", "deeplabcut", "csv", says_layout=False)
_builtin("deeplabcut", "DeepLabCut's HDF5", ".h5", "deeplabcut", "h5", says_layout=False)
_builtin("sleap", "SLEAP projects and analysis files", ".slp .h5", "sleap", says_layout=False)
# Body trackers of depth cameras.
_builtin("azure-kinect", "Azure Kinect's body tracking, JSON", ".json", "body_tracking", "azure")
_builtin("zed", "ZED's body tracking, JSON", ".json", "body_tracking", "zed")
_builtin("kinect-v2", "Kinect v2's bodies, JSON", ".json", "body_tracking", "kinect2")
# Motion capture.
_builtin("bvh", "BVH motion capture", ".bvh", "bvh", says_layout=False)
_builtin("amc", "AMC motion with its ASF skeleton", ".amc", "asf_amc", says_layout=False)
_builtin("trc", "TRC markers", ".trc", "mocap", "trc", says_layout=False)
_builtin("c3d", "C3D markers", ".c3d", "mocap", "c3d", says_layout=False)
_builtin("motive", "Motive's CSV", ".csv", "mocap", "motive", says_layout=False)
# What is recognized by little.
_builtin("long-csv", "a table with a row for each joint", ".csv .csv.gz", "csv", "clip", says_layout=False)
_builtin("poses", "poses of a video, by `poseglot extract-poses`", ".npz", "poses", options="scale up has_scores num_dims")
_builtin("npy", "an array of one clip", ".npy", "arrays", says_layout=False, options=_ARRAYS)
_builtin("mat", "a MATLAB file of one clip", ".mat", "arrays", says_layout=False, options=_ARRAYS + " variable")
_builtin("txt", "a table of numbers", ".txt .csv .tsv .dat", "arrays", says_layout=False, options=_ARRAYS)


@dataclass(frozen=True, eq=False)
class Source:
    """An opened data set whose clips are not read yet.

    Attributes:
        benchmark: Name, class names, splits and pipeline.
        layout: What the joints are.
        has_scores: Whether the last channel of every clip is the confidence in each joint.
        clips: Every clip, or what is wrong with it, in the order of storing. Each is read when it is asked for.
        described: Where the clips come from, for people to read.
        skipped: Reason -> names of files that were left out on purpose.
        notes: What people should know before they rely on the set, in sentences.
    """

    benchmark: Benchmark
    layout: Layout
    has_scores: bool
    clips: Iterator[Clip | ClipIssue]
    described: Mapping[str, Any] = field(default_factory=dict)
    skipped: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetFormat:
    """A format of whole data sets.

    Attributes:
        described: What its sources are, for help.
        module: Has the function `read_source`; imported when it is used.
        options: Those of `open_source` that it takes.
        kind: Which format, where a module reads several.
        needs_layout: Whether nothing in it says what the joints are.
        several: Whether it may be spread over several sources.
        folder: Whether the source is a folder (or a zip of one).
    """

    described: str
    module: str
    options: frozenset[str]
    kind: str | None = None
    needs_layout: bool = False
    several: bool = False
    folder: bool = False


_CUSTOM = frozenset({"layout", "classes", "test_subjects"})
_FILES = _CUSTOM | {"has_scores", "names", "dim_order", "skip", "columns", "scale", "up", "fps"}
_SETS: Mapping[str, SetFormat] = {
    "pyskl": SetFormat("a .pkl file of PYSKL or MMAction2", "pyskl", frozenset({"layout", "classes"})),
    "npz": SetFormat("an .npz file of CTR-GCN (x_train, y_train, x_test, y_test)", "npz", frozenset({"classes"})),
    "st-gcn": SetFormat(
        "a folder of ST-GCN's arrays (N, C, T, V, M) with their label pickles",
        "st_gcn",
        frozenset({"layout", "classes"}),
        folder=True,
    ),
    "csv": SetFormat(".csv or .csv.gz files with a row for each joint", "csv", _CUSTOM, needs_layout=True, several=True),
    "npy": SetFormat("a folder of .npy files, one clip each", "arrays", _FILES, "npy", needs_layout=True, folder=True),
    "mat": SetFormat(
        "a folder of MATLAB files, one clip each", "arrays", _FILES | {"variable"}, "mat", needs_layout=True, folder=True
    ),
    "txt": SetFormat("a folder of tables of numbers, one clip each", "arrays", _FILES, "txt", needs_layout=True, folder=True),
}


def set_formats() -> dict[str, SetFormat]:
    """Return the formats of data sets: those that are a set by themselves, then folders of files of any reader."""
    found = dict(_SETS)
    for name, reader in READERS.items():
        if name not in found:
            options = _CUSTOM | {"names", "fps"} | (reader.options - {"dim_order", "skip", "columns"})
            found[name] = SetFormat(
                f"a folder of files: {reader.described}",
                "folder",
                options,
                name,
                needs_layout=not reader.says_layout,
                folder=True,
            )
    return found
