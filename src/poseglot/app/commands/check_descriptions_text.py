"""The words of `poseglot check-descriptions`, for lines of a hundred letters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from poseglot.data.quality.summary import counted
from poseglot.descriptions.review import LEVELS, TOGETHER, Lengths, PartDifference, Spread, extreme_pairs

if TYPE_CHECKING:
    from poseglot.app.commands.check_descriptions import Reader, Reading, SetComparison

_WIDTH = 100
_SHOWN = 10  # of a longer list; --json has all


def reading_text(reading: Reading, *, near: float, with_label: bool, encoder: str, pairs: int) -> str:
    """What is found in one set."""
    described = reading.described
    lines = [f"{described.origin}: {described.name}, {counted(len(described.classes), 'class', 'classes')}"]
    lines += _missing(reading)
    if described.classes:
        lines += ["", "  level       texts   words in a text"]
        for level, (fewest, mean, most) in reading.words.items():
            lines.append(f"  {level:10}{reading.texts[level]:7,}   {fewest} to {most}, mean {mean:.1f}")
    for reader, several in reading.lengths.items():
        lines += ["", *_lengths(reader, several)]
    lines += ["", *_shared(reading)]
    if reading.spreads:
        lines += ["", *_near(reading, near), "", *_spreads(reading.spreads, _how(encoder, with_label), pairs)]
    if reading.pair is not None:
        lines += ["", *_pair(*reading.pair)]
    return "\n".join(lines)


def comparison_text(comparison: SetComparison, *, with_label: bool, encoder: str, pairs: int) -> str:
    """How two sets differ."""
    lines = [
        f"A: {comparison.a.origin}",
        f"B: {comparison.b.origin}",
        f"{counted(len(comparison.labels), 'class', 'classes')} in both",
    ]
    for name, only in (("A", comparison.only_a), ("B", comparison.only_b)):
        if only:
            lines += _wrapped(f"only in {name}: ", f"{len(only)} ({_some(only)})")
    changed = [label for label in comparison.labels if any(label in change.classes for change in comparison.changes)]
    lines += _wrapped("classes whose texts differ: ", f"{len(changed)}{f' ({_some(changed)})' if changed else ''}")
    measured = comparison.similarity_a is not None and comparison.similarity_b is not None
    heading = "  level      classes changed   texts only in A   only in B"
    lines += ["", heading + ("   mean nearest A       B   B - A" if measured else "")]
    for change in comparison.changes:
        line = f"  {change.level:10}{len(change.classes):16,}{change.gone:18,}{change.new:12,}"
        if change.nearest_a is not None and change.nearest_b is not None:
            line += f"{change.nearest_a:17.3f}{change.nearest_b:8.3f}{change.nearest_b - change.nearest_a:+8.3f}"
        lines.append(line)
    if comparison.similarity_a is not None and comparison.similarity_b is not None:
        difference = comparison.similarity_b[TOGETHER] - comparison.similarity_a[TOGETHER]
        lines += [
            "",
            *_wrapped("", f"mean nearest: {_NEAREST}; {_how(encoder, with_label)}. Below: the mean over the six parts, B - A."),
        ]
        for name, sign in (("farther apart", -1), ("nearer", 1)):
            moved = [each for each in extreme_pairs(comparison.labels, sign * difference, pairs) if each.similarity > 5e-4]
            lines += ["", f"{name} in B" + ("" if moved else ": no pair")]
            lines += [f"  {sign * each.similarity:+.3f}  {each.a} - {each.b}" for each in moved]
    return "\n".join(lines)


_NEAREST = "the similarity (cosine) of a class to its nearest other, mean over the classes; the lower, the easier to tell apart"


def _how(encoder: str, with_label: bool) -> str:
    return f"{encoder}, not trained, texts {'with' if with_label else 'without'} the label"


def _missing(reading: Reading) -> list[str]:
    lines = []
    if reading.faults:
        lines += [f"missing or wrong: {counted(len(reading.faults), 'fault')}; what follows is about the classes without"]
        lines += [f"  {fault}" for fault in reading.faults]
    else:
        lines += ["missing: nothing that a description needs"]
    without = reading.without_manual
    if without:
        few = f" ({_some(without)})" if len(without) < len(reading.described.classes) else ""
        lines += _wrapped(
            "note: ", f"no list 'manual' in {counted(len(without), 'class', 'classes')}{few}; only the prompt 'manual' needs it"
        )
    if reading.undescribed is None:
        return lines
    lines.append(f"classes of the data that are not described: {len(reading.undescribed)}")
    for label, meant in reading.undescribed.items():
        lines.append(f"  {label}{f'   (described is {meant!r}; labels are compared letter by letter)' if meant else ''}")
    if reading.not_in_data:
        lines += _wrapped(
            "note: described, but not in the data: ", f"{len(reading.not_in_data)} ({_some(reading.not_in_data)})"
        )
    return lines


def _lengths(reader: Reader, several: Sequence[Lengths]) -> list[str]:
    how = "counted by its tokenizer"
    if not reader.counted:
        how = (
            "its tokenizer is not on this machine, so words, digits and runs of other signs are counted, and two for the ends: "
            "the fewest that are possible, rare words take more"
        )
    lines = _wrapped(f"too long for {reader.name}, which reads {reader.limit} tokens: ", how)
    at_least = "" if reader.counted else "at least "
    for lengths in several:
        name = f"{lengths.prompt}, {lengths.partition}"
        said = f"longest {at_least}{lengths.longest} ({lengths.label})"
        if not lengths.too_long:
            lines.append(f"  {name:18} none; {said}")
            continue
        classes = list(dict.fromkeys(each.label for each in lengths.too_long))
        lines += _wrapped(f"  {name:18} ", f"{at_least}{counted(len(classes), 'class', 'classes')} cut; {said}")
        if len(classes) <= _SHOWN:
            lines += _wrapped(" " * 21, ", ".join(classes))
    return lines


def _shared(reading: Reading) -> list[str]:
    if not reading.shared:
        return ["identical in several classes (but for capitals and punctuation): no text"]
    lines = [f"identical in several classes (but for capitals and punctuation): {counted(len(reading.shared), 'text')}"]
    for level in LEVELS:
        own = [each for each in reading.shared if each.level == level]
        for each in own[:_SHOWN]:
            lines += _wrapped(f"  {level:10} ", f"{each.text!r}: {', '.join(each.classes)}")
        if len(own) > _SHOWN:
            lines.append(f"  {level:10} ... and {len(own) - _SHOWN:,} more (--json)")
    return lines


def _near(reading: Reading, threshold: float) -> list[str]:
    lines = [
        f"nearly identical in two classes (cosine of {threshold:g} or more): {counted(len(reading.near), 'pair')} of texts"
    ]
    for level in LEVELS:
        own = [each for each in reading.near if each.level == level]
        for each in own[:_SHOWN]:
            lines += _wrapped(f"  {level:10} {each.similarity:.3f}  ", f"{each.a}: {each.text_a!r}")
            lines += _wrapped(" " * 20, f"{each.b}: {each.text_b!r}")
        if len(own) > _SHOWN:
            lines.append(f"  {level:10} ... and {len(own) - _SHOWN:,} more (--json)")
    return lines


def _spreads(spreads: Sequence[Spread], how: str, pairs: int) -> list[str]:
    lines = [
        *_wrapped("how alike the classes are: ", how),
        *_wrapped("  mean nearest: ", _NEAREST),
        *_wrapped("  typical: ", "the mean over all pairs; together: the mean over the six parts"),
        "",
        "  level       mean nearest   greatest   typical",
        *[f"  {each.level:10}{each.nearest:14.3f}{each.most:11.3f}{each.typical:10.3f}" for each in spreads],
    ]
    if pairs:
        lines += ["", "most similar pairs"]
    for each in spreads if pairs else ():
        heads = [f"  {each.level:10}", *[" " * 12] * (len(each.pairs) - 1)]
        lines += [f"{head} {pair.similarity:.3f}  {pair.a} - {pair.b}" for head, pair in zip(heads, each.pairs, strict=True)]
    return lines


def _pair(a: str, b: str, parts: Sequence[PartDifference]) -> list[str]:
    lines = [f"{a}  |  {b}"]
    column = (_WIDTH - 13) // 2
    for each in parts:
        figures = (
            f"similarity {each.similarity:.3f} (two classes typically {each.typical:.3f}), {each.share:.0%} of the difference"
        )
        lines.append(f"  {each.part:8} {figures}")
        left, right = (
            [line for text in texts for line in textwrap.wrap(text, column)] for texts in (each.texts_a, each.texts_b)
        )
        height = max(len(left), len(right))
        rows = zip(left + [""] * (height - len(left)), right + [""] * (height - len(right)), strict=True)
        lines += [f"{'':11}{one:{column}}  {other}".rstrip() for one, other in rows]
    most = max(parts, key=lambda each: each.share)
    if most.share:
        lines.append(
            f"the difference is carried by: {most.part} ({most.share:.0%}; an even share would be {1 / len(parts):.0%})"
        )
    else:
        lines.append("no part tells these two apart: their sentences are the same")
    return lines


def _some(labels: Sequence[str]) -> str:
    more = f", ... and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(labels[:_SHOWN]) + more


def _wrapped(head: str, text: str) -> list[str]:
    """`text` after `head`, further lines indented as far as the head reaches (but no further than 24)."""
    return textwrap.wrap(head + text, _WIDTH, subsequent_indent=" " * min(len(head), 24), drop_whitespace=True) or [head]
