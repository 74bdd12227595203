"""A server as a process: bound to loopback, stopped by a signal without breaking off what is in flight."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from poseglot.app.web.running import is_loopback
from tests.app.conftest import Outcome
from tests.app.web.test_server import as_npy, clip


def start(*arguments: object, environment: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], str]:
    """A server, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "poseglot", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, (line, process.communicate())
    return process, found[0]


@pytest.fixture
def served(pairs: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process, address = start("serve", pairs, "--port", 0, "--rate", 0, "--timeout", 120)
    yield process, address
    process.kill()
    process.communicate()


def ask(address: str, path: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"content-type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def busy(address: str) -> int:
    """How many requests the server computes or has waiting."""
    with urllib.request.urlopen(address + "metrics", timeout=60) as answer:
        found = re.search(r"^poseglot_busy (\d+)", answer.read().decode(), re.M)
    assert found
    return int(found[1])


def test_what_is_in_flight_is_answered_before_the_server_stops(served: tuple[subprocess.Popen[str], str]) -> None:
    process, address = served
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    connections = [http.client.HTTPConnection(host, int(port), timeout=120) for _ in range(6)]
    content = as_npy(clip(people=2, frames=3000))
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.npy"\r\n\r\n' + content + b"\r\n--x--\r\n"
    for connection in connections:
        connection.request("POST", "/clips", body, {"content-type": "multipart/form-data; boundary=x"})
    # Bodies are larger than what a socket holds: sent means that the server has taken the connection.
    end = time.monotonic() + 60
    while busy(address) < 3:
        assert time.monotonic() < end
    process.send_signal(signal.SIGTERM)
    for connection in connections:
        answer = connection.getresponse()
        assert answer.status == 200 and json.load(answer)["results"][0]["scores"]
    assert process.wait(60) in (0, -signal.SIGTERM)
    assert "Traceback" not in process.communicate()[1]
    with pytest.raises(OSError, match="refused"):
        ask(address, "healthz")


def test_a_stranger_is_not_served_without_a_token(poseglot: Callable[..., Outcome], pairs: Path) -> None:
    said = poseglot("serve", pairs, "--host", "0.0.0.0", "--port", 0)
    assert said.status == 1 and "token" in said.error


def test_a_token_may_come_by_the_environment(pairs: Path) -> None:
    process, address = start("serve", pairs, "--host", "0.0.0.0", "--port", 0, environment={"POSEGLOT_TOKEN": "t"})
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(address, "api/models")
        assert ask(address, "api/models", authorization="Bearer t")[0]["id"] == "pairs"
    finally:
        process.kill()
        process.communicate()


def test_a_slow_body_is_given_up(pairs: Path) -> None:
    import socket

    process, address = start("serve", pairs, "--port", 0, "--timeout", 0.3)
    try:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            began = time.monotonic()
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
            assert time.monotonic() - began < 25
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_said(poseglot: Callable[..., Outcome], pairs: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = poseglot("serve", pairs, "--port", taken.getsockname()[1])
    assert said.status == 1 and "--port" in said.error


def test_without_a_run_the_demo_says_what_to_do(
    poseglot: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = poseglot("demo", "--no-browser")
    assert said.status == 1 and "make demo" in said.error


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.org", False)]
)
def test_what_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
