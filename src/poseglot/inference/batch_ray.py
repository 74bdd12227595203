"""Batch inference on many machines, by Ray Data (which is used nowhere else).

Only shard descriptions and counts pass through Ray. Workers read the clips and write the results themselves, so every machine must see
both under the same paths. A worker is an actor with one CPU (and one GPU, if asked for) that loads the recognizer once. Ray gives the
shards of a lost machine to others; written shards stay (`poseglot.inference.batch`).
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

from poseglot.errors import DeviceError, MissingPackageError, PoseglotError
from poseglot.inference.batch import BatchJob, BatchResult, Shard, predict_shard
from poseglot.inference.predictor import Predictor

_OBJECT_STORE_BYTES = 100_000_000  # hardly anything passes through Ray's object store
_RESUME = "Finished shards are kept; run the same command again to resume."
Rows = dict[str, Any]


def predict_on_ray(
    job: BatchJob, shards: Sequence[Shard], *, address: str | None = None, workers: int | None = None
) -> Iterator[tuple[Shard, BatchResult]]:
    """Predict shards on the workers of a cluster; yield each when it is done, in any order.

    Args:
        job: The settings.
        shards: The shards to do.
        address: The address of a running cluster, as `ray.init` takes it (`auto`: the one of this machine). By default a local cluster is
            started, without dashboard or telemetry, and stopped after the last shard.
        workers: The largest number of workers; by default one for each CPU, or GPU, of the cluster.

    Raises:
        MissingPackageError: Ray is not installed.
        DeviceError: The cluster has no CPU or GPU as the job needs.
        PoseglotError: There is no cluster at the address, or a worker failed.
    """
    _start(address)
    import ray
    from ray.exceptions import RayError

    job = job if job.device else replace(job, device="cpu")
    resource = "CPU" if job.device == "cpu" else "GPU"
    try:
        available = int(ray.cluster_resources().get(resource, 0))
        if not available:
            raise DeviceError(f"the cluster has no {resource}, which a worker on device {job.device} needs.")
        if shards:
            yield from _results(job, shards, min(workers or available, len(shards)), resource)
    except RayError as error:
        raise PoseglotError(f"Ray failed: {_last_line(error)} {_RESUME}") from error
    finally:
        ray.shutdown()


def _results(job: BatchJob, shards: Sequence[Shard], workers: int, resource: str) -> Iterator[tuple[Shard, BatchResult]]:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False  # the caller shows one that counts clips
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = [{"shard": json.dumps(asdict(shard))} for shard in shards]
    # One block per shard, so that shards are scheduled one by one.
    results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Worker,
        batch_size=1,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
        num_gpus=1 if resource == "GPU" else None,
    )
    by_number = {shard.number: shard for shard in shards}
    for row in results.iter_rows():
        result = json.loads(row["result"])
        if result["failure"]:
            raise PoseglotError(f"{result['failure']} {_RESUME}")
        counts = BatchResult(result["predicted"], result["failed"], frozenset(result["mapped"]))
        yield by_number[result["number"]], counts


class _Worker:
    """An actor that predicts shards. It returns user errors as values: Ray would wrap them in tracebacks."""

    def __init__(self, job: BatchJob) -> None:
        torch.set_num_threads(1)
        self.job = job
        self.predictor: Predictor | None = None

    def __call__(self, rows: Rows) -> Rows:
        table = json.loads(str(rows["shard"][0]))
        shard, counts, failure = Shard(**{**table, "files": tuple(table["files"])}), BatchResult(), ""
        try:
            self.predictor = self.predictor or self.job.predictor()
            counts = predict_shard(self.job, shard, self.predictor)
        except PoseglotError as error:
            failure = f"a worker on {platform.node()}: {error}"
        result = {**asdict(counts), "mapped": sorted(counts.mapped), "number": shard.number, "failure": failure}
        return {"result": np.array([json.dumps(result)])}


def _start(address: str | None) -> None:
    """Connect to a cluster, or start a local one."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingPackageError(
            f"--engine ray needs the package {(error.name or 'ray')!r}, which is not installed: pip install 'poseglot[ray]'."
        ) from error
    settings: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        settings |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        if address and "://" not in address and ":" in address:  # fail fast: Ray itself would try for ten minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address or "local", **settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise PoseglotError(
            f"there is no Ray cluster at {address!r} ({_last_line(error)}). Start one with `ray start --head`, or leave the address out to "
            "start a local one."
        ) from error


def _last_line(error: BaseException) -> str:
    """Return the last line of an error: Ray's messages begin with the workers' tracebacks."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
