"""Zip and .npz files whose claims are checked before anything is unpacked: a few kilobytes can claim, or become, terabytes."""

from __future__ import annotations

import io
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.errors import FileError
from poseglot.files import check_texts

if TYPE_CHECKING:
    import numpy.typing as npt

# Deflate packs a byte into no less than a 1032nd.
_MAX_RATIO, _SLACK = 1100, 4096
MAX_MEMORY = 4 * 2**30  # bytes of what is unpacked into memory
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OSError,
    UnicodeDecodeError,
)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose members claim no more than their packed bytes can hold.

    Raises:
        FileError: The file is missing, damaged, encrypted, or its claims are not possible; also while it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = path.stat().st_size
            for member in archive.infolist():
                if member.compress_size > size or member.file_size > _MAX_RATIO * member.compress_size + _SLACK:
                    raise FileError(
                        f"{path}: {member.filename!r:.80} claims {member.file_size:,} bytes, more than its {member.compress_size:,} packed "
                        "bytes can hold. The file is damaged; fetch it again."
                    )
            yield archive
    except FileNotFoundError as error:
        raise FileError(f"could not read {path}: No such file or directory.") from error
    except _DAMAGED as error:
        raise FileError(f"{path} is not a whole zip file ({type(error).__name__}: {error}). Fetch it again.") from error


def unpack(path: Path, folder: Path, names: Sequence[str] | None = None) -> None:
    """Unpack a zip file, or some of its members, into a folder.

    Raises:
        FileError: As `open_zip`; or there is not enough room for it.
    """
    with open_zip(path) as archive:
        folder.mkdir(parents=True, exist_ok=True)
        needed = sum(member.file_size for member in archive.infolist() if names is None or member.filename in set(names))
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise FileError(
                f"{path} unpacks to {needed:,} bytes, and {folder} has {free:,} left. Free some space, or unpack it elsewhere."
            )
        archive.extractall(folder, names)


def load_arrays(path: Path, names: Collection[str], optional: Collection[str] = ()) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of a .npz file. No pickle is loaded.

    Args:
        path: The file.
        names: The arrays that it must have.
        optional: Arrays that it may have.

    Raises:
        FileError: The file is missing or damaged, lacks an array, or holds Python objects.
    """
    import numpy as np

    with open_zip(path) as archive:
        held = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if missing := [name for name in names if name not in held]:
            raise FileError(f"{path} lacks the arrays {', '.join(missing)}.")
        chosen = [held[name] for name in (*names, *(name for name in optional if name in held))]
        if sum(member.file_size for member in chosen) > MAX_MEMORY:
            raise FileError(f"{path} unpacks to more than {MAX_MEMORY:,} bytes.")
        arrays = {}
        for member in chosen:
            content = archive.read(member)
            try:
                array = np.load(io.BytesIO(content), allow_pickle=False)
                check_texts(array)
                arrays[member.filename.removesuffix(".npy")] = array
            except Exception as error:  # a damaged header makes numpy raise many kinds of errors
                raise FileError(
                    f"{path}: {member.filename!r:.80} is a damaged array, or holds Python objects ({error})."
                ) from error
        return arrays
