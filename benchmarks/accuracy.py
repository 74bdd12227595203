"""Does accuracy move? NW-UCLA learned by the plain network and by ours, from the same weights, in the same order, on the same views.

Cross-entropy alone, joint modality, a schedule short enough for a CPU; the accuracy is that of the last epoch. In float32 the two ways
round differently, and training multiplies what differs, so that single runs part; that means over seeds agree within what seeds
differ by is what can be asked, and what is printed. (In float64 `tests/test_plain.py` has the weights themselves equal.)
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import machine, table, write_results
from plain import PlainGAP
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from poseglot.data.dataset import ClipDataset
from poseglot.data.store import open_store
from poseglot.models.convert import recognizer_from_official
from poseglot.training.recipe import OptimRecipe
from poseglot.training.schedule import StepSchedule
from poseglot.transforms import Randomness, load_pipeline

CPU = torch.device("cpu")
Logits = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="NW-UCLA, as `poseglot prepare` made it")
    parser.add_argument("--split", default="cross-view")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=16, help="of one pass each")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("results/fast-accuracy"))
    given = parser.parse_args()
    store = open_store(given.store)
    layout, pipeline = store.layout, load_pipeline(store.info.pipeline)
    train, test = (ClipDataset(store, split=given.split, subset=subset, transform=pipeline) for subset in ("train", "test"))
    optim = OptimRecipe(
        epochs=given.epochs, batch_size=32, warmup_epochs=2, milestones=[given.epochs * 5 // 8, given.epochs * 7 // 8]
    )
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        for way in ("plain", "ours"):
            torch.manual_seed(seed)
            network = PlainGAP(layout, people=store.max_persons, classes=len(store.info.classes), width=given.width)
            logits: Logits
            if way == "plain":
                module: nn.Module = network
                logits = lambda x, network=network: network(x)[0]  # noqa: E731
            else:
                module = recognizer_from_official(network.state_dict(), layout=store.info.layout, people=store.max_persons)
                logits = lambda x, module=module: module(x)["logits"]  # noqa: E731
            began = time.perf_counter()
            loss = learn(module, logits, train, optim, seed, f"{way}, seed {seed}")
            seconds = time.perf_counter() - began
            right = count_right(module, logits, test)
            rows.append({"way": way, "seed": seed, "right": right, "of": len(test), "loss": loss, "seconds": seconds})
            print(f"{way}, seed {seed}: {right}/{len(test)}, {seconds:.0f} s")
    means = {way: [100 * row["right"] / row["of"] for row in rows if row["way"] == way] for way in ("plain", "ours")}
    summary = {
        way: {"mean": statistics.mean(found), "std": statistics.stdev(found) if len(found) > 1 else 0.0}
        for way, found in means.items()
    }
    lines = "\n".join(f"{way}: {value['mean']:.2f} ± {value['std']:.2f} %" for way, value in summary.items())
    about = {"epochs": given.epochs, "width": given.width, "batch": optim.batch_size, "threads": torch.get_num_threads()}
    text = f"{table(rows)}\n{lines}\n\n{machine()['command']}; {about}\n"
    write_results(given.out, "table", text, {"machine": machine(), **about, "runs": rows, "summary": summary})


def learn(module: nn.Module, logits: Logits, views: ClipDataset, optim: OptimRecipe, seed: int, name: str) -> float:
    """Train, and give the mean loss of the last epoch."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=optim.lr, momentum=0.9, nesterov=True, weight_decay=optim.weight_decay)
    rate = StepSchedule(optim.lr, optim.epochs, warmup_epochs=optim.warmup_epochs, milestones=optim.milestones)
    losses: list[float] = []
    for epoch in tqdm(range(optim.epochs), desc=name, unit="epoch"):
        for group in optimizer.param_groups:
            group["lr"] = rate(epoch)
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(views)))
        losses.clear()
        for index in order.split(optim.batch_size)[: len(views) // optim.batch_size]:
            x, labels = views.inputs(index, Randomness(seed, epoch, index), CPU), views.labels[index]
            optimizer.zero_grad()
            loss = F.cross_entropy(logits(x), labels)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return statistics.mean(losses)


@torch.no_grad()
def count_right(module: nn.Module, logits: Logits, views: ClipDataset) -> int:
    module.eval()
    found = torch.cat([logits(x).argmax(dim=1) for x in views.eval_inputs(64, CPU)])
    return int((found == views.labels).sum())


if __name__ == "__main__":
    main()
