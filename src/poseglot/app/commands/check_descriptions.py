"""`poseglot check-descriptions`: what a description set lacks, says twice, or leaves alike, before anything is trained with it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from poseglot.descriptions.description import DescriptionSet
    from poseglot.descriptions.review import Lengths, LevelChange, Matrix, Near, PartDifference, Shared, Spread
    from poseglot.models.text import TextEncoder

_BATCH = 64  # texts that are encoded at once
_NEAR = 0.95


def add(command: AddCommand) -> None:
    words = command(
        "check-descriptions", run, "what a description set lacks, says twice, or leaves alike; or how two sets differ"
    )
    words.add_argument("set", nargs="?", help="a .yaml file, or the name of a packaged set (ntu120, nw-ucla, demo)")
    words.add_argument("--compare", nargs=2, metavar=("A", "B"), help="instead of that: what changed from set A to set B")
    words.add_argument("--store", type=Path, help="a store, whose classes should be the described ones")
    words.add_argument("--labels", type=Path, metavar="FILE", help="a text file with a class a line, instead of a store")
    words.add_argument("--encoder", default="minilm", help="the text encoder, not trained, as for --text.encoder (minilm)")
    words.add_argument("--no-encode", action="store_true", help="only the checks that need no text encoder")
    words.add_argument("--with-label", action="store_true", help="begin every text with the class's label, as training does")
    words.add_argument("--pairs", type=int, default=5, metavar="K", help="name so many most similar pairs a level (5)")
    words.add_argument(
        "--near", type=float, default=_NEAR, metavar="COSINE", help=f"from where texts of two classes are named ({_NEAR})"
    )
    words.add_argument("--pair", nargs=2, metavar=("CLASS", "CLASS"), help="two classes side by side, part by part")
    words.add_argument("--picture", type=Path, metavar="FILE.png", help="draw how similar each class is to each, by level")
    words.add_argument("--json", type=Path, metavar="FILE.json", help="write every number")
    words.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 if something is missing, too long (as written, not joined by a coarse partition), or if two classes share a name "
        "or a paragraph",
    )


@dataclass(frozen=True, eq=False)
class Reading:
    """What is found in one set.

    Attributes:
        described: the classes without fault.
        faults: of the others, and of the file.
        without_manual: classes without the list `manual`, which only its prompt needs.
        undescribed: classes of the data that are not described -> the label that may be meant; None without data.
        not_in_data: described classes that the data do not have.
        texts: how many different texts there are on each level.
        words: the fewest, mean and most words of a text on each level.
        lengths: for each text encoder (name, most tokens, whether counted or the fewest possible) the lengths of the prompts.
        shared: texts that several classes have.
        near: texts that the text encoder hardly tells apart; spreads: how far apart the classes are on each level. Both need features.
        similarity: each level -> (classes, classes).
        pair: the two classes asked for, and their parts.
    """

    described: DescriptionSet
    faults: Sequence[str]
    without_manual: Sequence[str]
    undescribed: Mapping[str, str | None] | None
    not_in_data: Sequence[str]
    texts: Mapping[str, int]
    words: Mapping[str, tuple[int, float, int]]
    lengths: Mapping[Reader, Sequence[Lengths]]
    shared: Sequence[Shared]
    near: Sequence[Near] = ()
    spreads: Sequence[Spread] = ()
    similarity: Mapping[str, Matrix] | None = None
    pair: tuple[str, str, Sequence[PartDifference]] | None = None


@dataclass(frozen=True)
class Reader:
    """A text encoder that may cut texts: its name, most tokens, and whether they are counted or are the fewest possible."""

    name: str
    limit: int
    counted: bool


@dataclass(frozen=True, eq=False)
class SetComparison:
    """Two sets, A and B, over the classes that both describe.

    Attributes:
        labels: these classes.
        only_a, only_b: the others.
        changes: level by level.
        similarity_a, similarity_b: each level -> (classes, classes); None without features.
    """

    a: DescriptionSet
    b: DescriptionSet
    labels: Sequence[str]
    only_a: Sequence[str]
    only_b: Sequence[str]
    changes: Sequence[LevelChange]
    similarity_a: Mapping[str, Matrix] | None = None
    similarity_b: Mapping[str, Matrix] | None = None


def run(parsed: argparse.Namespace) -> None:
    _check_options(parsed)
    if parsed.compare:
        _compare(parsed)
    else:
        _look(parsed)


def _check_options(parsed: argparse.Namespace) -> None:
    if bool(parsed.set) == bool(parsed.compare):
        raise PoseglotError("words takes one description set, or two with --compare A B.")
    if parsed.compare and (parsed.store or parsed.labels or parsed.pair or parsed.strict):
        raise PoseglotError("--store, --labels, --pair and --strict go with one description set, not with --compare.")
    if parsed.store and parsed.labels:
        raise PoseglotError("--store and --labels both say what the classes are; give one of them.")
    if parsed.no_encode and (parsed.pair or parsed.picture):
        raise PoseglotError("--pair and --picture need the text encoder; leave --no-encode out.")
    if parsed.pairs < 0:
        raise PoseglotError(f"--pairs takes a number from 0 on, not {parsed.pairs}.")
    if not 0 < parsed.near <= 1:
        raise PoseglotError(f"--near takes a cosine above 0, at most 1, not {parsed.near:g}.")
    for name, path in (("picture", parsed.picture), ("json", parsed.json)):
        suffix = ".png" if name == "picture" else ".json"
        if path is not None and path.suffix != suffix:
            raise PoseglotError(f"--{name} must end in {suffix}, not {path.name}.")


def _look(parsed: argparse.Namespace) -> None:
    from poseglot.app.commands.check_descriptions_text import reading_text
    from poseglot.descriptions.review import NAMES, PARAGRAPH

    described, faults = _read(parsed.set)
    _check_pair(described, parsed.pair)
    encoder = None if parsed.no_encode or not described.classes else _load_encoder(parsed.encoder)
    reading = _checked(described, faults, _data_classes(parsed), _readers(parsed.encoder, encoder))
    if encoder is not None:
        reading = _encoded(reading, encoder, parsed)
    print(reading_text(reading, near=parsed.near, with_label=parsed.with_label, encoder=parsed.encoder, pairs=parsed.pairs))
    if parsed.picture is not None:
        _draw(reading, parsed)
    if parsed.json is not None:
        _write_json(parsed.json, reading_numbers(reading))
    # Parts of two classes may do the same; their names and whole movements may not.
    same = any(shared.level in (NAMES, PARAGRAPH) for shared in reading.shared)
    if parsed.strict and (faults or reading.undescribed or same or _too_long(reading)):
        raise PoseglotError(f"--strict: something is missing, too long or identical in {parsed.set}; see above.")


def _checked(
    described: DescriptionSet,
    faults: Sequence[str],
    classes: Sequence[str] | None,
    readers: Mapping[Reader, Callable[[str], int]],
) -> Reading:
    """Everything that needs no features."""
    from poseglot.descriptions.review import level_texts, prompt_lengths, shared_texts, undescribed

    labels, descriptions = list(described.classes), list(described.classes.values())
    texts = level_texts(descriptions)
    words = {level: [len(text.split()) for own in several for text in own] for level, several in texts.items()}
    return Reading(
        described=described,
        faults=faults,
        without_manual=[each.label for each in descriptions if not each.manual],
        undescribed=None if classes is None else undescribed(labels, classes),
        not_in_data=[] if classes is None else [label for label in labels if label not in classes],
        texts={level: len({text for own in several for text in own}) for level, several in texts.items()},
        words={level: (min(own), sum(own) / len(own), max(own)) for level, own in words.items() if own},
        lengths={
            reader: prompt_lengths(descriptions, count, limit=reader.limit) for reader, count in readers.items() if descriptions
        },
        shared=[shared for level, several in texts.items() for shared in shared_texts(labels, level, several)],
    )


def _encoded(reading: Reading, encoder: TextEncoder, parsed: argparse.Namespace) -> Reading:
    """What the text encoder says of the set."""
    from poseglot.descriptions.review import level_texts, near_texts, part_differences, similarities, spread

    labels = list(reading.described.classes)
    texts = level_texts(reading.described.classes.values(), with_label=parsed.with_label)
    features = encode(encoder, (text for several in texts.values() for own in several for text in own))
    similarity = similarities(texts, features)
    near = [each for level, own in texts.items() for each in near_texts(labels, level, own, features, threshold=parsed.near)]
    spreads = [spread(labels, level, values, pairs=parsed.pairs) for level, values in similarity.items() if len(labels) > 1]
    reading = replace(reading, near=near, spreads=spreads, similarity=similarity)
    if not parsed.pair:
        return reading
    a, b = parsed.pair
    return replace(reading, pair=(a, b, part_differences(texts, similarity, labels.index(a), labels.index(b))))


def _compare(parsed: argparse.Namespace) -> None:
    from poseglot.app.commands.check_descriptions_text import comparison_text
    from poseglot.descriptions.review import level_changes, level_texts, nearest, similarities

    (a, _), (b, _) = read = [_read(name) for name in parsed.compare]
    for name, (_, faults) in zip(parsed.compare, read, strict=True):
        if faults:
            print(
                f"{name} has {len(faults)} faults, and the classes with faults are left out (`poseglot check-descriptions {name}`)"
            )
    labels = [label for label in a.classes if label in b.classes]
    if not labels:
        raise PoseglotError(f"{a.origin} and {b.origin} describe no class both; there is nothing to compare.")
    written = [level_texts(each.of(labels)) for each in (a, b)]
    comparison = SetComparison(
        a=a,
        b=b,
        labels=labels,
        only_a=[label for label in a.classes if label not in b.classes],
        only_b=[label for label in b.classes if label not in a.classes],
        changes=level_changes(labels, *written),
    )
    if not parsed.no_encode and len(labels) > 1:
        encoder = _load_encoder(parsed.encoder)
        texts = [level_texts(each.of(labels), with_label=parsed.with_label) for each in (a, b)]
        features = encode(encoder, (text for each in texts for several in each.values() for own in several for text in own))
        of_a, of_b = (similarities(each, features) for each in texts)
        changes = [
            replace(
                change,
                nearest_a=float(nearest(of_a[change.level]).mean()),
                nearest_b=float(nearest(of_b[change.level]).mean()),
            )
            for change in comparison.changes
        ]
        comparison = replace(comparison, changes=changes, similarity_a=of_a, similarity_b=of_b)
    print(comparison_text(comparison, with_label=parsed.with_label, encoder=parsed.encoder, pairs=parsed.pairs))
    if parsed.picture is not None:
        _draw_change(comparison, parsed)
    if parsed.json is not None:
        _write_json(parsed.json, comparison_numbers(comparison, pairs=parsed.pairs))


def encode(encoder: TextEncoder, texts: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Each distinct text -> its feature; shows a bar on a terminal."""
    import torch
    from tqdm import tqdm

    distinct = sorted(dict.fromkeys(texts), key=len)  # texts of a length together, so that little is padded
    features: dict[str, npt.NDArray[np.float32]] = {}
    with (
        torch.inference_mode(),
        tqdm(total=len(distinct), unit=" texts", desc="encoding", disable=not sys.stderr.isatty()) as bar,
    ):
        for start in range(0, len(distinct), _BATCH):
            batch = distinct[start : start + _BATCH]
            features |= zip(batch, encoder(encoder.tokenize(batch)).float().numpy(), strict=True)
            bar.update(len(batch))
    return features


def reading_numbers(reading: Reading) -> dict[str, Any]:
    """A reading for JSON."""
    return {
        "set": reading.described.origin,
        "classes": list(reading.described.classes),
        "faults": list(reading.faults),
        "without_manual": list(reading.without_manual),
        "undescribed": reading.undescribed,
        "not_in_data": list(reading.not_in_data),
        "texts": dict(reading.texts),
        "words": {level: dict(zip(("fewest", "mean", "most"), own, strict=True)) for level, own in reading.words.items()},
        "lengths": [
            {**asdict(reader), "prompts": [asdict(lengths) for lengths in several]}
            for reader, several in reading.lengths.items()
        ],
        "identical": [asdict(each) for each in reading.shared],
        "near": [asdict(each) for each in reading.near],
        "levels": [asdict(each) for each in reading.spreads],
        "pair": None if reading.pair is None else [*reading.pair[:2], [asdict(each) for each in reading.pair[2]]],
        "similarity": _rounded(reading.similarity),
    }


def comparison_numbers(comparison: SetComparison, *, pairs: int) -> dict[str, Any]:
    """A comparison for JSON; differences are B minus A."""
    from poseglot.descriptions.review import extreme_pairs

    moved = {}
    if comparison.similarity_a and comparison.similarity_b:
        for level, of_a in comparison.similarity_a.items():
            difference = comparison.similarity_b[level] - of_a
            moved[level] = {
                "nearer": [asdict(each) for each in extreme_pairs(comparison.labels, difference, pairs)],
                "farther": [
                    asdict(replace(each, similarity=-each.similarity))
                    for each in extreme_pairs(comparison.labels, -difference, pairs)
                ],
            }
    return {
        "a": comparison.a.origin,
        "b": comparison.b.origin,
        "classes": list(comparison.labels),
        "only_a": list(comparison.only_a),
        "only_b": list(comparison.only_b),
        "levels": [asdict(change) for change in comparison.changes],
        "moved": moved,
        "similarity_a": _rounded(comparison.similarity_a),
        "similarity_b": _rounded(comparison.similarity_b),
    }


def _rounded(similarity: Mapping[str, Matrix] | None) -> dict[str, list[list[float]]] | None:
    """Matrices with four digits: what a text encoder says is no finer than that."""
    return None if similarity is None else {level: values.round(4).tolist() for level, values in similarity.items()}


def _write_json(path: Path, numbers: Mapping[str, Any]) -> None:
    from poseglot.files import write_atomically

    write_atomically(path, json.dumps(numbers, allow_nan=False))
    print(f"numbers: {path}")


def _read(name: str) -> tuple[DescriptionSet, list[str]]:
    from poseglot.descriptions.description import read_descriptions
    from poseglot.files import packaged_yaml

    return read_descriptions(packaged_yaml("poseglot.descriptions", "sets", name, kind="description set"), origin=name)


def _data_classes(parsed: argparse.Namespace) -> Sequence[str] | None:
    """The classes of the data, if it was said which."""
    if parsed.store is not None:
        from poseglot.data.store import open_store

        return open_store(parsed.store).info.classes
    if parsed.labels is None:
        return None
    try:
        lines = parsed.labels.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PoseglotError(
            f"could not read {parsed.labels}: {error}; --labels takes a text file with a class a line."
        ) from error
    return [line.strip() for line in lines if line.strip()]


def _check_pair(described: DescriptionSet, pair: Sequence[str] | None) -> None:
    from difflib import get_close_matches

    for label in pair or ():
        if label not in described.classes:
            near = get_close_matches(label, described.classes, n=3) or list(described.classes)[:3]
            raise PoseglotError(f"{described.origin} does not describe {label!r}; it does {', '.join(map(repr, near))}.")
    if pair and pair[0] == pair[1]:
        raise PoseglotError(f"--pair takes two classes, not {pair[0]!r} twice.")


def _load_encoder(name: str) -> TextEncoder:
    try:
        from poseglot.models.text import load_text_encoder
    except ImportError as error:
        raise PoseglotError(missing_package("a text encoder", error)) from error
    return load_text_encoder(name)


def _readers(name: str, encoder: TextEncoder | None) -> dict[Reader, Callable[[str], int]]:
    """Who may cut texts and how its tokens are counted: the text encoder, and CLIP, the paper's."""
    from poseglot.descriptions.review import CLIP_LONGEST, fewest_clip_tokens

    def by(tokenizer: Any) -> Callable[[str], int]:
        return lambda text: len(tokenizer(text)["input_ids"])

    readers: dict[Reader, Callable[[str], int]] = {}
    if encoder is not None:
        readers[Reader(name, encoder.longest, True)] = by(encoder.tokenizer)
        if encoder.longest == CLIP_LONGEST:
            return readers
    clip = _clip_tokenizer()
    readers[Reader("clip", CLIP_LONGEST, clip is not None)] = fewest_clip_tokens if clip is None else by(clip)
    return readers


def _clip_tokenizer() -> Any:
    """CLIP's tokenizer if this machine has it already, or None; nothing is downloaded for a count."""
    try:
        from transformers import AutoTokenizer

        from poseglot.models.text.load import NAMES

        return AutoTokenizer.from_pretrained(NAMES["clip-b32"], local_files_only=True)
    except (ImportError, OSError, ValueError):
        return None


def _too_long(reading: Reading) -> bool:
    """Whether a text as written is too long; how many sentences a partition joins is a recipe's choice."""
    return any(lengths.too_long and not lengths.joined for several in reading.lengths.values() for lengths in several)


def _draw(reading: Reading, parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.text_pictures import draw_similarities
    except ImportError as error:
        raise PoseglotError(missing_package("drawing", error)) from error
    if reading.similarity is None or len(reading.described.classes) < 2:
        raise PoseglotError(f"--picture needs two classes without fault; {parsed.set} has fewer.")
    label = "with" if parsed.with_label else "without"
    title = f"{reading.described.name}: how similar the texts of two classes are ({parsed.encoder}, {label} the label)"
    draw_similarities(reading.similarity, list(reading.described.classes), parsed.picture, title=title)
    print(f"picture: {parsed.picture}")


def _draw_change(comparison: SetComparison, parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.text_pictures import draw_change
    except ImportError as error:
        raise PoseglotError(missing_package("drawing", error)) from error
    if comparison.similarity_a is None or comparison.similarity_b is None:
        raise PoseglotError("--picture needs two classes that both sets describe.")
    change = {level: comparison.similarity_b[level] - of_a for level, of_a in comparison.similarity_a.items()}
    title = f"similarity of two classes, {comparison.b.origin} minus {comparison.a.origin} ({parsed.encoder})"
    draw_change(change, comparison.labels, parsed.picture, title=title)
    print(f"picture: {parsed.picture}")
