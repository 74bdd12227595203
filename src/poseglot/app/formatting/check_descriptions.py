"""The text of `poseglot check-descriptions`, in lines of a hundred characters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from poseglot.descriptions.checks import LEVELS, Lengths
from poseglot.descriptions.review import Review, SetComparison, TokenLimit
from poseglot.descriptions.similarity import TOGETHER, PartDifference, Spread, extreme_pairs
from poseglot.safe_text import counted

_WIDTH = 100
_SHOWN = 10  # of a longer list; --json has all


def review_text(review: Review, *, near: float, with_label: bool, encoder: str, pairs: int) -> str:
    """Return the findings on one set."""
    described = review.described
    lines = [f"{described.origin}: {described.name}, {counted(len(described.classes), 'class', 'classes')}"]
    lines += _missing(review)
    if described.classes:
        lines += ["", "  level       texts   words in a text"]
        for level, (low, mean, high) in review.words.items():
            lines.append(f"  {level:10}{review.texts[level]:7,}   {low} to {high}, mean {mean:.1f}")
    for limit, several in review.lengths.items():
        lines += ["", *_lengths(limit, several)]
    lines += ["", *_shared(review)]
    if review.spreads:
        lines += [
            "",
            *_near(review, near),
            "",
            *_astray(review),
            "",
            *_spreads(review.spreads, _how(encoder, with_label), pairs),
        ]
    if review.pair is not None:
        lines += ["", *_pair(*review.pair)]
    return "\n".join(lines)


def comparison_text(comparison: SetComparison, *, with_label: bool, encoder: str, pairs: int) -> str:
    """Return the differences of two sets."""
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
    change_of = comparison.similarity_change
    heading = "  level      classes changed   texts only in A   only in B"
    lines += ["", heading + ("   mean nearest A       B   B - A" if change_of else "")]
    for change in comparison.changes:
        line = f"  {change.level:10}{len(change.classes):16,}{change.gone:18,}{change.new:12,}"
        if change.nearest_a is not None and change.nearest_b is not None:
            line += f"{change.nearest_a:17.3f}{change.nearest_b:8.3f}{change.nearest_b - change.nearest_a:+8.3f}"
        lines.append(line)
    if change_of:
        lines += [
            "",
            *_wrapped("", f"mean nearest: {_NEAREST}; {_how(encoder, with_label)}. Below: the mean over the six parts, B - A."),
        ]
        for name, sign in (("farther apart", -1), ("nearer", 1)):
            moved = [
                each for each in extreme_pairs(comparison.labels, sign * change_of[TOGETHER], pairs) if each.similarity > 5e-4
            ]
            lines += ["", f"{name} in B" + ("" if moved else ": no pair")]
            lines += [f"  {sign * each.similarity:+.3f}  {each.a} - {each.b}" for each in moved]
    return "\n".join(lines)


_NEAREST = "the similarity (cosine) of a class to its nearest other class, mean over classes; lower is better"


def _how(encoder: str, with_label: bool) -> str:
    return f"{encoder}, pre-trained, texts {'with' if with_label else 'without'} the label"


def _missing(review: Review) -> list[str]:
    lines = []
    if review.faults:
        lines += [f"missing or wrong: {counted(len(review.faults), 'fault')}; the rest is about classes without faults"]
        lines += [f"  {fault}" for fault in review.faults]
    else:
        lines += ["missing: nothing"]
    without = review.without_manual
    if without:
        few = f" ({_some(without)})" if len(without) < len(review.described.classes) else ""
        lines += _wrapped(
            "note: ", f"no list 'manual' in {counted(len(without), 'class', 'classes')}{few}; only the prompt 'manual' needs it"
        )
    if review.undescribed is None:
        return lines
    lines.append(f"classes of the data that are not described: {len(review.undescribed)}")
    for label, meant in review.undescribed.items():
        lines.append(f"  {label}{f'   (described is {meant!r}; labels are compared letter by letter)' if meant else ''}")
    if review.not_in_data:
        lines += _wrapped("note: described, but not in the data: ", f"{len(review.not_in_data)} ({_some(review.not_in_data)})")
    return lines


def _lengths(limit: TokenLimit, several: Sequence[Lengths]) -> list[str]:
    how = "counted by its tokenizer"
    if not limit.counted:
        how = (
            "its tokenizer is not on this machine, so words, digits and runs of other characters are counted, and two for the ends: "
            "a lower bound, as rare words take more"
        )
    lines = _wrapped(f"too long for {limit.name}, which takes {limit.limit} tokens: ", how)
    at_least = "" if limit.counted else "at least "
    for lengths in several:
        name = f"{lengths.prompt}, {lengths.partition}"
        longest = f"longest {at_least}{lengths.longest} ({lengths.label})"
        if not lengths.too_long:
            lines.append(f"  {name:18} none; {longest}")
            continue
        classes = list(dict.fromkeys(each.label for each in lengths.too_long))
        lines += _wrapped(f"  {name:18} ", f"{at_least}{counted(len(classes), 'class', 'classes')} truncated; {longest}")
        if len(classes) <= _SHOWN:
            lines += _wrapped(" " * 21, ", ".join(classes))
    return lines


def _shared(review: Review) -> list[str]:
    if not review.shared:
        return ["identical in several classes (ignoring case and punctuation): no text"]
    lines = [f"identical in several classes (ignoring case and punctuation): {counted(len(review.shared), 'text')}"]
    for level in LEVELS:
        own = [each for each in review.shared if each.level == level]
        for each in own[:_SHOWN]:
            lines += _wrapped(f"  {level:10} ", f"{each.text!r}: {', '.join(each.classes)}")
        if len(own) > _SHOWN:
            lines.append(f"  {level:10} ... and {len(own) - _SHOWN:,} more (--json)")
    return lines


def _near(review: Review, threshold: float) -> list[str]:
    lines = [f"nearly identical in two classes (cosine of {threshold:g} or more): {counted(len(review.near), 'pair')} of texts"]
    for level in LEVELS:
        own = [each for each in review.near if each.level == level]
        for each in own[:_SHOWN]:
            lines += _wrapped(f"  {level:10} {each.similarity:.3f}  ", f"{each.a}: {each.text_a!r}")
            lines += _wrapped(" " * 20, f"{each.b}: {each.text_b!r}")
        if len(own) > _SHOWN:
            lines.append(f"  {level:10} ... and {len(own) - _SHOWN:,} more (--json)")
    return lines


def _astray(review: Review) -> list[str]:
    total = sum(len(each.synonyms) for each in review.described.classes.values())
    lines = [f"synonyms nearer to another class than to their own: {len(review.astray):,} of {total:,}"]
    for each in review.astray[:_SHOWN]:
        lines += _wrapped(f"  {each.excess:.3f}  ", f"{each.label}: {each.text!r} is nearer to {each.nearest}")
    return lines + ([f"  ... and {len(review.astray) - _SHOWN:,} more (--json)"] if len(review.astray) > _SHOWN else [])


def _spreads(spreads: Sequence[Spread], how: str, pairs: int) -> list[str]:
    lines = [
        *_wrapped("similarity of the classes: ", how),
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
        numbers = (
            f"similarity {each.similarity:.3f} (two classes typically {each.typical:.3f}), {each.share:.0%} of the difference"
        )
        lines.append(f"  {each.part:8} {numbers}")
        left, right = (
            [line for text in texts for line in textwrap.wrap(text, column)] for texts in (each.texts_a, each.texts_b)
        )
        height = max(len(left), len(right))
        rows = zip(left + [""] * (height - len(left)), right + [""] * (height - len(right)), strict=True)
        lines += [f"{'':11}{one:{column}}  {other}".rstrip() for one, other in rows]
    most = max(parts, key=lambda each: each.share)
    if most.share:
        lines.append(
            f"most of the difference is in: {most.part} ({most.share:.0%}; an even share would be {1 / len(parts):.0%})"
        )
    else:
        lines.append("no part separates these two: their sentences are equal")
    return lines


def _some(labels: Sequence[str]) -> str:
    more = f", ... and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(labels[:_SHOWN]) + more


def _wrapped(head: str, text: str) -> list[str]:
    """Wrap `text` after `head`; further lines are indented as far as the head reaches, at most 24."""
    return textwrap.wrap(head + text, _WIDTH, subsequent_indent=" " * min(len(head), 24), drop_whitespace=True) or [head]
