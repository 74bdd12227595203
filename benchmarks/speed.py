"""How fast CTR-GCN trains and answers, way beside way, in turns.

  plain        CTR-GCN and GAP's heads written the obvious way (`plain.py`)
  torch        our encoder by torch's operations (POSEGLOT_KERNELS=off)
  ours         as it is shipped: in rows on a CPU; at test time what `Predictor` prepares
  compiled     torch's operations through torch.compile (only if asked for by --ways)
  onnxruntime  what `poseglot export` writes (at test time, on a CPU)

    python benchmarks/speed.py --out results/speed

A training step is forward, cross-entropy, alignment of five levels with given text features (what texts cost is asked by
`text_cost.py`), backward, SGD; at test time there are no heads. Before anything is timed, all ways are seen to give the same logits,
or the same loss and gradients, with weights in which nothing is zero or one: to 1e-8 in double precision on up to four clips, roughly in
single precision on the batch that is timed. Then they take turns (A, B, C, A, B, C, ...), and a ratio is
one of two turns of the same round. Freed memory is kept, in every way, as the command line does for all of ours. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import MB, busy_seconds, free_memory, machine, own_memory, restart_own_peak, shown, table, write_results
from torch import Tensor
from tqdm import tqdm
from ways import SEED, SHAPES, WAYS, Shape, Way, build, flops_of_a_clip

from poseglot.devices import keep_freed_memory
from poseglot.errors import PoseglotError

# How far logits, the loss or a gradient may be from the first way's, as a share of its length. In single precision rounding decides on
# which side of a ReLU's edge a number falls, and the plain way's own gradients are up to a hundredth away from those in double precision.
CLOSE = {"exact": 1e-8, "infer": 1e-3, "train": 5e-2}
FLOOR = 0.05  # of the longest gradient: one that cancels out to less is measured by this
IN_DOUBLE = ("plain", "torch", "ours")  # ways that come in double precision, too, without being made once more
TURN = 0.1  # seconds that a turn of the plain way takes at least, so that a short step is not timed alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--modes", nargs="+", choices=("train", "infer"), default=["train", "infer"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["plain", "torch", "ours", "onnxruntime"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64, 200])
    parser.add_argument("--repeats", type=int, default=15, help="rounds of a configuration, at most")
    parser.add_argument(
        "--seconds",
        type=float,
        default=25.0,
        help="of a configuration; where they do not suffice for --repeats, two rounds or more",
    )
    parser.add_argument(
        "--longest", type=float, default=60.0, help="seconds: a configuration whose first step takes longer is left out"
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--frames", type=int, help="of a clip; by default as the data set's clips are trained on")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="torch's; by default as many as it takes by itself")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    given = parser.parse_args()
    if min([given.repeats, *given.batches]) < 1:
        parser.error("--repeats and --batches take numbers from 1 on")
    keep_freed_memory()  # as the command line does
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    if given.device.startswith("cuda"):
        torch.backends.cudnn.allow_tf32 = False  # all of it in single precision, like the product it is compared with
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        given.exports = Path(folder)  # where exported files lie
        compare(given)


def shape_of(name: str, given: argparse.Namespace) -> Shape:
    shape = SHAPES[name]
    return Shape(shape.layout, shape.people, given.frames or shape.frames, shape.classes)


def compare(given: argparse.Namespace) -> None:
    """The whole grid."""
    about = {
        "machine": machine(),
        "device": torch.cuda.get_device_name(given.device) if given.device.startswith("cuda") else given.device,
        "threads": torch.get_num_threads(),
        "load": f"{os.getloadavg()[0]:.2f} when it began",
        "width": given.width,
        "seed": SEED,
    }
    peaks = [matrix_peak(given.device)]
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    grid = [(name, mode, batch) for name in given.shapes for mode in given.modes for batch in sorted(given.batches)]
    with tqdm(grid, desc="configurations", unit="one", disable=not sys.stderr.isatty()) as bar:
        for name, mode, batch in bar:
            bar.set_postfix_str(f"{name}, {mode}, batch {batch}")
            rows += measure(name, mode, batch, given, rows, left_out)
            peaks.append(matrix_peak(given.device))
    peak = statistics.median(peaks)
    for row in rows:
        row["of the peak"] = row["GFLOP/s"] / peak
    about["matrix product, GFLOP/s"] = {"median": peak, "least": min(peaks), "most": max(peaks)}
    write_results(given.out, "table", page(rows, left_out, about), {**about, "rows": rows, "left out": left_out})
    if rows:
        picture(rows, given.out / "speed.png")


def measure(
    name: str, mode: str, batch: int, given: argparse.Namespace, earlier: list[dict[str, Any]], left_out: list[str]
) -> list[dict[str, Any]]:
    """All ways of one configuration, in turns. What cannot be measured is noted in `left_out`.

    Args:
        earlier: rows of smaller batches, by which a step that would take too long is foreseen.
    """
    shape, what = shape_of(name, given), f"{name}, {mode}, batch {batch}"
    before = [row for row in earlier if (row["shape"], row["mode"], row["way"]) == (name, mode, given.ways[0])]
    if before and before[-1]["ms"] / 1e3 * batch / before[-1]["batch"] > given.longest:
        left_out.append(f"{what}: a step of {given.ways[0]} would take longer than {given.longest:g} s")
        return []
    ways, alone = dict[str, Way](), dict[str, dict[str, float]]()
    torch.compiler.reset()  # it compiles a module a few times only, and then no more
    for way in given.ways:
        if mode == "train" and way == "onnxruntime":
            continue
        try:
            built = build(way, shape, mode, batch, width=given.width, device=given.device, exports=given.exports)
            alone[way] = step_alone(shape, mode, batch, way, given)
        except PoseglotError as error:
            left_out.append(f"{what}, {way}: not available: {error}")
            continue
        if way == given.ways[0] and alone[way]["seconds"] > given.longest:
            left_out.append(
                f"{what}: the first step of {way} took {alone[way]['seconds']:.0f} s, longer than {given.longest:g} s"
            )
            return []
        ways[way] = built
    if not ways:
        return []
    options = {"width": given.width, "device": given.device, "exports": given.exports, "dtype": torch.float64}
    exact = {way: build(way, shape, mode, min(batch, 4), **options).answer() for way in ways if way in IN_DOUBLE}
    check_same(f"{what}, in double precision", CLOSE["exact"], exact)
    check_same(what, CLOSE[mode], {way: each.answer() for way, each in ways.items()})
    warm = {way: timed(each.step, given.device) for way, each in ways.items()}
    steps = max(1, math.ceil(TURN / next(iter(warm.values()))))
    seconds = {way: list[float]() for way in ways}
    busy_before, cpu, began, rounds = busy_seconds(), time.process_time(), time.perf_counter(), 0
    while rounds < min(2, given.repeats) or (rounds < given.repeats and time.perf_counter() - began < given.seconds):
        for way, each in ways.items():
            if steps > 1:  # what the last way left in the caches, and its threads that still wait, are not this one's
                each.step()
            seconds[way].append(timed(each.step, given.device, steps))
        rounds += 1
    took = time.perf_counter() - began
    others = max(0.0, (busy_seconds() - busy_before - (time.process_time() - cpu)) / took)
    ctypes.CDLL(None).malloc_trim(0)  # the processes that come next have a use for it
    counted = flops_of_a_clip(shape, mode, given.width)
    rows = []
    for way, times in seconds.items():
        middle = statistics.median(times)
        ratio = statistics.median(p / t for p, t in zip(seconds["plain"], times, strict=True)) if "plain" in seconds else "-"
        rows.append(
            {
                "shape": name, "mode": mode, "batch": batch, "way": way, "ms": 1e3 * middle, "least": 1e3 * min(times),
                "most": 1e3 * max(times), "clips/s": batch / middle, "times plain": ratio, "peak MiB": alone[way]["peak MiB"],
                "GFLOP/s": batch * counted[way != "plain"] / middle / 1e9, "rounds": rounds, "steps a round": steps,
                "others": others,
            }
        )  # fmt: skip
    return rows


def check_same(what: str, close: float, said: dict[str, dict[str, Tensor]]) -> None:
    """See that all ways say what the first does; `close` as in `CLOSE`.

    Raises:
        SystemExit: one computes something else.
    """
    if not said:
        return
    (first, wanted), *others = said.items()
    floor = FLOOR * max(float(tensor.norm()) for tensor in wanted.values())
    for way, got in others:
        if got.keys() != wanted.keys():
            sys.exit(f"{what}: {way} and {first} do not compute the same things; nothing is timed.")
        for name, tensor in wanted.items():
            apart = float((got[name] - tensor).norm()) / max(float(tensor.norm()), floor)
            if not apart <= close:  # nor is NaN
                sys.exit(f"{what}: {name} by {way} is {apart:.1e} away from {first}, more than {close:g}; nothing is timed.")


def timed(step: Callable[[], Any], device: str, steps: int = 1) -> float:
    """Seconds of a step: of several in a row, a share."""
    if device.startswith("cuda"):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        began.record()
        for _ in range(steps):
            step()
        ended.record()
        ended.synchronize()
        return began.elapsed_time(ended) / 1e3 / steps
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def step_alone(shape: Shape, mode: str, batch: int, way: str, given: argparse.Namespace) -> dict[str, float]:
    """The first step of a way in a process of its own: its seconds and its memory.

    Raises:
        PoseglotError: it does not fit into the memory that is free.
    """
    free = free_memory()
    context = multiprocessing.get_context("forkserver")  # starts from one that has everything loaded and has done nothing yet
    context.set_forkserver_preload(["torch.optim", "poseglot.models.fuse", "poseglot.models.convert"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(first_step, shape, mode, batch, way, given, torch.get_num_threads()).result()
        except (BrokenProcessPool, MemoryError) as error:  # killed, or refused
            raise PoseglotError(f"a step does not fit into the memory that is free, {free / 2**30:.1f} GiB.") from error


def first_step(shape: Shape, mode: str, batch: int, way: str, given: argparse.Namespace, threads: int) -> dict[str, float]:
    """What `step_alone` is told.

    Raises:
        MemoryError: there is too little.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    on_gpu = given.device.startswith("cuda")
    if not on_gpu:  # rather be refused than have the system end somebody else's process
        limit = int(0.9 * free_memory())
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        built = build(way, shape, mode, batch, width=given.width, device=given.device, exports=given.exports)
        if on_gpu:
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        else:
            restart_own_peak()
            before = own_memory()["now"]
        seconds = timed(built.step, given.device)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise MemoryError from error
        raise
    most = torch.cuda.max_memory_allocated() if on_gpu else own_memory()["most"]
    return {"seconds": seconds, "peak MiB": (most - before) / MB}


def matrix_peak(device: str) -> float:
    """GFLOP/s of the best of several square products in single precision."""
    best = 0.0
    for size in (2048, 4096, 8192) if device.startswith("cuda") else (512, 1024, 1536):
        a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
        step = partial(torch.mm, a, b)
        timed(step, device)
        best = max(best, max(2 * size**3 / timed(step, device) / 1e9 for _ in range(6)))
    return best


def page(rows: list[dict[str, Any]], left_out: list[str], about: dict[str, Any]) -> str:
    """The tables, one for each mode and shape."""
    peak, parts = about["matrix product, GFLOP/s"], []
    for name, mode in dict.fromkeys((row["shape"], row["mode"]) for row in rows):
        some = [
            {
                "batch": row["batch"], "way": row["way"], "ms": row["ms"], "spread": f"{shown(row['least'])} to {shown(row['most'])}",
                "clips/s": row["clips/s"], "times plain": row["times plain"], "peak MiB": row["peak MiB"],
                "GFLOP/s": row["GFLOP/s"], "of the peak": f"{row['of the peak']:.0%}", "n": row["rounds"],
            }
            for row in rows
            if (row["shape"], row["mode"]) == (name, mode)
        ]  # fmt: skip
        parts.append(f"## {'Training' if mode == 'train' else 'Inference'}, {name}\n\n{table(some)}")
    if left_out:
        parts.append("## Not measured\n\n" + "".join(f"- {each}\n" for each in left_out))
    busiest = max((row["others"] for row in rows), default=0.0)
    foot = (
        "The median of n rounds in which the ways took turns, and the least and the most of them; `times plain` is the median of the "
        "ratios within a round. Fewer rounds are those of steps so long that --seconds did not suffice for more. "
        "`peak MiB` is what the first step adds to a process of its own (of `compiled`, the compiler as well). "
        "GFLOP/s: of products and convolutions as torch counts them, forward and backward; the plain way's own count for it, our torch "
        "way's for all others, which do the same algebra (folding leaves out a little more). A way that needs fewer operations shows "
        "fewer, and is not credited with what it avoids. "
        f"This machine's matrix product: {peak['median']:.0f} GFLOP/s, the median of measurements before, between and after "
        f"({peak['least']:.0f} to {peak['most']:.0f}). "
        f"Width {about['width']}, {about['threads']} threads, {about['device']}, {about['machine']['processor']}, torch "
        f"{about['machine']['torch']}, commit {about['machine']['commit']}, seed {about['seed']}, {about['machine']['when']}; load "
        f"{about['load']}, other work kept at most {busiest:.2f} cores busy.\n\n`{about['machine']['command']}`\n"
    )
    return "# Speed\n\n" + "\n".join(parts) + "\n" + foot


# Of Okabe and Ito's colors, told apart by people with any kind of color vision.
COLOURS = dict(zip(WAYS, ("#222222", "#E69F00", "#0072B2", "#CC79A7", "#009E73"), strict=True))


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Clips a second by batch: a line of panels for each shape, training and inference side by side."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from poseglot.report.plots import INK, LINE, PAPER, save_figure

    names, modes = (list(dict.fromkeys(row[key] for row in rows)) for key in ("shape", "mode"))
    size = (0.8 + 4.2 * len(modes), 0.7 + 3 * len(names))
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    axes = figure.subplots(len(names), len(modes), squeeze=False)
    batches = sorted({row["batch"] for row in rows})
    for name, line in zip(names, axes, strict=True):
        for mode, axis in zip(modes, line, strict=True):
            for way, color in COLOURS.items():
                mine = [row for row in rows if (row["shape"], row["mode"], row["way"]) == (name, mode, way)]
                axis.plot(
                    [row["batch"] for row in mine], [row["clips/s"] for row in mine], color=color, marker="o", markersize=4
                )
            axis.set_title(f"{'training' if mode == 'train' else 'inference'}, {name}", fontsize=10, color=INK)
            axis.set_xscale("log")
            axis.set_xticks(batches, map(str, batches))
            axis.minorticks_off()
            axis.set_ylim(bottom=0)
            axis.grid(axis="y", color=LINE, linewidth=0.5)
            axis.set_axisbelow(True)
            axis.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("clips/s")
    for axis in axes[-1]:
        axis.set_xlabel("batch")
    there = [way for way in WAYS if any(row["way"] == way for row in rows)]
    handles = [Line2D([], [], color=COLOURS[way], marker="o", markersize=4, label=way) for way in there]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(there), frameon=False, fontsize=9)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
