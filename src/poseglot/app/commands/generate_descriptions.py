"""`poseglot generate-descriptions`: descriptions of one's own classes, asked from a language model, or a template to fill by hand."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from poseglot.app.commands.register import AddCommand, read_text
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.descriptions.endpoint import OpenAIEndpoint
    from poseglot.descriptions.generate import Answers, Cache, Tally
    from poseglot.descriptions.questions import Form, Question

_DESCRIPTION = """Ask a language model how the actions of a data set look, and write a description file for --text.descriptions.

Three questions a class, those of the paper: a paragraph, synonyms, a sentence for each body part. Any endpoint that speaks
OpenAI's protocol will do, a local one too. A key comes from the environment variable OPENAI_API_KEY only. Every answer is checked,
and kept at once: a run that broke off, or could not complete every class, goes on with the same command. Nothing is written to --out
before all is complete."""
# What an answer takes, roughly, for the estimate of --dry-run; four characters are taken for a token.
_TOKENS_OUT = {"paragraph": 120, "synonyms": 80, "parts": 150}
_CHARACTERS = 4


def add(command: AddCommand) -> None:
    describe = command("generate-descriptions", run, "ask a language model for descriptions of your classes")
    describe.formatter_class = argparse.RawDescriptionHelpFormatter
    describe.description = _DESCRIPTION
    classes = describe.add_mutually_exclusive_group(required=True)
    classes.add_argument("--labels", type=Path, help="a text file with a class name in each line (# begins a comment line)")
    classes.add_argument("--store", type=Path, help="a store, for its class names")
    describe.add_argument("--out", type=Path, help="the description file, ending in .yaml")
    describe.add_argument("--overwrite", action="store_true", help="replace an existing file")
    describe.add_argument("--template", action="store_true", help="ask nobody: write a file to fill by hand")
    describe.add_argument("--dry-run", action="store_true", help="ask nobody: print the questions, and what they would take")
    describe.add_argument("--cache", type=Path, help="folder that keeps the answers (OUT without .yaml, with .answers)")
    asked = describe.add_argument_group("what is asked")
    asked.add_argument("--samples", type=int, default=1, help="paragraphs and sets of sentences for each class (1)")
    asked.add_argument("--synonyms", type=int, default=10, help="at least so many (10)")
    asked.add_argument("--context", default="", help='what the model should know: "one person, seated, seen by a Kinect"')
    whom = describe.add_argument_group("whom")
    whom.add_argument("--model", help="its name at the endpoint")
    whom.add_argument("--base-url", help="of the endpoint: http://localhost:8000/v1 (OPENAI_BASE_URL, or OpenAI's own)")
    whom.add_argument("--output", choices=("schema", "json", "text"), default="schema", help="how JSON is asked for (schema)")
    whom.add_argument("--temperature", type=float, help="is sent if given")
    whom.add_argument("--seed", type=int, help="is sent if given; another one for each further sample or try")
    whom.add_argument("--max-tokens", type=int, help="of an answer; is sent if given")
    manners = describe.add_argument_group("how")
    manners.add_argument("--concurrency", type=int, default=4, help="calls at once (4)")
    manners.add_argument("--max-rpm", type=float, help="calls a minute at most")
    manners.add_argument("--retries", type=int, default=8, help="further tries for a question (8)")
    manners.add_argument("--timeout", type=float, default=120.0, help="seconds that a call may be silent (120)")
    manners.add_argument("--price-in", type=float, default=0.0, help="of a million tokens asked, to print the cost")
    manners.add_argument("--price-out", type=float, default=0.0, help="of a million tokens answered")
    manners.add_argument(
        "--first-wait", type=float, default=1.0, help="seconds before the second try; doubles with every further one (1)"
    )


def run(parsed: argparse.Namespace) -> None:
    from poseglot.descriptions.questions import Form, make_questions, template
    from poseglot.files import write_atomically

    labels = _labels(parsed)
    form = Form(parsed.synonyms, parsed.samples, " ".join(parsed.context.split()).rstrip("."))
    if not parsed.dry_run:
        _check_out(parsed)
    if parsed.template:
        write_atomically(parsed.out, template(labels, synonyms=form.synonyms))
        print(f"{parsed.out}: {len(labels)} classes to fill in; then train with --text.descriptions {parsed.out}")
        return
    questions = make_questions(labels, form)
    if parsed.dry_run and not parsed.model:
        _estimate(parsed, questions, questions)
        return
    _check_numbers(parsed)
    endpoint = _endpoint(parsed)
    cache = _cache(parsed, endpoint)
    if parsed.dry_run:
        _estimate(parsed, questions, [question for question in questions if not cache or cache.get(question) is None])
        return
    assert cache is not None
    answers = _ask(parsed, questions, endpoint, cache)
    _write(parsed, questions, answers, endpoint, form)


def _labels(parsed: argparse.Namespace) -> list[str]:
    from poseglot.descriptions.questions import read_labels

    if parsed.store:
        from poseglot.data.store import open_store

        return list(open_store(parsed.store).info.classes)
    return read_labels(read_text(parsed.labels, "class names"), origin=str(parsed.labels))


def _check_out(parsed: argparse.Namespace) -> None:
    """Before anything is asked and paid for."""
    if parsed.out is None:
        raise PoseglotError("--out says where the description file goes, such as --out my-actions.yaml.")
    if parsed.out.suffix not in (".yaml", ".yml"):
        raise PoseglotError(f"--out must end in .yaml, by which training knows a file of your own; not {parsed.out}.")
    if parsed.out.is_dir() or (parsed.out.exists() and not parsed.overwrite):
        raise PoseglotError(f"{parsed.out} already exists. Choose another file, or add --overwrite to replace it.")


def _check_numbers(parsed: argparse.Namespace) -> None:
    for name in ("timeout", "first_wait", "max_tokens"):
        value = getattr(parsed, name)
        if value is not None and not value > 0:
            raise PoseglotError(f"--{name.replace('_', '-')} takes a number above 0, not {value}.")


def _template_command(parsed: argparse.Namespace) -> str:
    """What to do without any language model."""
    source = f"--labels {parsed.labels}" if parsed.labels else f"--store {parsed.store}"
    command = f"poseglot generate-descriptions {source} --out {parsed.out or 'my-actions.yaml'} --template"
    return f"Without one, write them by hand: `{command}` makes the file to fill."


def _endpoint(parsed: argparse.Namespace) -> OpenAIEndpoint:
    if not parsed.model:
        raise PoseglotError(f"--model says which language model is asked. {_template_command(parsed)}")
    try:
        from poseglot.descriptions.endpoint import OpenAIEndpoint
    except ImportError as error:
        raise PoseglotError(
            "asking needs the package 'openai', which is not installed. Install it: pip install 'poseglot[describe]'. "
            + _template_command(parsed)
        ) from error
    try:
        return OpenAIEndpoint(
            parsed.model,
            parsed.base_url,
            output=parsed.output,
            temperature=parsed.temperature,
            seed=parsed.seed,
            max_tokens=parsed.max_tokens,
            timeout=parsed.timeout,
        )
    except PoseglotError as error:
        raise PoseglotError(f"{error} {_template_command(parsed)}") from error


def _cache(parsed: argparse.Namespace, endpoint: OpenAIEndpoint) -> Cache | None:
    from poseglot.descriptions.generate import Cache

    if parsed.cache is None and parsed.out is None:
        return None
    return Cache(parsed.cache or parsed.out.with_suffix(".answers"), endpoint.identity)


def _estimate(parsed: argparse.Namespace, questions: Sequence[Question], left: Sequence[Question]) -> None:
    """What would be asked: the first class's questions whole, one line of each other."""
    first = questions[0].label
    for question in questions:
        if question.label != first:
            print(f"{question.kind} {question.sample + 1}: {question.text.splitlines()[0]}")
        elif question.sample == 0:
            print(f"--- {question.kind}, whole:")
            print("\n".join(f"{message['role']}: {message['content']}" for message in question.messages))
    characters = sum(len(message["content"]) for question in left for message in question.messages)
    tokens_in, tokens_out = characters // _CHARACTERS, sum(_TOKENS_OUT[question.kind] for question in left)
    print(
        f"{len({question.label for question in questions})} classes, {len(questions)} questions, {len(questions) - len(left)} of them "
        f"answered already: {len(left)} calls, if none has to be repeated; an estimate: {tokens_in:,} tokens asked, {tokens_out:,} answered"
        + _cost(parsed, tokens_in, tokens_out)
    )


def _ask(parsed: argparse.Namespace, questions: Sequence[Question], endpoint: OpenAIEndpoint, cache: Cache) -> Answers:
    from tqdm import tqdm

    from poseglot.descriptions.generate import IncompleteError, Manners, Tally, ask_all

    manners = Manners(parsed.retries, parsed.concurrency, parsed.max_rpm, first_wait=parsed.first_wait)
    tally = Tally()
    with tqdm(total=0, unit="class", desc=f"asking {parsed.model}", disable=not sys.stderr.isatty()) as bar:

        def watch(tally: Tally) -> None:
            bar.total = tally.classes
            bar.set_postfix_str(
                f"{tally.calls} calls, {sum(tally.faults.values())} failed, {tally.tokens_in + tally.tokens_out:,} tokens",
                refresh=False,
            )
            bar.update(tally.complete - bar.n)
            bar.refresh()

        try:
            return ask_all(questions, endpoint, cache, manners, tally=tally, watch=watch)
        except KeyboardInterrupt:
            bar.close()
            print(f"poseglot: stopped. The answers so far stay in {cache.folder}; the same command goes on.", file=sys.stderr)
            raise SystemExit(130) from None
        except IncompleteError:
            raise
        except PoseglotError as error:
            kept = tally.cached + tally.answered
            so_far = (
                f" {kept} of {tally.questions} answers are there and stay in {cache.folder}; the same command goes on."
                if kept
                else ""
            )
            raise PoseglotError(f"{error}{so_far} {_template_command(parsed)}") from error
        finally:
            bar.close()
            _print_tally(parsed, tally)


def _print_tally(parsed: argparse.Namespace, tally: Tally) -> None:
    faults = ", ".join(f"{kind} {count}" for kind, count in tally.faults.most_common())
    print(
        f"{tally.complete} of {tally.classes} classes complete; {tally.questions} questions: {tally.cached} answered before, "
        f"{tally.answered} now with {tally.calls} calls; {sum(tally.faults.values())} failed{f' ({faults})' if faults else ''}"
    )
    print(
        f"{tally.tokens_in:,} tokens asked, {tally.tokens_out:,} answered, as the endpoint counts"
        + _cost(parsed, tally.tokens_in, tally.tokens_out),
        flush=True,
    )


def _cost(parsed: argparse.Namespace, tokens_in: int, tokens_out: int) -> str:
    if not (parsed.price_in or parsed.price_out):
        return ""
    return f"; cost {(tokens_in * parsed.price_in + tokens_out * parsed.price_out) / 1e6:.4f}"


def _write(
    parsed: argparse.Namespace, questions: Sequence[Question], answers: Answers, endpoint: OpenAIEndpoint, form: Form
) -> None:
    from poseglot.descriptions.generate import as_file
    from poseglot.files import write_atomically

    how = [f"{form.samples} sample{'s' * (form.samples > 1)}"]
    how += [f"{name} {value}" for name in ("temperature", "seed") if (value := getattr(parsed, name)) is not None]
    how += [f"context: {form.context}"] if form.context else []
    about = (
        f"Written by the language model {parsed.model} at {urlsplit(endpoint.address).hostname} on {time.strftime('%Y-%m-%d')}, asked by "
        f"`poseglot generate-descriptions` ({', '.join(how)}). Nobody has read them."
    )
    write_atomically(parsed.out, as_file(questions, answers, name=parsed.out.stem, about=about))
    print(f"{parsed.out}: read it, mend it, then train with --text.descriptions {parsed.out}")
