"""The text of `poseglot generate-descriptions`: estimates, usage, and the origin of a file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from poseglot.descriptions.generate import Usage
from poseglot.descriptions.questions import Form, Question, estimate_tokens

# The prices of a million tokens of questions and of answers.
Prices = tuple[float, float]


def estimate_text(questions: Sequence[Question], left: Sequence[Question], prices: Prices) -> str:
    """Return the questions, those of the first class whole, and an estimate of what asking those that are `left` takes."""
    first = questions[0].label
    lines = []
    for question in questions:
        if question.label != first:
            lines.append(f"{question.kind} {question.sample + 1}: {question.text.splitlines()[0]}")
        elif question.sample == 0:
            lines.append(f"--- {question.kind}, in full:")
            lines += [f"{message['role']}: {message['content']}" for message in question.messages]
    tokens_in, tokens_out = estimate_tokens(left)
    lines.append(
        f"{len({question.label for question in questions})} classes, {len(questions)} questions, {len(questions) - len(left)} of them "
        f"answered already: {len(left)} calls without retries; an estimate: {tokens_in:,} tokens asked, {tokens_out:,} answered"
        + _cost(prices, tokens_in, tokens_out)
    )
    return "\n".join(lines)


def usage_text(usage: Usage, prices: Prices) -> str:
    """Return what was asked and used."""
    faults = ", ".join(f"{kind} {count}" for kind, count in usage.faults.most_common())
    return (
        f"{usage.complete} of {usage.classes} classes complete; {usage.questions} questions: {usage.cached} answered before, "
        f"{usage.answered} now with {usage.calls} calls; {sum(usage.faults.values())} failed{f' ({faults})' if faults else ''}\n"
        f"{usage.tokens_in:,} tokens asked, {usage.tokens_out:,} answered, as the endpoint counts"
        + _cost(prices, usage.tokens_in, usage.tokens_out)
    )


def origin_text(model: str, address: str, form: Form, sent: Mapping[str, object]) -> str:
    """Return the `about` of a generated file: who wrote it, when, and how it was asked.

    Args:
        sent: Settings that were sent, by name; those that are None are left out.
    """
    how = [f"{form.samples} sample{'s' * (form.samples > 1)}"]
    how += [f"{name} {value}" for name, value in sent.items() if value is not None]
    how += [f"context: {form.context}"] if form.context else []
    return (
        f"Written by the language model {model} at {urlsplit(address).hostname} on {time.strftime('%Y-%m-%d')}, asked by "
        f"`poseglot generate-descriptions` ({', '.join(how)}). Nobody has read them."
    )


def _cost(prices: Prices, tokens_in: int, tokens_out: int) -> str:
    if not any(prices):
        return ""
    return f"; cost {(tokens_in * prices[0] + tokens_out * prices[1]) / 1e6:.4f}"
