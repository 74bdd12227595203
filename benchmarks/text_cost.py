"""What words cost a training step at the size of NTU RGB+D 120: batch 200, five levels, MiniLM.

    python benchmarks/text_cost.py

  plain    every clip's five texts go through the text encoder, 1,000 a step, all padded to the longest of them
  ours     each distinct text of the step once, texts of similar length together (`TextFeatures`)
  frozen   a text encoder that does not learn: its features are a table

A skeleton step of 200 clips takes most of a minute on two cores, and its memory leaves no room for the plain texts. But clips and
texts meet in the loss alone. So two things are timed, in turns:

  whole steps   recognizer, texts, loss, backward, SGD; on `--clips` clips, for every way and without text
  words         what words add to a step of the whole batch: texts, heads and alignment on given joint features, backward, SGD

The table has whole steps without text times batch / clips, and the words beside them. Whether the two add up is shown on the `--clips`
clips, where both are measured. Before anything is timed, all ways are seen to give the same loss and gradients. The labels are drawn from
balanced classes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import machine, table, write_results
from speed import timed
from torch import Tensor, nn
from tqdm import tqdm
from ways import switched

from poseglot.descriptions import PromptTable, load_descriptions, make_prompts
from poseglot.devices import keep_freed_memory, to_device
from poseglot.losses import alignment_loss
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.models.text import load_text_encoder
from poseglot.models.text.encoder import LENGTH_GROUPS, TextEncoder
from poseglot.skeletons.layout import GLOBAL, load_layout
from poseglot.training.gap import GAP, TextFeatures

LAYOUT, PEOPLE, FRAMES = load_layout("ntu25"), 2, 64
WITHOUT, WAYS = "without", ("plain", "ours", "frozen")
BY_TORCH = f"whole, {WITHOUT}, by torch"
WEIGHT, SCALE = 0.8, 10.0  # lambda and 1 / tau, the paper's
Step = Callable[[], Any]


class PlainBank(nn.Module):
    """The plain way to read: a text for every clip and level, all as long as the longest. Shares the encoder of a `TextFeatures`."""

    def __init__(self, bank: TextFeatures) -> None:
        super().__init__()
        assert isinstance(bank.encoder, TextEncoder)
        self.encoder, self.tokens = bank.encoder, bank.tokens

    def forward(self, places: Tensor) -> Tensor:
        every = self.tokens.select(places.flatten())
        device = next(self.encoder.parameters()).device
        ids, mask = to_device(every.ids, device), to_device(every.mask, device)
        features = self.encoder.pooling(self.encoder.model(input_ids=ids, attention_mask=mask), mask)
        return features.view(*places.shape, -1)


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips (n, M, T, V, C), labels (n,), and the places (K, n) of their texts, on the CPU."""

    view: Tensor
    labels: Tensor
    places: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=200, help="clips of a step")
    parser.add_argument("--clips", type=int, default=25, help="clips of the whole steps that are timed")
    parser.add_argument("--classes", type=int, default=120, help="of NTU RGB+D 120, the first ones")
    parser.add_argument("--repeats", type=int, default=3, help="turns; one more warms up")
    parser.add_argument("--width", type=int, default=64, help="of CTR-GCN")
    parser.add_argument("--seed", type=int, default=0, help="of labels, texts, clips and weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("results/text-cost"))
    given = parser.parse_args()
    if not 1 <= given.clips <= given.batch or given.repeats < 1:
        parser.error(
            f"--clips goes from 1 to --batch ({given.batch}) and --repeats from 1, not {given.clips} and {given.repeats}."
        )
    keep_freed_memory()  # as `poseglot train` does
    measure(given)


def measure(given: argparse.Namespace) -> None:
    """Everything, and the page."""
    descriptions = list(load_descriptions("ntu120").classes.values())[: given.classes]
    prompts = make_prompts(descriptions, prompt="synonym+parts", partition="four")
    tuned = TextFeatures(prompts.texts, load_text_encoder("minilm"), frozen=False)
    banks = {
        "plain": PlainBank(tuned),
        "ours": tuned,
        "frozen": TextFeatures(prompts.texts, load_text_encoder("minilm"), frozen=True),
    }
    tasks = {way: new_task(way, banks.get(way), prompts, len(descriptions), given) for way in (WITHOUT, *WAYS)}
    batch = draw(prompts, len(descriptions), given)
    few = Batch(batch.view, batch.labels[: given.clips], batch.places[:, : given.clips])
    check_same(tasks, few)
    words = {way: partial(learn_words, tasks[way], sgd(tasks[way]), pooled(given, few), few.labels, few.places) for way in WAYS}
    steps: dict[str, Step] = {
        **{f"whole, {way}": partial(learn, task, sgd(task), few) for way, task in tasks.items()},
        **{f"words of few, {way}": step for way, step in words.items()},
        **{
            f"words, {way}": partial(learn_words, tasks[way], sgd(tasks[way]), pooled(given, batch), batch.labels, batch.places)
            for way in WAYS
        },
        BY_TORCH: partial(learn_by_torch, tasks[WITHOUT], sgd(tasks[WITHOUT]), few),
        "text optimizer": sgd(tuned).step,  # its gradients are those of the last step
    }
    seconds = {name: list[float]() for name in steps}
    began = time.perf_counter()
    for turn in tqdm(range(given.repeats + 1), desc="turns", unit="turn"):
        for name, step in steps.items():
            if turn == 0 and name == "words, plain":
                continue  # the longest; what it needs is warm by then
            took = timed(step, given.device)
            if turn:
                seconds[name].append(took)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    sizes = {
        WITHOUT: (0, 0, 0),
        "frozen": (0, 0, 0),
        "plain": read_plainly(tuned, batch.places),
        "ours": read(tuned, batch.places),
    }
    about = {
        "machine": machine() | {"threads": torch.get_num_threads(), "device": given.device},
        "batch": given.batch, "classes": len(descriptions), "clips": given.clips, "repeats": given.repeats,
        "width": given.width, "seed": given.seed,
        "classes drawn": len(batch.labels.unique()), "levels": len(batch.places),
        "texts of the set": len(prompts.texts), "minutes": (time.perf_counter() - began) / 60,
    }  # fmt: skip
    alone = [time * given.batch / given.clips for time in seconds[f"whole, {WITHOUT}"]]
    rows = [row(way, alone, seconds.get(f"words, {way}", [0.0]), sizes[way]) for way in (WITHOUT, *WAYS)]
    adding = [
        {
            "way": way,
            "whole step, s": middle[f"whole, {way}"],
            "without text, s": middle[f"whole, {WITHOUT}"],
            "words, s": middle[f"words of few, {way}"],
            "whole / sum": middle[f"whole, {way}"] / (middle[f"whole, {WITHOUT}"] + middle[f"words of few, {way}"]),
        }
        for way in WAYS
    ]
    found = {
        "without text by torch, s": middle[BY_TORCH] * given.batch / given.clips,
        "plain / ours, words": middle["words, plain"] / middle["words, ours"],
        "plain / ours, step": rows[1]["step, s"] / rows[2]["step, s"],
        "text optimizer, s": middle["text optimizer"],
    }
    data = {**about, "rows": rows, "adding up": adding, "found": found, "seconds": seconds}
    write_results(given.out, "table", page(data), data)


# --- what is timed ---------------------------------------------------------------------------------------------------------


def new_task(way: str, bank: nn.Module | None, prompts: PromptTable, classes: int, given: argparse.Namespace) -> GAP:
    """CTR-GCN and, with text, its heads and texts: the same weights for every way."""
    parts = LAYOUT.partition("four")
    levels = {level: tuple(range(len(LAYOUT))) if level == GLOBAL else tuple(parts[level]) for level in prompts.levels}
    spec = RecognizerSpec(
        layout="ntu25",
        num_persons=PEOPLE,
        classes=tuple(map(str, range(classes))),
        encoder_kwargs={"base_channels": given.width},
        levels=levels if way != WITHOUT else None,
        embed_dim=384 if way != WITHOUT else 0,
    )
    task = GAP(new_recognizer(spec, seed=given.seed), alignment_weight=WEIGHT, logit_scale=SCALE)
    task.bank = bank  # type: ignore[assignment]
    return task.to(given.device).train()


def balanced_labels(classes: int, batch: int, seed: int) -> Tensor:
    """A batch out of as many clips of a class as NTU RGB+D 120 has for training, about 500, shuffled."""
    each = max(500, batch)
    order = torch.randperm(each * classes, generator=torch.Generator().manual_seed(seed))
    return torch.arange(classes).repeat(each)[order[:batch]]


def draw(prompts: PromptTable, classes: int, given: argparse.Namespace) -> Batch:
    """A batch out of shuffled balanced classes, its texts, and random clips for the whole steps."""
    generator = torch.Generator().manual_seed(given.seed)
    labels = balanced_labels(classes, given.batch, given.seed)
    places = prompts.draw(labels, seed=given.seed, epoch=0, index=torch.arange(given.batch))
    view = torch.rand(given.clips, PEOPLE, FRAMES, len(LAYOUT), 3, generator=generator) * 2 - 1
    return Batch(view.to(given.device), labels.to(given.device), places)


def pooled(given: argparse.Namespace, batch: Batch) -> Tensor:
    """Joint features (K, n, F) in the place of the encoder's: nobody asks where the gradient goes from there."""
    generator = torch.Generator().manual_seed(given.seed)
    features = torch.randn(*batch.places.shape, 4 * given.width, generator=generator)
    return features.to(given.device).requires_grad_()


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    """As in the recipe, but standing still: after many turns the work is that of the first."""
    learns = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return torch.optim.SGD(learns, lr=1e-9, momentum=0.9, nesterov=True, weight_decay=5e-4)


def learn(task: GAP, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """A whole step."""
    loss = task(batch.view, batch.labels, batch.places)["loss"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def learn_by_torch(task: GAP, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """A whole step without the kernels of a CPU, as where several processes train together (see docs/distributed.md)."""
    with switched("off"):
        learn(task, optimizer, batch)


def learn_words(task: GAP, optimizer: torch.optim.Optimizer, joints: Tensor, labels: Tensor, places: Tensor) -> None:
    """What words add to a step: from joint features (K, n, F) and places to gradients, and SGD on what words alone have."""
    features = [head(joints[level]) for level, head in enumerate(task.recognizer.heads.values())]
    assert task.bank is not None
    text = task.bank(places)
    losses = [alignment_loss(own, told, labels, scale=SCALE) for own, told in zip(features, text, strict=True)]
    optimizer.zero_grad()
    (WEIGHT * torch.stack(losses).mean()).backward()
    optimizer.step()


def check_same(tasks: dict[str, GAP], batch: Batch) -> None:
    """See that all ways with text compute the same, and those that learn the same gradients."""
    losses, gradients = {}, {}
    for way in WAYS:
        tasks[way].zero_grad()
        found = tasks[way](batch.view, batch.labels, batch.places)
        found["loss"].backward()
        losses[way] = found["loss"].detach()
        gradients[way] = {name: p.grad.clone() for name, p in tasks[way].named_parameters() if p.grad is not None}
        torch.testing.assert_close(losses[way], losses["plain"], rtol=1e-4, atol=1e-5)
    assert gradients["plain"].keys() == gradients["ours"].keys() > gradients["frozen"].keys()
    for way in ("ours", "frozen"):
        for name, gradient in gradients[way].items():
            other = gradients["plain"][name]
            scale = other.abs().max().clamp_min(1e-3)
            torch.testing.assert_close(gradient / scale, other / scale, rtol=0, atol=1e-2, msg=lambda m, n=name: f"{n}: {m}")


# --- what is said ----------------------------------------------------------------------------------------------------------


def read_plainly(bank: TextFeatures, places: Tensor) -> tuple[int, int, int]:
    """Texts, tokens read and tokens without padding of the plain way."""
    every = bank.tokens.select(places.flatten())
    return len(every), every.ids.numel(), int(every.mask.sum())


def read(bank: TextFeatures, places: Tensor) -> tuple[int, int, int]:
    """The same of ours."""
    lengths = bank.tokens.mask.sum(dim=1)[places.unique()]
    return len(lengths), padded(lengths), int(lengths.sum())


def padded(lengths: Tensor, groups: int = LENGTH_GROUPS) -> int:
    """Tokens read when texts go through in groups of similar length, each as long as its longest."""
    return sum(len(group) * int(group.max()) for group in lengths.sort().values.tensor_split(min(groups, len(lengths))))


def row(way: str, alone: list[float], words: list[float], sizes: tuple[int, int, int]) -> dict[str, Any]:
    """A line of the table: seconds of a step of the whole batch."""
    added = statistics.median(words)
    step = statistics.median(alone) + added
    return {
        "words": way, "step, s": step, "of it words, s": added, "least": min(words), "most": max(words),
        "share": f"{added / step:.1%}", "texts": sizes[0], "tokens read": sizes[1], "without padding": sizes[2],
    }  # fmt: skip


def page(data: dict[str, Any]) -> str:
    """The page that is written."""
    found, seconds = data["found"], data["seconds"][f"whole, {WITHOUT}"]
    factor = data["batch"] / data["clips"]
    return "\n".join(
        [
            "# What words cost a training step\n",
            "".join(f"- {key}: {value}\n" for key, value in data["machine"].items()),
            f"NTU RGB+D 120's size: CTR-GCN of width {data['width']}, random clips of {PEOPLE} people, {FRAMES} frames, "
            f"{len(LAYOUT)} joints; "
            f"`synonym+parts`, {data['levels']} levels, {data['texts of the set']:,} texts, MiniLM. A step of {data['batch']} clips "
            f"({data['classes drawn']} classes drawn, seed {data['seed']}):\n",
            table(data["rows"]),
            f"Words are measured at {data['batch']} clips; the rest of the step at {data['clips']} ({min(seconds):.3g} to "
            f"{max(seconds):.3g} s), times {factor:g}. Medians, least and most of {data['repeats']} turns; it took {data['minutes']:.1f} "
            "minutes. "
            f"The plain way's words take {found['plain / ours, words']:.2f} times ours, its step {found['plain / ours, step']:.2f} times. "
            f"SGD on the text encoder is {found['text optimizer, s']:.3g} s of what both take.\n",
            f"## Do they add up? Whole steps of {data['clips']} clips\n",
            table(data["adding up"]),
        ]
    )


if __name__ == "__main__":
    main()
