"""Files: written atomically, found in the package by name, and NumPy arrays read without pickle.

Everything is written beside its destination and then renamed. After a crash or on a full disk the old file is whole, or nothing is
there. A reader never sees a partial file. A writer locks its temporary file: one that nobody has locked belongs to a process that was
killed, and the next writer of the same file deletes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from poseglot.errors import FileError, NotFoundError
from poseglot.safe_yaml import read_yaml_text

if TYPE_CHECKING:
    import numpy.typing as npt

_NPY_MAGIC = b"\x93NUMPY"
# Runs lie in runs/RUN or runs/STUDY/RUN of the folder that they were trained in.
_LEVELS_ABOVE = 3
# Temporary files end so; a younger one may belong to a process that has not locked it yet.
_TEMPORARY = ".tmp"
_ORPHANED_AFTER = 60  # seconds


def write_atomically(path: str | Path, content: bytes | str, *, keep: Path | None = None) -> None:
    """Write `content` to `path` through a temporary file in the same folder, synced to disk before it is renamed.

    Characters that UTF-8 lacks (halves of pairs, from file names that are no text) are written as `\\udcff`.

    Args:
        path: The file.
        content: Its content.
        keep: Where the file that was at `path` is moved to; by default it is replaced.

    Raises:
        FileError: The disk refused (full, read-only, ...). `path` is unchanged.
    """
    with file_written_atomically(path, keep=keep) as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


@contextlib.contextmanager
def file_written_atomically(path: str | Path, *, keep: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` when the block succeeds and is deleted when it fails.

    Args:
        path: The file.
        keep: As in `write_atomically`.

    Raises:
        FileError: The disk refused (full, read-only, ...). `path` is unchanged.
    """
    path = Path(path)
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_orphans(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                try_lock(file)
                yield file
                file.flush()
                os.fsync(file.fileno())
                # mkstemp makes private files; the result gets the permissions of an ordinary file.
                os.chmod(temporary, 0o666 & ~_umask())
                if keep is not None and path.exists():
                    os.replace(path, keep)
                if os.name == "posix":  # Windows renames closed files only
                    os.replace(temporary, path)
            if temporary.exists():
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_atomically(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block succeeds and is deleted when it fails.

    Raises:
        FileError: `path` exists and `overwrite` is false (or it is not a folder), or the disk refused.
    """
    path = Path(path)
    _refuse_existing(path, overwrite)
    with _disk_errors(path), _filled_by_one(path):
        _clear_orphans(path)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY))
        try:
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
            _refuse_existing(path, overwrite)
            _replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def resumable_folder(path: str | Path, *, key: str, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder that becomes `path` when the block succeeds and is kept for the next attempt when it fails.

    The folder lies beside `path` as `.NAME.partial`. What an earlier attempt left there is reused if it had the same key, and
    deleted otherwise.

    Raises:
        FileError: As `folder_written_atomically`, or another process is filling the folder.
    """
    path = Path(path)
    _refuse_existing(path, overwrite)
    partial = _partial(path)
    try:
        with _filled_by_one(path):
            _clear_orphans(path)
            partial.mkdir(exist_ok=True)
            if unfinished_key(path) != key:
                shutil.rmtree(partial)
                partial.mkdir()
                write_atomically(partial / "key", key)
            _clear_unfinished_files(partial)
            yield partial
            _refuse_existing(path, overwrite)
            (partial / "key").unlink()
            _replace_folder(partial, path)
    except OSError as error:
        kept = f"What is done so far is kept in {partial}: " if (partial / "key").exists() else ""
        remedy = "free some space" if error.errno == errno.ENOSPC else "correct that, or choose another folder,"
        raise FileError(
            f"could not write {path}: {error.strerror or error}. {kept}{remedy} and run the command again."
        ) from error


def unfinished_key(path: str | Path) -> str | None:
    """Return the key of an unfinished `resumable_folder` for `path`, or None."""
    try:
        return (_partial(Path(path)) / "key").read_text(encoding="utf-8") or None
    except OSError:
        return None


def _partial(path: Path) -> Path:
    return path.parent / f".{path.name}.partial"


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Yield a folder that is deleted after the block, beside a file or folder and not where the system may have little room.

    What a killed process left is deleted by the next one.

    Raises:
        FileError: The disk refused.
    """
    with _disk_errors(beside):
        beside.parent.mkdir(parents=True, exist_ok=True)
        name = f"{beside.name}.unpacked"
        for left in beside.parent.glob(f".{glob.escape(name)}.*{_TEMPORARY}"):
            with _locked_folder(left) as locked:
                if locked:
                    shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=beside.parent, prefix=f".{name}.", suffix=_TEMPORARY))
        try:
            with _locked_folder(folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[bool]:
    """Try to lock a folder itself, and yield whether that succeeded; false where the system cannot."""
    if os.name != "posix":
        yield False
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield try_lock(handle)
    finally:
        os.close(handle)


def folder_lock(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keep other writers out of a folder, which must exist, for the time of a block.

    Raises:
        FileError: Another process writes into it, or the disk refused.
    """
    return _locked(folder / ".lock", folder)


@contextlib.contextmanager
def _filled_by_one(path: Path) -> Iterator[None]:
    """Keep other writers of the folder `path` out while it does not exist, or is about to be replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent / f".{path.name}.lock", path):
        yield


@contextlib.contextmanager
def _locked(lock: Path, folder: Path) -> Iterator[None]:
    """Hold a lock on a file that exists while it is held. The system releases it however the process ends.

    Raises:
        FileError: Another process holds it and is writing into `folder`, or the file cannot be made.
    """
    while True:
        try:
            file = lock.open("ab")
        except OSError as error:
            raise FileError(f"could not write into {folder}: {error.strerror or error}. Choose another folder.") from error
        with file:
            if not try_lock(file):
                raise FileError(f"another process is writing into {folder}. Wait for it, or stop it.")
            if not _is_at(lock, file):  # the process before deleted it between opening and locking
                continue
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows deletes closed files only
                    lock.unlink()
            return


def _is_at(path: Path, file: IO[Any]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def try_lock(file: IO[Any] | int) -> bool:
    """Lock a file for this process; return false if another has it. True where there are no such locks, as on Windows."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return True
    return True


def _clear_orphans(path: Path) -> None:
    """Delete what killed writers of `path` left beside it."""
    if os.name != "posix":  # nothing tells there whether a file is in use
        return
    ours = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(_TEMPORARY)}")
    with os.scandir(path.parent) as entries:
        left = [entry for entry in entries if ours.fullmatch(entry.name)]
    for entry in left:
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):  # the caller holds the lock of such folders
                shutil.rmtree(entry.path)
            elif time.time() - entry.stat(follow_symlinks=False).st_mtime > _ORPHANED_AFTER:
                with open(entry.path, "rb") as file:
                    if try_lock(file):
                        os.unlink(entry.path)


def _clear_unfinished_files(folder: Path) -> None:
    """Delete what killed writers of a folder's files left in it. The caller holds the folder's lock."""
    ours = re.compile(rf"\..+\.[a-z0-9_]{{8}}{re.escape(_TEMPORARY)}")
    with os.scandir(folder) as entries:
        left = [entry.path for entry in entries if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
    for path in left:
        os.unlink(path)


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_array(path: str | Path) -> npt.NDArray[Any]:
    """Read a .npy file, memory-mapped. No pickle is loaded, and nothing larger than the file is allocated.

    Raises:
        FileError: The file is missing, truncated, not a .npy file, or holds Python objects.
    """
    import numpy as np

    try:
        with open(path, "rb") as file:
            if file.read(len(_NPY_MAGIC)) != _NPY_MAGIC:
                raise FileError(f"{path} is not a NumPy array file (.npy), or is empty.")
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        check_texts(array)
        return array
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except FileError:
        raise
    except Exception as error:  # a damaged header makes numpy raise ValueError, TypeError, TokenError, SyntaxError, ...
        raise FileError(f"{path} is a damaged NumPy array file, or it holds Python objects ({error}).") from error


def check_texts(array: npt.NDArray[Any]) -> None:
    """Check that the texts of an array, or of a table's fields, are Unicode; Python cannot make text of other numbers.

    Raises:
        ValueError: They are not.
    """
    import numpy as np

    for field in [array[name] for name in array.dtype.names] if array.dtype.names else [array]:
        if field.dtype.kind == "U" and field.dtype.itemsize:
            points = np.ascontiguousarray(field).view(np.dtype(np.uint32).newbyteorder(field.dtype.byteorder))
            if points.size and points.max() > sys.maxunicode:
                raise ValueError("a text holds a number that is no character")


def as_path(given: object) -> Path:
    """Return a path that the system accepts; the file need not exist.

    Raises:
        FileError: It is no path, empty, or the system refuses to look there.
    """
    if not isinstance(given, (str, os.PathLike)):
        raise FileError(f"{str(given)[:40]!r} is not a path; name a file or folder by text or a Path.")
    text = os.fspath(given)
    if not isinstance(text, str) or not text:
        raise FileError(f"the path {text!r} is empty or no text; name a file or folder.")
    try:
        os.stat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # too long, not permitted, or with a null character
        shown = text if len(text) < 200 else f"{text[:200]}..."
        raise FileError(f"could not read {shown}: {getattr(error, 'strerror', None) or error}.") from error
    return Path(text)


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


def packaged_yaml(package: str, folder: str, name: str, *, kind: str, own: bool = True) -> str:
    """Return the text of a packaged YAML file, or of a user's own.

    Args:
        package, folder: The folder that holds the packaged files.
        name: The name of a packaged file or, if `own` allows it, a path ending in .yaml or .yml.
        kind: What error messages call such a file.

    Raises:
        NotFoundError: There is no such packaged file.
        FileError: The user's file cannot be read, or ends otherwise.
    """
    return read_yaml_text(find_yaml(package, folder, name, kind=kind, own=own), kind)


def find_yaml(package: str, folder: str, name: str, *, kind: str, own: bool = True) -> Path:
    """Return the path of a packaged YAML file, or of a user's own, which may be missing.

    A packaged file in a subfolder has the subfolder in its name: nw-ucla/paper. The arguments are those of `packaged_yaml`.

    Raises:
        NotFoundError: There is no such packaged file.
        FileError: The user's file ends otherwise.
    """
    if own and name.endswith((".yaml", ".yml")):
        return Path(name)
    known = packaged_names(package, folder)
    if name not in known:
        if own and os.path.isfile(name):
            raise FileError(f"{name} is a file, but a {kind} file ends in .yaml or .yml. Rename it if it is one.")
        raise NotFoundError(name, [*known, *(["a path ending in .yaml"] if own else [])], kind=kind)
    return Path(str(resources.files(package) / folder)) / f"{name}.yaml"


def packaged_names(package: str, folder: str) -> list[str]:
    """List the names of the packaged YAML files of a folder and its subfolders."""
    root = Path(str(resources.files(package) / folder))
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def resolve_path(path: str, base: Path) -> str:
    """Return the path of a file that a file in the folder `base` names.

    The path is relative to the current folder, else to `base`, else to each of the next folders above it, as many as a run lies deep.
    A path that leads nowhere is returned unchanged.
    """
    if os.path.exists(path):
        return path
    base = base.resolve()
    for folder in (base, *base.parents[:_LEVELS_ABOVE]):
        if (folder / path).exists():
            return str(folder / path)
    return path


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not (overwrite and path.is_dir()):
        remedy = "" if overwrite else ", or add --overwrite to replace it"
        raise FileError(f"{path} already exists. Choose another folder{remedy}.")


def _replace_folder(new: Path, path: Path) -> None:
    """Move `new` to `path`. A folder there is exchanged in one step where the system can, so that there is one at every moment."""
    if not path.exists():
        os.replace(new, path)
        return
    if _exchange(new, path):
        shutil.rmtree(new, ignore_errors=True)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders, and return whether the system can."""
    at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of Linux
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except AttributeError:  # another C library
        return False
    return bool(renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(
            f"could not write {path}: {error.strerror or error}. Nothing was changed there. "
            "Free some space or choose another folder, and run the command again."
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
