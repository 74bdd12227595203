"""Shards of an archive on many machines, by Ray Data (which is used nowhere else).

What goes through Ray is which shards to do, and how many clips of each were answered for; the clips are read, and the answers written,
where the worker is, so every machine must see both places under the same names. A worker is an actor with the recognizer loaded once,
and one CPU (and one GPU, if that is asked for). Ray gives the shards of a machine that is lost to others; those that were written
stay written (`poseglot.inference.batch`).
"""

from __future__ import annotations

import json
import logging
import os
import platform
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from poseglot.errors import PoseglotError
from poseglot.inference.batch import BatchJob, BatchResult, Shard, answer_shard
from poseglot.inference.predictor import Predictor

_STORE_BYTES = 100_000_000  # Ray's own memory on a machine that we start it on; hardly anything goes through it
_GOES_ON = "What is done stays done; the same command goes on from there."
Rows = dict[str, Any]


def answer_on_ray(
    job: BatchJob, shards: Sequence[Shard], *, address: str | None = None, workers: int | None = None
) -> Iterator[tuple[Shard, BatchResult]]:
    """Answer for shards by the workers of a cluster; yields each when it is done, in any order.

    Args:
        address: of a cluster that is running, as `ray.init` takes it (`auto`: the one that this machine belongs to); by default a
            cluster of this machine is started, without dashboard and without telemetry, and ended with the last shard.
        workers: at most so many at once; by default as many as the cluster has CPUs, or GPUs.

    Raises:
        PoseglotError: Ray is not installed, there is no cluster at the address, nothing in it can be a worker, or a worker failed.
    """
    _start(address)
    import ray
    from ray.exceptions import RayError

    job = job if job.device else replace(job, device="cpu")
    resource = "CPU" if job.device == "cpu" else "GPU"
    try:
        there = int(ray.cluster_resources().get(resource, 0))
        if not there:
            raise PoseglotError(f"the cluster has no {resource}, which a worker on device {job.device} needs.")
        if shards:
            yield from _answers(job, shards, min(workers or there, len(shards)), resource)
    except RayError as error:
        raise PoseglotError(f"Ray gave up: {_said(error)} {_GOES_ON}") from error
    finally:
        ray.shutdown()


def _answers(job: BatchJob, shards: Sequence[Shard], workers: int, resource: str) -> Iterator[tuple[Shard, BatchResult]]:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False  # ours counts clips
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = [{"shard": json.dumps(asdict(shard))} for shard in shards]
    # A block for each shard, so that each is given out by itself.
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Worker,
        batch_size=1,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
        num_gpus=1 if resource == "GPU" else None,
    )
    by_number = {shard.number: shard for shard in shards}
    for row in done.iter_rows():
        said = json.loads(row["done"])
        if said["failure"]:
            raise PoseglotError(f"{said['failure']} {_GOES_ON}")
        yield by_number[said["number"]], BatchResult(said["answered"], said["errors"], frozenset(said["mapped"]))


class _Worker:
    """What Ray starts as an actor. Errors that are the user's matter are handed back as such: Ray would wrap them in traces."""

    def __init__(self, job: BatchJob) -> None:
        torch.set_num_threads(1)
        self.job = job
        self.predictor: Predictor | None = None

    def __call__(self, rows: Rows) -> Rows:
        given = json.loads(str(rows["shard"][0]))
        shard, done, failure = Shard(**{**given, "files": tuple(given["files"])}), BatchResult(), ""
        try:
            self.predictor = self.predictor or self.job.predictor()
            done = answer_shard(self.job, shard, self.predictor)
        except PoseglotError as error:
            failure = f"a worker on {platform.node()}: {error}"
        said = {**asdict(done), "mapped": sorted(done.mapped), "number": shard.number, "failure": failure}
        return {"done": np.array([json.dumps(said)])}


def _start(address: str | None) -> None:
    """Connect to a cluster, or start one of this machine.

    Raises:
        PoseglotError: Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise PoseglotError(
            f"--engine ray needs the package {(error.name or 'ray')!r}, which is not installed. Install it: "
            "pip install 'poseglot[ray]'"
        ) from error
    settings: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        settings |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        if address and "://" not in address and ":" in address:  # Ray itself would try for ten minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address or "local", **settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise PoseglotError(
            f"there is no Ray cluster to reach at {address!r} ({_said(error)}). Start one with `ray start --head`, or leave "
            "the address out: then this machine is one."
        ) from error


def _said(error: BaseException) -> str:
    """The last line of an error, as Ray's have the traces of the workers in them."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
