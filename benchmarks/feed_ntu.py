"""How fast views of NTU RGB+D come out of a store, and whether that is fast enough for a GPU.

    python benchmarks/feed_ntu.py --out results/ntu-preparation

A training step takes a batch from the memory-mapped store (`PackedStore.batch`, numpy, one thread) and makes views of it (`make_view`,
torch, on the device that trains). Measured are both alone, on this machine's processor, and both together; the store is filled with
random clips whose lengths and numbers of people are spread like those of the real set. Where a GPU trains, only the reading is left
to the processor.

`--needed` clips a second is what feeding is held against. CTR-GCN takes 3.88 GFLOP forward for a clip of NTU RGB+D, three times that
for a training step; at 30 to 40 TFLOP/s, which a GPU of the H200's class may reach with it, that makes about 3,000 clips/s.

Other ways to read, which the package does not have, are measured beside its own. Linux only.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import machine, shown, table, write_results
from torch import Tensor

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.devices import keep_freed_memory
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.transforms import MODALITIES, Randomness, load_pipeline

LAYOUT, PIPELINE = load_layout("ntu25"), load_pipeline("ntu")
TYPICAL, SPREAD, SHORTEST, LONGEST = 77, 0.39, 30, 300  # frames: median, deviation of the logarithm, limits
PAIRS = 26 / 120  # the share of classes that two people do
Indices = np.ndarray[Any, np.dtype[np.int64]]


def random_clips(count: int, joints: int = 25) -> Iterator[Clip]:
    """Clips of noise, as long and with as many people as those of the real set."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((2, LONGEST, joints, 3), dtype=np.float32)
    for place in range(count):
        frames = int(np.clip(TYPICAL * np.exp(SPREAD * generator.standard_normal()), SHORTEST, LONGEST))
        people = 1 + (generator.random() < PAIRS)
        yield Clip(noise[:people, :frames], name=f"{place:06d}", label=place % 120)


# --- ways to read ----------------------------------------------------------------------------------------------------------


def batch(store: PackedStore, places: Indices) -> Tensor:
    """The package's own: one indexed read, padded."""
    return torch.from_numpy(store.read_batch(places)[0])


def raw(store: PackedStore, places: Indices) -> tuple[Tensor, ...]:
    """Joints, frames and numbers of people of one padded batch."""
    return tuple(map(torch.from_numpy, store.read_batch(places)))


def slices(store: PackedStore, places: Indices) -> Tensor:
    """Clip after clip, each in one piece, into a padded array that is not cleared: what lies behind a clip's end may be anything."""
    rows, joints = store.clips[places], np.asarray(store.joints)
    padded = torch.empty(len(rows), int(rows["num_persons"].max()), int(rows["frames"].max()), *joints.shape[1:])
    ranges = zip(rows["offset"].tolist(), rows["num_persons"].tolist(), rows["frames"].tolist(), strict=True)
    for clip, (offset, people, frames) in zip(padded.numpy(), ranges, strict=True):
        clip[:people, :frames] = joints[offset : offset + people * frames].reshape(people, frames, *joints.shape[1:])
    return padded


def packed(store: PackedStore, places: Indices) -> Tensor:
    """Clip after clip, not padded and of the store's dtype: a quarter of the bytes to send; the device would have to gather the frames."""
    rows, joints = store.clips[places], np.asarray(store.joints)
    ends = rows["offset"] + rows["num_persons"] * rows["frames"]
    clips = [joints[offset:end] for offset, end in zip(rows["offset"].tolist(), ends.tolist(), strict=True)]
    return torch.from_numpy(np.concatenate(clips))


READERS: dict[str, Callable[[PackedStore, Indices], Tensor]] = {"store.read_batch": batch, "slices": slices, "packed": packed}


def check_readers(store: PackedStore, places: Indices) -> None:
    """See that all ways give the same clips."""
    (own, *sizes), other, rows, end = raw(store, places), slices(store, places), packed(store, places).float(), 0
    for place, (frames, people) in enumerate(zip(*(size.tolist() for size in sizes), strict=True)):
        clip = own[place, :people, :frames]
        start, end = end, end + people * frames
        assert torch.equal(other[place, :people, :frames], clip) and torch.equal(rows[start:end].view_as(clip), clip)


# --- measuring -------------------------------------------------------------------------------------------------------------


def timed(work: Callable[[Any], Any], items: Sequence[Any]) -> dict[str, float]:
    """Times of one call, ms: on the clock and of this process's processors, in the middle; and on the clock at worst."""
    clock, cpu = [], []
    for item in items:
        started, used = time.perf_counter(), time.process_time()
        work(item)
        clock.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    middle = {"ms a batch": 1000 * statistics.median(clock), "processor ms": 1000 * statistics.median(cpu)}
    return middle | {"slowest ms": 1000 * max(clock)}


def view(taken: tuple[Tensor, ...], index: Tensor, modality: str, training: bool) -> Tensor:
    randomness = Randomness(seed=0, epoch=0, index=index) if training else None
    return PIPELINE(ClipBatch(*taken, LAYOUT), modality=modality, randomness=randomness)


def measure_reading(folder: Path, batches: Sequence[Indices], needed: float) -> list[dict[str, Any]]:
    """Rows: each way to read, from the page cache and from the disk."""
    rows = []
    check_readers(open_store(folder), batches[0])
    for cached in (True, False):
        for name, read in READERS.items():
            store = open_store(folder)
            for places in batches:  # so that the file is cached, and the process has all the memory that it will ask for
                read(store, places)
            if not cached:
                del store
                gc.collect()
                forget(folder / "joints.npy")
                store = open_store(folder)
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
            row = {"dtype": str(store.joints.dtype), "file": "cached" if cached else "on disk", "reading": name}
            row |= timed(lambda places, store=store, read=read: read(store, places), batches)
            row["clips/s"] = len(batches[0]) / row["ms a batch"] * 1000
            row["major faults"] = (resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults) / len(batches)
            row[f"of a core at {needed:,.0f} clips/s"] = f"{row['processor ms'] / 1000 / len(batches[0]) * needed:.1%}"
            rows.append(row)
            del store
            gc.collect()
    return rows


def forget(path: Path) -> None:
    """Drop a file from the page cache; nothing may have it mapped and touched."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_views(
    store: PackedStore, batches: Sequence[Indices], threads: Sequence[int], needed: float
) -> list[dict[str, Any]]:
    """Rows: each stream, in training and in evaluation: reading and making views, one after the other."""
    rows = []
    for count in threads:
        torch.set_num_threads(count)
        for kind, training in (("training", True), ("evaluation", False)):
            for modality in MODALITIES:
                taken = [(raw(store, places), torch.from_numpy(places)) for places in batches]
                row = {"threads": count, "view": kind, "modality": modality}
                row |= timed(lambda pair, s=modality, a=training: view(*pair, s, a), taken)
                alone = row["processor ms"]
                together = timed(
                    lambda places, s=modality, a=training: view(raw(store, places), torch.from_numpy(places), s, a),
                    batches,
                )
                row["clips/s with reading"] = len(batches[0]) / together["ms a batch"] * 1000
                row["clips/s a core"] = len(batches[0]) / together["processor ms"] * 1000
                row[f"cores at {needed:,.0f} clips/s"] = together["processor ms"] / 1000 / len(batches[0]) * needed
                row["share of reading"] = f"{max(0.0, 1 - alone / together['processor ms']):.0%}"
                rows.append(row)
    torch.set_num_threads(1)
    return rows


def measure_ahead(store: PackedStore, batches: Sequence[Indices], step: float) -> list[dict[str, Any]]:
    """Rows: how long a loop waits for a batch if it reads when it wants it, and if a thread reads while a device works (`step` s)."""
    with ThreadPoolExecutor(1) as thread:

        def ahead() -> Iterator[tuple[np.ndarray, ...]]:
            waiting = thread.submit(store.read_batch, batches[0])
            for places in batches[1:]:
                taken, waiting = waiting.result(), thread.submit(store.read_batch, places)
                yield taken
            yield waiting.result()

        rows = []
        for name, taken in (("when wanted", map(store.read_batch, batches)), ("a batch ahead", ahead())):
            waits = []
            for _ in batches:
                started = time.perf_counter()
                next(taken)
                waits.append(time.perf_counter() - started)
                time.sleep(step)
            waited = statistics.median(waits)
            rows.append(
                {"reading": name, "step ms": 1000 * step, "waits ms a step": 1000 * waited, "share": f"{waited / step:.1%}"}
            )
    return rows


# --- all of it -------------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast views of NTU RGB+D come out of a store.")
    parser.add_argument("--store", type=Path, help="a prepared one; by default one of noise is made for the time being")
    parser.add_argument("--clips", type=int, default=20_000, help="clips of that one")
    parser.add_argument("--batch", type=int, default=200, help="clips of a batch")
    parser.add_argument("--batches", type=int, default=20, help="how many are measured")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="torch's threads")
    parser.add_argument("--needed", type=float, default=3000, help="clips/s that training could take")
    parser.add_argument("--out", type=Path, default=Path("results/ntu-preparation"))
    given = parser.parse_args()
    keep_freed_memory()  # as `poseglot train` does
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="feed-ntu-") as temporary:
        measure(given, Path(temporary))


def measure(given: argparse.Namespace, scratch: Path) -> None:
    """Everything, and the tables."""
    benchmark = load_benchmark("ntu120")
    stores = [given.store] if given.store else []
    for dtype in () if given.store else ("float32", "float16"):
        stores.append(scratch / dtype)
        write_store(
            stores[-1], random_clips(given.clips), benchmark=benchmark, layout=LAYOUT, source={"made": "noise"}, dtype=dtype
        )
    store = open_store(stores[0])
    order = np.random.default_rng(1).permutation(max(len(store), given.batch * given.batches)) % len(store)
    batches = list(order[: given.batch * given.batches].reshape(given.batches, given.batch))
    frames, people = store.clips["frames"], store.clips["num_persons"]
    about = {
        "store": f"{len(store):,} clips of {frames.min()} to {frames.max()} frames (median {np.median(frames):.0f}), "
        f"{np.mean(people > 1):.0%} with two people; {store.joints.nbytes / 1e9:.2f} GB",
        "batch": given.batch,
        "batches": given.batches,
        "needed": f"{given.needed:,.0f} clips/s",
        "load": f"{os.getloadavg()[0]:.2f} when it began",
    }
    data = {
        "machine": machine() | about,
        "reading": [row for path in stores for row in measure_reading(path, batches, given.needed)],
        "views": measure_views(store, batches, given.threads, given.needed),
        "ahead": measure_ahead(store, batches, given.batch / given.needed),
    }
    write_results(given.out, "feeding", as_text(data, given.needed), data)


def as_text(data: dict[str, Any], needed: float) -> str:
    """The page that is written."""
    slowest = min(row["clips/s a core"] for row in data["views"] if row["threads"] == data["views"][0]["threads"])
    reading = next(row for row in data["reading"] if row["reading"] == "store.read_batch")
    cores = needed / slowest
    verdict = "one core suffices" if cores < 1 else "one core does not suffice"
    found = (
        f"One core makes {shown(slowest)} views a second of the slowest stream, reading included: {needed:,.0f} clips/s take {cores:.2f} "
        f"cores, {verdict}. With the views made on the device, reading takes {shown(reading['processor ms'])} ms of processor time a "
        f"batch, {list(reading.values())[-1]} of a core.\n"
    )
    return "\n".join(
        [
            "# Feeding NTU RGB+D: from a store to views\n",
            "".join(f"- {key}: {value}\n" for key, value in data["machine"].items()),
            found,
            "## Reading batches\n",
            table(data["reading"]),
            "## Making views on the processor\n",
            table(data["views"]),
            "## Reading beside a device that computes\n",
            table(data["ahead"]),
        ]
    )


if __name__ == "__main__":
    main()
