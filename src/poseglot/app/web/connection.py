"""Connections with deadlines, and room for the health check when all others are taken.

uvicorn waits for headers, for a client that does not read, and for one that keeps quiet after a byte, as long as they like. Here a
watchdog ends such connections. Beyond the limit of connections, of all clients or of one, further ones are answered 503; only `/healthz` is
answered on them. There are a few of these, and a new one ends the oldest that has not asked for anything.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from poseglot.app.web.limits import Limits

_HEADERS = 10.0  # seconds for the headers of a request
_HEADERS_BEYOND = 2.0  # ... on a connection beyond the limit
_BEYOND = 64  # such connections: as many as may be accepted at once before one of them is read
_LOOK_EVERY = 0.25
_HEALTH = "/healthz"


class LimitedConnection:
    """A connection with the deadlines above; to be mixed into a protocol of uvicorn's, whose attributes it uses.

    Attributes:
        limits: The limits of the server.
        proxies: Addresses that many clients come from.
    """

    limits: Limits
    proxies: frozenset[str]
    host: str
    began: float
    is_beyond: bool
    app: Any
    client: Any
    connections: Any
    cycle: Any
    loop: Any
    transport: Any

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self.began = self._since = self.loop.time()
        self._unread: float | None = None
        self.host = self.client[0] if self.client else ""
        others = [one for one in self.connections if isinstance(one, LimitedConnection) and one is not self]
        usual = [one for one in others if not one.is_beyond]
        of_client = sum(one.host == self.host for one in usual)
        self.is_beyond = len(usual) >= self.limits.connections or (
            of_client >= self.limits.connections_per_client and self.host not in self.proxies
        )
        if self.is_beyond:
            self.app = _only_health(self.app)
            beyond = [one for one in others if one.is_beyond]
            if len(beyond) >= _BEYOND:  # those that have asked for something, such as the health, come last
                min(beyond, key=lambda one: (one.cycle is not None, one.began)).transport.abort()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()  # type: ignore[misc]

    def check(self, now: float) -> None:
        """End the connection if one of its deadlines is over."""
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and now - self._since > min(self.limits.seconds, _HEADERS_BEYOND if self.is_beyond else _HEADERS):
            self.transport.abort()
        elif not self.transport.get_write_buffer_size():
            self._unread = None
        elif self._unread is None:
            self._unread = now
        elif now - self._unread > self.limits.seconds:
            self.transport.abort()


async def watch(connections: set[Any]) -> None:
    """Look at the deadlines of all connections, again and again."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        for connection in tuple(connections):
            if isinstance(connection, LimitedConnection):
                connection.check(loop.time())


def _only_health(app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _HEALTH:
            await app(scope, receive, _closing(send))
            return
        content = json.dumps({"error": "too many connections are open; try again in a moment.", "where": []}).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(content)),
            "connection": "close",
            "retry-after": "1",
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 503, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return answer


def _closing(send: Send) -> Send:
    async def closing(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return closing
