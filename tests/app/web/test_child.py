"""Children that read for the server: ended when they take too long or too much, and the next call has a whole one."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from poseglot import child
from poseglot.app.web.limits import Limits
from poseglot.app.web.worker import BusyError, Job, Worker
from poseglot.child import ChildError
from poseglot.errors import InputError


def double(number: int) -> int:
    return 2 * number


def refuse(message: str) -> None:
    raise InputError(message)


def wrong() -> None:
    raise KeyError("a defect")


def forever() -> None:
    while True:
        pass


def greedy() -> int:
    return len(bytearray(child.MEMORY + 2**28))  # a child that read large files before may give some of that back meanwhile


def crash() -> None:
    os.abort()


def test_results_and_errors_come_back() -> None:
    job = Job(60)
    assert job.in_child(double, 21) == 42
    with pytest.raises(InputError, match="a reason"):
        job.in_child(refuse, "a reason")
    with pytest.raises(ChildError, match="a defect"):
        job.in_child(wrong)
    for function in (greedy, crash):
        with pytest.raises(InputError):
            job.in_child(function)
    assert job.in_child(double, 21) == 42


def test_no_more_children_are_prepared_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that go end their children, and each is replaced: by a thousand processes, once."""
    begun, go = [], threading.Event()
    while child._starting:  # by an earlier test
        time.sleep(0.1)

    class Slow(child.Child):
        def __init__(self, **options: Any) -> None:
            begun.append(self)
            go.wait(60)
            super().__init__(**options)

    monkeypatch.setattr(child, "Child", Slow)
    monkeypatch.setattr(child, "_idle", [])
    for _ in range(100):
        child.prepare(1, "json")
    go.set()
    for _ in range(600):
        if child._starting == 0:
            break
        time.sleep(0.1)
    assert len(begun) == len(child._idle) == child._KEPT and child._starting == 0
    for one in tuple(child._idle):
        one.end()


def test_a_child_that_was_ended_leaves_no_zombie() -> None:
    taken = child.take()
    assert taken.call(double, 2, deadline=time.monotonic() + 60) == 4
    taken.end()
    child.give_back(taken)
    assert taken._process.returncode is not None


def test_a_child_is_ended_when_its_time_is_over_or_its_job_dropped() -> None:
    Job(60).in_child(double, 1)  # one is there
    with pytest.raises(TimeoutError):
        Job(0.2).in_child(forever)
    Job(60).in_child(double, 1)
    job = Job(600)
    threading.Timer(0.2, job.drop).start()
    with pytest.raises(TimeoutError):
        job.in_child(forever)
    with pytest.raises(TimeoutError):
        job.in_child(double, 1)


def test_what_nobody_waits_for_is_dropped_and_one_client_has_few_places() -> None:
    async def run() -> None:
        worker, go, ended = Worker(Limits(at_once=1, waiting=9, per_client=2, seconds=60)), threading.Event(), list[Any]()

        def work(job: Job) -> None:
            go.wait(60)
            try:
                job.check()
            finally:
                ended.append(job)

        asking = [asyncio.create_task(worker.do(work, client="a")) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(BusyError):
            await worker.do(work, client="a")
        other = asyncio.create_task(worker.do(double_of, client="b"))
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        go.set()
        assert await other == 42
        assert len(ended) == 1  # the second was never begun
        while worker.busy:
            await asyncio.sleep(0.01)
        worker.close()

    def double_of(job: Job) -> int:
        return 42

    asyncio.run(run())


def test_closing_does_not_wait_for_what_cannot_be_stopped() -> None:
    async def run() -> None:
        worker = Worker(Limits(at_once=1, seconds=600))
        asking = asyncio.create_task(worker.do(lambda job: time.sleep(600)))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(worker.close)
        asking.cancel()

    asyncio.run(run())
