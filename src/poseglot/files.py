"""Writing files so that a reader never sees half of one.

Everything is first written beside its destination, flushed to the disk, and then renamed: after a kill or on a full disk
the old file is still whole, or nothing is there at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from poseglot.errors import PoseglotError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` by way of a temporary file in the same folder.

    Raises:
        PoseglotError: the disk refused (full, read-only, ...); `path` is as it was before.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; what we write is as readable as any other file of the user's.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise PoseglotError(
            f"could not write {path} ({len(data):,} bytes): {error.strerror or error}. "
            "Nothing was changed there; free some space or choose another folder, and run the command again."
        ) from error


@contextlib.contextmanager
def folder_written_atomically(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    Raises:
        PoseglotError: `path` exists and `overwrite` is false, or the disk refused.
    """
    if path.exists() and not overwrite:
        raise PoseglotError(f"{path} already exists. Choose another folder, or add --overwrite to replace it.")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise PoseglotError(
            f"could not write {path}: {error.strerror or error}. Nothing was left there; free some space or choose "
            "another folder, and run the command again."
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
