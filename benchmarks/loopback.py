"""A local endpoint for `poseglot generate-descriptions`: it speaks the protocol, knows the answers, and errs as it is told.

The answers are those of a description set, so that what comes back can be compared with it, text by text. What it does with a call
is decided by a function of the question and of how often it was asked before; the ways to err are those of real endpoints (`FAULTS`).
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from poseglot.descriptions import Description

# Each way to err, and what `poseglot generate-descriptions` should count it as.
FAULTS = {
    "429": "429",
    "429 and Retry-After": "429",
    "500": "500",
    "503 and Retry-After": "503",
    "no answer": "time-out",
    "connection dropped": "connection",
    "body cut off": "broken reply",
    "body of another form": "broken reply",
    "answer cut off": "cut off",
    "truncated JSON": "no JSON",
    "prose": "no JSON",
    "empty": "no JSON",
    "refusal": "refusal",
    "content filter": "refusal",
    "wrong part": "faulty answer",
    "part missing": "faulty answer",
    "another class's name": "faulty answer",
    "markdown": "faulty answer",
}
# What is answered without an end. A call is left after its time, so that these cost more of it than the others.
ENDLESS = ("headers without end", "body without end", "body of 8 MB")
_ASKED = {
    "paragraph": re.compile(r'Describe a person "(.*)" in details\.'),
    "synonyms": re.compile(r'Suggest \d+ synonyms for "(.*)"\.'),
    "parts": re.compile(r'Describing following body parts actions when "(.*)": '),
}

Asked = tuple[str, str]  # label, kind
# The name of a fault, or a status with a body, or None for a good answer.
Decide = Callable[[Asked, int], "str | tuple[int, dict[str, Any]] | None"]


class Loopback(AbstractContextManager["Loopback"]):
    """See the module.

    Attributes:
        url: for --base-url.
        faults: fault -> how often it was made.
        asked, answered: calls and good answers for each question; a second sample counts with the first.
        requests: (start on the clock, headers by lower-case name, body) of each call.
    """

    def __init__(
        self,
        known: Mapping[str, Description],
        decide: Decide = lambda asked, before: None,
        *,
        rest: float = 0.02,
        hang: float = 1.0,
    ) -> None:
        self.known, self.decide, self.rest, self.hang = known, decide, rest, hang
        self.faults, self.asked, self.answered = Counter[str](), Counter[Asked](), Counter[Asked]()
        self.requests: list[tuple[float, dict[str, str], dict[str, Any]]] = []
        self.lock, self.closing = threading.Lock(), threading.Event()
        loopback = self

        class Handler(_Handler):
            owner = loopback

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: Asked, sample: int) -> Any:
        """The right one; further samples, which have seeds of their own, differ from the first."""
        label, kind = asked
        told, more = self.known[label], f", take {sample + 1}" if sample else ""
        if kind == "paragraph":
            return " ".join(told.paragraph.split()) + more
        return list(told.synonyms) if kind == "synonyms" else {part: text + more for part, text in told.parts.items()}


class _Handler(BaseHTTPRequestHandler):
    owner: Loopback
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner, asked = self.owner, which(body["messages"][1]["content"])
        if asked is None or self.path != "/v1/chat/completions":
            self._send(404, {"error": {"message": f"no such model or path: {self.path}"}})
            return
        with owner.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            owner.requests.append((time.monotonic(), headers, body))
            before = owner.asked[asked]
            owner.asked[asked] += 1
        fault = owner.decide(asked, before)
        if isinstance(fault, tuple):
            self._send(*fault)
            return
        with owner.lock:
            if fault:
                owner.faults[fault] += 1
            else:
                owner.answered[asked] += 1
        with suppress(BrokenPipeError, ConnectionResetError):  # who waited is gone
            self._err(fault, asked) if fault else self._say({asked[1]: owner.answer(asked, body.get("seed", 0) % 1000)})

    def _err(self, fault: str, asked: Asked) -> None:
        label, kind = asked
        right = self.owner.answer(asked, 0)
        other = next(each for each in self.owner.known if each != label)
        rest = {"Retry-After": str(self.owner.rest)}
        if fault.startswith(("429", "500", "503")):
            self._send(int(fault[:3]), {"error": {"message": "not now"}}, rest if "Retry-After" in fault else {})
        elif fault == "no answer":
            self.owner.closing.wait(self.owner.hang)
            self.close_connection = True
        elif fault == "connection dropped":
            self.close_connection = True
        elif fault == "body cut off":
            self._send(200, b'{"id": "1", "object": "chat.completion", "choices": [{"index": 0, "mess')
        elif fault == "body of another form":
            self._send(200, {"choices": []})
        elif fault in ENDLESS:
            self._send_without_end(fault)
        elif fault == "answer cut off":
            self._say(json.dumps({kind: right})[:-9], finish="length")
        elif fault == "truncated JSON":
            self._say(json.dumps({kind: right})[:-9])
        elif fault == "prose":
            self._say(f"Sure! Here is what {label} looks like: {right}")
        elif fault == "empty":
            self._say("")
        elif fault == "refusal":
            self._say("", refusal="I cannot help with that.")
        elif fault == "content filter":
            self._say("", finish="content_filter")
        elif fault == "wrong part":
            self._say({kind: {**right, "tail": "wags"}} if kind == "parts" else {"tail": right})
        elif fault == "part missing":
            self._say({kind: {part: text for part, text in right.items() if part != "hip"}} if kind == "parts" else {})
        elif fault in ("another class's name", "markdown"):
            text = other if fault != "markdown" else "**Firmly** moves up and down, as far as it goes, again and again"
            self._say(
                {kind: {"parts": {**right, "arm": text} if kind == "parts" else {}, "synonyms": [text] * 10}.get(kind, text)}
            )
        else:
            raise ValueError(f"no such fault: {fault}")

    def _say(self, content: Any, *, finish: str = "stop", refusal: str | None = None) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        message = {"role": "assistant", "content": text, "refusal": refusal}
        usage = {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self._send(
            200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
        )

    def _send_without_end(self, fault: str) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        if fault != "headers without end":
            self.wfile.write(b"\r\n")
        if fault == "body of 8 MB":
            self.wfile.write(b" " * 2**23)
            return
        while not self.owner.closing.wait(0.02):  # never silent for long
            self.wfile.write(b"x")

    def _send(self, status: int, body: bytes | dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def which(text: str) -> Asked | None:
    """The label and kind of a question."""
    for kind, form in _ASKED.items():
        if found := form.match(text):
            return found[1], kind
    return None
