"""How fast CTR-GCN trains and answers, way beside way, in turns.

  plain        CTR-GCN and GAP's heads written the obvious way (`plain.py`)
  torch        our encoder by torch's operations (POSEGLOT_KERNELS=off)
  ours         as it is shipped: in rows on a CPU; at test time what `Predictor` prepares
  compiled     torch's operations through torch.compile (only if asked for by --ways)
  onnxruntime  what `poseglot export` writes (at test time, on a CPU)

A training step is forward, cross-entropy, alignment of five levels with given text features (what texts cost is asked by
`text_cost.py`), backward, SGD. Before anything is timed, all ways are seen to give the same numbers.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import machine, table, write_results
from plain import PlainGAP, plain_loss
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from poseglot.errors import PoseglotError
from poseglot.losses import alignment_loss
from poseglot.models.frozen import prepare
from poseglot.models.official import OFFICIAL_PARTS, recognizer_from_official
from poseglot.models.recognizer import Recognizer
from poseglot.skeletons.layout import load_layout

HEADS = ("head", "hand", "foot", "hip")  # the order of the public heads
LEVELS = ("global", *HEADS)
TEXT_WIDTH = 512  # CLIP's
WAYS = ("plain", "torch", "ours", "compiled", "onnxruntime")
Step = Callable[[], Any]


@dataclass(frozen=True)
class Shape:
    """Clips of a data set: layout, people, frames, classes."""

    layout: str
    people: int
    frames: int
    classes: int


SHAPES = {"nw-ucla": Shape("kinect20", 1, 52, 10), "ntu": Shape("ntu25", 2, 64, 120)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--modes", nargs="+", choices=("train", "infer"), default=["train", "infer"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["plain", "torch", "ours", "onnxruntime"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64, 200])
    parser.add_argument(
        "--seconds", type=float, default=25.0, help="of a configuration; at least two rounds are done, at most 15"
    )
    parser.add_argument(
        "--longest", type=float, default=60.0, help="seconds: a configuration whose plain step would take longer is left out"
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--exports", type=Path, help=argparse.SUPPRESS)  # where exported files lie
    parser.add_argument("--peak-of", nargs=4, metavar=("SHAPE", "MODE", "BATCH", "WAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak_of:
        name, mode, batch, way = given.peak_of
        print(peak_memory(SHAPES[name], mode, int(batch), way, given))
        return
    with tempfile.TemporaryDirectory() as folder:
        given.exports = Path(folder)
        compare(given)


def compare(given: argparse.Namespace) -> None:
    """The whole grid."""
    peaks = [matrix_peak(given.device)]
    rows: list[dict[str, Any]] = []
    grid = [(name, mode, batch) for name in given.shapes for mode in given.modes for batch in given.batches]
    for name, mode, batch in tqdm(grid, desc="configurations", unit="one"):
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if mode == "train" and given.device == "cpu" and plain_bytes(SHAPES[name], batch, given.width) > 0.7 * free:
            tqdm.write(f"{name}, {mode}, batch {batch}: left out, the plain way would want more memory than is free")
            continue
        before = next(
            (row for row in reversed(rows) if (row["shape"], row["mode"], row["way"]) == (name, mode, given.ways[0])), None
        )
        if before and before["ms"] / 1e3 * batch / before["batch"] > given.longest:
            tqdm.write(f"{name}, {mode}, batch {batch}: left out, a step would take longer than --longest")
            continue
        rows += measure(name, mode, batch, given)
        peaks.append(matrix_peak(given.device))
    peak = statistics.median(peaks)
    for row in rows:
        row["of the peak"] = row["GFLOP/s"] / peak
    about = {
        "machine": machine(), "threads": torch.get_num_threads(), "width": given.width, "seed": 0,
        "matrix product, GFLOP/s": {"median": peak, "least": min(peaks), "most": max(peaks)},
    }  # fmt: skip
    write_results(given.out, "table", page(rows, about), {**about, "rows": rows})
    picture(rows, given.out / "speed.png")


def measure(name: str, mode: str, batch: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """All ways of one configuration, in turns."""
    shape = SHAPES[name]
    steps = dict[str, Step]()
    for way in given.ways:
        if mode == "train" and way == "onnxruntime":
            continue
        try:
            steps[way] = build(way, shape, mode, batch, given)
        except PoseglotError as error:
            tqdm.write(f"{way}: not available here: {error}")
    # The first call of each warms up, and all must say the same: logits, or the loss before any step.
    said = {way: step() for way, step in steps.items()}
    reference = next(iter(said.values())).float()
    for way, value in said.items():
        if not torch.allclose(value.float(), reference, rtol=1e-2, atol=1e-3 * float(reference.abs().max())):
            sys.exit(f"{name}, {mode}, batch {batch}: {way} computes something else; nothing is timed.")
    seconds = {way: list[float]() for way in steps}
    until = time.perf_counter() + given.seconds
    rounds = 0
    while rounds < 2 or (rounds < 15 and time.perf_counter() < until):
        for way, step in steps.items():
            seconds[way].append(timed(step, given.device))
        rounds += 1
    counted = flops_of_a_clip(shape, mode, given.width)
    rows = []
    for way, times in seconds.items():
        middle = statistics.median(times)
        ratio = statistics.median(p / t for p, t in zip(seconds["plain"], times, strict=True)) if "plain" in seconds else None
        rows.append(
            {
                "shape": name, "mode": mode, "batch": batch, "way": way, "ms": 1e3 * middle, "least": 1e3 * min(times),
                "most": 1e3 * max(times), "clips/s": batch / middle, "times plain": ratio if ratio is not None else "-",
                "peak MiB": alone(name, mode, batch, way, given), "GFLOP/s": batch * counted[way != "plain"] / middle / 1e9,
                "rounds": rounds,
            }
        )  # fmt: skip
    return rows


def timed(step: Step, device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    began = time.perf_counter()
    step()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def build(way: str, shape: Shape, mode: str, batch: int, given: argparse.Namespace) -> Step:
    """A step that trains on, or answers, the same batch every time; it returns what it computed."""
    plain, ours = networks(shape, given.width)
    plain.to(given.device), ours.to(given.device)
    x, labels, texts = (each.to(given.device) for each in batch_of(shape, batch))
    kernels = "on" if way == "ours" else "off"
    if mode == "infer":
        answer: Callable[[Tensor], Tensor]
        plain.eval(), ours.eval()
        if way == "plain":
            answer = lambda x: plain(x)[0]  # noqa: E731
        elif way == "ours":
            answer = prepare(ours)
        elif way == "onnxruntime":
            from poseglot.inference.export import ExportedRecognizer, export_onnx

            path = given.exports / f"{shape.layout}.onnx"
            if not path.exists():
                export_onnx(ours.without_words(), path)
            answer = ExportedRecognizer(path)
        else:
            bare = ours.without_words()
            if way == "compiled":
                bare.encoder.compile()
            answer = lambda x: bare(x)["logits"]  # noqa: E731
        return partial(_answer, answer, x, kernels)
    plain.train(), ours.train()
    if way == "compiled":
        ours.encoder.compile()
    module = plain if way == "plain" else ours
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6, momentum=0.9, nesterov=True, weight_decay=4e-4)
    loss = partial(_plain_loss, plain) if way == "plain" else partial(_our_loss, ours)
    return partial(_train, loss, optimizer, x, labels, texts, kernels)


def _answer(answer: Callable[[Tensor], Tensor], x: Tensor, kernels: str) -> Tensor:
    with torch.inference_mode(), switched(kernels):
        return answer(x)


def _train(
    loss_of: Callable[..., Tensor], optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor, texts: Tensor, kernels: str
) -> Tensor:
    with switched(kernels):
        optimizer.zero_grad()
        loss = loss_of(x, labels, texts)
        loss.backward()
        optimizer.step()
    return loss.detach()


def _plain_loss(network: PlainGAP, x: Tensor, labels: Tensor, texts: Tensor) -> Tensor:
    return plain_loss(network(x), labels, list(texts), weight=0.8, scale=10.0)


def _our_loss(recognizer: Recognizer, x: Tensor, labels: Tensor, texts: Tensor) -> Tensor:
    output = recognizer(x)
    aligned = [
        alignment_loss(output["alignment"][level], text, labels, scale=10.0) for level, text in zip(LEVELS, texts, strict=True)
    ]
    return F.cross_entropy(output["logits"], labels) + 0.8 * torch.stack(aligned).mean()


@contextmanager
def switched(kernels: str) -> Iterator[None]:
    before = os.environ.get("POSEGLOT_KERNELS")
    os.environ["POSEGLOT_KERNELS"] = kernels
    try:
        yield
    finally:
        os.environ.pop("POSEGLOT_KERNELS") if before is None else os.environ.update(POSEGLOT_KERNELS=before)


def networks(shape: Shape, width: int) -> tuple[PlainGAP, Recognizer]:
    """The plain network and ours with its weights."""
    torch.manual_seed(0)
    parts = [OFFICIAL_PARTS[shape.layout]["joint"][name] for name in HEADS]
    plain = PlainGAP(
        load_layout(shape.layout), people=shape.people, classes=shape.classes, width=width, text_width=TEXT_WIDTH, parts=parts
    )
    return plain, recognizer_from_official(plain.state_dict(), layout=shape.layout, people=shape.people)


def batch_of(shape: Shape, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random clips (N, M, T, V, C), labels, and text features (levels, N, width)."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(batch, shape.people, shape.frames, len(load_layout(shape.layout)), 3, generator=generator) * 2 - 1
    labels = torch.randint(shape.classes, (batch,), generator=generator)
    return x, labels, torch.randn(len(LEVELS), batch, TEXT_WIDTH, generator=generator)


def flops_of_a_clip(shape: Shape, mode: str, width: int) -> list[int]:
    """Operations as torch counts them (a multiply-add is two), of the plain way and of ours, the same in rows as by torch."""
    plain, ours = networks(shape, width)
    x, labels, texts = batch_of(shape, 2)
    found = []
    for way, module in (("plain", plain), ("ours", ours)):
        module.train(mode == "train")
        counter = FlopCounterMode(display=False)
        with switched("off"), counter:
            if mode == "train":
                (_plain_loss(plain, x, labels, texts) if way == "plain" else _our_loss(ours, x, labels, texts)).backward()
            else:
                module.requires_grad_(False)
                module(x)
        found.append(counter.get_total_flops() // 2)
    return found


def plain_bytes(shape: Shape, batch: int, width: int) -> float:
    """About what the plain way keeps for its backward pass: some 20 tensors of a block's size in each of ten blocks."""
    return batch * shape.people * shape.frames * len(load_layout(shape.layout)) * width * 4 * 20 * 10 * 1.2


def alone(name: str, mode: str, batch: int, way: str, given: argparse.Namespace) -> float | str:
    """MiB that one step of a way adds to what a process has before it, measured in one of its own; for one middle batch only."""
    if batch != min(given.batches, key=lambda size: abs(size - 64)):
        return "-"
    command = [
        sys.executable, __file__, "--peak-of", name, mode, str(batch), way, "--width", str(given.width), "--device", given.device,
        "--exports", str(given.exports),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def peak_memory(shape: Shape, mode: str, batch: int, way: str, given: argparse.Namespace) -> float:
    step = build(way, shape, mode, batch, given)
    if given.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() / 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10


def matrix_peak(device: str) -> float:
    """GFLOP/s of the best of several square products in single precision."""
    best = 0.0
    for size in (512, 1024, 1536):
        a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
        step = partial(torch.mm, a, b)
        timed(step, device)
        best = max(best, max(2 * size**3 / timed(step, device) / 1e9 for _ in range(6)))
    return best


def page(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The tables, one for each mode and shape."""
    peak = about["matrix product, GFLOP/s"]
    parts = []
    for name, mode in dict.fromkeys((row["shape"], row["mode"]) for row in rows):
        some = [row for row in rows if (row["shape"], row["mode"]) == (name, mode)]
        shown = [{key: value for key, value in row.items() if key not in ("shape", "mode")} for row in some]
        for row in shown:
            row["of the peak"] = f"{row['of the peak']:.0%}"
        parts.append(f"## {'Training' if mode == 'train' else 'Inference'}, {name}\n\n{table(shown)}")
    foot = (
        f"Median, least and most of the rounds; `times plain` is the median of ratios within a round. `peak MiB` is what one step adds "
        f"to a process of its own. GFLOP/s: torch's count of the plain way's operations for it, of our torch way's for the others (rows do "
        f"the same algebra; ONNX Runtime fewer still) - so a way that needs fewer shows fewer. This machine's matrix product: "
        f"{peak['median']:.0f} GFLOP/s (median of measurements between the configurations; {peak['least']:.0f} to {peak['most']:.0f}). "
        f"{about['threads']} threads, {about['machine']['processor']}, torch {about['machine']['torch']}, commit "
        f"{about['machine']['commit']}, {about['machine']['when']}.\n\n`{about['machine']['command']}`\n"
    )
    return "# Speed\n\n" + "\n".join(parts) + "\n" + foot


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Clips a second by batch, a panel for each mode and shape."""
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys((row["shape"], row["mode"]) for row in rows))
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.6), squeeze=False)
    for axis, (name, mode) in zip(axes[0], panels, strict=True):
        some = [row for row in rows if (row["shape"], row["mode"]) == (name, mode)]
        for way in dict.fromkeys(row["way"] for row in some):
            mine = [row for row in some if row["way"] == way]
            axis.plot([row["batch"] for row in mine], [row["clips/s"] for row in mine], marker="o", label=way)
        axis.set_title(f"{'training' if mode == 'train' else 'inference'}, {name}", fontsize=10)
        batches = sorted({row["batch"] for row in some})
        axis.set_xscale("log")
        axis.set_xticks(batches, map(str, batches))
        axis.minorticks_off()
        axis.set_xlabel("batch")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("clips / s")
    axes[0][-1].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
