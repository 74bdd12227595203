"""Archives on Ray: a cluster of two nodes, one of which is killed half-way, gives what this process gives alone.

Ray is not among the packages of development (500 MB): `pip install '.[ray]'` makes these run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.app.cli import main
from poseglot.errors import PoseglotError
from poseglot.inference.batch import BatchJob, BatchResult, Shard, count_results, make_shards, open_batch, predict_locally
from poseglot.inference.batch_ray import predict_on_ray

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="needs Ray: pip install '.[ray]'")
MEMORY = 100_000_000


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster with one node, of one CPU; what it starts finds our package and no more threads than it should."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False},
    )
    yield started
    ray.shutdown()
    started.shutdown()


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def test_a_node_is_killed_and_nothing_is_lost_or_twice(
    cluster: Any, real_store: Path, run_folder: Path, tmp_path: Path
) -> None:
    second = cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
    shards = make_shards([real_store], [], size=32)
    alone, together = (BatchJob(str(run_folder), str(tmp_path / name)) for name in ("alone", "together"))
    with open_batch(alone, shards) as todo:
        list(predict_locally(alone, todo))
    killed_after: list[int] = []

    def kill() -> None:
        # Both nodes have a worker once no CPU is left, and both have shards in hand some seconds later.
        while ray.available_resources().get("CPU", 0) or len(files_in(tmp_path / "together")) < len(shards) // 2:
            time.sleep(0.02)
        killed_after.append(len(files_in(tmp_path / "together")))
        cluster.remove_node(second, allow_graceful=False)

    got: list[tuple[Shard, BatchResult]] = []
    with open_batch(together, shards) as todo:
        for each in predict_on_ray(together, todo, address=cluster.address):
            if not got:
                killer = threading.Thread(target=kill, daemon=True)
                killer.start()
            got.append(each)
    killer.join(timeout=60)
    assert killed_after and killed_after[0] < len(shards)
    assert sorted(shard.number for shard, _ in got) == list(range(len(shards)))
    assert count_results(together, shards) == BatchResult(predicted=1484)
    assert files_in(tmp_path / "together") == files_in(tmp_path / "alone")


def test_the_command_starts_a_cluster_of_this_machine_and_ends_it(store_path: Path, run_folder: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for name, content in {"a.npy": np.ones((1, 9, 20, 3)), "b.npy": np.ones((1, 9, 17, 3))}.items():
        np.save(files / name, content)
    asked = ["predict", str(run_folder), str(store_path), str(files), "--shard-size", "50"]
    for engine in ("local", "ray"):
        assert main([*asked, "--engine", engine, "--out", str(tmp_path / engine)]) == 0
    assert not ray.is_initialized()
    assert len(files_in(tmp_path / "ray")) == 4
    assert files_in(tmp_path / "ray") == files_in(tmp_path / "local")


def test_what_cannot_be_is_said(store_path: Path, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, shards = BatchJob(str(run_folder), str(tmp_path)), make_shards([store_path], [])
    with pytest.raises(PoseglotError, match=r"no Ray cluster to reach at '127\.0\.0\.1:1' .*refused"):
        list(predict_on_ray(job, shards, address="127.0.0.1:1"))
    with pytest.raises(PoseglotError, match="no Ray cluster to reach at 'auto'"):
        list(predict_on_ray(job, shards, address="auto"))
    with pytest.raises(PoseglotError, match="the cluster has no GPU, which a worker on device cuda needs"):
        list(predict_on_ray(replace(job, device="cuda"), shards))
    with pytest.raises(PoseglotError, match=r"a worker on .* is not a packed store.*What is done stays done"):
        list(predict_on_ray(job, [replace(shards[0], store=str(tmp_path))]))
    assert not ray.is_initialized()
