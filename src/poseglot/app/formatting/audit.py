"""The text of `poseglot audit`, in lines of a hundred characters."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from poseglot.data.quality.audit import Giveaway, SplitAudit, StoreAudit
from poseglot.data.quality.duplicates import Copy
from poseglot.safe_text import counted

_WIDTH = 100
_MIN_PROBABILITY = 1e-3  # a rarer score is said to be above chance
_KINDS = {
    "equal": "equal to a training clip, to the last bit",
    "frames": "half or more of their frames are frames of one training clip, to the last bit",
    "near": "nearly a training clip (half a percent of a body)",
}


def audit_text(audit: StoreAudit, *, listed: int) -> str:
    """Return an audit, with `listed` clips of each kind."""
    lines = [f"{audit.name}: {counted(audit.clips, 'clip')}, {counted(len(audit.splits), 'split')} with training and test"]
    inside = sum(map(len, audit.equal)) - len(audit.equal)
    lines.append(f"clips that repeat another to the last bit: {inside:,}")
    lines.append(f"clips with the content of a clip of another class: {len(audit.contradictions):,}")
    lines += _copies(audit.contradictions, listed)
    for split, found in audit.splits.items():
        lines += ["", *_split(split, found, listed)]
    return "\n".join(lines)


def _split(split: str, audit: SplitAudit, listed: int) -> list[str]:
    total = audit.clips["test"]
    lines = [f"split {split}: {audit.clips['train']:,} train, {total:,} test"]
    lines.append(f"  test clips that are in the training set: {len(audit.copies):,} of {total:,}; clean: {audit.clean:,}")
    for kind, meaning in _KINDS.items():
        own = [copy for copy in audit.copies if copy.kind == kind]
        if own:
            other = sum(copy.label != copy.source_label for copy in own)
            lines += _wrapped("    ", f"{len(own):,}: {meaning}{f'; {other} with another label' if other else ''}")
            lines += _copies(own, listed)
    lines += _wrapped("  ", _people(audit))
    if audit.performances:
        lines += _wrapped(
            "  ", f"performances seen by another camera in training: {audit.performances:,} of {total:,} test clips"
        )
    for subset, classes in audit.classes.items():
        lines += _wrapped("  ", _balance(subset, classes))
    if audit.giveaways:
        lines.append("  a classifier that sees no skeleton gets, of the test clips,")
        lines += [_giveaway(each) for each in audit.giveaways]
    return lines


def _people(audit: SplitAudit) -> str:
    train, test = (audit.people[subset] for subset in ("train", "test"))
    if not train and not test:
        return "people: not known"
    text = f"people: {len(train)} in training, {len(test)} in the test set, {len(audit.people_in_both)} in both"
    cameras = [audit.cameras[subset] for subset in ("train", "test")]
    if audit.people_in_both and all(cameras) and not set(cameras[0]) & set(cameras[1]):
        text += " (the cameras differ, so the split is about views)"
    return text


def _balance(subset: str, classes: Mapping[str, int]) -> str:
    present = {label: count for label, count in classes.items() if count}
    if not present:
        return f"{subset}: no clip of a known class"
    fewest, most = min(present, key=present.__getitem__), max(present, key=present.__getitem__)
    text = f"{subset}: from {present[fewest]:,} ({fewest}) to {present[most]:,} ({most}) clips in a class"
    return text + (f"; {len(classes) - len(present)} classes without a clip" if len(present) < len(classes) else "")


def _giveaway(found: Giveaway) -> str:
    chance = f"the largest class: {found.chance:,}/{found.total:,} = {100 * found.chance / found.total:.2f} %"
    verdict = "above chance" if found.probability < _MIN_PROBABILITY else "not above chance"
    score = f"{found.correct:,}/{found.total:,} = {100 * found.correct / found.total:.2f} %"
    return f"    by {found.name + ':':17} {score:20} ({chance}; {verdict}, p = {found.probability:.1g})"


def _copies(copies: Sequence[Copy], listed: int) -> list[str]:
    lines = []
    for copy in copies[:listed]:
        much = f"{100 * copy.value:.0f} % of the frames" if copy.kind != "near" else f"{copy.value:.4f} bodies apart"
        lines.append(f"      {copy.clip} as {copy.source}: {much}")
    return lines + ([f"      ... and {len(copies) - listed:,} more (--list {len(copies)})"] if len(copies) > listed else [])


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=start + "  ", break_on_hyphens=False)
