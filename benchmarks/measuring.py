"""What the benchmarks share: what machine this is, what a command costs it and all its processes, and tables of that."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MB = 2**20
_BETWEEN_SAMPLES = 0.1  # seconds
# Of one thread in every process: numpy's and torch's own would compete with ours for the cores.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Cost:
    """What a command cost, with all processes that it started.

    Attributes:
        seconds, cpu: on the clock, and of all its processes' processors together.
        peak_mb: the most memory at one time. Pages that processes share count once (the kernel's PSS), looked at ten times a second.
        bound_mb: the largest memory (RSS) that each process ever had, added up: more than the true peak.
        others: how many cores other work kept busy meanwhile.
        load: the load average when it began.
    """

    seconds: float
    cpu: float
    peak_mb: float
    bound_mb: float
    others: float
    load: float


def cost_of(command: Sequence[str | Path], *, accepted: Sequence[int] = (0,)) -> Cost:
    """Run a command and measure it; for Linux.

    Raises:
        SystemExit: it ended with another status than those accepted; what it said is shown.
    """
    load, busy, cpu, started = os.getloadavg()[0], busy_seconds(), _children_cpu(), time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], env=ENVIRONMENT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    memory = _Memory(process.pid)
    memory.start()
    _, said = process.communicate()
    seconds = time.perf_counter() - started
    memory.stop()
    if process.returncode not in accepted:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said}")
    cpu = _children_cpu() - cpu
    others = max(0.0, (busy_seconds() - busy - cpu) / seconds)
    return Cost(seconds, cpu, memory.peak / MB, sum(memory.largest.values()) / MB, others, load)


class _Memory(threading.Thread):
    """Looks at the memory of a process and its descendants until it is told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak, self.largest = 0, dict[int, int]()
        self._pid, self._stopped = pid, threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(_BETWEEN_SAMPLES):
            pids = _family(self._pid)
            self.peak = max(self.peak, memory_of(pids))
            for pid in pids:
                with suppress(OSError):  # it has just ended
                    self.largest[pid] = _kilobytes(f"/proc/{pid}/status", "VmHWM:")

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):  # of each thread
        with suppress(OSError):
            for child in children.read_text().split():
                found += _family(int(child))
    return found


def memory_of(pids: Sequence[int]) -> int:
    """Bytes of some processes in memory together; what they share is counted once."""
    total = 0
    for pid in pids:
        with suppress(OSError):  # it has just ended
            total += _kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:")
    return total


def _kilobytes(path: str, field: str) -> int:
    """A field of such a file, in bytes; 0 if it is not there."""
    with open(path) as file:
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith(field)), 0)


def own_memory() -> dict[str, int]:
    """Bytes of this process in memory: `now`, and the `most` since it began or since `restart_own_peak`.

    Not `ru_maxrss`, which begins with what the process that started this one ever had.
    """
    return {"now": _kilobytes("/proc/self/status", "VmRSS:"), "most": _kilobytes("/proc/self/status", "VmHWM:")}


def restart_own_peak() -> None:
    """From now on `own_memory` knows the most of what comes."""
    Path("/proc/self/clear_refs").write_text("5")


def free_memory() -> int:
    """Bytes that could be had without ending or swapping anything."""
    return _kilobytes("/proc/meminfo", "MemAvailable:")


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def busy_seconds() -> float:
    """Seconds that all cores together were busy, since the system started."""
    user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`poseglot serve` of a run, with its rate limit off: the process, and its address, http://host:port/."""
    process = subprocess.Popen(
        [sys.executable, "-m", "poseglot", "serve", str(run), "--port", "0", "--rate", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if not found:
            sys.exit("the server did not start")
        yield process, found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def machine() -> dict[str, Any]:
    """Where and with what this runs, and the command."""
    models = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "torch", "isal", "poseglot")},
        "commit": _commit(),
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "command": " ".join(["python", *sys.orig_argv[1:]]),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=7"]
    found = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same keys as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([shown(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def shown(value: Any) -> str:
    """A number with three digits that matter; anything else as it is."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_results(out: Path, name: str, text: str, data: dict[str, Any]) -> None:
    """OUT/NAME.md and OUT/NAME.json, and the table on the screen."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text)
    (out / f"{name}.json").write_text(json.dumps(data, indent=1, default=asdict) + "\n")
    print(text)
    print(f"written: {out / f'{name}.md'}, {out / f'{name}.json'}")
