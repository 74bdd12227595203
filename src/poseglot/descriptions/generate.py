"""Asking a language model for descriptions of one's own classes: every question until it has an answer that counts.

Questions are asked by several threads. A try fails when the endpoint does (429, 5xx, time-out, a broken reply) and is repeated after a
wait that doubles, or the one that the endpoint asks for; it also fails when the answer does (no JSON, a refusal, a wrong part), and
then the model is told why. Every answer that counts is at once a file in the cache, named by a hash of the model and the question. So
whatever ends a run, the same one later asks only what is missing.

The endpoint is anything with `ask`; `poseglot.descriptions.endpoint` has the real one.
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
    ClassScore,
    FaultyAnswerError,
    Question,
    as_entry,
)
from poseglot.errors import PoseglotError
from poseglot.files import write_atomically

_LONGEST_ASKED = 600.0  # seconds that an endpoint may have us wait
_LOOK = 0.2  # seconds between two looks at the progress
_DRAWS = 1000  # more than anybody's samples
_QUOTED = 2000  # characters of a faulty answer that the model is shown


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Attributes:
        text: the answer, empty if there is none.
        refusal: why it does not answer; empty if it does.
        cut_off: it ended because it was too long.
        tokens_in, tokens_out: as the endpoint counts; 0 if it does not.
    """

    text: str
    refusal: str = ""
    cut_off: bool = False
    tokens_in: int = 0
    tokens_out: int = 0


class TroubleError(Exception):
    """A call that brought no reply.

    Attributes:
        kind: of trouble, for counting: `429`, `500`, `time-out`, `connection`, `broken reply`, ...
        wait: seconds that the endpoint asks for; None if it does not.
        final: asking again would not help.
        reached: something answered at that address.
    """

    def __init__(
        self, kind: str, message: str, *, wait: float | None = None, final: bool = False, reached: bool = True
    ) -> None:
        super().__init__(message)
        self.kind, self.wait, self.final, self.reached = kind, wait, final, reached


class Endpoint(Protocol):
    """A language model that can be asked, by several threads at once."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides about its answers: address, model, temperature, seed, ..."""

    def ask(self, messages: Sequence[dict[str, str]], schema: dict[str, Any], draw: int) -> Reply:
        """One call; answers of different draws are to differ, also where a seed is fixed.

        Raises:
            TroubleError: it brought no reply.
        """


@dataclass(frozen=True)
class Manners:
    """How an endpoint is asked.

    Attributes:
        retries: further tries for a question.
        concurrency: calls at once.
        per_minute: calls a minute at most; None for no limit.
        first_wait, longest_wait: seconds before the second try, doubled before each further one up to the longest.
    """

    retries: int = 8
    concurrency: int = 4
    per_minute: float | None = None
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def __post_init__(self) -> None:
        if self.retries < 0 or self.concurrency < 1 or (self.per_minute is not None and not self.per_minute > 0):
            raise PoseglotError(
                "--retries takes a number from 0, --concurrency one from 1, --max-rpm one above 0; "
                f"not {self.retries}, {self.concurrency}, {self.per_minute}."
            )


@dataclass
class Tally:
    """What has been asked and used so far.

    Attributes:
        questions, cached, answered: all of them, those that the cache had answers to, those answered by calls.
        classes, complete: all of them, and those with every question answered.
        calls, tokens_in, tokens_out: calls begun, and tokens of the replies, faulty ones included.
        faults: kind -> how many tries failed by it.
        waited: seconds that an endpoint asked for, the sum.
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
    """Answers in a folder, a JSON file for each, named by what was asked of whom."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, self._identity = folder, identity

    def path(self, question: Question) -> Path:
        asked = [self._identity, question.messages, question.schema, question.sample]
        return self.folder / f"{hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]}.json"

    def get(self, question: Question) -> ClassScore | None:
        """The answer, if there is one that still counts; a damaged file is none."""
        try:
            return question.check(json.loads(self.path(question).read_text(encoding="utf-8"))["answer"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError, FaultyAnswerError):
            return None

    def put(self, question: Question, answer: ClassScore) -> None:
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
    """Not every question has an answer.

    Attributes:
        failures: class -> why its questions have none.
    """

    def __init__(self, message: str, failures: dict[str, list[str]]) -> None:
        super().__init__(message)
        self.failures = failures


Answers = dict[Question, ClassScore]


def ask_all(
    questions: Sequence[Question],
    endpoint: Endpoint,
    cache: Cache,
    manners: Manners,
    *,
    tally: Tally | None = None,
    watch: Callable[[Tally], None] = lambda tally: None,
) -> Answers:
    """An answer to every question, from the cache or the endpoint.

    Args:
        tally: is kept up to date, also if this ends early.
        watch: is called a few times a second, on this thread.

    Raises:
        IncompleteError: some questions got no answer that counts; the other answers are in the cache.
        PoseglotError: asking on would not help (no endpoint, a wrong key, ...), or the cache cannot be written.
        KeyboardInterrupt: after the calls under way have ended, and what they brought is in the cache.
    """
    tally = tally if tally is not None else Tally()
    known = {question: cache.get(question) for question in questions}
    answers: Answers = {question: answer for question, answer in known.items() if answer is not None}
    left = Counter(question.label for question in questions if question not in answers)
    tally.questions, tally.cached = len(questions), len(answers)
    tally.classes = len({question.label for question in questions})
    tally.complete = tally.classes - len(left)
    asker, failures = _Asker(endpoint, cache, manners, tally), dict[str, list[str]]()
    with ThreadPoolExecutor(manners.concurrency) as pool:
        try:
            work: dict[Future[ClassScore], Question] = {
                pool.submit(asker.answer, question): question for question in questions if question not in answers
            }
            waiting = set(work)
            watch(tally)
            while waiting:
                done, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
                for each in done:
                    question = work[each]
                    try:
                        answers[question] = each.result()
                    except _GivenUpError as error:
                        failures.setdefault(question.label, []).append(f"{question.kind}: {error}")
                    else:
                        left[question.label] -= 1
                        tally.complete += not left[question.label]
                watch(tally)
        finally:
            # Nothing new is begun; leaving the pool waits for the calls under way, which are paid for and kept.
            asker.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        lines = [f"{label!r}: {'; '.join(reasons)}" for label, reasons in failures.items()]
        raise IncompleteError(
            "\n  ".join(
                [
                    f"{len(failures)} of {tally.classes} classes are not complete, so nothing was written. The {len(answers)} answers "
                    f"there are stay in {cache.folder}; the same command asks only for the rest.",
                    *lines,
                ]
            ),
            failures,
        )
    return answers


class _GivenUpError(Exception):
    """A question had all its tries, or the run stops."""


class _Asker:
    """Asks one question after another, on several threads."""

    def __init__(self, endpoint: Endpoint, cache: Cache, manners: Manners, tally: Tally) -> None:
        self.stop = threading.Event()
        self._endpoint, self._cache, self._manners, self._tally = endpoint, cache, manners, tally
        self._pace, self._lock, self._reached = _Pace(manners.per_minute, self.stop), threading.Lock(), False

    def answer(self, question: Question) -> ClassScore:
        messages, last = question.messages, ""
        draw, troubles = question.sample, 0  # troubles in a row; a faulty answer is none
        for attempt in range(1 + self._manners.retries):
            self._pace.wait()
            if self.stop.is_set():
                raise _GivenUpError("stopped")
            try:
                reply = self._ask(question, messages, draw)
                answer = _read(question, reply)
            except TroubleError as trouble:
                self._count(trouble.kind)
                troubles += 1
                self._after(trouble, question, troubles, more=attempt < self._manners.retries)
                last = f"{trouble.kind} ({trouble})"
                continue
            except FaultyAnswerError as fault:
                self._count(fault.kind)
                troubles = 0
                draw += _DRAWS  # with the same seed a small model makes the same mistake again
                last = str(fault)
                messages = [*question.messages, *_complaint(reply, last)]
                continue
            self._cache.put(question, answer)
            with self._lock:
                self._tally.answered += 1
            return answer
        raise _GivenUpError(f"{1 + self._manners.retries} tries failed, the last one: {last}")

    def _ask(self, question: Question, messages: Sequence[dict[str, str]], draw: int) -> Reply:
        with self._lock:
            self._tally.calls += 1
        reply = self._endpoint.ask(messages, question.schema, draw)
        with self._lock:
            self._reached = True
            self._tally.tokens_in += reply.tokens_in
            self._tally.tokens_out += reply.tokens_out
        return reply

    def _count(self, kind: str) -> None:
        with self._lock:
            self._tally.faults[kind] += 1

    def _after(self, trouble: TroubleError, question: Question, troubles: int, *, more: bool) -> None:
        """Wait as long as this trouble wants, or give everything up."""
        with self._lock:
            self._reached |= trouble.reached
            nobody = not self._reached and troubles > 1
        if trouble.final or nobody:
            self.stop.set()
            raise PoseglotError(str(trouble)) from trouble
        if trouble.wait is not None and trouble.wait > _LONGEST_ASKED:
            self.stop.set()
            raise PoseglotError(f"the endpoint asks to wait {trouble.wait / 60:,.0f} minutes ({trouble}).") from trouble
        # Random, so that threads that failed together do not come again together; from the question, so that a run can be repeated.
        jitter = random.Random(f"{question.label} {question.kind} {question.sample} {troubles}").uniform(0.5, 1)
        seconds = jitter * min(self._manners.longest_wait, self._manners.first_wait * 2 ** (troubles - 1))
        if trouble.wait is not None:
            seconds = max(seconds, trouble.wait)
            with self._lock:
                self._tally.waited += trouble.wait
        if trouble.wait is not None or trouble.kind == "429":
            self._pace.hold(seconds)  # a limit is everybody's
        elif more:
            self.stop.wait(seconds)


class _Pace:
    """When the next call may begin: not too many a minute, and none while the endpoint wants rest."""

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


def _read(question: Question, reply: Reply) -> ClassScore:
    if reply.refusal:
        raise FaultyAnswerError(f"it is a refusal ({reply.refusal[:200]})", "refusal")
    if reply.cut_off:
        raise FaultyAnswerError("it was cut off because it is too long", "cut off")
    return question.read(reply.text)


def _complaint(reply: Reply, fault: str) -> list[dict[str, str]]:
    """What is said after a faulty answer. Only the last one is shown, so that questions do not grow."""
    return [
        {"role": "assistant", "content": (reply.text or reply.refusal)[:_QUOTED]},
        {
            "role": "user",
            "content": f"This answer cannot be used: {fault}. Answer the question again, as the JSON that was asked for.",
        },
    ]


def as_file(questions: Sequence[Question], answers: Answers, *, name: str, about: str) -> str:
    """A description file of complete answers, in the order of the questions; it has been read back.

    Raises:
        KeyError: an answer is missing.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for question in questions:
        found.setdefault(question.label, {}).setdefault(question.kind, []).append(answers[question])
    classes = [as_entry(label, kinds[SYNONYMS][0], kinds[PARAGRAPH], kinds[PARTS_OF_BODY]) for label, kinds in found.items()]
    table = {"format": FORMAT, "name": name, "about": about, "classes": classes}
    text = str(yaml.safe_dump(table, sort_keys=False, allow_unicode=True, width=130))
    parse_descriptions(text, origin=name)
    return text
