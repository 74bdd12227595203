"""The options of `poseglot prepare` and `poseglot init` that describe a user's own data, and the report of both."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.register import read_lines

if TYPE_CHECKING:
    from poseglot.data.prepare import CustomDataset, Prepared

_LISTED = 10  # issues to print


def add_dataset_options(command: argparse.ArgumentParser) -> None:
    """Add the options that describe a user's own data."""
    own = command.add_argument_group("your own data")
    own.add_argument("--layout", help="the layout: a packaged one (coco17, ...), or a path ending in .yaml")
    own.add_argument(
        "--joints", help="the joints of the files in order, if fewer or reordered: layout names with commas, or a text file"
    )
    own.add_argument(
        "--classes", type=Path, help="a text file with one class name per line, in the order of the labels, or 'label: name'"
    )
    own.add_argument("--test-subjects", nargs="+", metavar="PERSON", help="the people of the test set, by name or number")
    own.add_argument(
        "--split",
        help="leave-one-out (each person once), none (no test set), or a text file with the people of a fold per line",
    )
    own.add_argument("--scored", dest="has_scores", action="store_true", help="the last number of a joint is its confidence")
    own.add_argument(
        "--names", help="a pattern of file names without ending: 'a{label}_s{subject}_*' (label, subject, camera, setup, split)"
    )
    own.add_argument(
        "--dim-order", help="the axes of arrays: m people, t frames, v joints, c channels; v,c,t or t,mvc (default: what fits)"
    )
    own.add_argument("--skip", type=int, help="numbers to skip at the beginning of every row of a table")
    own.add_argument("--columns", help="the numbers of a joint to read, counted from 1: 1-3 or 1,2")
    own.add_argument("--scale", type=float, help="a factor on the coordinates: 0.001 turns millimetres into metres")
    own.add_argument("--up", help="the axis that points up in the files (z, -y, ...): 3D coordinates are turned so that y does")
    own.add_argument("--variable", help="the variable of MATLAB files (default: the only array)")
    own.add_argument("--fps", type=float, help="frames per second of long recordings with annotations beside them")
    own.add_argument("--set-name", help="the name of the data set (default: the folder's)")


def custom_dataset(parsed: argparse.Namespace, name: str) -> CustomDataset | None:
    """Return the description of a user's data set called `name`; None if no option was given."""
    from poseglot.data.prepare import CustomDataset
    from poseglot.data.readers.formats import parse_columns

    options: dict[str, Any] = {
        key: getattr(parsed, key)
        for key in ("layout", "has_scores", "split", "names", "dim_order", "skip", "scale", "up", "variable", "fps")
        if getattr(parsed, key)
    }
    if parsed.joints:
        file = Path(parsed.joints)
        listed = (name.strip() for name in parsed.joints.split(","))
        options["joints"] = read_lines(file, "joints") if file.suffix else tuple(filter(None, listed))
    if parsed.classes:
        options["classes"] = read_lines(parsed.classes, "class names")
    if parsed.test_subjects:
        options["test_subjects"] = tuple(parsed.test_subjects)
    if parsed.columns:
        options["columns"] = parse_columns(parsed.columns)
    if parsed.set_name:
        options["name"] = parsed.set_name
    return CustomDataset(**{"name": name, **options}) if options else None


def print_prepared(out: Path, prepared: Prepared) -> None:
    """Print what a preparation wrote, and its issues."""
    from poseglot.skeletons.layout import load_layout

    store = prepared.store
    subsets = ", ".join(f"{count:,} {subset}" for subset, count in prepared.counts.items())
    print(
        f"{out}: {len(store):,} clips ({subsets} of {prepared.split}), {store.clips['frames'].sum():,} frames, "
        f"{len(store.info.classes)} classes, layout {load_layout(store.info.layout).name}, {prepared.seconds:.1f} s"
    )
    for note in filter(None, (prepared.incomplete, *prepared.notes)):
        print(f"note: {note}")
    for reason, names in prepared.skipped.items():
        print(f"left out: {len(names):,} {reason}")
    if not prepared.issues:
        return
    print("issues:")
    for kind, count in Counter(issue.kind for issue in prepared.issues).most_common():
        print(f"  {kind:<12}{count:>8,}")
    for issue in prepared.issues[:_LISTED]:
        print(f"  {issue.kind}: {issue.message}")
    if len(prepared.issues) > _LISTED:
        print(f"  ... and {len(prepared.issues) - _LISTED:,} more")
