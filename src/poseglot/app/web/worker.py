"""The threads that compute. There are few, few may wait for them, and nobody waits for ever.

A thread cannot be stopped: a request that ran out of time is answered, and its thread counts as busy until it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from poseglot.app.web.limits import Limits

T = TypeVar("T")


class BusyError(Exception):
    """Too many are waiting."""


class Worker:
    """Computes for requests, so many at once, so many waiting.

    Attributes:
        busy: how many are computed or wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._pool = ThreadPoolExecutor(limits.at_once, thread_name_prefix="poseglot")
        self._most = limits.at_once + limits.waiting
        self._seconds = limits.seconds
        self.busy = 0

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises.

        Raises:
            BusyError: too many are waiting.
            TimeoutError: it took too long, waiting and computing together.
        """
        if self.busy >= self._most:
            raise BusyError
        self.busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._done)
        # Shielded: who waits gives up, the thread does not.
        return await asyncio.wait_for(asyncio.shield(future), self._seconds)

    def _done(self, future: asyncio.Future[T]) -> None:
        self.busy -= 1
        if not future.cancelled():
            future.exception()  # seen, even if nobody waits for it any more

    def close(self) -> None:
        """Wait for what is computed; what waits is not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
