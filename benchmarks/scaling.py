"""Count what the processes of a training send each other in a step, and model their wires: the tables of docs/distributed.md.

    python benchmarks/scaling.py

Data parallel, as the engine does it: gradients are averaged (DistributedDataParallel), every BatchNorm sees the whole batch, the features
to be aligned are gathered. `messages` lists every collective of a step; `tests/training/test_scaling.py` counts those of two real
processes and finds the same. Counts and bytes are facts, texts are drawn as a step draws them; times are a model's, except for the seconds
of computing, which `text_cost.py` measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measuring import table
from text_cost import balanced_labels, padded
from torch import Tensor, nn

from poseglot.descriptions import load_descriptions, make_prompts
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.models.text import load_text_encoder
from poseglot.skeletons.layout import GLOBAL, load_layout
from poseglot.training.gap import GAP, TextFeatures

MIB = 2**20
PROCESSES = (2, 8, 64)
GPU = 3000  # clips/s of NTU RGB+D, as assumed in `feed_ntu.py`


@dataclass(frozen=True)
class Message:
    """A collective.

    Attributes:
        what: gradients, statistics, features, texts or buffers.
        kind: all_reduce, all_gather or broadcast.
        size: bytes that every process has of it afterwards.
    """

    what: str
    kind: str
    size: int


@dataclass(frozen=True)
class Wire:
    """Between processes: bytes/s that each can send, and seconds that a message takes however short it is, for each hop."""

    name: str
    bandwidth: float
    latency: float


# Round figures of such wires, of no particular machine.
WIRES = (Wire("1 GbE", 0.117e9, 50e-6), Wire("25 GbE", 2.9e9, 20e-6), Wire("NVLink-like", 150e9, 10e-6))


def messages(module: nn.Module, *, levels: int, width: int, batch: int, texts: int, processes: int) -> list[Message]:
    """Every collective of a step, from the third on (DistributedDataParallel arranges its buckets in the first two).

    Args:
        module: all that DistributedDataParallel holds.
        levels, width: of the features that are gathered; 0 levels without text.
        batch: clips of all processes.
        texts: distinct ones in the step where their encoder learns, not fewer than processes; 0 where it does not.
        processes: how many share the batch.
    """
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    size = learned[0].element_size()
    sent = [Message("buffers", "broadcast", total) for total in _by_dtype(module.buffers())]
    norms = [norm for norm in module.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        # Sums and a count, then squares; and the gradients of both on the way back, which ends before the clips themselves.
        ways = 1 if norm is norms[0] else 2
        sent += ways * [
            Message("statistics", "all_reduce", count * size) for count in (norm.num_features + 1, norm.num_features)
        ]
    if levels:
        sent.append(Message("features", "all_gather", _shared(batch, processes) * levels * width * size))
    if texts:
        sent.append(Message("texts", "all_gather", _shared(texts, processes) * width * size))
    # Gradients come last layer first, and go when there are enough of them.
    sizes = [parameter.numel() * parameter.element_size() for parameter in reversed(learned)]
    return sent + [Message("gradients", "all_reduce", bucket) for bucket in _buckets(sizes)]


def _shared(count: int, processes: int) -> int:
    """Of things that are gathered: every share is padded to the largest."""
    return -(-count // processes) * processes


def _by_dtype(buffers: Iterable[Tensor]) -> list[int]:
    """Bytes of what is broadcast in one piece."""
    sizes: dict[torch.dtype, int] = {}
    for buffer in buffers:
        sizes[buffer.dtype] = sizes.get(buffer.dtype, 0) + buffer.numel() * buffer.element_size()
    return list(sizes.values())


def _buckets(sizes: Iterable[int]) -> list[int]:
    """DistributedDataParallel's: the first goes at 1 MiB, so that something is on its way early, the others at 25 MiB."""
    full = [0]
    for size in sizes:
        if full[-1] >= (MIB if len(full) == 1 else 25 * MIB):
            full.append(0)
        full[-1] += size
    return full


def seconds(message: Message, processes: int, wire: Wire) -> tuple[float, float]:
    """What a message takes, for its bytes (in a ring) and for being one (hops of a tree, at the least)."""
    if processes == 1:
        return 0.0, 0.0
    share = (processes - 1) / processes
    sent = {"all_reduce": 2 * share, "all_gather": share, "broadcast": 1.0}[message.kind] * message.size
    return sent / wire.bandwidth, (processes - 1).bit_length() * wire.latency


def total(sent: Sequence[Message], processes: int, wire: Wire) -> tuple[float, float]:
    """The same of a step's messages, if none of them hid behind computing."""
    each = [seconds(message, processes, wire) for message in sent]
    return sum(for_bytes for for_bytes, _ in each), sum(for_being for _, for_being in each)


# --- the tables ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A data set of the paper, as its recipes have it."""

    name: str
    descriptions: str
    layout: str
    people: int
    batch: int


NW_UCLA, NTU = Case("NW-UCLA", "nw-ucla", "kinect20", 1, 64), Case("NTU RGB+D 120", "ntu120", "ntu25", 2, 200)
NONE, FROZEN, MINILM, CLIP = "without text", "MiniLM, frozen", "MiniLM, fine-tuned", "CLIP ViT-B/32, fine-tuned"


class Words:
    """A case's texts in a step, and MiniLM that reads them."""

    def __init__(self, case: Case) -> None:
        descriptions = list(load_descriptions(case.descriptions).classes.values())
        self.case, self.classes = case, tuple(each.label for each in descriptions)
        prompts = make_prompts(descriptions, prompt="synonym+parts", partition="four")
        self.levels, self.texts = prompts.levels, prompts.texts
        self.encoder = load_text_encoder("minilm")
        labels = balanced_labels(len(self.classes), case.batch, 0)
        self.distinct = prompts.draw(labels, seed=0, epoch=0, index=torch.arange(case.batch)).unique()
        tokens = self.encoder.tokenize(self.texts)
        self.lengths = tokens.mask.sum(dim=1)[self.distinct]

    def messages(self, words: str, processes: int) -> list[Message]:
        """Of a step with these words."""
        case, width = self.case, {NONE: 0, CLIP: 512}.get(words, self.encoder.embed_dim)
        layout = load_layout(case.layout)
        joints = {GLOBAL: tuple(range(len(layout))), **{name: tuple(part) for name, part in layout.partition("four").items()}}
        spec = RecognizerSpec(
            layout=case.layout,
            num_persons=case.people,
            classes=self.classes,
            levels={level: joints[level] for level in self.levels} if width else None,
            embed_dim=width,
        )
        task = GAP(new_recognizer(spec, seed=0))
        self.encoder.requires_grad_(words == MINILM)
        if words == FROZEN:
            task.bank = TextFeatures(("a text",), self.encoder, frozen=True)
            task.bank.table = torch.empty(len(self.texts), width)
        reader = {MINILM: self.encoder.model, CLIP: clip() if words == CLIP else None}.get(words)
        everything = nn.ModuleList([task] if reader is None else [task, reader])
        texts = 0 if reader is None else len(self.distinct)
        return messages(everything, levels=len(task.levels), width=width, batch=case.batch, texts=texts, processes=processes)


def clip() -> nn.Module:
    """CLIP ViT-B/32's text tower, its shapes alone (they are the defaults of transformers)."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    with torch.device("meta"):
        return CLIPTextModelWithProjection(CLIPTextConfig())


def what_is_sent(words: Words) -> list[dict[str, Any]]:
    """A line for every text encoder: bytes and collectives of a step of two processes."""
    rows = []
    for name in (NONE, FROZEN, MINILM, CLIP):
        sent = words.messages(name, 2)
        size = {
            what: sum(m.size for m in sent if m.what == what)
            for what in ("gradients", "statistics", "features", "texts", "buffers")
        }
        rows.append(
            {"text": name}
            | {f"{what}, MB": round(bytes_ / 1e6, 3) for what, bytes_ in size.items()}
            | {"collectives": len(sent), "of BatchNorm": sum(m.what == "statistics" for m in sent)}
        )
    return rows


def what_it_takes(words: Words) -> list[dict[str, Any]]:
    """A line for every wire: ms of a step for bytes + for being many messages."""
    rows = []
    for name in (NONE, MINILM, CLIP):
        for wire in WIRES:
            times = {p: total(words.messages(name, p), p, wire) for p in PROCESSES}
            rows.append({"text": name, "network": wire.name} | {f"p = {p}": _ms(*found) for p, found in times.items()})
    return rows


def _ms(for_bytes: float, for_being: float) -> str:
    return f"{1e3 * for_bytes:,.1f} + {1e3 * for_being:,.1f}"


def how_much_faster(words: Words, computing: dict[str, float]) -> list[dict[str, Any]]:
    """A line for every machine and wire: one process's time over that of p, if computing divides and nothing overlaps."""
    rows = []
    for machine, alone in computing.items():
        for wire in WIRES:
            speedups = {p: alone / (alone / p + sum(total(words.messages(MINILM, p), p, wire))) for p in PROCESSES}
            rows.append(
                {"a process computes on": machine, "network": wire.name} | {f"p = {p}": f"{s:.1f}" for p, s in speedups.items()}
            )
    return rows


def who_reads_what(words: Words) -> list[dict[str, Any]]:
    """A line for every number of processes: tokens of the busiest, of its texts, in the order in which they are shared."""
    rows = []
    for processes in PROCESSES:
        shares = {
            "by index, as now": words.lengths.tensor_split(processes),
            "every p-th by length": [words.lengths.sort().values[place::processes] for place in range(processes)],
        }
        fair = padded(words.lengths) / processes
        most = {how: max(padded(share) for share in parts) for how, parts in shares.items()}
        rows.append(
            {"p": processes, "an equal part": round(fair), **most, "now / equal": f"{most['by index, as now'] / fair:.2f}"}
        )
    return rows


def tables(measured: dict[str, Any]) -> dict[str, str]:
    """Heading -> table, all that docs/distributed.md quotes.

    Args:
        measured: what `text_cost.py` wrote.
    """
    ntu = Words(NTU)
    reading = next(row["of it words, s"] for row in measured["rows"] if row["words"] == "ours")
    alone = measured["found"]["without text by torch, s"] + reading
    computing = {f"two cores of a CPU ({alone:.0f} s a step)": alone, f"a GPU ({GPU:,} clips/s, assumed)": NTU.batch / GPU}
    return {
        f"{NTU.name}, batch {NTU.batch}: what a step of two processes sends": table(what_is_sent(ntu)),
        f"{NW_UCLA.name}, batch {NW_UCLA.batch}: what a step of two processes sends": table(what_is_sent(Words(NW_UCLA))),
        f"{NTU.name}: ms a step for bytes + for latency (model)": table(what_it_takes(ntu)),
        f"{NTU.name}, MiniLM fine-tuned: times one process (model)": table(how_much_faster(ntu, computing)),
        f"{NTU.name}: tokens that the busiest process reads in a step": table(who_reads_what(ntu)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=Path("results/text-cost/table.json"), help="what text_cost.py wrote")
    given = parser.parse_args()
    for heading, rows in tables(json.loads(given.measured.read_text())).items():
        print(f"{heading}\n\n{rows}")


if __name__ == "__main__":
    main()
