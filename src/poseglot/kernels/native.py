"""Compile `channels_last.cpp` on first use with the machine's own C++ compiler, and cache the library.

A wheel would have to be built for every processor. A source file that compiles in seconds serves all of them, and where no compiler is
found, torch's operations do the work. The library lies in the user's cache (POSEGLOT_CACHE, XDG_CACHE_HOME/poseglot or ~/.cache/poseglot)
under a name that hashes everything it depends on: source, compiler, flags, processor, OpenMP library. A folder that belongs to another
user, or that others may write to, is refused, and so is such a file. Beside a library lies the hash of its content; one that a power cut
has damaged is compiled again.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from poseglot.errors import PoseglotError
from poseglot.files import sha256_of, write_atomically

SOURCE = Path(__file__).with_name("channels_last.cpp")  # with the headers beside it
_TYPES = {torch.float32: "float", torch.float64: "double"}
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-fopenmp")


class UnavailableError(Exception):
    """No compiled library can be had on this machine; the message says why."""


@functools.cache
def library(dtype: torch.dtype) -> ctypes.CDLL:
    """Return the compiled kernels for a dtype. The first call on a machine compiles them, which takes seconds.

    Raises:
        UnavailableError: the system is not Linux, there is no compiler, or it failed.
    """
    if dtype not in _TYPES:
        raise UnavailableError(f"there are no kernels for {dtype}")
    if sys.platform != "linux":
        raise UnavailableError("the kernels are compiled on Linux only")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "c++", "g++", "clang++"))), None)
    if compiler is None:
        raise UnavailableError("no C++ compiler was found (c++, g++, clang++, or CXX)")
    try:
        flags, openmp = [*_FLAGS, f"-DNUMBER={_TYPES[dtype]}"], _openmp()
        # The key holds the text of the source, not its path.
        compiled = _cache() / f"channels-last-{_TYPES[dtype]}-{_key([compiler, *flags, *openmp])}.so"
        if not _is_whole(compiled):
            with _one_at_a_time(compiled.with_suffix(".lock")):
                if not _is_whole(compiled):
                    _compile([compiler, *flags, str(SOURCE), *openmp], compiled)
        return ctypes.CDLL(str(compiled))
    except (OSError, PoseglotError) as error:
        raise UnavailableError(f"the kernels could not be compiled or loaded ({error})") from error


@functools.cache
def unavailable_reason(dtype: torch.dtype) -> str | None:
    """Return why there is no library, or None if there is one. The answer is cached, so that a failing compiler runs once."""
    try:
        library(dtype)
    except UnavailableError as error:
        return str(error)
    return None


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Hold a file lock, so that several processes compile once. Where files cannot be locked, each compiles."""
    import fcntl

    with lock.open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_whole(compiled: Path) -> bool:
    """Tell whether a library is there as it was compiled.

    Raises:
        UnavailableError: It belongs to another user, or others may write to it.
    """
    if not compiled.exists():
        return False
    _check_owner(compiled)
    try:
        return _hash_file(compiled).read_text() == sha256_of(compiled)
    except (OSError, UnicodeDecodeError):
        return False


def _hash_file(compiled: Path) -> Path:
    return compiled.with_suffix(".sha256")


def _compile(command: list[str], compiled: Path) -> None:
    """Compile to a temporary file and rename it, so that no process loads half a library."""
    handle, unfinished = tempfile.mkstemp(dir=compiled.parent, suffix=".so")
    os.close(handle)
    try:
        done = subprocess.run([*command, "-o", unfinished], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"{command[0]} failed: {(done.stderr.strip() or 'no message').splitlines()[0]}")
        os.chmod(unfinished, stat.S_IRWXU)
        with open(unfinished, "rb") as file:
            os.fsync(file.fileno())
        write_atomically(_hash_file(compiled), sha256_of(unfinished))
        os.replace(unfinished, compiled)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} took more than five minutes") from error
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _key(command: list[str]) -> str:
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    parts = ["\0".join(command), version, _processor()]
    text = b"".join(path.read_bytes() for path in (SOURCE, *sorted(SOURCE.parent.glob("*.h"))))
    return hashlib.sha256("\0".join(parts).encode() + text).hexdigest()[:24]


def _processor() -> str:
    """Return what -march=native depends on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    wanted = ("model name", "flags", "Features", "CPU part")
    return platform.machine() + "".join(sorted({line for line in lines if line.startswith(wanted)}))


def _openmp() -> list[str]:
    """Return the OpenMP library that torch has loaded: threads are shared with torch only through the same file."""
    with open("/proc/self/maps") as maps:
        loaded = {line.split()[-1] for line in maps if any(name in line for name in ("libgomp", "libiomp5"))}
    return sorted(path for path in loaded if path.startswith("/"))[:1]


def _cache() -> Path:
    """Return the user's own folder for compiled libraries."""
    given = os.environ.get("POSEGLOT_CACHE")
    folder = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poseglot"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_owner(folder)
    return folder


def _check_owner(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnavailableError(
            f"{path} belongs to another user or is writable by others; set POSEGLOT_CACHE to a folder of your own"
        )
