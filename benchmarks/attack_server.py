"""What keeps a server busy is sent to one, and the health check is asked meanwhile: its latency, the memory, the answers, the stop.

    python benchmarks/attack_server.py --seconds 60

The server is a process of its own, `poseglot serve` of a small recognizer with random weights, without a rate limit. Each attack goes on
for `--seconds`, by several threads of this process. `/healthz` is asked four times a second on a new connection. Memory is that of the
server and its children together (PSS). At the end of the last attack the server is told to stop. 5xx counts answers of 500 and above but
503 and 504, which are promised.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import MB, _family, machine, memory_of, table, write_results

from poseglot.models.recognizer import RecognizerSpec, new_recognizer, save_recognizer

THREADS = 6
PAUSE = 0.05  # seconds between two requests of a thread: a flood of connections is another attack
Where = tuple[str, int]


@dataclass
class Seen:
    """What became of an attack: statuses of its requests, seconds of health checks, and the most memory."""

    statuses: Counter[str] = field(default_factory=Counter)
    health: list[float] = field(default_factory=list)
    unhealthy: int = 0
    memory: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of each attack (60)")
    parser.add_argument("--timeout", type=float, default=10, help="of the server (10)")
    parser.add_argument("--out", type=Path, default=Path("results/attacks"))
    parsed = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        spec = RecognizerSpec("kinect20", ("wave", "kick"), encoder_kwargs={"base_channels": 8})
        save_recognizer(new_recognizer(spec, seed=0), Path(folder) / "recognizer.safetensors")
        command = [
            sys.executable,
            "-m",
            "poseglot",
            "serve",
            folder,
            "--port",
            "0",
            "--rate",
            "0",
            "--timeout",
            str(parsed.timeout),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        errors: list[str] = []
        try:
            assert process.stdout is not None and process.stderr is not None
            found = re.search(r"http://([^:]+):(\d+)", process.stdout.readline())
            assert found, "the server did not start"
            threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True).start()
            where = (found[1], int(found[2]))
            for name, attack in {"nothing": rest, **ATTACKS}.items():
                seen = run(attack, where, process.pid, parsed.seconds, at_end=(name == list(ATTACKS)[-1] and process) or None)
                rows.append(row(name, seen))
                print(rows[-1], flush=True)
            began = time.monotonic()
            process.wait(120)
            stopped = time.monotonic() - began
        finally:
            process.kill()
    about = machine()
    tracebacks = "".join(errors).count("Traceback")
    text = (
        f"# Attacks on the server\n\n`{about['command']}`; it stopped {stopped:.1f} s after SIGTERM during the last attack, with a time "
        f"limit of {parsed.timeout:g} s; {tracebacks} tracebacks in its log.\n\n{table(rows)}"
    )
    write_results(parsed.out, "server", text, {"machine": about, "rows": rows, "stopped": stopped, "tracebacks": tracebacks})
    sys.exit(1 if tracebacks or any(entry["5xx"] or entry["health lost"] for entry in rows) else 0)


def row(name: str, seen: Seen) -> dict[str, Any]:
    health = sorted(seen.health) or [float("nan")]
    wrong = sum(count for status, count in seen.statuses.items() if status[0] == "5" and status not in ("503", "504"))
    return {
        "attack": name,
        "requests": seen.statuses.total(),
        "answers": ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items())) or "none",
        "5xx": wrong,
        "health checks": len(seen.health),
        "health lost": seen.unhealthy,
        "median, ms": 1000 * health[len(health) // 2],
        "worst, ms": 1000 * health[-1],
        "memory, MiB": seen.memory // MB,
    }


def run(attack: Callable[[Where, Counter[str]], None], where: Where, pid: int, seconds: float, *, at_end: Any = None) -> Seen:
    """Attack for some seconds; at the end tell the server to stop, if it is given."""
    seen, end = Seen(), time.monotonic() + seconds

    def repeat() -> None:
        while time.monotonic() < end:
            with suppress(OSError, http.client.HTTPException):
                attack(where, seen.statuses)
            time.sleep(PAUSE)

    threads = [threading.Thread(target=repeat, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            connection = http.client.HTTPConnection(*where, timeout=30)
            connection.request("GET", "/healthz")
            healthy = connection.getresponse().status == 200
            connection.close()
        except (OSError, http.client.HTTPException):
            healthy = False
        seen.unhealthy += not healthy
        seen.health.append(time.monotonic() - began)
        seen.memory = max(seen.memory, memory_of(_family(pid)))
        time.sleep(0.25)
    if at_end is not None:
        at_end.send_signal(signal.SIGTERM)
        return seen
    for thread in threads:
        thread.join(60)
    return seen


def post(where: Where, statuses: Counter[str], path: str, body: bytes, kind: str, *, answer: bool = True) -> None:
    connection = http.client.HTTPConnection(*where, timeout=60)
    try:
        connection.request("POST", path, body, {"content-type": kind})
        if answer:
            response = connection.getresponse()
            response.read()
            statuses[str(response.status)] += 1
        else:
            statuses["dropped"] += 1
    except (OSError, http.client.HTTPException):
        statuses["closed"] += 1
    finally:
        connection.close()


def upload(name: str, content: bytes) -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n--x--\r\n' % (
        name.encode(),
        content,
    )


FORM = "multipart/form-data; boundary=x"
COLUMNS = upload("a.csv", b",".join(b"c%d" % number for number in range(10**6)))
NEWLINES = upload("a.csv.gz", gzip.compress(b"\n" * (32 * 2**20)))
WORDS = json.dumps({"joints": [[[["1"] * 3] * 20] * 2000]}).encode()
DEEP = b"[" * 10**6
LONG = json.dumps({"joints": [[[[0.1, 0.2, 0.3]] * 20] * 3000]}).encode()


def rest(where: Where, statuses: Counter[str]) -> None:
    time.sleep(0.1)


def columns(where: Where, statuses: Counter[str]) -> None:
    post(where, statuses, "/clips", COLUMNS, FORM)


def newlines(where: Where, statuses: Counter[str]) -> None:
    post(where, statuses, "/clips", NEWLINES, FORM)


def words(where: Where, statuses: Counter[str]) -> None:
    post(where, statuses, "/predict", random.choice((WORDS, DEEP)), "application/json")


def long_clips(where: Where, statuses: Counter[str]) -> None:
    post(where, statuses, "/predict", LONG, "application/json")


def dropped(where: Where, statuses: Counter[str]) -> None:
    post(where, statuses, "/clips", NEWLINES, FORM, answer=False)


def held(where: Where, statuses: Counter[str]) -> None:
    """Connections that say nothing, or half a header, until the server ends them."""
    connections = []
    try:
        for number in range(15):
            connections.append(socket.create_connection(where, timeout=30))
            connections[-1].sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"[: number * 3])
        for connection in connections:
            while connection.recv(2**16):
                pass
            statuses["ended"] += 1
    except ConnectionError:
        statuses["ended"] += 1
    finally:
        for connection in connections:
            connection.close()


def unread(where: Where, statuses: Counter[str]) -> None:
    """Many requests, whose answers nobody reads."""
    with socket.create_connection(where, timeout=30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /static/page.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200)
        time.sleep(5)
        statuses["unread"] += 1


def nonsense(where: Where, statuses: Counter[str]) -> None:
    """Requests that are none, or have headers that are none."""
    draw = random.Random()
    origin = draw.choice(("http://[", "\xff", "http://localhost", ""))
    lines = [
        draw.choice(("GET / HTTP/1.1", "POST /predict HTTP/1.1", "X", "POST /clips HTTP/1.0", os.urandom(9).decode("latin-1"))),
        f"host: {draw.choice(('localhost', '', '[', 'x' * 9000))}",
        f"origin: {origin}",
        f"authorization: Bearer {draw.choice(('', 'ä', 'x' * 900))}",
        f"content-length: {draw.choice(('0', '-1', '9' * 30, '10', 'x'))}",
        f"x-forwarded-for: {draw.randrange(256)}.0.0.1",
    ]
    with socket.create_connection(where, timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + os.urandom(draw.choice((0, 10, 1000))))
        answer = connection.recv(2**16)
        statuses[answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/") else "closed"] += 1


ATTACKS: dict[str, Callable[[Where, Counter[str]], None]] = {
    "a million columns": columns,
    "gz of 32 MiB of newlines": newlines,
    "words for numbers, deep lists": words,
    "long clips": long_clips,
    "clients that go": dropped,
    "held connections": held,
    "unread answers": unread,
    "nonsense": nonsense,
    "newlines, and stop": newlines,
}


if __name__ == "__main__":
    main()
