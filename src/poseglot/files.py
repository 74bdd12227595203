"""Files: written atomically, found in the package by name, and NumPy arrays read without pickle.

Everything is written beside its destination and then renamed. After a crash or on a full disk the old file is whole, or nothing is
there. A reader never sees a partial file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from poseglot.errors import FileError, NotFoundError

if TYPE_CHECKING:
    import numpy.typing as npt

_NPY_MAGIC = b"\x93NUMPY"
# Runs lie in runs/RUN or runs/STUDY/RUN of the folder that they were trained in.
_LEVELS_ABOVE = 3


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write `content` to `path` through a temporary file in the same folder, synced to disk before it is renamed.

    Raises:
        FileError: The disk refused (full, read-only, ...). `path` is unchanged.
    """
    with file_written_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def file_written_atomically(path: str | Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` when the block succeeds and is deleted when it fails.

    Raises:
        FileError: The disk refused (full, read-only, ...). `path` is unchanged.
    """
    path = Path(path)
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes private files; the result gets the permissions of an ordinary file.
            os.chmod(temporary, 0o666 & ~_umask())
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
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
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
        partial.mkdir(parents=True, exist_ok=True)
        with (partial / "key").open("a+", encoding="utf-8") as file, exclusive_lock(file, partial):
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
def exclusive_lock(file: IO[str], folder: Path) -> Iterator[None]:
    """Hold a lock on an open file, on systems that have such locks. The system releases it however the process ends.

    Raises:
        FileError: Another process holds it and is filling `folder`.
    """
    if not try_lock(file):
        raise FileError(f"another process is filling {folder}. Wait for it, or stop it.")
    yield


def try_lock(file: IO[Any]) -> bool:
    """Lock a file for this process, and return whether that succeeded; always true on Windows, which has no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


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
        return array
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except FileError:
        raise
    except Exception as error:  # a damaged header makes numpy raise ValueError, TypeError, TokenError, SyntaxError, ...
        raise FileError(f"{path} is a damaged NumPy array file, or it holds Python objects ({error}).") from error


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


def load_yaml(text: str) -> Any:
    """Return the plain values of YAML text.

    Raises:
        yaml.YAMLError: It is not YAML, or a table has a key twice, of which one would be lost.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in keys:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"the key {key.value!r} is there twice", key.start_mark
                        )
                    keys.add(key.value)
            found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return found

    return yaml.load(text, Loader)


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
    try:
        return find_yaml(package, folder, name, kind=kind, own=own).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"could not read the {kind} {name}: {error}.") from error


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
    """Move `new` to `path`. If that fails, the folder that was at `path` is restored."""
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
