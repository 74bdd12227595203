"""`poseglot check-descriptions`: find what is missing, duplicate or nearly identical in a description set before training."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poseglot.app.asking import read_classes
from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.app.encoding import encode_with_progress, load_encoder, token_counters
from poseglot.errors import InputError, MissingPackageError, SettingError
from poseglot.safe_text import json_text

_NEAR = 0.95


def add(command: AddCommand) -> None:
    check = command(
        "check-descriptions",
        run,
        "find what is missing, duplicate or nearly identical in a description set; or compare two sets",
    )
    check.add_argument("set", nargs="?", help="a .yaml file, or a packaged set (everyday, ntu120, nw-ucla, utd-mhad, demo)")
    check.add_argument("--compare", nargs=2, metavar=("A", "B"), help="instead of that: what changed from set A to set B")
    classes = check.add_mutually_exclusive_group()
    classes.add_argument("--store", type=Path, help="a store, whose classes should be described")
    classes.add_argument("--labels", type=Path, metavar="FILE", help="a text file with a class per line, instead of a store")
    check.add_argument("--encoder", default="minilm", help="the pre-trained text encoder, as for --text.encoder (minilm)")
    check.add_argument("--no-encode", action="store_true", help="only the checks that need no text encoder")
    check.add_argument("--with-label", action="store_true", help="begin every text with the class's label, as training does")
    check.add_argument("--pairs", type=int, default=5, metavar="K", help="list so many most similar pairs a level (5)")
    check.add_argument(
        "--near", type=float, default=_NEAR, metavar="COSINE", help=f"from where texts of two classes are listed ({_NEAR})"
    )
    check.add_argument("--pair", nargs=2, metavar=("CLASS", "CLASS"), help="two classes side by side, part by part")
    check.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the similarity of all classes, by level")
    check.add_argument("--json", type=Path, metavar="FILE.json", help="write every number")
    check.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 if something is missing, too long (as written, not joined by a coarse partition), or if two classes share a name "
        "or a paragraph",
    )


def run(parsed: argparse.Namespace) -> None:
    _check_options(parsed)
    (_compare if parsed.compare else _review)(parsed)


def _check_options(parsed: argparse.Namespace) -> None:
    if bool(parsed.set) == bool(parsed.compare):
        raise SettingError("check-descriptions takes one description set, or two with --compare A B.")
    if parsed.compare and (parsed.store or parsed.labels or parsed.pair or parsed.strict):
        raise SettingError("--store, --labels, --pair and --strict go with one description set, not with --compare.")
    if parsed.no_encode and (parsed.pair or parsed.picture):
        raise SettingError("--pair and --picture need the text encoder; leave --no-encode out.")
    for path, suffix in ((parsed.picture, ".png"), (parsed.json, ".json")):
        if path is not None and path.suffix != suffix:
            raise SettingError(f"--{'json' if suffix == '.json' else 'picture'} must end in {suffix}, not {path.name}.")


def _review(parsed: argparse.Namespace) -> None:
    from poseglot.app.formatting.check_descriptions import review_text
    from poseglot.descriptions.description import read_description_set
    from poseglot.descriptions.review import review_set

    described, faults = read_description_set(parsed.set)
    encoder = None if parsed.no_encode or not described.classes else load_encoder(parsed.encoder)
    review = review_set(
        described,
        faults,
        classes=read_classes(parsed) if parsed.store or parsed.labels else None,
        token_counters=token_counters(parsed.encoder, encoder),
        encode=encoder and encode_with_progress(encoder),
        with_label=parsed.with_label,
        threshold=parsed.near,
        pairs=parsed.pairs,
        pair=parsed.pair,
    )
    print(review_text(review, near=parsed.near, with_label=parsed.with_label, encoder=parsed.encoder, pairs=parsed.pairs))
    if parsed.picture is not None:
        if review.similarity is None or len(described.classes) < 2:
            raise InputError(f"--picture needs two classes without faults; {parsed.set} has fewer.")
        title = f"{described.name}: similarity of the texts of two classes"
        _plot("plot_similarities", review.similarity, list(described.classes), title, parsed)
    if parsed.json is not None:
        _write_json(parsed.json, review.table())
    if parsed.strict and not review.acceptable:
        raise InputError(f"--strict: something is missing, too long or identical in {parsed.set}; see above.")


def _compare(parsed: argparse.Namespace) -> None:
    from poseglot.app.formatting.check_descriptions import comparison_text
    from poseglot.descriptions.description import read_description_set
    from poseglot.descriptions.review import compare_sets

    (a, _), (b, _) = read = [read_description_set(name) for name in parsed.compare]
    for name, (_, faults) in zip(parsed.compare, read, strict=True):
        if faults:
            print(f"{name} has {len(faults)} faults; classes with faults are left out (`poseglot check-descriptions {name}`)")
    encode = None if parsed.no_encode else encode_with_progress(load_encoder(parsed.encoder))
    comparison = compare_sets(a, b, encode=encode, with_label=parsed.with_label)
    print(comparison_text(comparison, with_label=parsed.with_label, encoder=parsed.encoder, pairs=parsed.pairs))
    if parsed.picture is not None:
        if not comparison.similarity_change:
            raise InputError("--picture needs two classes that both sets describe.")
        title = f"similarity of two classes, {b.origin} minus {a.origin}"
        _plot("plot_similarity_change", comparison.similarity_change, comparison.labels, title, parsed)
    if parsed.json is not None:
        _write_json(parsed.json, comparison.table(pairs=parsed.pairs))


def _write_json(path: Path, numbers: Mapping[str, Any]) -> None:
    from poseglot.files import write_atomically

    write_atomically(path, json_text(numbers))
    print(f"numbers: {path}")


def _plot(function: str, matrices: Mapping[str, Any], labels: Sequence[str], title: str, parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report import similarity_plots
    except ImportError as error:
        raise MissingPackageError(missing_package("drawing", error)) from error
    title = f"{title} ({parsed.encoder}, {'with' if parsed.with_label else 'without'} the label)"
    getattr(similarity_plots, function)(matrices, labels, parsed.picture, title=title)
    print(f"picture: {parsed.picture}")
