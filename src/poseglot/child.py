"""Processes that read what strangers made: they can be ended at any time, may crash, and have a limit of memory.

A thread that is busy cannot be stopped, and a library may end its process on a damaged file. So files that are sent to a server, and files
of formats whose libraries do so, are read in a child. It is killed when its time is over. Children are kept for the next call.
"""

from __future__ import annotations

import atexit
import importlib
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from poseglot.errors import InputError, PoseglotError

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as _Connection
else:
    from multiprocessing.connection import Connection as _Connection

T = TypeVar("T")
MEMORY = 1536 * 2**20  # bytes that a call may take
_KEPT = 4
_STARTING = 120  # seconds that a child may take to import
_LATE = 5  # seconds after which a child ends itself if its parent has not done so
_all: weakref.WeakSet[Child] = weakref.WeakSet()
_idle: list[Child] = []
_starting = 0
_lock = threading.Lock()


class ChildError(Exception):
    """A defect of a function in the child; the message is its traceback."""


class Child:
    """A process that calls functions for this one.

    It is not one of `multiprocessing`, which would run the program's main file again.

    Args:
        nice: By how much its priority is lower than this process's, where the system has priorities.
    """

    def __init__(self, *, nice: int = 0) -> None:
        self._is_ended = False
        self._connection, theirs = multiprocessing.Pipe()
        number = theirs.fileno()
        code = f"import sys; sys.path[:] = {sys.path!r}; from poseglot.child import work; work({number}, nice={nice})"
        if sys.platform == "win32":
            os.set_handle_inheritable(number, True)
        pass_fds = () if sys.platform == "win32" else (number,)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=pass_fds,
            close_fds=sys.platform != "win32",
        )
        theirs.close()
        _all.add(self)

    def call(self, function: Callable[..., T], *args: Any, deadline: float, memory: int = MEMORY) -> T:
        """Return the result of a function that the child can import.

        Args:
            function: The function.
            args: Its arguments.
            deadline: The end of its time, by `time.monotonic`.
            memory: Bytes that it may take.

        Raises:
            TimeoutError: It took too long. The child is ended.
            PoseglotError: As the function.
            InputError: It took too much memory, or the child has crashed.
            ChildError: The function has a defect.
        """
        try:
            seconds = max(0.0, deadline - time.monotonic())
            self._connection.send((function, args, memory, seconds))
            if not self._connection.poll(seconds):
                raise TimeoutError
            kind, result, more = self._connection.recv()
        except (EOFError, OSError) as error:
            self.end()
            if isinstance(error, TimeoutError):
                raise
            raise InputError(
                "the file cannot be read: it takes too much memory, or is damaged in a way that ends the reader."
            ) from error
        if kind is None:
            value: T = result
            return value
        raised: Exception = kind.__new__(kind)
        raised.args = result
        vars(raised).update(more)
        raise raised

    def end(self) -> None:
        """Kill the process. A call that is waiting for it raises."""
        self._is_ended = True
        with suppress(OSError, ValueError):
            self._process.kill()

    @property
    def is_alive(self) -> bool:
        """Whether it can be called."""
        return not self._is_ended and self._process.poll() is None


def take(*, nice: int = 0) -> Child:
    """Return a child that waits for work, or start one; see `Child`."""
    with _lock:
        while _idle:
            child = _idle.pop()
            if child.is_alive:
                return child
    return Child(nice=nice)


def _import(module: str) -> None:
    importlib.import_module(module)


def prepare(count: int, module: str, *, nice: int = 0) -> None:
    """Start children that wait for work, and let them import a module; in a thread, since it takes a second.

    No more are started than are kept, counting those that are about to be.
    """
    global _starting
    with _lock:
        count = min(count, _KEPT - len(_idle) - _starting)
        if count <= 0:
            return
        _starting += count

    def start() -> None:
        for _ in range(count):
            _start_one(module, nice)

    threading.Thread(target=start, daemon=True).start()


def _start_one(module: str, nice: int) -> None:
    global _starting
    child = None
    try:
        with suppress(OSError, PoseglotError, TimeoutError, ChildError):  # the next call starts its own
            child = Child(nice=nice)
            child.call(_import, module, deadline=time.monotonic() + _STARTING)
    finally:
        with _lock:
            _starting -= 1
    if child is not None:
        give_back(child)


def give_back(child: Child) -> None:
    """Keep a child for the next call, if it has answered the last one and is alive."""
    with _lock:
        if child.is_alive and len(_idle) < _KEPT:
            _idle.append(child)
            return
    child.end()
    with suppress(subprocess.TimeoutExpired):
        child._process.wait(_LATE)  # it leaves no zombie


def call_in_child(function: Callable[..., T], *args: Any, seconds: float, memory: int = MEMORY) -> T:
    """Call a function in a child; see `Child.call`."""
    child = take()
    try:
        answer = child.call(function, *args, deadline=time.monotonic() + seconds, memory=memory)
    except Exception:
        give_back(child)
        raise
    except BaseException:  # an interruption: the child's answer to this call would be taken for that to the next
        child.end()
        raise
    give_back(child)
    return answer


@atexit.register
def _end_all() -> None:
    for child in tuple(_all):
        child.end()


def work(number: int, *, nice: int = 0) -> None:
    """Answer calls until the other side is gone; what a child runs.

    Args:
        number: The file descriptor (on Windows, the handle) of the connection.
        nice: As in `Child`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if hasattr(os, "nice"):
        os.nice(nice)
    connection: Any = _Connection(number)
    while True:
        try:
            function, args, memory, seconds = connection.recv()
        except (EOFError, OSError):
            return
        answer: tuple[Any, Any, Any]
        try:
            _limit(memory, seconds)
            answer = None, function(*args), None
        except PoseglotError as error:
            answer = type(error), error.args, vars(error)
        except (MemoryError, RecursionError) as error:
            answer = InputError, (f"the file is too large or nested too deeply ({type(error).__name__}).",), {}
        except Exception:
            answer = ChildError, (traceback.format_exc(),), {}
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        try:
            connection.send(answer)
        except OSError:
            return
        del answer  # results are large


def _limit(memory: int, seconds: float) -> None:
    """Let the system refuse memory beyond what is there and `memory` bytes more, and end the process in time, where it can."""
    if hasattr(signal, "alarm"):  # if the parent is gone, nobody else ends it
        signal.alarm(math.ceil(seconds) + _LATE)
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (size + memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
