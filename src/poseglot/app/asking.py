"""Asking a language model for `poseglot generate-descriptions`: checked options, a progress bar, advice in errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import missing_package, read_text
from poseglot.errors import FileError, InputError, MissingPackageError, PoseglotError, SettingError

if TYPE_CHECKING:
    from poseglot.descriptions import DescriptionSet
    from poseglot.descriptions.endpoint import OpenAIEndpoint
    from poseglot.descriptions.generate import Answers, Cache
    from poseglot.descriptions.questions import Form, Question


def read_classes(parsed: argparse.Namespace) -> list[str]:
    """Return the class names of --store or --labels."""
    from poseglot.descriptions.questions import read_labels

    if parsed.store:
        from poseglot.data.store import open_store

        return list(open_store(parsed.store).info.classes)
    return read_labels(read_text(parsed.labels, "class names"), origin=str(parsed.labels))


def sharpening(parsed: argparse.Namespace, form: Form) -> tuple[DescriptionSet, list[Question]]:
    """Return the description set of the runs of --confusions, and the questions about the classes that they confuse; print the pairs.

    Raises:
        SettingError: --pairs is below 1.
        InputError: The runs held out nothing, are of different recipes, or confuse nothing.
    """
    if parsed.pairs < 1:
        raise SettingError(f"--pairs takes a number from 1, not {parsed.pairs}.")
    try:
        from poseglot.training.confusions import held_out_confusions
        from poseglot.training.run import open_run
    except ImportError as error:
        raise MissingPackageError(missing_package("evaluating runs", error)) from error
    from poseglot.descriptions import load_descriptions
    from poseglot.descriptions.confusions import confused_pairs, sharpening_questions

    runs = [open_run(path) for path in parsed.confusions]
    described = load_descriptions(runs[0].recipe.text.descriptions)
    pairs = confused_pairs(held_out_confusions(runs)[1], runs[0].classes, parsed.pairs)
    questions = sharpening_questions(described, pairs, form)
    print("taken for each other, of the clips of both:", *pairs, sep="\n  ")
    return described, questions


def check_out(path: Path | None, *, overwrite: bool) -> None:
    """Check --out before anything is asked and paid for."""
    if path is None:
        raise SettingError("--out names the description file to write, such as --out my-actions.yaml.")
    if path.suffix not in (".yaml", ".yml"):
        raise SettingError(f"--out must end in .yaml, by which training recognises an own file; not {path}.")
    if path.is_dir() or (path.exists() and not overwrite):
        raise FileError(f"{path} already exists. Choose another file, or add --overwrite to replace it.")


def make_endpoint(parsed: argparse.Namespace) -> OpenAIEndpoint:
    """Make the endpoint that the options name; errors add how to do without a model."""
    for name in ("timeout", "first_wait", "max_tokens"):
        value = getattr(parsed, name)
        if value is not None and not value > 0:
            raise SettingError(f"--{name.replace('_', '-')} takes a number above 0, not {value}.")
    if not parsed.model:
        raise SettingError(f"--model names the language model to ask. {_advice(parsed)}")
    try:
        from poseglot.descriptions.endpoint import OpenAIEndpoint
    except ImportError as error:
        raise MissingPackageError(
            f"asking needs the package 'openai', which is not installed: pip install 'poseglot[describe]'. {_advice(parsed)}"
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
        raise SettingError(f"{error} {_advice(parsed)}") from error


def ask(parsed: argparse.Namespace, questions: Sequence[Question], endpoint: OpenAIEndpoint, cache: Cache) -> Answers:
    """Ask all questions with a progress bar, and print what was used."""
    from tqdm import tqdm

    from poseglot.app.formatting.generate_descriptions import usage_text
    from poseglot.descriptions.generate import AskOptions, IncompleteError, Usage, ask_all

    options = AskOptions(parsed.retries, parsed.concurrency, parsed.max_rpm, first_wait=parsed.first_wait)
    usage = Usage()
    with tqdm(total=0, unit="class", desc=f"asking {parsed.model}", disable=not sys.stderr.isatty()) as bar:

        def progress(usage: Usage) -> None:
            bar.total = usage.classes
            tokens = usage.tokens_in + usage.tokens_out
            bar.set_postfix_str(f"{usage.calls} calls, {sum(usage.faults.values())} failed, {tokens:,} tokens", refresh=False)
            bar.update(usage.complete - bar.n)
            bar.refresh()

        try:
            return ask_all(questions, endpoint, cache, options, usage=usage, progress=progress)
        except KeyboardInterrupt:
            bar.close()
            print(f"poseglot: stopped. The answers are kept in {cache.folder}; the same command continues.", file=sys.stderr)
            raise SystemExit(130) from None
        except IncompleteError:
            raise
        except PoseglotError as error:
            kept = usage.cached + usage.answered
            so_far = (
                f" {kept} of {usage.questions} answers are kept in {cache.folder}; the same command continues." if kept else ""
            )
            raise InputError(f"{error}{so_far} {_advice(parsed)}") from error
        finally:
            bar.close()
            print(usage_text(usage, (parsed.price_in, parsed.price_out)), flush=True)


def _advice(parsed: argparse.Namespace) -> str:
    """Say how to do without a language model."""
    if parsed.confusions:
        return "Without a model, copy the description set and sharpen the sentences by hand."
    source = f"--labels {parsed.labels}" if parsed.labels else f"--store {parsed.store}"
    command = f"poseglot generate-descriptions {source} --out {parsed.out or 'my-actions.yaml'} --template"
    return f"Without a model, write them by hand: `{command}` makes the file to fill in."
