"""Writing a packed store clip by clip, in a folder that is no store until it is finished.

Frames go to the disk as they come; the table of the clips is kept in memory (some 40 MB for NTU RGB+D 120). From time to time the
writer notes in a journal how far it is, so that a preparation that was stopped - by Ctrl-C, a full disk, a power cut - can go
on there: what lies behind the last note is cut off.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip

if TYPE_CHECKING:
    from poseglot.data.store import StoreInfo

FORMAT = "poseglot-store/2"
# What a store's folder holds, and what `prepare` says beside it of how the store was made.
FILES = ("store.json", "clips.npy", "joints.npy")
REPORT_FILE = "preparation.json"


def is_store(path: Path) -> bool:
    """Whether a folder is a packed store."""
    return all((path / name).is_file() for name in FILES)


# How coordinates are stored: float16 takes half the space and is exact to half a millimetre within a metre of the origin.
DType = Literal["float32", "float16"]
DTYPES = {"float32": "<f4", "float16": "<f2"}
FIELDS: list[tuple[str, str]] = [
    ("offset", "i8"),
    ("frames", "i4"),
    ("num_persons", "i4"),
    ("label", "i4"),
    ("subject", "i4"),
    ("camera", "i4"),
    ("setup", "i4"),
]
_JOURNAL = "journal.jsonl"
_HEADER = 128


class StoreWriter:
    """A store being written into `folder`.

    Args:
        folder: exists, and is empty or holds what an earlier writer with a journal left there.
        joint_count, class_count: what the clips must have.
        dtype: of the coordinates on the disk.

    Attributes:
        notes: what `note` was told so far, by this writer or the one before it.
    """

    def __init__(self, folder: Path, *, joint_count: int, class_count: int, dtype: DType = "float32") -> None:
        self._folder = folder
        self._joint_count, self._class_count = joint_count, class_count
        self._dtype = np.dtype(DTYPES[dtype])
        self._names: dict[str, None] = {}  # an ordered set
        self._rows: list[tuple[int, ...]] = []
        self._offset, self._channels = 0, 0
        self._noted = 0
        self.notes: list[Any] = []
        self._read_journal()
        self._file = self._open()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, clip: Clip) -> None:
        """Append a clip.

        Raises:
            ClipError: it does not fit the store, its name is taken, or it has a value that float16 cannot hold.
            OSError: the disk refused.
        """
        people, frames, joints, channels = clip.joints.shape
        expected = self._channels or channels
        if (joints, channels) != (self._joint_count, expected) or not -1 <= clip.label < self._class_count:
            raise ClipError(
                "joint count" if joints != self._joint_count else "malformed",
                f"{clip.name}: {joints} joints of {channels} numbers and label {clip.label} do not fit a store of {self._joint_count} "
                f"joints of {expected} numbers and {self._class_count} classes.",
            )
        if clip.name in self._names:
            raise ClipError("duplicate", f"the clip name {clip.name} appears twice; names must be unique within a store.")
        if self._dtype.itemsize == 2 and np.abs(clip.joints).max() > np.finfo(np.float16).max:
            raise ClipError(
                "malformed", f"{clip.name} has coordinates beyond 65,504, which float16 cannot hold; store it as float32."
            )
        self._channels = channels
        self._names[clip.name] = None
        self._rows.append((self._offset, frames, people, clip.label, clip.subject, clip.camera, clip.setup))
        self._file.write(np.ascontiguousarray(clip.joints, dtype=self._dtype).tobytes())
        self._offset += people * frames

    def note(self, note: Any) -> None:
        """Write down that all clips so far are safe on the disk, and something of the caller's (JSON) with it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        entry = {
            "channels": self._channels,
            "names": list(self._names)[self._noted :],
            "rows": self._rows[self._noted :],
            "note": note,
        }
        with (self._folder / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry, separators=(",", ":")) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        self._noted = len(self._rows)
        self.notes.append(note)

    def finish(self, info: StoreInfo) -> None:
        """Complete the folder to a store.

        Raises:
            PoseglotError: there is no clip.
            OSError: the disk refused.
        """
        if not self._rows:
            raise PoseglotError("there is no clip to store.")
        self._file.seek(0)
        self._file.write(_npy_header((self._offset, self._joint_count, self._channels), self._dtype))
        self.close()
        np.save(self._folder / "clips.npy", self._table(), allow_pickle=False)
        (self._folder / "store.json").write_text(json.dumps({"format": FORMAT, **asdict(info)}, indent=1) + "\n")
        (self._folder / _JOURNAL).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _read_journal(self) -> None:
        """Take up what an earlier writer noted; a line that was being written when it was stopped does not count."""
        journal = self._folder / _JOURNAL
        if not journal.exists():
            return
        whole = [line for line in journal.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        for line in whole:
            entry = json.loads(line)
            self._channels = entry["channels"]
            self._names.update(dict.fromkeys(entry["names"]))
            self._rows += [tuple(row) for row in entry["rows"]]
            self.notes.append(entry["note"])
        self._noted = len(self._rows)
        if self._rows:
            offset, frames, people = self._rows[-1][:3]
            self._offset = offset + frames * people
        os.truncate(journal, sum(len(line.encode()) for line in whole))

    def _open(self) -> BinaryIO:
        """The file of the frames, at its end; the header's place is kept free, as the number of rows is known last."""
        path = self._folder / "joints.npy"
        path.touch()
        end = _HEADER + self._offset * self._joint_count * self._channels * self._dtype.itemsize
        file = path.open("r+b")
        if file.seek(0, os.SEEK_END) < end and self._offset:
            file.close()
            raise PoseglotError(f"{path} is shorter than its journal says; remove {self._folder} and begin anew.")
        file.truncate(end)
        file.seek(end)
        return file

    def _table(self) -> npt.NDArray[Any]:
        table = np.zeros(len(self._rows), dtype=[("name", f"U{max(map(len, self._names))}"), *FIELDS])
        table["name"] = list(self._names)
        for (field, _), column in zip(FIELDS, zip(*self._rows, strict=True), strict=True):
            table[field] = column
        return table


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The first 128 bytes of a .npy file."""
    described = repr({"descr": dtype.str, "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + described.ljust(_HEADER - 11).encode() + b"\n"
