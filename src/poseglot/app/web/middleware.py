"""What stands before the application: every request passes here first, and every answer last.

In this order: is it for this server (its name; no page of another site), does it know the token, has the client asked too often, is it
small enough, did it come in in time. The body is read here, as a whole and no larger than the limit; only then the application sees it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poseglot.app.web.limits import Limits
from poseglot.app.web.metrics import Numbers

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Of what needs no token: the page itself, which asks for it, and whether the server is alive.
OPEN = ("/", "/healthz", "/openapi.json", "/favicon.ico")
_MOST_CLIENTS = 4096


class RefusedError(Exception):
    """A request is not let in."""

    def __init__(self, status: int, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class Rate:
    """A bucket of tokens for each client: it fills by `rate` a second up to `burst`, and a request takes one."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """0 if the client may, else after how many seconds it may."""
        if not self._rate:
            return 0.0
        left, since = self._clients.pop(client, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._rate)
        allowed = left >= 1
        self._clients[client] = (left - allowed, now)
        while len(self._clients) > _MOST_CLIENTS:  # the longest unheard of: its bucket is the fullest
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


class Guard:
    """The middleware.

    Args:
        app: what it guards.
        limits: of body, rate and time.
        numbers: where requests are counted.
        token: that requests must know; None for none.
        names: that the server may be called by; empty for any. (Else a page of another site could have its own name point here, and
            read what only this machine may.)
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, numbers: Numbers, token: str | None, names: Sequence[str]) -> None:
        self._app, self._limits, self._numbers = app, limits, numbers
        self._token, self._names = token, {name.lower() for name in names}
        self._rate = Rate(limits.rate, limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name.lower() for name, _ in message["headers"]}
                added = {"cache-control": "no-cache" if scope["path"].startswith("/static/") else "no-store", **HEADERS}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in added.items() if k.encode() not in there),
                ]
            await send(message)

        try:
            await self._app(scope, await self._let_in(scope, receive), sending)
        except RefusedError as refusal:
            await _refuse(refusal, sending)
        finally:
            self._numbers.count(_method(scope), _route(scope), status, time.perf_counter() - start)

    async def _let_in(self, scope: Scope, receive: Receive) -> Receive:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self._names and _host(host) not in self._names:
            raise RefusedError(403, "this server is not called by that name; use http://localhost or http://127.0.0.1.")
        if (origin := headers.get("origin")) and scope["method"] != "GET" and urlsplit(origin).netloc.lower() != host.lower():
            raise RefusedError(403, "requests from pages of other sites are not taken.")
        path = scope["path"]
        public = path in OPEN or path.startswith("/static/")
        if self._token is not None and not public:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
                raise RefusedError(401, "a token is needed: Authorization: Bearer TOKEN.", [("www-authenticate", "Bearer")])
        if not public and path not in ("/metrics", "/api/models", "/api/limits", "/api/examples"):
            client = (scope.get("client") or ("?", 0))[0]
            if wait := self._rate.wait(client, time.monotonic()):
                raise RefusedError(
                    429,
                    f"too many requests: {self._limits.rate:g} a second are answered, {self._limits.burst} at once after a pause.",
                    [("retry-after", str(math.ceil(wait)))],
                )
        return _replay(await self._body(headers, receive))

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        most = self._limits.body
        too_large = RefusedError(
            413, f"the request is larger than the {most:,} bytes that are accepted here.", [("connection", "close")]
        )
        said = headers.get("content-length", "0")
        if not said.isascii() or not said.isdigit() or int(said[:20]) > most:
            raise too_large
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self._limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the request was broken off.")
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(pieces)
        except TimeoutError as error:
            raise RefusedError(
                408, f"the request did not come in within {self._limits.seconds:g} seconds.", [("connection", "close")]
            ) from error


def _host(host: str) -> str:
    """`localhost:8000` -> `localhost`, `[::1]:8000` -> `[::1]`."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _replay(body: bytes) -> Receive:
    """A `receive` that gives the whole body once, and then waits: the client is not watched any further."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _refuse(refusal: RefusedError, send: Send) -> None:
    content = json.dumps({"error": refusal.message, "where": []}).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(content))), *refusal.headers]
    await send(
        {"type": "http.response.start", "status": refusal.status, "headers": [(k.encode(), v.encode()) for k, v in headers]}
    )
    await send({"type": "http.response.body", "body": content})


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"


def _route(scope: Scope) -> str:
    """What is counted together: the route as it was declared, so that nobody can fill memory with made-up paths."""
    return getattr(scope.get("route"), "path", None) or ("/static" if scope["path"].startswith("/static/") else "other")
