"""`poseglot generate-descriptions`: ask a language model to describe own classes, or write a template to fill in by hand."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.asking import ask, check_out, make_endpoint, read_classes, sharpening
from poseglot.app.commands.register import AddCommand
from poseglot.errors import SettingError

_DESCRIPTION = """Ask a language model to describe the classes of a data set, and write a description file for --text.descriptions.

There are three questions per class, those of the paper: a paragraph, synonyms, a sentence for each body part. Any endpoint with OpenAI's
chat API works, a local one too. The key comes from the environment variable OPENAI_API_KEY only. Every answer is checked and kept at once:
the same command continues an interrupted or incomplete run. Nothing is written to --out before all is complete.

With --confusions only the classes that a recipe's runs confuse are asked about, on clips of the training set that they held out; the new
file has their sharper sentences and all else of the runs' own description set, which stays as it is."""


def add(command: AddCommand) -> None:
    describe = command("generate-descriptions", run, "ask a language model for descriptions of your classes")
    describe.formatter_class = argparse.RawDescriptionHelpFormatter
    describe.description = _DESCRIPTION
    classes = describe.add_mutually_exclusive_group(required=True)
    classes.add_argument("--labels", type=Path, help="a text file with a class name per line (# begins a comment line)")
    classes.add_argument("--store", type=Path, help="a store, for its class names")
    classes.add_argument("--confusions", type=Path, nargs="+", metavar="RUN", help="runs of one recipe with data.folds")
    describe.add_argument("--out", type=Path, help="the description file, ending in .yaml")
    describe.add_argument("--overwrite", action="store_true", help="replace an existing file")
    describe.add_argument("--template", action="store_true", help="ask no model: write a file to fill in by hand")
    describe.add_argument("--dry-run", action="store_true", help="ask no model: print the questions and an estimate")
    describe.add_argument("--cache", type=Path, help="folder that keeps the answers (OUT without .yaml, with .answers)")
    asked = describe.add_argument_group("questions")
    asked.add_argument("--samples", type=int, default=1, help="paragraphs and sets of sentences for each class (1)")
    asked.add_argument("--pairs", type=int, default=5, help="the number of confused pairs of classes to sharpen (5)")
    asked.add_argument("--synonyms", type=int, default=10, help="the minimum number of synonyms (10)")
    asked.add_argument("--context", default="", help='what the model should know: "one person, seated, seen by a Kinect"')
    model = describe.add_argument_group("model")
    model.add_argument("--model", help="its name at the endpoint")
    model.add_argument("--base-url", help="the endpoint: http://localhost:8000/v1 (OPENAI_BASE_URL, or OpenAI's own)")
    model.add_argument("--output", choices=("schema", "json", "text"), default="schema", help="how JSON is asked for (schema)")
    model.add_argument("--temperature", type=float, help="is sent if given")
    model.add_argument("--seed", type=int, help="is sent if given; another one for each further sample or try")
    model.add_argument("--max-tokens", type=int, help="of an answer; is sent if given")
    calls = describe.add_argument_group("calls")
    calls.add_argument("--concurrency", type=int, default=4, help="calls at once (4)")
    calls.add_argument("--max-rpm", type=float, help="the maximum number of calls per minute")
    calls.add_argument("--retries", type=int, default=8, help="further tries for a question (8)")
    calls.add_argument("--timeout", type=float, default=120.0, help="seconds that a call may take (120)")
    calls.add_argument("--price-in", type=float, default=0.0, help="of a million tokens asked, to print the cost")
    calls.add_argument("--price-out", type=float, default=0.0, help="of a million tokens answered")
    calls.add_argument("--first-wait", type=float, default=1.0, help="seconds before the second try; doubles each time (1)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.app.formatting.generate_descriptions import estimate_text, origin_text
    from poseglot.descriptions.confusions import sharpened
    from poseglot.descriptions.generate import Cache, to_yaml
    from poseglot.descriptions.questions import Form, make_questions, template
    from poseglot.files import write_atomically

    form = Form(parsed.synonyms, parsed.samples, " ".join(parsed.context.split()).rstrip("."))
    if not parsed.dry_run:
        check_out(parsed.out, overwrite=parsed.overwrite)
    if parsed.template and parsed.confusions:
        raise SettingError("--template goes with --labels or --store: a template has all classes, not only confused ones.")
    if parsed.template:
        labels = read_classes(parsed)
        write_atomically(parsed.out, template(labels, synonyms=form.synonyms))
        print(f"{parsed.out}: {len(labels)} classes to fill in; then train with --text.descriptions {parsed.out}")
        return
    described, questions = sharpening(parsed, form) if parsed.confusions else (None, make_questions(read_classes(parsed), form))
    prices = (parsed.price_in, parsed.price_out)
    if parsed.dry_run and not parsed.model:
        print(estimate_text(questions, questions, prices))
        return
    endpoint = make_endpoint(parsed)
    folder = parsed.cache or (parsed.out and parsed.out.with_suffix(".answers"))
    cache = None if folder is None else Cache(folder, endpoint.identity)
    if parsed.dry_run:
        left = [question for question in questions if not cache or cache.get(question) is None]
        print(estimate_text(questions, left, prices))
        return
    assert cache is not None
    answers = ask(parsed, questions, endpoint, cache)
    sent = {"temperature": parsed.temperature, "seed": parsed.seed}
    about = origin_text(parsed.model, endpoint.address, form, sent)
    if described is not None:
        sharper = ", ".join(dict.fromkeys(question.label for question in questions))
        about = f"{described.about} Sharper sentences of {sharper}, from {described.title}: {about}"
        text = sharpened(described, questions, answers, name=parsed.out.stem, about=about)
    else:
        text = to_yaml(questions, answers, name=parsed.out.stem, about=about)
    write_atomically(parsed.out, text)
    print(f"{parsed.out}: read and correct it, then train with --text.descriptions {parsed.out}")
