"""The server's start and end: uvicorn on a socket of ours, so that the port is known before anybody is told of it."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import uvicorn

from poseglot.app.web.limits import Limits
from poseglot.app.web.server import LOOPBACK, create_app
from poseglot.app.web.service import Served
from poseglot.errors import PoseglotError

# Seconds that requests in flight get when the server is asked to stop; longer than one may take.
_GRACE = 25


def load_models(paths: Sequence[Path], *, limits: Limits, device: str | None = None) -> list[Served]:
    """The models of some runs, called by the names of their folders, or - where those are equal - with a number behind.

    Raises:
        PoseglotError: no recognizer there.
    """
    models: list[Served] = []
    for path in paths:
        name = (path.resolve().name if path.is_dir() else path.stem) or "model"
        taken = {model.id for model in models}
        id = next(candidate for candidate in (name, *(f"{name}-{n}" for n in range(2, 99))) if candidate not in taken)
        models.append(Served(path, id=id, limits=limits, device=device))
    return models


def serve(
    models: Sequence[Served],
    *,
    limits: Limits,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGINT or SIGTERM; what is in flight then is answered first.

    Args:
        host, port: where to listen; port 0 takes a free one.
        token: that requests must know; must be given if others than this machine can reach the host.
        ready: called with the address when connections are taken.

    Raises:
        PoseglotError: no token where one is needed, or the address cannot be had.
    """
    local = is_loopback(host)
    if not local and not token:
        raise PoseglotError(
            f"{host} can be reached from other machines, so a token is needed: --token TOKEN, or the environment variable POSEGLOT_TOKEN. "
            "Without one, serve on 127.0.0.1."
        )
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // limits.at_once))
    app = create_app(models, limits=limits, token=token, names=LOOPBACK if local else ())
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = _Server(config, lambda: ready(f"http://{_shown(host)}:{listening.getsockname()[1]}/"))
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
    except (OSError, OverflowError) as error:
        raise PoseglotError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}. Choose another --port; 0 takes a free one."
        ) from error
    return listening


def _shown(host: str) -> str:
    """The host in an address."""
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host
