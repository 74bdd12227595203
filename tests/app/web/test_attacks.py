"""What is sent to keep the server busy, in small: it is refused or ended, and the health check is answered meanwhile."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from poseglot.app.web.limits import Limits
from poseglot.app.web.running import serve
from poseglot.errors import SettingError
from tests.app.web.conftest import Client
from tests.app.web.test_running import ask, start

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def hasty(pairs: Path) -> Iterator[tuple[Any, tuple[str, int]]]:
    """A server with a time limit of a second, and its address."""
    process, address = start("serve", pairs, "--port", 0, "--rate", 0, "--timeout", 1)
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    yield address, (host, int(port))
    process.kill()
    process.communicate()


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    found = b""
    try:
        while piece := connection.recv(2**16):
            found += piece
    except ConnectionError:
        pass
    return found


def test_silent_and_slow_clients_are_ended(hasty: tuple[str, tuple[str, int]]) -> None:
    _, where = hasty
    for beginning in (b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nG"):
        with socket.create_connection(where, timeout=60) as connection:
            connection.sendall(beginning)
            assert (b'"ok"' in read_to_end(connection)) == (b"\r\n\r\n" in beginning)


def test_a_client_that_does_not_read_is_ended(hasty: tuple[str, tuple[str, int]]) -> None:
    _, where = hasty
    with socket.create_connection(where, timeout=60) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /static/three.module.min.js HTTP/1.1\r\nhost: localhost\r\n\r\n"
        connection.sendall(request * 40)
        time.sleep(4)
        assert read_to_end(connection).count(b"HTTP/1.1 200") < 40


def test_held_connections_do_not_shut_others_out(hasty: tuple[str, tuple[str, int]]) -> None:
    address, where = hasty
    held = []
    try:
        for number in range(60):
            held.append(socket.create_connection(where, timeout=60))
            if number % 10 == 9:
                assert ask(address, "healthz")["status"] == "ok"
    finally:
        for connection in held:
            connection.close()


def test_a_proxy_is_believed_only_if_it_is_named(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import uvicorn

    seen = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: seen.append(self.config))
    from poseglot.app.web.running import load_services

    services = load_services([pairs], limits=Limits())
    serve(services, limits=Limits(), port=0)
    serve(services, limits=Limits(), port=0, proxies=["10.0.0.1"])
    assert [config.proxy_headers for config in seen] == [False, True]
    assert seen[1].forwarded_allow_ips == ["10.0.0.1"]
    with pytest.raises(SettingError):
        serve(services, limits=Limits(), token="geheim\u00e4")


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "\xff", "null"])
def test_an_origin_that_is_none_is_refused_and_the_connection_closed(client: Client, origin: str) -> None:
    answer = client().post("/predict", json={}, headers={"origin": origin.encode("latin-1")})
    assert answer.status_code == 403 and answer.headers["connection"] == "close"


def test_a_token_of_other_characters_is_wrong(client: Client) -> None:
    app = client(token="open sesame")
    assert app.get("/api/models", headers={"authorization": "Bearer \xfc".encode("latin-1")}).status_code == 401


@pytest.mark.parametrize(
    "joints",
    [
        lambda: [[[["x"] * 3] * 20] * 3000],
        lambda: [[[["1"] * 3] * 20] * 3000] * 8,
        lambda: [[["x"]] * 700_000],
        lambda: ["x"] * 700_000,
    ],
    ids=["words", "numbers as words", "frames", "people"],
)
def test_large_bodies_of_the_wrong_type_stop_at_the_first_error(client: Client, joints: Callable[[], Any]) -> None:
    answer = client().post("/predict", content=json.dumps({"joints": joints()}), headers=JSON)
    assert answer.status_code in (413, 422)


def test_more_numbers_than_any_clip_has_are_not_built(client: Client) -> None:
    body = b'{"joints": [[[[' + b"0," * 2_000_000 + b"0]]]]}"
    answer = client(limits=Limits(rate=0, frames=100)).post("/predict", content=body, headers=JSON)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b",".join(b"c%d" % number for number in range(10**6))),
        ("a.csv", b"frame,joint,x,y\n" + b"0," * 10**6),
        ("a.csv.gz", gzip.compress(b"\n" * (32 * 2**20))),
        ("a.csv.gz", gzip.compress(b"x" * (32 * 2**20))),
        ("a.csv", b"_" * 10**6 + b"x,\n" + b"1,\n" * 3),
        ("a.json", b"[" + b"1," * 10**6 + b"1]"),
    ],
    ids=["columns", "cells", "lines", "one word", "name", "json"],
)
def test_files_that_would_take_long_are_refused(client: Client, name: str, content: bytes) -> None:
    answer = client(limits=Limits(rate=0, seconds=120)).post("/clips", files={"file": (name, content)})
    assert answer.status_code in (413, 422), answer.text
