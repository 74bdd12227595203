"""How many clips the server answers, how soon, and whether its memory stays where it is: `poseglot serve`, asked on loopback.

    python benchmarks/serving.py
    python benchmarks/serving.py --run runs/demo --requests 10000 --clients 1 4

The server is a process of its own, with its rate limit off. Clients are threads of this process, one kept-open connection each, and ask
as soon as they have their answer; bodies are made before. So client and server share the cores, and the figures are what one machine does
for itself. Without `--run` the recognizer is one with random weights, which is as fast as a trained one: CTR-GCN of `--width` channels
for the shape of NW-UCLA (one person, 20 joints); the clips have 52 frames.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from measuring import MB, busy_seconds, machine, served, table, write_results

from poseglot.data.benchmarks import load_benchmark
from poseglot.models.recognizer import RecognizerSpec, new_recognizer, save_recognizer

FRAMES, JOINTS, AXES = 52, 20, 3
DIFFERENT = 50  # bodies
LOOKS = 20  # at the memory, over all requests
# A tenth of the requests are not measured: the allocator and torch have not yet seen everything.
WARM = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run's folder (a recognizer with random weights)")
    parser.add_argument("--width", type=int, default=16, help="of the random recognizer (16)")
    parser.add_argument("--requests", type=int, default=10_000, help="for each number of clients (10000)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4], help="that ask at the same time (1 4)")
    parser.add_argument("--out", type=Path, default=Path("results/serving"))
    parsed = parser.parse_args()
    rows: list[dict[str, Any]] = []
    memories: dict[int, list[tuple[int, int]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = parsed.run or _random_run(Path(folder), parsed.width)
        for clients in parsed.clients:
            row, memories[clients] = measure(run, clients, parsed.requests)
            rows.append(row)
            write(parsed, rows, memories)  # after each: who stops it has what is done


def write(parsed: argparse.Namespace, rows: list[dict[str, Any]], memories: dict[int, list[tuple[int, int]]]) -> None:
    """The page and the numbers so far."""
    what = f"`{parsed.run}`" if parsed.run else f"a CTR-GCN of width {parsed.width} with random weights"
    about = machine()
    size = len(_bodies()[0]) / 1000
    text = f"""# Serving on loopback

`POST /predict` of {what}: clips of one person, {FRAMES} frames and {JOINTS} joints, {size:.0f} kB of JSON.
{parsed.requests:,} requests for each row, the first tenth of them not counted in rates and latencies; the clients are on the same
{about["cores"]} cores.

{table(rows)}
*memory* is what the server's process holds (RSS): after a tenth of the requests, and after the last; *slope* is that of a line through all
looks after the first tenth, per 10,000 requests. *others* is how many cores other work kept busy meanwhile.

{about["processor"]}, {about["cores"]} cores, Python {about["python"]}, torch {about["torch"]}, commit {about["commit"]}, {about["when"]}

```
{about["command"]}
```
"""
    write_results(parsed.out, "table", text, {"rows": rows, "memory": memories, "machine": about})


def measure(run: Path, clients: int, requests: int) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """A row of the table, and (requests, bytes) over time."""
    with served(run) as (process, address):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        assert host is not None
        bodies, latencies = _bodies(), np.zeros(requests)
        memory: list[tuple[int, int]] = []
        wrong: list[str] = []
        numbers, lock, began = iter(range(requests)), threading.Lock(), {}

        def ask() -> None:
            connection = http.client.HTTPConnection(host, port, timeout=60)
            while True:
                with lock:
                    number = next(numbers, None)
                    if number is None:
                        return
                    if number % max(1, requests // LOOKS) == 0:
                        memory.append((number, _held(process.pid)))
                    if number == int(WARM * requests):
                        began.update(
                            clock=time.perf_counter(), busy=busy_seconds(), own=_cpu(process.pid) + time.process_time()
                        )
                start = time.perf_counter()
                connection.request("POST", "/predict", bodies[number % len(bodies)], {"content-type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                latencies[number] = time.perf_counter() - start
                if answer.status != 200:
                    wrong.append(f"{answer.status}: {content[:200]!r}")

        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began["clock"]
        own = _cpu(process.pid) + time.process_time() - began["own"]
        others = max(0.0, busy_seconds() - began["busy"] - own) / seconds
        memory.append((requests, _held(process.pid)))
        if wrong:
            sys.exit(f"{len(wrong)} requests were not answered by 200; the first by {wrong[0]}")
    warm = int(WARM * requests)
    settled = [look for look in memory if look[0] >= warm]
    slope = np.polyfit([number for number, _ in settled], [held for _, held in settled], 1)[0] if len(settled) > 1 else 0.0
    timed = 1000 * np.sort(latencies[warm:])
    return {
        "clients": clients,
        "requests/s": (requests - warm) / seconds,
        "p50, ms": float(np.quantile(timed, 0.5)),
        "p99, ms": float(np.quantile(timed, 0.99)),
        "slowest, ms": float(timed[-1]),
        "memory, MiB": f"{settled[0][1] / MB:.1f} → {settled[-1][1] / MB:.1f}",
        "slope, MiB": f"{slope * 10_000 / MB:+.2f}",
        "others": f"{others:.2f}",
    }, memory


def _bodies() -> list[bytes]:
    """Different clips, written once."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(DIFFERENT, 1, FRAMES, JOINTS, AXES)).round(4)
    return [json.dumps({"joints": clip.tolist()}).encode() for clip in clips]


def _random_run(folder: Path, width: int) -> Path:
    path = folder / "random.safetensors"
    torch.set_num_threads(1)
    save_recognizer(
        new_recognizer(
            RecognizerSpec("kinect20", load_benchmark("demo").classes, encoder_kwargs={"base_channels": width}), seed=0
        ),
        path,
    )
    return path


def _held(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu(pid: int) -> float:
    """Seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
