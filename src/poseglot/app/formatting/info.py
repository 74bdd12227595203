"""The text of `poseglot info`, in lines of 100 characters."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poseglot.data.quality.checks import CHECKS, Finding
from poseglot.data.quality.summary import found_clips, value_text
from poseglot.data.quality.verify import ArrayVerification, Difference, UnmatchedRow
from poseglot.safe_text import counted
from poseglot.skeletons.layout import Layout

_WIDTH = 100
_MAX_CLASSES = 24  # more are listed only on request
_MAX_LISTED = 10  # items of a list in a comparison


def summary_text(contents: Mapping[str, Any], folder: Path, *, every_class: bool = False) -> str:
    """Return the content of a store, from `StoreInspection.summary`."""
    frames = contents["frames"]
    people = ", ".join(f"{number} in {counted(count, 'clip')}" for number, count in contents["people"].items())
    hours = f" ({contents['hours']:.3g} hours at 30 frames/s)" if "hours" in contents else ""
    lines = [
        f"{folder}: {contents['name']}, {counted(contents['clips'], 'clip')}",
        *_entry(
            "layout",
            f"{contents['layout']}, {contents['joints']} joints with {', '.join(contents['channels'])} ({contents['dtype']}); "
            f"pipeline {contents['pipeline']}",
        ),
        *_entry("people", people),
        *_entry(
            "frames",
            f"{frames['min']:,} to {frames['max']:,} a clip, median {frames['median']:,g}; {frames['total']:,} in all{hours}",
        ),
    ]
    lines += _entry("body", _body(contents["body"]))
    lines += [
        line for field in ("subjects", "cameras", "setups") if contents[field] for line in _numbers(field, contents[field])
    ]
    lines += _entry("disk", f"{contents['bytes'] / 1e6:,.1f} MB")
    for key, (name, value) in zip(("source", *[""] * len(contents["source"])), contents["source"].items(), strict=False):
        lines += _entry(key, f"{name}: {_short(value)}")
    lines += ["", *_classes(contents, every=every_class)]
    for split, summary in contents["splits"].items():
        lines += _split(split, summary)
    if "preparation" in contents:
        lines += ["", *_preparation(contents["preparation"])]
    return "\n".join(lines)


def findings_text(findings: Sequence[Finding], *, clips: int, listed: int, overlap: Mapping[str, Sequence[str]]) -> str:
    """Return the findings by check, and `overlap`: split -> test clips whose content is in the training set, too."""
    if not findings:
        return "\nworth a look: no clip (--checks lists the checks)"
    count = len(found_clips(findings))
    lines = [
        "",
        f"worth a look: {count:,} of {counted(clips, 'clip')} ({100 * count / clips:.1f} %; --checks lists the checks)",
    ]
    for name, check in CHECKS.items():
        own = [finding for finding in findings if finding.check == name]
        if not own:
            continue
        lines += _wrapped(f"  {name + ':':<14}{len(own):>6,}  ", check.meaning)
        for finding in own[:listed]:
            lines.append(f"{'':24}{finding.clip}  {value_text(finding)}{', ' if finding.where else ''}{finding.where}")
        if len(own) > listed:
            lines.append(f"{'':24}... and {len(own) - listed:,} more (--findings {len(own)})")
    for split, names in overlap.items():
        if names:
            message = "test clips that are also in the training set, under other names, and so test nothing"
            lines += _wrapped("  warning: ", f"split {split}: {message}: {len(names):,} ({_some(names)})")
    return "\n".join(lines)


def checks_text() -> str:
    """Return the table of checks."""
    lines = ["A clip is worth a look if one of these holds. A body is the diagonal of the box around a person.", ""]
    for name, check in CHECKS.items():
        lines += _wrapped(f"  {name + ':':<14}", check.meaning)
    return "\n".join(lines)


def comparison_text(compared: ArrayVerification, heading: str, *, reason: str, split: str | None, layout: Layout) -> str:
    """Return how many clips equal a row, what differs, and a verdict; `reason` explains the tolerance."""
    subsets = f"split {split}" if split else "any subset"
    lines = [
        f"{heading} ({subsets}; equal: no coordinate differs by more than {compared.tolerance:.3g})",
        *_wrapped("  tolerance     ", f"{compared.tolerance:.3g}: {reason}"),
        f"  clips here    {compared.clips:>9,}",
        f"  rows there    {compared.rows:>9,}",
        f"  equal         {compared.equal:>9,}   ({compared.bit_equal:,} of them to the last bit)",
    ]
    lines += _listing("differing", [_difference(difference, layout) for difference in compared.differing])
    lines += _listing("only here", compared.unmatched_clips)
    lines += _listing("only there", [_unmatched(row) for row in compared.unmatched_rows])
    for count, what in (
        (compared.excluded, "clips here in neither subset of the split, left out"),
        (compared.truncated_frames, "clips here with more frames than a row (300), of which the first 300 were compared"),
        (compared.truncated_persons, "clips here with more people than a row (2), of whom the first two were compared"),
    ):
        if count:
            lines.append(f"  note: {what}: {count:,}")
    if compared.same:
        lines.append(f"the same: each clip ({compared.clips:,}) equals a row, and each row a clip.")
    else:
        lone_clips, lone_rows = compared.clips - compared.equal, compared.rows - compared.equal
        lines.append(
            f"not the same: {lone_clips:,} of {counted(compared.clips, 'clip')} {'equals' if lone_clips == 1 else 'equal'} no row, "
            f"{lone_rows:,} of {counted(compared.rows, 'row')} {'equals' if lone_rows == 1 else 'equal'} no clip."
        )
    return "\n".join(lines)


def _body(size: float) -> str:
    """Return the size of a body, which shows the unit of the store."""
    if not size:
        return "nobody is seen"
    number = f"{size:{',.0f' if size >= 1000 else '.3g'}}"
    return (
        f"median {number} units across the box around a person's joints, from corner to corner (a standing adult: about 1.7 in metres, "
        "1,700 in millimetres; more than a hundred may be pixels)"
    )


def _entry(key: str, value: str) -> list[str]:
    return _wrapped(f"  {key:<11} ", value)


def _wrapped(start: str, text: str) -> list[str]:
    """Return lines with a hanging indent of the length of `start`; names and hashes stay whole."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False, break_on_hyphens=False
    )


def _some(names: Sequence[str], limit: int = 3) -> str:
    return ", ".join([*names[:limit], *(["..."] if len(names) > limit else [])])


def _short(value: Any) -> str:
    """Return a value of `source`, which a preparation may fill freely, in a few words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    if isinstance(value, list):
        return _some([_short(item) for item in value], limit=6)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _numbers(field: str, values: Sequence[int]) -> list[str]:
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    shown = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
    return _entry(field, f"{len(values):,}: {shown}")


def _classes(contents: Mapping[str, Any], *, every: bool) -> list[str]:
    classes: Mapping[str, int] = contents["classes"]
    unlabelled = f", {counted(contents['unlabelled'], 'clip')} without one" if contents["unlabelled"] else ""
    heading = f"classes: {len(classes):,}{unlabelled}"
    if not every and len(classes) > _MAX_CLASSES:
        ranked = sorted(classes.items(), key=lambda item: item[1])
        none = [name for name, count in ranked if not count]
        fewest, most = ([f"{name} {count:,}" for name, count in some] for some in (ranked[len(none) :][:5], ranked[:-6:-1]))
        lines = [f"{heading} (--classes lists all)", *_entry("fewest", ", ".join(fewest)), *_entry("most", ", ".join(most))]
        return lines + (_entry("none", f"{len(none)}: {_some(none, limit=8)}") if none else [])
    cells = [f"{name:<{max(map(len, classes))}} {count:>7,}" for name, count in classes.items()]
    columns = max(1, (_WIDTH - 2) // (len(cells[0]) + 3))
    rows = -(-len(cells) // columns)
    return [heading, *("  " + "   ".join(cells[row::rows]) for row in range(rows))]


def _split(split: str, summary: Mapping[str, Any]) -> list[str]:
    lines = [f"split {split}: " + ", ".join(f"{count:,} {subset}" for subset, count in summary["clips"].items())]
    for count, where in ((summary["neither"], "in no subset"), (summary["both"], "in more than one subset")):
        if count:
            lines.append(f"  note: clips {where}: {count:,}")
    for subset, missing in summary["missing"].items():
        if missing:
            lines += _wrapped(
                "  warning: ", f"classes without a clip in the {subset} set: {len(missing)} ({_some(missing, limit=8)})"
            )
    return lines


def _preparation(report: Mapping[str, Any]) -> list[str]:
    """Return what a preparation reported; entries of an unexpected form are skipped."""
    if "unreadable" in report:
        return [f"preparation: its report could not be read ({report['unreadable']})"]
    listed = report.get("issues")
    issues = [issue for issue in listed if isinstance(issue, Mapping)] if isinstance(listed, list) else []
    skipped = report["skipped"] if isinstance(report.get("skipped"), Mapping) else {}
    counts = [f"{value:,} {key}" for key, value in report.items() if isinstance(value, int)]
    lines = [f"preparation: {', '.join([*counts, counted(len(issues), 'issue')])}"]
    for reason, names in skipped.items():
        names = list(map(str, names)) if isinstance(names, list) else []
        lines += _wrapped("  left out: ", f"{len(names):,} {reason} ({_some(names)})")
    for kind, count in Counter(str(issue.get("kind", "issue")) for issue in issues).most_common():
        lines.append(f"  {kind}: {count:,}")
        own = [issue for issue in issues if str(issue.get("kind", "issue")) == kind]
        for issue in own[:3]:
            lines += _wrapped("    ", str(issue.get("message") or issue.get("name") or issue))
    return lines


def _listing(key: str, items: Sequence[str]) -> list[str]:
    lines = [f"  {key:<14}{len(items):>9,}"]
    for item in items[:_MAX_LISTED]:
        lines += _wrapped("      ", item)
    return lines + ([f"      ... and {len(items) - _MAX_LISTED:,} more (--json lists all)"] if len(items) > _MAX_LISTED else [])


def _difference(difference: Difference, layout: Layout) -> str:
    what = f"{difference.clip} ({difference.subset} row {difference.row}): "
    if difference.kind == "people swapped":
        return f"{what}the people are swapped"
    if difference.kind == "frames shifted":
        return f"{what}the row is {counted(abs(difference.shift), 'frame')} {'later' if difference.shift > 0 else 'earlier'}"
    person, frame, joint, axis = difference.position
    place = f"person {person + 1}, frame {frame + 1}, {layout.joints[joint]}, {'xyz'[axis]}"
    count = f"{difference.count:,} coordinates differ" if difference.count != 1 else "1 coordinate differs"
    return f"{what}{count}, by up to {difference.value:.4g} at {place}"


def _unmatched(row: UnmatchedRow) -> str:
    size = f"{counted(row.frames, 'frame')}, {counted(row.num_persons, 'person', 'people')}"
    return f"{row.subset} row {row.row} (label {row.label}, {size})"
