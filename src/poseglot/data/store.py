"""The packed store: every frame of every clip in one flat array, and a table of the clips.

    store.json    format, layout, pipeline, class names, splits, and the source of the data (readable)
    clips.npy     the table, one row per clip (structured array, no pickle)
    joints.npy    (rows, V, C) float32 or float16; a clip of M people and T frames has M * T consecutive rows, person by person

Padded arrays of NTU RGB+D 120 take 20.5 GB that must be held in memory. Packed they take 3 GB, and `joints.npy` is memory-mapped.

`StoreWriter` writes frames to disk as they come and keeps only the table in memory (about 40 MB for NTU RGB+D 120). Its journal lets an
interrupted preparation (Ctrl-C, a full disk, a power cut) resume: what lies behind the last checkpoint is cut off. A folder is a store
only when it is finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import EXCLUDED, Benchmark, SplitRule
from poseglot.data.quality.issues import ClipError
from poseglot.errors import FileError, InputError, NotFoundError, PoseglotError
from poseglot.files import file_written_atomically, folder_written_atomically, load_array, write_atomically
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout, load_layout

Indices = npt.NDArray[np.int64]
# How coordinates are stored. float16 halves the size and is exact to half a millimetre within a metre of the origin.
DType = Literal["float32", "float16"]

FORMAT = "poseglot-store/2"
FILES = ("store.json", "clips.npy", "joints.npy")
REPORT_FILE = "preparation.json"  # written beside the store by `prepare`

_DTYPES = {"float32": "<f4", "float16": "<f2"}
_FIELDS: list[tuple[str, str]] = [
    ("offset", "i8"),
    ("frames", "i4"),
    ("num_persons", "i4"),
    ("label", "i4"),
    ("subject", "i4"),
    ("camera", "i4"),
    ("setup", "i4"),
]
_JOURNAL = "journal.jsonl"
_HEADER = 128  # bytes


@dataclass(frozen=True)
class StoreInfo:
    """The content of `store.json`.

    Attributes:
        name: The name of the data set; a run remembers it.
        layout: The layout's name, or the whole table of a user's own (see `Layout.described`).
        pipeline, classes, splits: As in `Benchmark`.
        source: The origin of the clips, for people to read (file names, hashes, counts).
        has_scores: Whether the last channel is the confidence in each joint.
        people: Number of a person -> name, of a set whose people have names.
    """

    name: str
    layout: str | Mapping[str, Any]
    pipeline: str
    classes: tuple[str, ...]
    splits: Mapping[str, SplitRule]
    source: Mapping[str, Any]
    has_scores: bool = False
    people: Mapping[str, str] = field(default_factory=dict)


class PackedStore:
    """An opened store. Clips are read from disk when they are requested.

    `len(store)` is the number of clips, `store[i]` a `Clip`.

    Attributes:
        info: The content of `store.json`.
        clips: The table, with the columns name, offset, frames, num_persons, label, subject, camera, setup.
        joints: (rows, V, C), float32 or float16, memory-mapped. A FileError is raised if the file has been cut short meanwhile.
        path: The folder, if the store was opened from one.
    """

    def __init__(
        self,
        info: StoreInfo,
        clips: npt.NDArray[Any],
        joints: npt.NDArray[np.floating[Any]],
        path: Path | None = None,
    ) -> None:
        self.info = info
        self.clips = clips
        self._joints = joints
        self.path = path

    def __repr__(self) -> str:
        frames, size = len(self.joints), "x".join(map(str, self.joints.shape[1:]))
        where = f" at {self.path}" if self.path else ""
        return (
            f"PackedStore({self.info.name!r}{where}: {len(self):,} clips, {len(self.classes)} classes, {frames:,} frames of "
            f"{self.layout.name} ({size} {self.joints.dtype}), splits {', '.join(self.info.splits)})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # A process that receives the store maps the file again instead of receiving a copy of all frames.
        if self.path is not None:
            return open_store, (self.path,)
        return type(self), (self.info, self.clips, np.asarray(self.joints))

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        """Read a clip by its index in the table."""
        row = self.clips[index]
        fields = {field: int(row[field]) for field in ("label", "subject", "camera", "setup")}
        joints: Joints = np.array(self._rows(row), dtype=np.float32)
        self._check_finite(joints, [index])
        return Clip(joints, name=str(row["name"]), has_scores=self.info.has_scores, **fields)

    def __iter__(self) -> Iterator[Clip]:
        return (self[index] for index in range(len(self)))

    @property
    def joints(self) -> npt.NDArray[np.floating[Any]]:
        mapped = getattr(self._joints, "_mmap", None)
        # Reading behind the end of a mapped file ends the process (SIGBUS).
        if mapped is not None and mapped.size() < self._joints.nbytes:
            raise FileError(f"{self.path} was cut short while it was being read. Prepare the data again with --overwrite.")
        return self._joints

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the labels."""
        return self.info.classes

    @cached_property
    def layout(self) -> Layout:
        """The layout of the joints."""
        return load_layout(self.info.layout)

    @property
    def max_persons(self) -> int:
        """The largest number of people in a clip."""
        return int(self.clips["num_persons"].max())

    def subset(self, split: str, subset: str) -> Indices:
        """Return the indices of the clips in a subset (`train` or `test`) of a split, in table order.

        Raises:
            NotFoundError: There is no such split or subset.
            InputError: The subset is empty.
        """
        chosen = np.flatnonzero(self.subset_mask(split, subset))
        if not len(chosen):
            fields = ", ".join(self.info.splits[split][subset])
            raise InputError(
                f"no clip of {self.info.name} is in the {subset} set of split {split!r}, which selects by {fields}."
            )
        return chosen

    def subset_mask(self, split: str, subset: str) -> npt.NDArray[np.bool_]:
        """Return (clips,) bool: which clips are in a subset (`train` or `test`) of a split.

        Raises:
            NotFoundError: There is no such split or subset.
        """
        if split not in self.info.splits:
            raise NotFoundError(split, self.info.splits, kind=f"split of {self.info.name}")
        if subset not in self.info.splits[split]:
            raise NotFoundError(subset, self.info.splits[split], kind=f"subset of split {split}")
        chosen = np.ones(len(self), dtype=bool)
        for column, values in self.info.splits[split][subset].items():
            excluded = column == EXCLUDED
            chosen &= ~np.isin(self.clips["name"], values) if excluded else np.isin(self.clips[column], values)
        return chosen

    def content_hashes(self, indices: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> npt.NDArray[np.uint64]:
        """Return a hash of the joints of each clip, as they are stored or rounded to `dtype`, whatever the clip's name."""
        rows = self.clips[np.asarray(indices)]
        hashes = np.empty(len(rows), dtype=np.uint64)
        for number, row in enumerate(rows):
            joints = np.ascontiguousarray(self._rows(row), dtype)
            content = b"%d %d " % joints.shape[:2] + joints.tobytes()
            hashes[number] = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
        return hashes

    def read_batch(self, indices: npt.ArrayLike) -> tuple[Joints, Indices, Indices]:
        """Read clips as one padded batch, by a single indexed read.

        Returns:
            Joints (N, M, T, V, C) float32, padded to the most people and frames of these clips by repeating the last; frames (N,); and
            num_persons (N,).
        """
        rows = self.clips[np.asarray(indices)]
        frames, num_persons = rows["frames"].astype(np.int64), rows["num_persons"].astype(np.int64)
        person = np.minimum(np.arange(num_persons.max()), num_persons[:, None] - 1)
        frame = np.minimum(np.arange(frames.max()), frames[:, None] - 1)
        where = rows["offset"][:, None, None] + person[:, :, None] * frames[:, None, None] + frame[:, None, :]
        joints: Joints = np.asarray(self.joints[where], dtype=np.float32)
        self._check_finite(joints, np.asarray(indices).tolist())
        return joints, frames, num_persons

    def _check_finite(self, joints: Joints, indices: Sequence[int]) -> None:
        if not np.isfinite(joints).all():
            whole = np.isfinite(joints).reshape(len(indices), -1).all(axis=1)
            name = self.clips["name"][indices[int(np.argmin(whole))]]
            raise InputError(
                f"clip {name} of {self.path or self.info.name} has coordinates that are NaN or infinite. Prepare the data again."
            )

    def _rows(self, row: Any) -> npt.NDArray[np.floating[Any]]:
        """Return the joints of a row of the table, (M, T, V, C) in the store's dtype."""
        num_persons, frames, offset = int(row["num_persons"]), int(row["frames"]), int(row["offset"])
        rows = self.joints[offset : offset + num_persons * frames]
        return rows.reshape(num_persons, frames, *rows.shape[1:])


def is_store(path: str | Path) -> bool:
    """Tell whether a folder is a packed store."""
    return all((Path(path) / name).is_file() for name in FILES)


def open_store(path: str | Path) -> PackedStore:
    """Open a store. Its frames stay on disk.

    Raises:
        FileError: The folder is not a store, or its files are damaged or contradict each other.
    """
    path = Path(path)
    for name in FILES:
        if not (path / name).is_file():
            source = "demo" if path.name == "demo" else "NAME --source ..."
            raise FileError(
                f"{path} is not a packed store ({name} is missing). Make one with `poseglot prepare {source} --out {path}`."
            )
    try:
        described = json.loads((path / "store.json").read_text())
        if described.pop("format", None) != FORMAT:
            raise FileError(f"{path / 'store.json'} is not of the format {FORMAT}")
        info = _checked(described)
        clips, joints = np.array(load_array(path / "clips.npy")), load_array(path / "joints.npy")
        if joints.dtype.str not in _DTYPES.values() or joints.ndim != 3:
            raise FileError(f"joints.npy holds {joints.dtype} numbers of shape {joints.shape}")
        _check_table(info, clips, joints)
    except (PoseglotError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, RecursionError) as error:
        raise FileError(f"{path} is a damaged store ({error}). Prepare the data again with --overwrite.") from error
    return PackedStore(info, clips, joints, path)


def _checked(described: Mapping[str, Any]) -> StoreInfo:
    """Return the content of `store.json`, with the types that it must have.

    Raises:
        FileError: An entry has another type.
        TypeError, KeyError: An entry is missing or unknown.
    """
    info = StoreInfo(**{**described, "classes": tuple(described["classes"])})
    texts = (info.name, info.pipeline, *info.classes)
    kinds = {"subject": int, "camera": int, "setup": int, "name": str, "label": int, EXCLUDED: str}
    if not all(isinstance(text, str) for text in texts) or len(set(info.classes)) < len(info.classes) or not info.classes:
        raise FileError("store.json needs texts for name and pipeline, and different texts for classes")
    if not isinstance(info.has_scores, bool) or not isinstance(info.source, dict):
        raise FileError("store.json needs true or false for has_scores, and a table for source")
    for split, subsets in info.splits.items():
        for subset, rule in subsets.items():
            for column, values in rule.items():
                if subset not in ("train", "test") or not all(type(value) is kinds[column] for value in values):
                    raise FileError(f"the split {split!r} of store.json has an unknown subset or value")
    return info


def _check_table(info: StoreInfo, clips: npt.NDArray[Any], joints: npt.NDArray[Any]) -> None:
    """Check that `store.json`, the table and the joints fit together.

    Raises:
        FileError: They do not.
    """
    kinds = {name: clips.dtype[name].kind for name in clips.dtype.names or ()}
    if clips.ndim != 1 or kinds != {"name": "U", **{name: "i" for name, _ in _FIELDS}}:
        raise FileError(f"clips.npy holds {clips.dtype} of shape {clips.shape}, which is no table of clips")
    lengths = clips["frames"].astype(np.int64) * clips["num_persons"]
    ends = np.cumsum(lengths)
    if (
        not len(clips)
        or min(clips["frames"].min(), clips["num_persons"].min()) < 1
        or ends[-1] != len(joints)
        or (clips["offset"] != ends - lengths).any()
    ):
        raise FileError(f"the table does not fit the {len(joints)} rows of joints.npy")
    if clips["label"].min() < -1 or clips["label"].max() >= len(info.classes):
        raise FileError(f"labels from {clips['label'].min()} to {clips['label'].max()} for {len(info.classes)} classes")
    if len(set(clips["name"].tolist())) < len(clips):
        raise FileError("the table has a name twice")
    layout = load_layout(info.layout)
    if joints.shape[1] != len(layout) or joints.shape[2] - info.has_scores not in (2, 3):
        raise FileError(
            f"joints.npy has {joints.shape[1]} joints of {joints.shape[2]} numbers, which do not fit layout {layout.name}"
            f"{' with scores' if info.has_scores else ''}"
        )


def write_store(
    path: str | Path,
    clips: Iterable[Clip],
    *,
    benchmark: Benchmark,
    layout: Layout,
    source: Mapping[str, Any],
    has_scores: bool = False,
    dtype: DType = "float32",
    overwrite: bool = False,
) -> PackedStore:
    """Write clips to a new store and open it.

    Clips are written as they come, so an iterator of any length needs the memory of one clip.

    Raises:
        FileError: `path` exists, or the disk refused. Nothing is left then.
        InputError: Two clips have the same name, or there is no clip. Nothing is left then.
    """
    with (
        folder_written_atomically(path, overwrite=overwrite) as folder,
        closing(StoreWriter(folder, joint_count=len(layout), class_count=len(benchmark.classes), dtype=dtype)) as writer,
    ):
        for clip in clips:
            writer.add(clip)
        writer.finish(store_info(benchmark, layout, source=source, has_scores=has_scores))
    return open_store(path)


def store_info(benchmark: Benchmark, layout: Layout, *, source: Mapping[str, Any], has_scores: bool = False) -> StoreInfo:
    """Return the `StoreInfo` of a store of a benchmark's clips."""
    return StoreInfo(
        benchmark.name,
        layout.described(),
        benchmark.pipeline,
        benchmark.classes,
        benchmark.splits,
        source,
        has_scores,
        benchmark.people,
    )


class StoreWriter:
    """A store that is being written into a folder.

    Args:
        folder: An existing folder that is empty, or holds what an earlier writer's `checkpoint` left there.
        joint_count, class_count: The required number of joints, and the number of classes.
        dtype: The type of the coordinates on disk.

    Attributes:
        notes: The notes given to `checkpoint` so far, by this writer and the one before it.
    """

    def __init__(self, folder: Path, *, joint_count: int, class_count: int, dtype: DType = "float32") -> None:
        self._folder = folder
        self._joint_count, self._class_count = joint_count, class_count
        self._dtype = np.dtype(_DTYPES[dtype])
        self._names: dict[str, None] = {}  # an ordered set
        self._rows: list[tuple[int, ...]] = []
        self._offset, self._channels = 0, 0
        self._saved = 0
        self.notes: list[Any] = []
        self._read_journal()
        self._file = self._open()

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"StoreWriter({str(self._folder)!r}, {len(self):,} clips)"

    def add(self, clip: Clip) -> None:
        """Append a clip.

        Raises:
            ClipError: The clip does not fit the store, its name is taken, or float16 cannot hold one of its values.
            OSError: The disk refused.
        """
        num_persons, frames, joints, channels = clip.joints.shape
        expected = self._channels or channels
        if (joints, channels) != (self._joint_count, expected) or not -1 <= clip.label < self._class_count:
            raise ClipError(
                "joint count" if joints != self._joint_count else "malformed",
                f"{clip.name}: {joints} joints of {channels} numbers and label {clip.label} do not fit a store of {self._joint_count} "
                f"joints of {expected} numbers and {self._class_count} classes.",
            )
        if clip.name in self._names:
            raise ClipError("duplicate", f"the clip name {clip.name} appears twice; names must be unique within a store.")
        if not np.isfinite(clip.joints).all():
            raise ClipError("not finite", f"{clip.name} has coordinates that are NaN or infinite.")
        if self._dtype.itemsize == 2 and np.abs(clip.joints).max() > np.finfo(np.float16).max:
            raise ClipError(
                "malformed", f"{clip.name} has coordinates beyond 65,504, which float16 cannot hold; store it as float32."
            )
        self._channels = channels
        self._names[clip.name] = None
        self._rows.append((self._offset, frames, num_persons, clip.label, clip.subject, clip.camera, clip.setup))
        self._file.write(np.ascontiguousarray(clip.joints, dtype=self._dtype).tobytes())
        self._offset += num_persons * frames

    def checkpoint(self, note: Any) -> None:
        """Record in the journal that all clips so far are safely on disk, with a note of the caller's (JSON)."""
        self._file.flush()
        os.fsync(self._file.fileno())
        entry = {
            "channels": self._channels,
            "names": list(self._names)[self._saved :],
            "rows": self._rows[self._saved :],
            "note": note,
        }
        with (self._folder / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry, separators=(",", ":")) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        self._saved = len(self._rows)
        self.notes.append(note)

    def finish(self, info: StoreInfo) -> None:
        """Turn the folder into a store.

        Raises:
            InputError: There is no clip.
            OSError: The disk refused.
        """
        if not self._rows:
            raise InputError("there is no clip to store.")
        self._file.seek(0)
        self._file.write(_npy_header((self._offset, self._joint_count, self._channels), self._dtype))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        with file_written_atomically(self._folder / "clips.npy") as table:
            np.save(table, self.table(), allow_pickle=False)
        write_atomically(self._folder / "store.json", json.dumps({"format": FORMAT, **asdict(info)}, indent=1) + "\n")
        (self._folder / _JOURNAL).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file of frames."""
        self._file.close()

    def _read_journal(self) -> None:
        """Restore what an earlier writer recorded. An incomplete last line is dropped."""
        journal = self._folder / _JOURNAL
        if not journal.exists():
            return
        complete = [line for line in journal.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        for line in complete:
            entry = json.loads(line)
            self._channels = entry["channels"]
            self._names.update(dict.fromkeys(entry["names"]))
            self._rows += [tuple(row) for row in entry["rows"]]
            self.notes.append(entry["note"])
        self._saved = len(self._rows)
        if self._rows:
            offset, frames, num_persons = self._rows[-1][:3]
            self._offset = offset + frames * num_persons
        os.truncate(journal, sum(len(line.encode()) for line in complete))

    def _open(self) -> BinaryIO:
        """Open the file of frames at its end. Room for the header is reserved, because the number of rows is known last."""
        path = self._folder / "joints.npy"
        path.touch()
        end = _HEADER + self._offset * self._joint_count * self._channels * self._dtype.itemsize
        file = path.open("r+b")
        if file.seek(0, os.SEEK_END) < end and self._offset:
            file.close()
            raise FileError(f"{path} is shorter than its journal says. Remove {self._folder} and start again.")
        file.truncate(end)
        file.seek(end)
        return file

    def table(self) -> npt.NDArray[Any]:
        """Return the table of the clips so far."""
        table = np.zeros(len(self._rows), dtype=[("name", f"U{max(map(len, self._names))}"), *_FIELDS])
        table["name"] = list(self._names)
        for (name, _), column in zip(_FIELDS, zip(*self._rows, strict=True), strict=True):
            table[name] = column
        return table


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the first 128 bytes of a .npy file."""
    described = repr({"descr": dtype.str, "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + described.ljust(_HEADER - 11).encode() + b"\n"
