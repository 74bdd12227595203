"""The cost model of `benchmarks/scaling.py` against what two real processes send."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.nn.parallel import DistributedDataParallel

from poseglot.training.build import build
from poseglot.training.distributed import synchronise_batch_norm
from poseglot.training.recipe import Recipe
from tests.conftest import ROOT
from tests.training.helpers import small_recipe
from tests.training.test_distributed import BATCH, one_step


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scaling

    yield scaling
    sys.modules.pop("scaling", None)


def process(rank: int, recipe: Recipe, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    sent: dict[str, list[int]] = {"reduced": [], "gathered": [], "gradients": []}
    reduce, gather = dist.all_reduce, dist.all_gather

    def counted_reduce(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        sent["reduced"].append(tensor.numel())
        return reduce(tensor, *arguments, **options)

    def counted_gather(everyone: list[torch.Tensor], own: torch.Tensor) -> Any:
        sent["gathered"].append(sum(tensor.numel() for tensor in everyone))
        return gather(everyone, own)

    def hook(_: Any, bucket: Any) -> torch.futures.Future[torch.Tensor]:
        sent["gradients"].append(bucket.buffer().numel())
        return reduce(bucket.buffer().div_(2), async_op=True).get_future().then(lambda done: done.value()[0])

    task = build(recipe).task.double().train()
    synchronise_batch_norm(task.recognizer)
    wrapped = DistributedDataParallel(task)
    wrapped.register_comm_hook(None, hook)
    with mock.patch.object(dist, "all_reduce", counted_reduce), mock.patch.object(dist, "all_gather", counted_gather):
        one_step(task, recipe, wrapped)
    if rank == 0:
        Path(folder, "sent.json").write_text(json.dumps(sent))
    dist.destroy_process_group()


def test_two_processes_send_what_the_model_says(scaling: ModuleType, store_path: Path, tiny_bert: Path, tmp_path: Path) -> None:
    recipe = small_recipe(store_path, tiny_bert)
    multiprocessing.spawn(process, args=(recipe, str(tmp_path)), nprocs=2)
    sent = json.loads((tmp_path / "sent.json").read_text())
    built = build(recipe)
    assert built.prompts is not None and built.task.bank is not None
    places = built.prompts.draw(built.train.labels[BATCH], seed=0, epoch=0, index=BATCH)
    texts = len(places.unique())
    wanted = scaling.traffic(
        built.task,
        levels=len(places),
        width=built.task.bank.width,
        batch=len(BATCH),
        texts=texts,
        buckets=len(sent["gradients"]),
    )
    assert sum(sent["gradients"]) == wanted.gradients
    assert sum(sent["reduced"]) == wanted.statistics
    # Shares of odd numbers are padded to the larger one.
    assert wanted.features <= sum(sent["gathered"]) <= wanted.features + (len(places) + 1) * built.task.bank.width
    assert len(sent["reduced"]) + len(sent["gathered"]) + len(sent["gradients"]) == wanted.collectives


def test_time_grows_with_processes_and_vanishes_with_one(scaling: ModuleType) -> None:
    found = scaling.Traffic(1_000_000, 10_000, 50_000, 200)
    one, two, eight = (scaling.seconds(found, p, 1e9, 1e-5) for p in (1, 2, 8))
    assert one == 0 < two < eight
    assert two == pytest.approx(4 * 1_010_000 / 1e9 + 4 * 50_000 / 2 / 1e9 + 200 * 1e-5)
