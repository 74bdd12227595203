"""Where the time of a step of ours goes on a CPU: each kernel's share of training and inference, NW-UCLA's shapes.

    python benchmarks/shares.py

`aggregate` is CTR-GC: values, refined topologies, and the aggregation along them. `temporal` are the temporal module's convolutions over
time. What is no kernel of ours is matrix products by torch, the heads, the loss, SGD and moving data.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

from measuring import machine, table, write_results
from ways import SHAPES, build

from poseglot.devices import keep_freed_memory
from poseglot.kernels import channels_last

GROUPS = {"aggregate": "aggregate", "temporal": "temporal", "normalize": "BatchNorm", "moments": "BatchNorm"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    given = parser.parse_args()
    keep_freed_memory()
    seconds: Counter[str] = Counter()
    kernel = channels_last.call

    def timed(name: str, *arguments: Any) -> None:
        started = time.perf_counter()
        kernel(name, *arguments)
        seconds[GROUPS[name.split("_")[0]]] += time.perf_counter() - started

    channels_last.call = timed
    lines = []
    for mode in ("train", "infer"):
        for batch in given.batches:
            way = build("ours", SHAPES["nw-ucla"], mode, batch, width=given.width, device="cpu", exports=given.out)
            way.step()
            seconds.clear()
            started = time.perf_counter()
            for _ in range(given.steps):
                way.step()
            whole = time.perf_counter() - started
            share = {group: f"{seconds[group] / whole:.0%}" for group in ("aggregate", "temporal", "BatchNorm")}
            rest = f"{1 - seconds.total() / whole:.0%}"
            lines.append(
                {"mode": mode, "batch": batch, "ms": 1e3 * whole / given.steps, **share, "products and all else": rest}
            )
    about = machine()
    text = f"# Shares of a step\n\n{table(lines)}\nWidth {given.width}, {about['processor']}, commit {about['commit']}.\n"
    write_results(given.out, "shares", text, {**about, "rows": lines})


if __name__ == "__main__":
    main()
