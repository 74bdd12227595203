"""The threads that compute: a few of them, with a short queue, few places for one client, and a time limit.

A request that is answered, late or given up by its client drops its job. A job that waits is not begun then, one that reads is ended with
its child, and one that computes stops before its next step. The threads end with the process, whatever they do.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from poseglot import child
from poseglot.app.web.limits import Limits

T = TypeVar("T")
READING = "poseglot.app.web.upload"  # what children import
NICE = 10  # a server that is busy with files should still answer others
_ENDING = 3  # seconds that jobs have to end when the server stops


class BusyError(Exception):
    """The queue is full, or the client has all its places."""


class Job:
    """What is computed for a request.

    Args:
        seconds: The time that it has.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._dropped = False
        self._child: child.Child | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise if nobody waits for the result any more.

        Raises:
            TimeoutError: Nobody does.
        """
        if self._dropped or time.monotonic() > self._deadline:
            raise TimeoutError

    def in_child(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a process of its own, which is ended if the job is dropped.

        Raises:
            TimeoutError: The job was dropped, or its time is over.
            InputError: As the function; or the process took too much memory, or has crashed.
        """
        self.check()
        taken = child.take(nice=NICE)
        with self._lock:
            self._child = taken
            if self._dropped:
                taken.end()
        try:
            result = taken.call(function, *args, deadline=self._deadline)
        finally:
            with self._lock:
                self._child = None
            child.give_back(taken)
            if not taken.is_alive:  # the next request should not wait for a new one
                child.prepare(1, READING, nice=NICE)
            self.check()
        return result

    def drop(self) -> None:
        """Do no more for this job."""
        with self._lock:
            self._dropped = True
            if self._child is not None:
                self._child.end()


class Worker:
    """Computes for requests in a few threads.

    Attributes:
        busy: The number of requests that are computed or wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = _Threads(limits.at_once)
        self._jobs: set[Job] = set()
        self._places: Counter[str] = Counter()

    @property
    def busy(self) -> int:
        return self._places.total()

    async def do(self, work: Callable[[Job], T], *, client: str = "") -> T:
        """Return the result of `work`, or raise its error.

        Args:
            work: Called in one of the threads.
            client: Who asks.

        Raises:
            BusyError: The queue is full, or the client has all its places.
            TimeoutError: Waiting and computing took too long.
        """
        limits = self._limits
        if self.busy >= limits.at_once + limits.waiting or self._places[client] >= limits.per_client:
            raise BusyError
        job = Job(limits.seconds)
        self._jobs.add(job)
        self._places[client] += 1
        future = self._threads.submit(lambda: work(job))
        waited = asyncio.wrap_future(future)
        waited.add_done_callback(lambda done: self._ended(job, client, done))
        try:
            # Shielded: the waiting is cancelled, and the job dropped.
            return await asyncio.wait_for(asyncio.shield(waited), limits.seconds)
        except (TimeoutError, asyncio.CancelledError):
            job.drop()
            future.cancel()
            raise

    def _ended(self, job: Job, client: str, done: asyncio.Future[Any]) -> None:
        self._jobs.discard(job)
        self._places[client] -= 1
        self._places += Counter()  # forget clients without places
        if not done.cancelled():
            done.exception()  # mark it as retrieved, even if nobody waits any more

    def close(self) -> None:
        """Drop what is left, and wait a little for it."""
        for job in tuple(self._jobs):
            job.drop()
        self._threads.close(_ENDING)


class _Threads:
    """Threads that take calls from a queue. They are daemons, so that none keeps the process from ending."""

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name="poseglot", daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._queue.put((future, work))
        return future

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            future, work = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del future, work, item  # results are large

    def close(self, seconds: float) -> None:
        for _ in self._threads:
            self._queue.put(None)
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
