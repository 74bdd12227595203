"""A language model behind OpenAI's chat API, which many servers offer (vLLM, llama.cpp, Ollama, ...), by the package `openai`.

A call has a client of its own, which is asynchronous, because only such calls can be ended at a given time whatever the endpoint
sends. The package's own retries are off, because `poseglot.descriptions.generate` retries, counts and paces. The key comes from the
environment variable OPENAI_API_KEY only, and is removed from everything that the endpoint returns.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletion

from poseglot.descriptions.generate import EndpointError, Reply
from poseglot.errors import SettingError

KEY = "OPENAI_API_KEY"
URL = "OPENAI_BASE_URL"
OUTPUTS = ("schema", "json", "text")
_SHOWN = 300
_MAX_REPLY = 4 * 2**20  # bytes
_MIN_SECRET_LENGTH = 8  # shorter keys of local servers, such as "none" or "EMPTY", may be words of an answer
_NO_KEY = "no-key"  # the client requires one; local servers ignore it


class OpenAIEndpoint:
    """An endpoint of OpenAI's chat API.

    Args:
        model: The name of the model.
        base_url: The address, such as http://localhost:8000/v1; by default OPENAI_BASE_URL, or else OpenAI's own.
        output: How JSON is asked for: `schema` (structured output), `json` (JSON mode without schema), `text` (in words alone).
        temperature, seed, max_tokens: Are sent if given; draw k of a question is asked with seed + k.
        timeout: The seconds that a call may take.

    Raises:
        SettingError: There is no key for OpenAI's own address, or the address is malformed or contains a secret.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        output: str = "schema",
        temperature: float | None = None,
        seed: int | None = None,
        max_tokens: int | None = None,
        timeout: float = 120.0,
    ) -> None:
        given = base_url or os.environ.get(URL)
        self._key = os.environ.get(KEY, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise SettingError(f"the key in {KEY} has invalid characters; set it again.")
        if given:
            check_address(given)
        elif not self._key:
            raise SettingError(
                f"no endpoint to ask: give --base-url (or {URL}), such as http://localhost:8000/v1, or a key for OpenAI's own in the "
                f"environment ({KEY})."
            )
        self._base_url, self._output, self._timeout = given, output, timeout
        try:
            self.address = str(self._client().base_url)
        except (openai.OpenAIError, ValueError) as error:
            raise SettingError(f"could not make a client for {given}: {self._clean(str(error))}") from error
        self._sent: dict[str, Any] = {"model": model}
        self._sent |= {} if temperature is None else {"temperature": temperature}
        self._sent |= {} if max_tokens is None else {"max_completion_tokens": max_tokens}
        self._seed = seed

    @property
    def identity(self) -> dict[str, Any]:
        return {**self._sent, "address": self.address, "seed": self._seed, "output": self._output}

    def ask(self, messages: Sequence[dict[str, str]], schema: dict[str, Any], draw: int) -> Reply:
        asked = {**self._sent, "messages": list(messages)}
        if self._output == "schema":
            described = {"name": "answer", "schema": schema, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": described}
        elif self._output == "json":
            asked["response_format"] = {"type": "json_object"}
        if self._seed is not None:
            asked["seed"] = self._seed + draw
        try:
            return self._reply(asyncio.run(self._completion(asked)))
        except (TimeoutError, openai.APITimeoutError):
            raise EndpointError("time-out", "no answer within --timeout seconds") from None
        except openai.APIConnectionError as error:
            cause = error.__cause__
            reached = type(cause).__name__ != "ConnectError"
            message = "the connection broke off" if reached else f"nothing answers at {self.address}"
            raise EndpointError("connection", f"{message} ({self._clean(str(cause or error))})", reached=reached) from None
        except openai.APIStatusError as error:
            raise self._failure(error) from None
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            # The reply is not JSON, or JSON of another form.
            raise EndpointError("broken reply", self._clean(f"the reply could not be read: {error}")) from None

    def _client(self) -> openai.AsyncOpenAI:
        client = openai.DefaultAsyncHttpxClient(timeout=self._timeout, event_hooks={"response": [_read_within_limit]})
        return openai.AsyncOpenAI(
            api_key=self._key or _NO_KEY, base_url=self._base_url, max_retries=0, timeout=self._timeout, http_client=client
        )

    async def _completion(self, asked: Mapping[str, Any]) -> ChatCompletion:
        async with asyncio.timeout(self._timeout), self._client() as client:
            completion: ChatCompletion = await client.chat.completions.create(**asked)
            return completion

    def _reply(self, completion: ChatCompletion) -> Reply:
        choice = completion.choices[0] if completion.choices else None
        if choice is None or choice.message is None:
            raise ValueError("it has no choices")
        usage, message = completion.usage, choice.message
        filtered = "stopped by a content filter" if choice.finish_reason == "content_filter" else ""
        return Reply(
            text=self._clean(message.content or "", most=None),
            refusal=self._clean(message.refusal or filtered),
            cut_off=choice.finish_reason == "length",
            tokens_in=(usage and usage.prompt_tokens) or 0,
            tokens_out=(usage and usage.completion_tokens) or 0,
        )

    def _failure(self, error: openai.APIStatusError) -> EndpointError:
        status, message = error.status_code, self._clean(_message(error))
        if status == 429 and error.code != "insufficient_quota":
            return EndpointError("429", message, wait=asked_wait(error.response.headers))
        if status >= 500 or status in (408, 409):
            return EndpointError(str(status), message, wait=asked_wait(error.response.headers))
        advice = {
            400: "Try --output json or text; some models do not accept --temperature or --max-tokens.",
            401: f"The key in {KEY} is missing or not accepted.",
            403: f"The key in {KEY} may not use this model.",
            404: "Check the model's name and the address; most addresses end in /v1.",
            429: "The account has no quota left.",
        }.get(status, "")
        return EndpointError(str(status), f"{self.address} answered {status}: {message} {advice}".strip(), final=True)

    def _clean(self, text: str, most: int | None = _SHOWN) -> str:
        """Remove the key from a text; messages are put on one line and shortened."""
        if len(self._key) >= _MIN_SECRET_LENGTH:
            text = text.replace(self._key, "(key)")
        return text if most is None else " ".join(text.split())[:most]


async def _read_within_limit(response: Any) -> None:
    """Read a reply here, since the client reads any number of bytes."""
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > _MAX_REPLY:
            raise ValueError(f"the reply has more than {_MAX_REPLY:,} bytes")
    response._content = bytes(content)  # what `response.aread` returns


def check_address(url: str) -> None:
    """Check that a text is a web address without a secret in it.

    Raises:
        SettingError: It is not; the message does not repeat a secret.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        whole = False
    if whole and (parts.username or parts.password or parts.query):
        raise SettingError(
            f"--base-url must be without user name, password and query; a key belongs in the environment ({KEY})."
        )
    if not whole:
        raise SettingError(
            f"--base-url takes an address such as http://localhost:8000/v1, not {url if not set('@?') & set(url) else 'what was given'}."
        )


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks to wait, given as a number or a date; None without it."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return max(0.0, seconds) if seconds == seconds else None


def _message(error: openai.APIStatusError) -> str:
    """Return the endpoint's own message, from the various forms of errors."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("message") or body.get("error") or body
        return inner if isinstance(inner, str) else json.dumps(inner)
    return str(body or error.message)
