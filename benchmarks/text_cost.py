"""What words cost a training step at the size of NTU RGB+D 120: batch 200, five levels, MiniLM.

  plain    every clip's five texts go through the text encoder, 1,000 a step, padded to the longest of them
  ours     each distinct text of the step once, texts of similar length together
  frozen   a text encoder that does not learn: its features are a table

The text's part is timed from its places to the gradients of the text encoder, behind a loss that asks all of it; the skeleton's part
is a step of CTR-GCN with heads and alignment on given features. The latter grows with the clips, and a batch of 200 does
not fit every memory: it is timed on `--clips` of them and multiplied. The parts are timed in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from measuring import machine, table, write_results
from speed import SHAPES, build
from torch import Tensor
from tqdm import tqdm

from poseglot.descriptions.description import load_descriptions
from poseglot.descriptions.prompts import make_prompts
from poseglot.models.text.load import load_text_encoder
from poseglot.training.task import TextBank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--clips", type=int, default=25, help="that the skeleton's part is timed on")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/text-cost"))
    given = parser.parse_args()
    given.device = "cpu"

    descriptions = load_descriptions("ntu120")
    classes = list(descriptions.classes)
    prompts = make_prompts(descriptions.of(classes), prompt="synonym+parts", partition="four")
    encoder = load_text_encoder("minilm")
    tuned, frozen = (
        TextBank(prompts.texts, encoder if learns else load_text_encoder("minilm"), frozen=not learns)
        for learns in (True, False)
    )
    labels = torch.randint(len(classes), (given.batch,), generator=torch.Generator().manual_seed(given.seed))
    places = prompts.draw(labels, seed=given.seed, epoch=0, index=torch.arange(given.batch))  # (levels, B)
    distinct = places.unique()
    every = tuned.tokens.select(places.flatten())
    skeleton = build("ours", SHAPES["ntu"], "train", given.clips, given)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=1e-6, momentum=0.9, nesterov=True)

    def learn(features: Tensor) -> None:
        optimizer.zero_grad()
        features.square().mean().backward()
        optimizer.step()

    def plain() -> Tensor:
        output = encoder.model(input_ids=every.ids, attention_mask=every.mask)
        return encoder.pooling(output, every.mask).view(*places.shape, -1)

    torch.testing.assert_close(tuned(places), plain(), rtol=1e-3, atol=1e-5)
    parts = {
        "skeleton": skeleton,
        "plain": lambda: learn(plain()),
        "ours": lambda: learn(tuned(places)),
        "frozen": lambda: frozen(places),
    }
    seconds = {name: list[float]() for name in parts}
    for turn in tqdm(range(given.repeats + 1), desc="turns", unit="turn"):
        for name, part in parts.items():
            began = time.perf_counter()
            part()
            if turn:  # the first warms up
                seconds[name].append((time.perf_counter() - began) * (given.batch / given.clips if name == "skeleton" else 1))
    lengths = tuned.tokens.mask.sum(dim=1)
    tokens = {
        "plain": (places.numel(), every.ids.numel(), int(every.mask.sum())),
        "ours": (len(distinct), padded(lengths[distinct]), int(lengths[distinct].sum())),
        "frozen": (0, 0, 0),
    }
    alone = statistics.median(seconds["skeleton"])
    rows: list[dict[str, Any]] = [row("without words", alone, seconds["skeleton"], 0.0, (0, 0, 0))]
    for name in ("plain", "ours", "frozen"):
        cost = statistics.median(seconds[name])
        rows.append(row(f"words, {name}", cost, seconds[name], cost / (alone + cost), tokens[name]))
    about = {
        "machine": machine(),
        "batch": given.batch,
        "clips": given.clips,
        "seed": given.seed,
        "classes drawn": len(labels.unique()),
    }
    text = (
        f"# What words cost a training step\n\n{table(rows)}\nBatch {given.batch}, {len(labels.unique())} classes drawn, "
        f"{len(places)} levels, MiniLM, CTR-GCN of width {given.width}; the skeleton's step was timed on {given.clips} clips and multiplied. Median, least and "
        f"most of {given.repeats} turns. {torch.get_num_threads()} threads, {about['machine']['processor']}, torch "
        f"{about['machine']['torch']}, commit {about['machine']['commit']}, {about['machine']['when']}.\n\n"
        f"`{about['machine']['command']}`\n"
    )
    write_results(given.out, "table", text, {**about, "seconds": seconds, "rows": rows})


def row(name: str, cost: float, times: list[float], share: float, tokens: tuple[int, int, int]) -> dict[str, Any]:
    texts, read, real = tokens
    return {
        "part": name, "seconds": cost, "least": min(times), "most": max(times), "share of the step": f"{share:.1%}", "texts": texts,
        "tokens read": read, "without padding": real,
    }  # fmt: skip


def padded(lengths: Tensor) -> int:
    """Tokens read when texts go through in four groups of similar length, each as long as its longest."""
    return sum(len(group) * int(group.max()) for group in lengths.sort().values.tensor_split(4))


if __name__ == "__main__":
    main()
