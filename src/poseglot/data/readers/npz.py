"""`NTU60_CS.npz` and the like: NTU RGB+D as CTR-GCN (Chen et al., ICCV 2021) and its successors store it for training.

    x_train, x_test   (N, 300, 150) float32: 300 frames, of two people, 25 joints and x, y, z each; zero after a clip's last frame, and
                      for an absent person; already centred
    y_train, y_test   (N, classes), one-hot

The file of NTU RGB+D 120 is 11 GB. It is read as a stream, one clip at a time.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import Benchmark, load_benchmark
from poseglot.data.manifest import class_names, clip_joints, clip_or_issue
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.formats import Source
from poseglot.data.splits import by_names
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

SUBSETS = ("train", "test")
PERSONS, JOINTS, DIMS = 2, 25, 3
_MAX_SIZE = 10_000  # frames or classes; a larger number is a damaged header


@dataclass(frozen=True)
class _Stream:
    """An array in the zip. Its header has been read; the rows follow."""

    name: str
    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def rows(self) -> Iterator[npt.NDArray[Any]]:
        size = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        for number in range(self.shape[0]):
            content = self.file.read(size)
            if len(content) < size:
                raise FileError(
                    f"{self.name} is cut short: row {number} of {self.shape[0]} is not whole. Fetch the file again."
                )
            yield np.frombuffer(content, self.dtype).reshape(self.shape[1:])
        if self.file.read(1):  # zipfile checks the checksum at the end of an array
            raise FileError(f"{self.name} holds more than the {self.shape[0]} rows that it says. Fetch the file again.")


def stored_rows(path: Path) -> Iterator[tuple[str, int, npt.NDArray[np.float32]]]:
    """Yield every row of the file, training set first.

    Yields:
        The subset (`train` or `test`), the label (-1 where the row of y is not one-hot), and the row of x, (300, 150) float32.

    Raises:
        FileError: The file is missing, cut short, or not of this form.
    """
    for subset in SUBSETS:
        with _arrays(path, subset) as (x, y):
            for row, one_hot in zip(x.rows(), y.rows(), strict=True):
                label = int(one_hot.argmax())
                is_one_hot = one_hot[label] == 1 and np.count_nonzero(one_hot) == 1
                yield subset, label if is_one_hot else -1, row.astype(np.float32, copy=False)


def read_source(sources: Sequence[Path], *, name: str, classes: Sequence[str] | None = None) -> Source:
    """Open the clips of the file, with its two subsets as the split `as-given`.

    A clip ends with its last frame that is not zero. A second person who is zero throughout is dropped.

    Args:
        sources: The file.
        name: Of the data set.
        classes: Their names; by default those of NTU RGB+D 60 or 120 if there are as many, else "class i".

    Raises:
        FileError: The file is missing, cut short, or not of this form.
    """
    path = sources[0]
    sizes: dict[str, int] = {}
    widths: set[int] = set()
    for subset in SUBSETS:
        with _arrays(path, subset) as (x, y):
            sizes[subset] = x.shape[0]
            widths.add(y.shape[1])
    if len(widths) > 1:
        raise FileError(f"{path}: y_train and y_test are of different widths ({', '.join(map(str, sorted(widths)))} classes).")
    layout = load_layout("ntu25")
    benchmark = Benchmark(
        name=name,
        layout=layout.name,
        pipeline="ntu",
        classes=_classes(widths.pop(), classes, path),
        splits={"as-given": by_names(*([_name(subset, number) for number in range(sizes[subset])] for subset in SUBSETS))},
        expected=sizes,
    )
    return Source(benchmark, layout, False, _clips(path), {"file": path.name, "form": "CTR-GCN npz"})


def _name(subset: str, number: int) -> str:
    return f"{subset}-{number:06d}"


def _classes(count: int, classes: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    if classes is not None:
        if len(classes) != count:
            raise SettingError(f"{path} has {count} classes, but {len(classes)} class names are given.")
        return tuple(classes)
    return load_benchmark(f"ntu{count}").classes if count in (60, 120) else class_names(count)


def _clips(path: Path) -> Iterator[Clip | ClipIssue]:
    counts = dict.fromkeys(SUBSETS, 0)
    for subset, label, row in stored_rows(path):
        name = _name(subset, counts[subset])
        counts[subset] += 1
        yield clip_or_issue(partial(_clip, row, label, name, f"{path}, {name}"), name=name, origin=str(path))


def _clip(row: npt.NDArray[np.float32], label: int, name: str, origin: str) -> Clip:
    if label < 0:
        raise ClipError("malformed", f"{origin}: its row of y is not one-hot.")
    frames = np.flatnonzero(row.any(axis=1))
    if not len(frames):
        raise ClipError("empty", f"{origin}: every joint of every frame is zero.")
    joints = row[: frames[-1] + 1].reshape(-1, PERSONS, JOINTS, DIMS).transpose(1, 0, 2, 3)
    if not joints[1].any():
        joints = joints[:1]
    return Clip(clip_joints(joints, joint_count=JOINTS, origin=origin), name=name, label=label)


@contextmanager
def _arrays(path: Path, subset: str) -> Iterator[tuple[_Stream, _Stream]]:
    """Open x and y of a subset, checked to be of this form."""
    with _opened(path) as archive, _stream(archive, path, f"x_{subset}") as x, _stream(archive, path, f"y_{subset}") as y:
        if len(x.shape) != 3 or x.shape[2] != PERSONS * JOINTS * DIMS or not 0 < x.shape[1] < _MAX_SIZE or x.dtype.kind != "f":
            raise FileError(
                f"{path}: x_{subset} has shape {x.shape} of {x.dtype}; expected (clips, 300, {PERSONS * JOINTS * DIMS}) of float32."
            )
        if len(y.shape) != 2 or y.shape[0] != x.shape[0] or not 0 < y.shape[1] < _MAX_SIZE:
            raise FileError(f"{path}: y_{subset} has shape {y.shape}; expected ({x.shape[0]}, classes), one-hot.")
        yield x, y


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the zip; whatever is wrong with it while it is read is a FileError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except PoseglotError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many kinds of errors on damaged files
        raise FileError(
            f"{path} is not a whole .npz file ({type(error).__name__}: {error}); the download may have been cut short. Fetch it again."
        ) from error


@contextmanager
def _stream(archive: zipfile.ZipFile, path: Path, name: str) -> Iterator[_Stream]:
    member = f"{name}.npy"
    if member not in archive.namelist():
        entries = [entry.removesuffix(".npy") for entry in archive.namelist()]
        more = f" and {len(entries) - 3:,} more" if len(entries) > 3 else ""
        held = ", ".join(entries[:3]) + more or "nothing"
        raise FileError(f"{path} has no array {name}; expected x_train, y_train, x_test and y_test, and it has {held}.")
    with archive.open(member) as file:
        shape, fortran, dtype = _header(file, f"{path}: {name}")
        if dtype.hasobject:
            raise FileError(f"{path}: {name} holds Python objects, which may run a program and are not read; expected numbers.")
        if fortran or dtype.kind not in "fiub":
            order = " in Fortran's order" if fortran else ""
            raise FileError(f"{path}: {name} is of type {dtype}{order}; expected numbers in C's order.")
        yield _Stream(f"{path}: {name}", file, shape, dtype)


def _header(file: IO[bytes], origin: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise FileError(f"{origin} is an array of the unknown version {version}.")
