"""The middleware: every request passes it before the application, and every response after.

In this order it checks the host name and the origin, the token, the client's rate, the size of the body and the time of its arrival. It
reads the whole body, up to the limit, before the application sees the request.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poseglot.app.web.limits import Limits
from poseglot.app.web.metrics import Metrics

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
# Paths without a token: the page, which asks for it, and the health check.
PUBLIC = ("/", "/healthz", "/openapi.json", "/favicon.ico")
# Paths that compute nothing and are not limited in rate.
UNLIMITED = ("/metrics", "/api/models", "/api/limits", "/api/layouts", "/api/examples", "/api/endings")
_MAX_CLIENTS = 4096
_GONE = 499  # in metrics: the client did not wait for its answer


class RefusedError(Exception):
    """A request is refused."""

    def __init__(self, status: int, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class RateLimiter:
    """A token bucket per client: it fills by `rate` per second up to `burst`, and a request takes one."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Return 0 if a request is allowed, else the seconds until it is."""
        if not self._rate:
            return 0.0
        left, since = self._clients.pop(client, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._rate)
        allowed = left >= 1
        self._clients[client] = (left - allowed, now)
        while len(self._clients) > _MAX_CLIENTS:  # drop the longest idle: its bucket is the fullest
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


class RequestMiddleware:
    """The middleware (see above).

    Args:
        app: The application.
        limits: The limits of size, rate and time.
        metrics: Where requests are counted.
        token: The token of requests; None for none.
        hosts: The host names of the server; empty for any. They protect against DNS rebinding, by which a page of another site reads what
            only this machine may. (starlette's TrustedHostMiddleware knows no IPv6 addresses, and its refusals are neither JSON nor
            counted.)
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, metrics: Metrics, token: str | None, hosts: Sequence[str]) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics
        self._token, self._hosts = token, {host.lower() for host in hosts}
        self._rate = RateLimiter(limits.rate, limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                added = {"cache-control": "no-cache" if scope["path"].startswith("/static/") else "no-store", **HEADERS}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in added.items() if k.encode() not in present),
                ]
            await send(message)

        try:
            if await _until_gone(self._app(scope, await self._admit(scope, receive), send_with_headers), receive):
                status = _GONE
        except RefusedError as refusal:
            await _refuse(refusal, send_with_headers)
        finally:
            self._metrics.count(_method(scope), _route(scope), status, time.perf_counter() - start)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Check a request and return a `receive` with its whole body."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self._hosts and _host(host) not in self._hosts:
            raise RefusedError(403, "this server has another host name; use http://localhost or http://127.0.0.1.")
        if (origin := headers.get("origin")) and scope["method"] != "GET" and _origin_host(origin) != host.lower():
            raise RefusedError(403, "requests from pages of other sites are refused.")
        path = scope["path"]
        public = path in PUBLIC or path.startswith("/static/")
        if self._token is not None and not public:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token.encode()):
                raise RefusedError(401, "a token is needed: Authorization: Bearer TOKEN.", [("www-authenticate", "Bearer")])
        if not public and path not in UNLIMITED:
            client = (scope.get("client") or ("?", 0))[0]
            if wait := self._rate.wait(client, time.monotonic()):
                raise RefusedError(
                    429,
                    f"too many requests: at most {self._limits.rate:g} per second, {self._limits.burst} at once after a pause.",
                    [("retry-after", str(math.ceil(wait)))],
                )
        return _replay(await self._body(headers, receive))

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        limit = self._limits.body
        too_large = RefusedError(413, f"the request is larger than {limit:,} bytes.")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > limit:
            raise too_large
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self._limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the request was aborted.")
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > limit:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(pieces)
        except TimeoutError as error:
            raise RefusedError(408, f"the request did not arrive within {self._limits.seconds:g} seconds.") from error


def _host(host: str) -> str:
    """Return the host without the port: `localhost:8000` -> `localhost`, `[::1]:8000` -> `[::1]`."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _origin_host(origin: str) -> str:
    """Return the host and port of an origin; empty for one that is not valid."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _replay(body: bytes) -> Receive:
    """Return a `receive` that gives the whole body once, and then waits: the middleware watches the client."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _until_gone(answer: Awaitable[None], receive: Receive) -> bool:
    """Await an answer; cancel it when the client is gone, and return whether it is."""
    answering = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(receive())  # the body is read: the next message is the end of the connection
    try:
        await asyncio.wait((answering, watching), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            answering.cancel()
            await asyncio.wait((answering,))
        if answering.cancelled():
            return True
        answering.result()
        return False
    finally:
        answering.cancel()
        watching.cancel()


async def _refuse(refusal: RefusedError, send: Send) -> None:
    content = json.dumps({"error": refusal.message, "where": []}).encode()
    # What is left of the request is not read.
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(content))),
        ("connection", "close"),
        *refusal.headers,
    ]
    await send(
        {"type": "http.response.start", "status": refusal.status, "headers": [(k.encode(), v.encode()) for k, v in headers]}
    )
    await send({"type": "http.response.body", "body": content})


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"


def _route(scope: Scope) -> str:
    """Return the declared route, under which a request is counted: invented paths must not fill the memory."""
    return getattr(scope.get("route"), "path", None) or ("/static" if scope["path"].startswith("/static/") else "other")
