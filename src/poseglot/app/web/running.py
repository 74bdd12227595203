"""Start and stop the server: uvicorn on our own socket, so that the port is known beforehand."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
import socket
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

import torch
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from poseglot import child
from poseglot.app.web.connection import LimitedConnection, watch
from poseglot.app.web.limits import Limits
from poseglot.app.web.server import LOOPBACK, create_app
from poseglot.app.web.service import ModelService
from poseglot.app.web.worker import NICE, READING
from poseglot.errors import DeviceError, SettingError

_GRACE = 3  # seconds beyond the time of a request for those in flight when the server stops


def load_services(paths: Sequence[str | PathLike[str]], *, limits: Limits, device: str | None = None) -> list[ModelService]:
    """Load runs; each is named after its folder, with a number if the name is taken.

    Raises:
        FileError: A path holds no recognizer.
    """
    services: list[ModelService] = []
    for path in map(Path, paths):
        name = (path.resolve().name if path.is_dir() else path.stem) or "model"
        taken = {service.id for service in services}
        id = next(candidate for candidate in (name, *(f"{name}-{n}" for n in range(2, 99))) if candidate not in taken)
        services.append(ModelService(path, id=id, limits=limits, device=device))
    return services


def serve(
    services: Sequence[ModelService],
    *,
    limits: Limits,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    proxies: Sequence[str] = (),
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are answered first.

    Args:
        services: The models.
        limits: The limits of requests.
        host, port: The address to listen on; port 0 takes a free one.
        token: The token of requests, in ASCII; required if other machines can reach the host.
        proxies: Addresses of proxies, which are believed about whose requests they pass on (X-Forwarded-For).
        ready: Called with the address once connections are accepted.

    Raises:
        SettingError: A token is required, or cannot be sent in a header.
        DeviceError: The address cannot be used.
    """
    local = is_loopback(host)
    if not local and not token:
        raise SettingError(
            f"{host} can be reached from other machines, so a token is needed: --token TOKEN, or the environment variable POSEGLOT_TOKEN. "
            "Without one, serve on 127.0.0.1."
        )
    if token is not None and not (token.isascii() and token.isprintable() and token == token.strip()):
        raise SettingError("a token has letters, digits and marks of ASCII only, since headers of requests have no others.")
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // limits.at_once))
    child.prepare(limits.at_once, READING, nice=NICE)
    app = create_app(services, limits=limits, token=token, hosts=LOOPBACK if local else ())
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=_connection_type(limits, proxies),
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_keep_alive=5,
        timeout_graceful_shutdown=math.ceil(limits.seconds) + _GRACE,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = _Server(config, lambda: ready(f"http://{_shown(host)}:{listening.getsockname()[1]}/"))
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()


def _connection_type(limits: Limits, proxies: Sequence[str]) -> type[H11Protocol]:
    return type("Connection", (LimitedConnection, H11Protocol), {"limits": limits, "proxies": frozenset(proxies)})


class _Server(uvicorn.Server):
    """Calls `ready` once it listens, and watches the connections from then on."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._watching = asyncio.create_task(watch(self.server_state.connections))
            self._ready()


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a host."""
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
        raise DeviceError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}. Choose another --port; 0 takes a free one."
        ) from error
    return listening


def _shown(host: str) -> str:
    """Return the host as it is written in an address."""
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host
