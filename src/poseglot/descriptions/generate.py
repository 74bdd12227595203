"""Generation of descriptions: ask a language model about own classes until every question has an acceptable answer.

Several threads ask. If the endpoint fails (429, 5xx, time-out, a broken reply), the question is asked again after a wait that doubles, or
that the endpoint names. If the answer is faulty (no JSON, a refusal, a wrong part), the model is told why. Every accepted answer is
written to the cache at once, in a file named by a hash of model and question, so an interrupted run asks only what is missing.

An endpoint is any object with `ask`; `poseglot.descriptions.endpoint` has the real one.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from poseglot.descriptions.description import FORMAT, parse_descriptions
from poseglot.descriptions.questions import (
    PARAGRAPH,
    PARTS_OF_BODY,
    SYNONYMS,
    Answer,
    FaultyAnswerError,
    Question,
    as_entry,
)
from poseglot.errors import InputError, PoseglotError, SettingError
from poseglot.files import write_atomically

_MAX_REQUESTED_WAIT = 600.0  # seconds
_PROGRESS_EVERY = 0.2  # seconds
_DRAWS = 1000  # more than the samples of any question
_QUOTED = 2000  # characters of a faulty answer that the model is shown


@dataclass(frozen=True)
class Reply:
    """The reply of a model.

    Attributes:
        text: The answer; empty if there is none.
        refusal: Why the model does not answer; empty if it does.
        cut_off: Whether the answer ended because it was too long.
        tokens_in, tokens_out: As the endpoint counts them; 0 if it does not.
    """

    text: str
    refusal: str = ""
    cut_off: bool = False
    tokens_in: int = 0
    tokens_out: int = 0


class EndpointError(Exception):
    """A call without a reply.

    Attributes:
        kind: The kind of failure, for counting: `429`, `500`, `time-out`, `connection`, `broken reply`, ...
        wait: The seconds that the endpoint asks to wait; None if it does not.
        final: Whether asking again is useless.
        reached: Whether something answered at the address.
    """

    def __init__(
        self, kind: str, message: str, *, wait: float | None = None, final: bool = False, reached: bool = True
    ) -> None:
        super().__init__(message)
        self.kind, self.wait, self.final, self.reached = kind, wait, final, reached


class Endpoint(Protocol):
    """A language model that several threads can ask at once."""

    @property
    def identity(self) -> dict[str, Any]:
        """What its answers depend on: address, model, temperature, seed, ..."""

    def ask(self, messages: Sequence[dict[str, str]], schema: dict[str, Any], draw: int) -> Reply:
        """Make one call. Different draws should give different answers, even with a fixed seed.

        Raises:
            EndpointError: There was no reply.
        """


@dataclass(frozen=True)
class AskOptions:
    """Options of asking an endpoint.

    Attributes:
        retries: The number of further tries for a question.
        concurrency: The number of calls at once.
        per_minute: The maximum number of calls per minute; None for no limit.
        first_wait, max_wait: The seconds before the second try; they double before each further one, up to the maximum.
    """

    retries: int = 8
    concurrency: int = 4
    per_minute: float | None = None
    first_wait: float = 1.0
    max_wait: float = 60.0

    def __post_init__(self) -> None:
        if self.retries < 0 or self.concurrency < 1 or (self.per_minute is not None and not self.per_minute > 0):
            raise SettingError(
                "--retries takes a number from 0, --concurrency one from 1, --max-rpm one above 0; "
                f"not {self.retries}, {self.concurrency}, {self.per_minute}."
            )


@dataclass
class Usage:
    """What has been asked and used so far.

    Attributes:
        questions, cached, answered: The number of questions, of those answered from the cache, and of those answered by calls.
        classes, complete: The number of classes, and of those with all questions answered.
        calls, tokens_in, tokens_out: The number of calls, and the tokens of all replies, faulty ones included.
        faults: Kind -> the number of failed tries.
        waited: The sum of the seconds that the endpoint asked to wait.
    """

    questions: int = 0
    cached: int = 0
    answered: int = 0
    classes: int = 0
    complete: int = 0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    waited: float = 0.0


class Cache:
    """A folder of answers, each in a JSON file named by a hash of the model and the question."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, self._identity = folder, identity

    def path(self, question: Question) -> Path:
        """Return the file of an answer."""
        asked = [self._identity, question.messages, question.schema, question.sample]
        return self.folder / f"{hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]}.json"

    def get(self, question: Question) -> Answer | None:
        """Return the answer, or None if there is no acceptable one; a damaged file is ignored."""
        try:
            return question.check(json.loads(self.path(question).read_text(encoding="utf-8"))["answer"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError, FaultyAnswerError):
            return None

    def put(self, question: Question, answer: Answer) -> None:
        """Keep an answer."""
        content = {
            "model": self._identity.get("model"),
            "label": question.label,
            "kind": question.kind,
            "sample": question.sample,
            "question": question.text,
            "answer": answer,
        }
        write_atomically(self.path(question), json.dumps(content, indent=1, ensure_ascii=False) + "\n")


class IncompleteError(PoseglotError):
    """Some questions have no acceptable answer.

    Attributes:
        failures: Class -> why its questions have none.
    """

    def __init__(self, message: str, failures: dict[str, list[str]]) -> None:
        super().__init__(message)
        self.failures = failures


Answers = dict[Question, Answer]


def ask_all(
    questions: Sequence[Question],
    endpoint: Endpoint,
    cache: Cache,
    options: AskOptions,
    *,
    usage: Usage | None = None,
    progress: Callable[[Usage], None] = lambda usage: None,
) -> Answers:
    """Return an answer to every question, from the cache or the endpoint.

    Args:
        usage: Is updated as questions are asked, also if this function raises.
        progress: Is called a few times a second, on this thread.

    Raises:
        IncompleteError: Some questions have no acceptable answer; the others' answers are in the cache.
        InputError: Asking on is useless (no endpoint, a wrong key, ...).
        FileError: The cache cannot be written.
        KeyboardInterrupt: Is passed on after the current calls have ended and their answers are in the cache.
    """
    usage = usage if usage is not None else Usage()
    known = {question: cache.get(question) for question in questions}
    answers: Answers = {question: answer for question, answer in known.items() if answer is not None}
    left = Counter(question.label for question in questions if question not in answers)
    usage.questions, usage.cached = len(questions), len(answers)
    usage.classes = len({question.label for question in questions})
    usage.complete = usage.classes - len(left)
    asker, failures = _Asker(endpoint, cache, options, usage), dict[str, list[str]]()
    with ThreadPoolExecutor(options.concurrency) as pool:
        try:
            work: dict[Future[Answer], Question] = {
                pool.submit(asker.answer, question): question for question in questions if question not in answers
            }
            waiting = set(work)
            progress(usage)
            while waiting:
                done, waiting = wait(waiting, timeout=_PROGRESS_EVERY, return_when=FIRST_COMPLETED)
                for each in done:
                    question = work[each]
                    try:
                        answers[question] = each.result()
                    except _GivenUpError as error:
                        failures.setdefault(question.label, []).append(f"{question.kind}: {error}")
                    else:
                        left[question.label] -= 1
                        usage.complete += not left[question.label]
                progress(usage)
        finally:
            # No new calls; leaving the pool waits for the current ones, whose answers are kept.
            asker.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        lines = [f"{label!r}: {'; '.join(reasons)}" for label, reasons in failures.items()]
        raise IncompleteError(
            "\n  ".join(
                [
                    f"{len(failures)} of {usage.classes} classes are incomplete, so nothing was written. {len(answers)} answers are in "
                    f"{cache.folder}; the same command asks only for the rest.",
                    *lines,
                ]
            ),
            failures,
        )
    return answers


class _GivenUpError(Exception):
    """A question used all its tries, or asking was stopped."""


class _Asker:
    """Asks questions, on several threads."""

    def __init__(self, endpoint: Endpoint, cache: Cache, options: AskOptions, usage: Usage) -> None:
        self.stop = threading.Event()
        self._endpoint, self._cache, self._options, self._usage = endpoint, cache, options, usage
        self._pace, self._lock, self._reached = _Pace(options.per_minute, self.stop), threading.Lock(), False

    def answer(self, question: Question) -> Answer:
        """Ask until there is an acceptable answer."""
        messages, last = question.messages, ""
        draw, failures = question.sample, 0  # failures of the endpoint in a row
        for attempt in range(1 + self._options.retries):
            self._pace.wait()
            if self.stop.is_set():
                raise _GivenUpError("stopped")
            try:
                reply = self._ask(question, messages, draw)
                answer = _read(question, reply)
            except EndpointError as error:
                self._count(error.kind)
                failures += 1
                self._after(error, question, failures, more=attempt < self._options.retries)
                last = f"{error.kind} ({error})"
                continue
            except FaultyAnswerError as fault:
                self._count(fault.kind)
                failures = 0
                draw += _DRAWS  # the same seed could give the same answer
                last = str(fault)
                messages = [*question.messages, *_complaint(reply, last)]
                continue
            self._cache.put(question, answer)
            with self._lock:
                self._usage.answered += 1
            return answer
        raise _GivenUpError(f"{1 + self._options.retries} tries failed, the last one: {last}")

    def _ask(self, question: Question, messages: Sequence[dict[str, str]], draw: int) -> Reply:
        with self._lock:
            self._usage.calls += 1
        reply = self._endpoint.ask(messages, question.schema, draw)
        with self._lock:
            self._reached = True
            self._usage.tokens_in += reply.tokens_in
            self._usage.tokens_out += reply.tokens_out
        return reply

    def _count(self, kind: str) -> None:
        with self._lock:
            self._usage.faults[kind] += 1

    def _after(self, error: EndpointError, question: Question, failures: int, *, more: bool) -> None:
        """Wait after a failure of the endpoint, or stop everything."""
        with self._lock:
            self._reached |= error.reached
            unreachable = not self._reached and failures > 1
        if error.final or unreachable:
            self.stop.set()
            raise InputError(str(error)) from error
        if error.wait is not None and error.wait > _MAX_REQUESTED_WAIT:
            self.stop.set()
            raise InputError(f"the endpoint asks to wait {error.wait / 60:,.0f} minutes ({error}).") from error
        # Jitter keeps threads that failed together from retrying together. It follows from the question, so that runs are repeatable.
        jitter = random.Random(f"{question.label} {question.kind} {question.sample} {failures}").uniform(0.5, 1)
        seconds = jitter * min(self._options.max_wait, self._options.first_wait * 2 ** (failures - 1))
        if error.wait is not None:
            seconds = max(seconds, error.wait)
            with self._lock:
                self._usage.waited += error.wait
        if error.wait is not None or error.kind == "429":
            self._pace.hold(seconds)  # a rate limit holds for all threads
        elif more:
            self.stop.wait(seconds)


class _Pace:
    """The pace of calls: not too many per minute, and none while the endpoint asks to wait."""

    def __init__(self, per_minute: float | None, stop: threading.Event) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = self._held = time.monotonic()
        self._stop, self._lock = stop, threading.Lock()

    def wait(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                now, ready = time.monotonic(), max(self._next, self._held)
                if ready <= now:
                    self._next = now + self._gap
                    return
            self._stop.wait(ready - now)

    def hold(self, seconds: float) -> None:
        with self._lock:
            self._held = max(self._held, time.monotonic() + seconds)


def _read(question: Question, reply: Reply) -> Answer:
    if reply.refusal:
        raise FaultyAnswerError(f"it is a refusal ({reply.refusal[:200]})", "refusal")
    if reply.cut_off:
        raise FaultyAnswerError("it was cut off because it is too long", "cut off")
    return question.read(reply.text)


def _complaint(reply: Reply, fault: str) -> list[dict[str, str]]:
    """Return the messages that tell the model what is wrong with its last answer; earlier ones are not repeated."""
    return [
        {"role": "assistant", "content": (reply.text or reply.refusal)[:_QUOTED]},
        {
            "role": "user",
            "content": f"This answer cannot be used: {fault}. Answer the question again, as the JSON that was asked for.",
        },
    ]


def to_yaml(questions: Sequence[Question], answers: Answers, *, name: str, about: str) -> str:
    """Return a description file of complete answers, in the order of the questions; it is read back as a check.

    Raises:
        KeyError: An answer is missing.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for question in questions:
        found.setdefault(question.label, {}).setdefault(question.kind, []).append(answers[question])
    classes = [as_entry(label, kinds[SYNONYMS][0], kinds[PARAGRAPH], kinds[PARTS_OF_BODY]) for label, kinds in found.items()]
    table = {"format": FORMAT, "name": name, "about": about, "classes": classes}
    text = str(yaml.safe_dump(table, sort_keys=False, allow_unicode=True, width=130))
    parse_descriptions(text, origin=name)
    return text
