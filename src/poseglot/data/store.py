"""The packed store: every frame of every clip in one flat array, and a table of the clips.

    store.json    format, layout, protocol, class names, splits, and where it all came from (readable)
    clips.npy     the table, one row a clip (structured array, no pickle)
    joints.npy    (rows, V, C) float32 or float16; a clip of M people and T frames has M * T consecutive rows, person by person

Padded arrays of NTU RGB+D 120 take 20.5 GB that must be held in memory; packed they take 3 GB that need not be: `joints.npy` is
memory-mapped. A store is written beside its destination and renamed when complete, so a half-written one is never opened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import Benchmark, SplitRule
from poseglot.data.store_writer import DTYPES, FILES, FORMAT, DType, StoreWriter
from poseglot.errors import PoseglotError
from poseglot.files import folder_written_atomically, load_array
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StoreInfo:
    """What `store.json` says.

    Attributes:
        name: of the data set; a run remembers it.
        layout: its name, or the whole table of a user's own (see `Layout.described`).
        protocol, classes, splits: as in `Benchmark`.
        source: where the clips came from, for people to read (file names, hashes, counts).
        scored: whether the last channel is the confidence in each joint.
    """

    name: str
    layout: str | Mapping[str, Any]
    pipeline: str
    classes: tuple[str, ...]
    splits: Mapping[str, SplitRule]
    source: Mapping[str, Any]
    has_scores: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """Raw clips, padded to the longest and the most people in the batch.

    Attributes:
        joints: (N, M, T, V, C) float32.
        frames, people, label: (N,) int64.
    """

    joints: Tensor
    frames: Tensor
    people: Tensor
    label: Tensor


class PackedStore:
    """An opened store; clips are read from disk as they are asked for.

    Attributes:
        info: see `StoreInfo`.
        clips: the table, with fields name, offset, frames, people, label, subject, camera, setup.
        joints: (rows, V, C), float32 or float16, memory-mapped.
    """

    def __init__(self, info: StoreInfo, clips: npt.NDArray[Any], joints: npt.NDArray[np.floating[Any]]) -> None:
        self.info = info
        self.clips = clips
        self.joints = joints

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def max_persons(self) -> int:
        """The most people that a clip of this store has."""
        return int(self.clips["num_persons"].max())

    def subset(self, split: str, subset: str) -> npt.NDArray[np.int64]:
        """Which clips belong to a side (`train` or `test`) of a split, in the order of the table.

        Raises:
            PoseglotError: no such split, or nothing in it.
        """
        chosen = np.flatnonzero(self.belongs(split, subset))
        if not len(chosen):
            fields = ", ".join(self.info.splits[split][subset])
            raise PoseglotError(
                f"no clip of {self.info.name} is in the {subset} side of split {split!r}, which goes by {fields}."
            )
        return chosen

    def belongs(self, split: str, subset: str) -> npt.NDArray[np.bool_]:
        """(clips,) whether each is in a side (`train` or `test`) of a split.

        Raises:
            PoseglotError: no such split.
        """
        if split not in self.info.splits:
            raise PoseglotError(f"{self.info.name} has no split {split!r}; there are {', '.join(self.info.splits)}.")
        chosen = np.ones(len(self), dtype=bool)
        for field, values in self.info.splits[split][subset].items():
            chosen &= np.isin(self.clips[field], values)
        return chosen

    def clip(self, place: int) -> Clip:
        """One clip by its place in the table."""
        row = self.clips[place]
        people, frames, offset = int(row["num_persons"]), int(row["frames"]), int(row["offset"])
        rows = self.joints[offset : offset + people * frames]
        joints: Joints = np.array(rows, dtype=np.float32).reshape(people, frames, *rows.shape[1:])
        fields = {field: int(row[field]) for field in ("label", "subject", "camera", "setup")}
        return Clip(joints, name=str(row["name"]), has_scores=self.info.has_scores, **fields)

    def contents(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """A hash of the joints of each of some clips: those of equal clips, whatever they are called, are equal."""
        hashes = np.empty(len(places), dtype=np.uint64)
        for number, row in enumerate(self.clips[places]):
            people, frames, offset = int(row["num_persons"]), int(row["frames"]), int(row["offset"])
            joints = np.ascontiguousarray(self.joints[offset : offset + people * frames])
            described = b"%d %d " % (people, frames) + joints.tobytes()
            hashes[number] = int.from_bytes(hashlib.blake2b(described, digest_size=8).digest())
        return hashes

    def batch(self, places: npt.NDArray[np.int64]) -> Batch:
        """Some clips as one padded batch, by a single indexed read."""
        import torch  # here, so that preparing and inspecting data do without the seconds that it takes to load

        rows = self.clips[places]
        frames, people = rows["frames"].astype(np.int64), rows["num_persons"].astype(np.int64)
        person = np.minimum(np.arange(people.max()), people[:, None] - 1)
        frame = np.minimum(np.arange(frames.max()), frames[:, None] - 1)
        where = rows["offset"][:, None, None] + person[:, :, None] * frames[:, None, None] + frame[:, None, :]
        return Batch(
            joints=torch.from_numpy(np.asarray(self.joints[where], dtype=np.float32)),
            frames=torch.from_numpy(frames),
            people=torch.from_numpy(people),
            label=torch.from_numpy(rows["label"].astype(np.int64)),
        )


def write_store(
    path: Path,
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

    Clips go to the disk as they come, so an iterator of any length needs the memory of one clip.

    Raises:
        PoseglotError: `path` exists, two clips share a name, there is no clip, or the disk refused; nothing is left then.
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
    """What a store of a benchmark's clips says of itself."""
    return StoreInfo(
        benchmark.name, layout.described(), benchmark.pipeline, benchmark.classes, benchmark.splits, source, has_scores
    )


def open_store(path: Path) -> PackedStore:
    """Open a store; its frames stay on the disk.

    Raises:
        PoseglotError: not a store, or its files do not fit together.
    """
    for name in FILES:
        if not (path / name).is_file():
            raise PoseglotError(
                f"{path} is not a packed store ({name} is missing). Make one with `poseglot prepare NAME --source ... --out {path}`."
            )
    try:
        described = json.loads((path / "store.json").read_text())
        if described.pop("format", None) != FORMAT:
            raise PoseglotError(f"{path / 'store.json'} is not of the format {FORMAT}; prepare the data again.")
        info = StoreInfo(**{**described, "classes": tuple(described["classes"])})
        clips, joints = np.array(load_array(path / "clips.npy")), load_array(path / "joints.npy")
        if joints.dtype.str not in DTYPES.values() or joints.ndim != 3:
            raise PoseglotError(f"joints.npy holds {joints.dtype} numbers of shape {joints.shape}")
        ends = clips["offset"] + clips["frames"].astype(np.int64) * clips["num_persons"]
        if not len(clips) or ends.max() != len(joints) or clips["offset"].min() != 0 or clips["frames"].min() < 1:
            raise PoseglotError(f"the table does not fit the {len(joints)} rows of joints.npy")
        _ = clips[["name", "label", "subject", "camera", "setup"]]
    except (PoseglotError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
        raise PoseglotError(f"{path} is a damaged store ({error}); prepare the data again with --overwrite.") from error
    return PackedStore(info, clips, joints)
