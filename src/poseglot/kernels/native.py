"""Compiles `rows.cpp` when it is first wanted, with the machine's own C++ compiler, and keeps what comes of it for the next time.

A wheel would have to be built for every processor; a source file that takes seconds to compile serves all, and where no compiler is
found torch's own operations do the work. What was compiled lies in the user's cache (POSEGLOT_CACHE, XDG_CACHE_HOME/poseglot or
~/.cache/poseglot) under a name that says everything it depends on: source, compiler, options, processor, OpenMP library. Nobody else
may have written there: a folder that is another user's, or open to others, is not used.
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

SOURCE = Path(__file__).with_name("rows.cpp")
_NUMBERS = {torch.float32: "float", torch.float64: "double"}
_OPTIONS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-fopenmp")


class UnavailableError(Exception):
    """There is no compiled library here; the message says why."""


@functools.cache
def library(dtype: torch.dtype) -> ctypes.CDLL:
    """The compiled kernels for a type of number, compiled now if need be (seconds, once).

    Raises:
        UnavailableError: no Linux, no compiler, or it failed.
    """
    if dtype not in _NUMBERS:
        raise UnavailableError(f"there are no kernels for {dtype}")
    if sys.platform != "linux":
        raise UnavailableError("the kernels are compiled on Linux only")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "c++", "g++", "clang++"))), None)
    if compiler is None:
        raise UnavailableError("no C++ compiler was found (c++, g++, clang++, or CXX)")
    try:
        options, openmp = [*_OPTIONS, f"-DNUMBER={_NUMBERS[dtype]}"], _openmp()
        # What the source says counts, not where it lies.
        compiled = _cache() / f"rows-{_NUMBERS[dtype]}-{_key([compiler, *options, *openmp])}.so"
        if not compiled.exists():
            with _one_at_a_time(compiled.with_suffix(".lock")):
                if not compiled.exists():
                    _compile([compiler, *options, str(SOURCE), *openmp], compiled)
        return ctypes.CDLL(str(compiled))
    except OSError as error:
        raise UnavailableError(f"the kernels could not be compiled or loaded ({error})") from error


def reason_unavailable(dtype: torch.dtype) -> str | None:
    """Why there is no library, or None if there is one. A failure is remembered: the compiler is not asked again and again."""
    return _reason(dtype)


@functools.cache
def _reason(dtype: torch.dtype) -> str | None:
    try:
        library(dtype)
    except UnavailableError as error:
        return str(error)
    return None


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Processes that want the same wait for the one that compiles it; where files cannot be locked, each compiles."""
    import fcntl

    with lock.open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(command: list[str], compiled: Path) -> None:
    """Into a file beside its place and then into its place, so that nobody finds half of it."""
    handle, unfinished = tempfile.mkstemp(dir=compiled.parent, suffix=".so")
    os.close(handle)
    try:
        done = subprocess.run([*command, "-o", unfinished], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"{command[0]} failed: {(done.stderr.strip() or 'it said nothing').splitlines()[0]}")
        os.replace(unfinished, compiled)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} took more than five minutes") from error
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _key(command: list[str]) -> str:
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    parts = ["\0".join(command), version, _processor()]
    return hashlib.sha256("\0".join(parts).encode() + SOURCE.read_bytes()).hexdigest()[:24]


def _processor() -> str:
    """What -march=native may depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    wanted = ("model name", "flags", "Features", "CPU part")
    return platform.machine() + "".join(sorted({line for line in lines if line.startswith(wanted)}))


def _openmp() -> list[str]:
    """The OpenMP library that torch has loaded: threads are shared with it only if it is the same file."""
    with open("/proc/self/maps") as maps:
        loaded = {line.split()[-1] for line in maps if any(name in line for name in ("libgomp", "libiomp5"))}
    return sorted(path for path in loaded if path.startswith("/"))[:1]


def _cache() -> Path:
    """The user's own folder for what was compiled."""
    given = os.environ.get("POSEGLOT_CACHE")
    folder = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poseglot"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnavailableError(
            f"{folder} belongs to somebody else or is open to others; set POSEGLOT_CACHE to a folder of your own"
        )
    return folder
