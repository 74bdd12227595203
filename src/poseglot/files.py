"""Writing files so that a reader never sees half of one.

Everything is first written beside its destination and then renamed: after a kill or on a full disk the old file is still whole, or
nothing is there at all.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from poseglot.errors import FileError, PoseglotError

_NPY_MAGIC = b"\x93NUMPY"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` by way of a temporary file in the same folder, flushed to the disk before it is renamed.

    Raises:
        PoseglotError: the disk refused (full, read-only, ...); `path` is as it was before.
    """
    with file_written_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def file_written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which becomes `path` when the block ends well and vanishes when it does not.

    Raises:
        PoseglotError: the disk refused (full, read-only, ...); `path` is as it was before.
    """
    with _said_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes private files; what we write is as readable as any other file of the user's.
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_atomically(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    Raises:
        PoseglotError: `path` exists and `overwrite` is false (or it is not a folder), or the disk refused.
    """
    _refuse_taken(path, overwrite)
    with _said_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
            _replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def folder_written_in_turns(path: Path, *, key: str, overwrite: bool = False) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends well, and is kept for the next try when it does not.

    It lies beside `path` as `.NAME.partial`. What an earlier try left there is handed on if it was begun with the same key, and thrown
    away otherwise.

    Raises:
        PoseglotError: as `folder_written_atomically`, or another process is filling the folder.
    """
    _refuse_taken(path, overwrite)
    partial = _partial(path)
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with (partial / "key").open("a+", encoding="utf-8") as file, only_one(file, partial):
            file.seek(0)
            if file.read() != key:
                for left in partial.iterdir():
                    if left.name != "key":
                        left.unlink()
                file.truncate(0)
                file.write(key)
                file.flush()
            yield partial
            (partial / "key").unlink()
            _replace_folder(partial, path)
    except OSError as error:
        kept = f"What is done so far is kept in {partial}: " if (partial / "key").exists() else ""
        remedy = "free some space" if error.errno == errno.ENOSPC else "mend that, or choose another place,"
        raise PoseglotError(
            f"could not write {path}: {error.strerror or error}. {kept}{remedy} and run the command again."
        ) from error


def unfinished_key(path: Path) -> str | None:
    """The key that an unfinished `folder_written_in_turns` for `path` was begun with; None if there is none."""
    try:
        return (_partial(path) / "key").read_text(encoding="utf-8") or None
    except OSError:
        return None


def _partial(path: Path) -> Path:
    return path.parent / f".{path.name}.partial"


@contextlib.contextmanager
def only_one(file: IO[str], folder: Path) -> Iterator[None]:
    """Hold a file's lock, where the system has such locks; the system lets go of it however this process ends.

    Raises:
        PoseglotError: another process holds it, filling the folder.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise PoseglotError(f"another process is filling {folder}; wait for it, or stop it.") from error
    yield


def _refuse_taken(path: Path, overwrite: bool) -> None:
    if path.exists() and not (overwrite and path.is_dir()):
        remedy = "" if overwrite else ", or add --overwrite to replace it"
        raise PoseglotError(f"{path} already exists. Choose another folder{remedy}.")


def _replace_folder(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`; if that fails, what was there is there again."""
    if not path.exists():
        os.replace(new, path)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old)


@contextlib.contextmanager
def _said_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PoseglotError(
            f"could not write {path}: {error.strerror or error}. Nothing was changed there; "
            "free some space or choose another folder, and run the command again."
        ) from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_array(path: str | Path) -> npt.NDArray[Any]:
    """Return the array in a .npy file, memory-mapped. Pickled objects are refused.

    Raises:
        FileError: The file is missing, cut short, not a .npy file, or holds Python objects.
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(_NPY_MAGIC)) != _NPY_MAGIC:
                raise FileError(f"{path} is not a NumPy array file (.npy), or is empty.")
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except PoseglotError:
        raise
    except Exception as error:  # numpy raises ValueError, TypeError, TokenError, SyntaxError, ... on a damaged header
        raise FileError(f"{path} is not a whole NumPy array file, or it holds Python objects ({error}).") from error


def decode_text(content: bytes, origin: str) -> str:
    """Return UTF-8 text, with or without a byte-order mark.

    Raises:
        FileError: The text has another encoding.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:200]:
        raise FileError(f"{origin} is UTF-16 text or no text at all. Save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileError(f"{origin}, line {line}: the text is not UTF-8 (cp1252, perhaps). Save it as UTF-8.") from error
