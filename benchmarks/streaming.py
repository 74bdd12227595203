"""What does recognising frame by frame cost, and what does it lose? Runs on the test set of their store, one clip after the other.

Each run answers by both methods of `StreamingRecognizer` after 25, 50, 75 and 100 % of every clip's frames: `window`, the frames so far as
a clip, cropped, drawn or resized as in training; and `frame`, one frame after the other at the clip's own rate.
Then, with random weights, what a frame costs: operations are multiplications and additions of products and convolutions, counted by torch
as they run; times are of turns in which both methods take their share, middle ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from measuring import machine, table, write_results
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from poseglot.data.store import PackedStore, open_store
from poseglot.evaluation.metrics import Accuracy
from poseglot.inference import Predictor, StreamingRecognizer
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import RecognizerSpec, load_recognizer, new_recognizer, save_recognizer

METHODS = ("window", "frame")
SHARES = (0.25, 0.5, 0.75, 1.0)
WINDOW = 52


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="NW-UCLA, as `poseglot prepare` made it")
    parser.add_argument(
        "runs", type=Path, nargs="*", help="runs that were trained on it; those called alike but for -seedN are one row"
    )
    parser.add_argument("--split", default="cross-view")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="that answer (both)")
    parser.add_argument("--widths", type=int, nargs="*", default=[16, 64], help="of the networks whose cost is measured")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--skip", type=int, default=1, help="every so many-th clip alone, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("results/streaming"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = open_store(given.store)
    places = store.subset(given.split, "test")[:: given.skip]
    runs = {run.name: correct_answers(run, store, places, given.methods) for run in given.runs}
    right = [
        {"run": name, **{method: str(Accuracy(sum(row), len(row))) for method, row in methods.items()}}
        for name, methods in runs.items()
    ]
    grouped = means(runs)
    costs = [cost_row(width, causal, given.turns) for width in given.widths for causal in (True, False)]
    sections = {
        "Accuracy in per cent, mean ± std over runs, after a share of every clip's frames": grouped,
        "Every run": right,
        f"What a frame costs, against recognising the last {WINDOW} frames anew (one thread, random weights)": costs,
    }
    text = "# Frame by frame\n\n" + "\n".join(f"{title}:\n\n{table(rows)}" for title, rows in sections.items() if rows)
    text += f"\n`{machine()['command']}`"
    write_results(given.out, "table", text + "\n", {"machine": machine(), "runs": right, "means": grouped, "costs": costs})
    if grouped:
        draw(grouped, given.out / "early.png")


def correct_answers(run: Path, store: PackedStore, places: Sequence[int], methods: Sequence[str]) -> dict[str, list[bool]]:
    """Of each method and share, which clips are recognised."""
    predictor, stream = Predictor(run, device="cpu"), StreamingRecognizer(run, method="frame")
    found: dict[str, list[bool]] = {f"{method} {share:.0%}": [] for method in methods for share in SHARES}
    for place in tqdm(places, desc=run.name, unit="clip"):
        clip = store[place]
        label = store.info.classes[clip.label]
        ends = [max(1, round(share * clip.joints.shape[1])) for share in SHARES]
        if "window" in methods:
            rows = predictor.predict_proba([clip.joints[:, :end] for end in ends])
            for share, row in zip(SHARES, rows, strict=True):
                found[f"window {share:.0%}"].append(predictor.classes[row.argmax()] == label)
        if "frame" not in methods:
            continue
        stream.reset()
        for number, frame in enumerate(clip.joints.swapaxes(0, 1), start=1):
            stream.step(frame)
            for share, end in zip(SHARES, ends, strict=True):
                if number == end:
                    said = stream.flush()
                    found[f"frame {share:.0%}"].append(stream.classes[said.argmax()] == label)
    return found


def means(runs: dict[str, dict[str, list[bool]]]) -> list[dict[str, Any]]:
    """A row for runs that differ in their seed alone, and each method."""
    groups: dict[str, list[dict[str, list[bool]]]] = {}
    for name, methods in runs.items():
        groups.setdefault(name.rpartition("-seed")[0] or name, []).append(methods)
    rows = []
    for name, several in groups.items():
        for method in (method for method in METHODS if f"{method} {SHARES[0]:.0%}" in several[0]):
            row: dict[str, Any] = {"run": name, "method": method, "runs": len(several)}
            for share in SHARES:
                values = [100 * statistics.mean(methods[f"{method} {share:.0%}"]) for methods in several]
                spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
                row[f"{share:.0%}"] = f"{statistics.mean(values):.2f}{spread}"
            rows.append(row)
    return rows


def cost_row(width: int, causal: bool, turns: int) -> dict[str, Any]:
    """What a frame costs by each method."""
    kwargs = {"base_channels": width, **({"causal": True} if causal else {})}
    pipeline = "live" if causal else "nw-ucla"
    spec = RecognizerSpec("kinect20", tuple("abcdefghij"), encoder_kwargs=kwargs, pipeline=pipeline)
    rng = np.random.default_rng(0)
    clip = (rng.normal(size=(1, WINDOW, 20, 3)) * 0.3).astype(np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recognizer.safetensors"
        save_recognizer(new_recognizer(spec, seed=0), path)
        stream, predictor, frozen = (
            StreamingRecognizer(path, method="frame"),
            Predictor(path, device="cpu"),
            fuse(load_recognizer(path)),
        )
    (inputs,) = [inputs for _, inputs in predictor.inputs(clip)]
    frames = list(clip.swapaxes(0, 1))

    def by_frame() -> None:
        for frame in frames:
            stream.step(frame)

    def by_window() -> None:
        predictor.predict(clip)

    whole = operations(lambda: frozen(inputs))
    by_frame()  # from here on every state is filled
    per_frame = operations(by_frame) / WINDOW
    times = [(clock(by_frame) / WINDOW, clock(by_window)) for _ in range(turns)]
    of_frame, of_window = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    ratio = statistics.median(window / frame for frame, window in times)
    return {
        "width": width,
        "encoder": "causal" if causal else "usual, an answer every 4 frames",
        "MFLOP, window": f"{whole / 1e6:.0f}",
        "MFLOP, frame": f"{per_frame / 1e6:.2f}",
        "times fewer": f"{whole / per_frame:.1f}",
        "ms, window": f"{of_window:.1f}",
        "ms, frame": f"{of_frame:.2f}",
        "times faster": f"{ratio:.1f}",
    }


def operations(run: Callable[[], Any]) -> int:
    """Multiplications and additions, as torch counts them."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def clock(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """How early clips are recognised."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        values = [float(str(row[f"{share:.0%}"]).split()[0]) for share in SHARES]
        axes.plot(
            [100 * share for share in SHARES],
            values,
            "o-" if row["method"] == "frame" else "s--",
            label=f"{row['run']}, {row['method']}",
        )
    axes.set_xlabel("% of a clip's frames seen")
    axes.set_ylabel("accuracy, %")
    axes.set_xticks([100 * share for share in SHARES])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
