"""The threads that compute: a few of them, with a short queue and a time limit.

A thread cannot be stopped: after a timeout the request is answered, and its thread counts as busy until it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from poseglot.app.web.limits import Limits

T = TypeVar("T")


class BusyError(Exception):
    """The queue is full."""


class Worker:
    """Computes for requests in a pool of threads.

    Attributes:
        busy: The number of requests that are computed or wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._pool = ThreadPoolExecutor(limits.at_once, thread_name_prefix="poseglot")
        self._max_busy = limits.at_once + limits.waiting
        self._seconds = limits.seconds
        self.busy = 0

    async def do(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, or raise its error.

        Raises:
            BusyError: The queue is full.
            TimeoutError: Waiting and computing took too long.
        """
        if self.busy >= self._max_busy:
            raise BusyError
        self.busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._done)
        # Shielded: the waiting is cancelled, the thread is not.
        return await asyncio.wait_for(asyncio.shield(future), self._seconds)

    def _done(self, future: asyncio.Future[T]) -> None:
        self.busy -= 1
        if not future.cancelled():
            future.exception()  # mark it as retrieved, even if nobody waits any more

    def close(self) -> None:
        """Wait for what is being computed; cancel what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
