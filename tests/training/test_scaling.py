"""The cost model of `benchmarks/scaling.py` against what two real processes send, and docs/distributed.md against the model."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from poseglot.training.build import build
from poseglot.training.distributed import own_share, synchronise_batch_norm
from poseglot.training.recipe import ModelRecipe, Recipe
from tests.conftest import ROOT
from tests.training.helpers import in_two_processes, inputs, small_recipe

BATCH = torch.arange(0, 96, 14)[:5]  # odd, so that shares are padded
KINDS = {"allreduce_": "all_reduce", "allgather_": "all_gather", "broadcast_": "broadcast"}


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scaling

    yield scaling
    for name in ("scaling", "text_cost", "speed", "plain", "measuring"):
        sys.modules.pop(name, None)


class Listening(TorchDispatchMode):
    """Hears every collective, those that DistributedDataParallel starts in C++ among them."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, int]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.namespace == "c10d":
            self.heard.append((KINDS.get(function.overloadpacket.__name__, str(function)), bytes_of(args[0])))
        return function(*args, **(kwargs or {}))


def bytes_of(tensors: Any) -> int:
    """Of what a collective leaves in every process; its first argument, lists of tensors."""
    if isinstance(tensors, Tensor):
        return tensors.numel() * tensors.element_size()
    return sum(map(bytes_of, tensors))


def process(rank: int, world: int, recipes: dict[str, Recipe], folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    for case, recipe in recipes.items():
        built = build(recipe)
        task = built.task.double().train()
        synchronise_batch_norm(task.recognizer)
        wrapped = DistributedDataParallel(task)
        labels = built.train.labels[BATCH]
        places = built.prompts.draw(labels, seed=0, epoch=0, index=BATCH) if built.prompts is not None else None
        view = inputs(built.train, BATCH[own_share(len(BATCH))]).double()
        for _ in range(2):  # in which buckets are arranged
            wrapped(view, labels, places)["loss"].backward()
        with Listening() as listening:
            wrapped(view, labels, places)["loss"].backward()
        if rank == 0:
            Path(folder, f"{case}.json").write_text(json.dumps(listening.heard))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def recipes(store_path: Path, tiny_bert: Path) -> dict[str, Recipe]:
    """With one bucket of gradients and with two; the odd batch makes padded shares."""
    recipe = small_recipe(store_path, tiny_bert)
    words = recipe.text
    return {
        "tuned": recipe,
        "frozen": replace(recipe, text=replace(words, freeze=True)),
        "wide": replace(recipe, model=ModelRecipe(base_channels=24), text=replace(words, prompt="none")),
    }


def test_two_processes_send_what_the_model_says(scaling: ModuleType, recipes: dict[str, Recipe], tmp_path: Path) -> None:
    in_two_processes(process, recipes, str(tmp_path))
    buckets = {}
    for case, recipe in recipes.items():
        heard = Counter((kind, size) for kind, size in json.loads((tmp_path / f"{case}.json").read_text()))
        built = build(recipe)
        texts = 0
        if built.prompts is not None and recipe.text.freeze is False:
            texts = len(built.prompts.draw(built.train.labels[BATCH], seed=0, epoch=0, index=BATCH).unique())
        sent = scaling.messages(
            built.task.double(),
            levels=len(built.task.levels),
            width=built.task.recognizer.spec.embed_dim,
            batch=len(BATCH),
            texts=texts,
            processes=2,
        )
        apart = {what: Counter((m.kind, m.size) for m in sent if (m.what == "gradients") == what) for what in (True, False)}
        # The order in which gradients come decides which of them share a bucket, not how many buckets there are or how much they hold.
        gradients = heard - apart[False]
        assert heard == gradients + apart[False], case
        assert gradients.total() == apart[True].total(), case
        assert {kind for kind, _ in gradients} == {"all_reduce"}
        assert sum(size * count for (_, size), count in gradients.items()) == sum(m.size for m in sent if m.what == "gradients")
        buckets[case] = gradients.total()
    assert buckets["tuned"] < buckets["wide"]


def test_every_kind_of_message_is_in_the_model(scaling: ModuleType) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    sent = scaling.messages(module, levels=2, width=5, batch=7, texts=9, processes=4)
    assert Counter(m.what for m in sent) == {"gradients": 1, "statistics": 2, "features": 1, "texts": 1, "buffers": 2}
    size = {m.what: m.size for m in sent if m.what != "buffers"}
    assert size["gradients"] == 4 * (3 * 4 + 4 + 4 + 4)
    assert (size["features"], size["texts"]) == (4 * 8 * 2 * 5, 4 * 12 * 5)  # shares of 7 and of 9 padded
    assert [m.size for m in sent if m.what == "statistics"] == [4 * 5, 4 * 4]
    assert sorted(m.size for m in sent if m.what == "buffers") == [8, 4 * 8]


def test_gradients_go_in_buckets(scaling: ModuleType) -> None:
    mib = 2**20
    assert scaling._buckets([mib - 1, 1, 24 * mib, 2 * mib, 5]) == [mib, 26 * mib, 5]


def test_a_ring_sends_everything_about_twice_and_waits_for_every_hop(scaling: ModuleType) -> None:
    wire = scaling.Wire("", bandwidth=100.0, latency=0.5)
    reduced, gathered = scaling.Message("gradients", "all_reduce", 1000), scaling.Message("texts", "all_gather", 1000)
    assert scaling.total([reduced, gathered], 1, wire) == (0, 0)
    assert scaling.total([reduced, gathered], 2, wire) == (10 + 5, 2 * 0.5)
    assert scaling.total([reduced, gathered], 8, wire) == pytest.approx((20 * 7 / 8 + 10 * 7 / 8, 2 * 3 * 0.5))
    assert scaling.seconds(scaling.Message("buffers", "broadcast", 1000), 64, wire) == (10, 6 * 0.5)


def test_the_page_has_the_tables_of_the_command(scaling: ModuleType) -> None:
    page = (ROOT / "docs" / "distributed.md").read_text()
    found = scaling.tables(json.loads((ROOT / "results" / "text-cost" / "table.json").read_text()))
    assert len(found) == 5
    for heading, rows in found.items():
        assert rows in page, heading
