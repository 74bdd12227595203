"""`poseglot prepare`: data sets, and people's own files, to packed stores."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.register import AddCommand, read_text
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.data.prepare import CustomDataset, Prepared

_SHOWN = 10
_DESCRIPTION = """Check and pack a data set into a store.

  demo            the built-in synthetic set; no source
  nw-ucla         all_sqe.zip, or the folder in it
  ntu60, ntu120   nturgbd_skeletons_s001_to_s017.zip (and s018_to_s032 for ntu120), not unpacked, or folders of .skeleton files
  pyskl           a .pkl of PYSKL or MMAction2
  npz             an .npz of CTR-GCN (NTU60_CS.npz)
  npy, mat, txt, bvh, poses
                  a folder (or a zip) of files, one a clip, in a sub-folder for each class, with names that say it (--names), or
                  listed in clips.csv; txt: tables of numbers; poses: what `poseglot extract-poses` wrote
  csv             long form: clip, frame, person, joint, x, y[, z][, score]

What could not be read is listed at the end and in OUT/preparation.json, and makes the exit status 1; the rest is stored all the
same. A preparation of NTU RGB+D that was stopped goes on with the same command."""


def add(command: AddCommand) -> None:
    prepare = command("prepare", _prepare, "check and pack a data set")
    prepare.formatter_class = argparse.RawDescriptionHelpFormatter
    prepare.description = _DESCRIPTION
    prepare.add_argument("name", help="what to prepare, see above")
    prepare.add_argument("--source", type=Path, nargs="+", help="zips, files or folders")
    prepare.add_argument("--out", type=Path, required=True, help="folder for the packed store")
    prepare.add_argument("--overwrite", action="store_true", help="replace an existing store")
    prepare.add_argument("--dtype", choices=["float32", "float16"], default="float32", help="float16 takes half the space")
    prepare.add_argument("--workers", type=int, help="processes that read ntu60 and ntu120 (default: one for each core)")
    add_own(prepare)


def add_own(command: argparse.ArgumentParser) -> None:
    """What is to be known of one's own data."""
    own = command.add_argument_group("of one's own data (pyskl, npz, npy, mat, txt, bvh, poses, csv)")
    own.add_argument("--layout", help="of the joints: a packaged one (coco17, ...), or a path ending in .yaml")
    own.add_argument(
        "--joints",
        help="the joints of the files in their order, by the layout's names, if it is another order or fewer: with commas, or a text file",
    )
    own.add_argument(
        "--classes", type=Path, help="a text file with the name of a class in each line, in the order of the labels"
    )
    own.add_argument("--test-subjects", type=int, nargs="+", help="numbers of the people for the test set")
    own.add_argument(
        "--scored", dest="has_scores", action="store_true", help="the last number of every joint is the confidence in it"
    )
    own.add_argument(
        "--names",
        help="what the names of files say, without ending: 'a{label}_s{subject}_*' (label, subject, camera, setup, split)",
    )
    own.add_argument(
        "--dim-order",
        help="what the axes of arrays are, m people, t frames, v joints, c channels: v,c,t or t,mvc (default: what fits)",
    )
    own.add_argument("--skip", type=int, help="numbers at the beginning of every row of a table that are no joints")
    own.add_argument("--columns", help="which of a joint's numbers are read, counted from 1: 1-3 or 1,2")
    own.add_argument("--scale", type=float, help="factor on the coordinates: 0.001 makes metres of millimetres")
    own.add_argument("--variable", help="the variable of MATLAB files (default: the only array)")
    own.add_argument("--set-name", help="what to call the data set (default: the folder's name)")


def _prepare(parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.data.prepare import prepare
    from poseglot.data.store import REPORT_FILE

    workers = _cores() if parsed.workers is None else parsed.workers
    if workers < 1:
        raise PoseglotError(f"--workers must be at least 1, not {workers}.")
    with tqdm(unit=" clips", desc=f"packing {parsed.name}", disable=not sys.stderr.isatty()) as bar:
        made = prepare(
            parsed.name,
            source=parsed.source,
            out=parsed.out,
            overwrite=parsed.overwrite,
            custom=custom_dataset(parsed),
            dtype=parsed.dtype,
            workers=workers,
            bar=bar,
        )
    report(parsed.out, made)
    if made.issues:
        raise PoseglotError(
            f"{len(made.issues):,} {'issue' if len(made.issues) == 1 else 'issues'}; everything else is stored. All is listed in "
            f"{parsed.out / REPORT_FILE}."
        )


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def custom_dataset(parsed: argparse.Namespace) -> CustomDataset | None:
    """What was said of one's own data; None if nothing was."""
    from poseglot.data.prepare import CustomDataset
    from poseglot.data.readers.formats import parse_columns

    said: dict[str, Any] = {}
    if parsed.layout:
        said["layout"] = parsed.layout
    if parsed.joints:
        file = Path(parsed.joints)
        said["joints"] = (
            _lines(file, "joints") if file.suffix else tuple(name.strip() for name in parsed.joints.split(",") if name.strip())
        )
    if parsed.classes:
        said["classes"] = _lines(parsed.classes, "class names")
    if parsed.test_subjects:
        said["test_subjects"] = tuple(parsed.test_subjects)
    if parsed.has_scores:
        said["has_scores"] = True
    for option in ("names", "dim_order", "skip", "scale", "variable"):
        if getattr(parsed, option):
            said[option] = getattr(parsed, option)
    if parsed.columns:
        said["columns"] = parse_columns(parsed.columns)
    if parsed.set_name:
        said["name"] = parsed.set_name
    return CustomDataset(**{"name": parsed.out.name, **said}) if said else None


def _lines(path: Path, what: str) -> tuple[str, ...]:
    """The lines of a text file that are not empty, without blanks around them."""
    return tuple(line.strip() for line in read_text(path, what).splitlines() if line.strip())


def report(out: Path, made: Prepared) -> None:
    """Say what a preparation made, and what is wrong with it."""
    from poseglot.skeletons.layout import load_layout

    store = made.store
    subsets = ", ".join(f"{count:,} {subset}" for subset, count in made.counts.items())
    print(
        f"{out}: {len(store):,} clips ({subsets} of {made.split}), {store.clips['frames'].sum():,} frames, "
        f"{len(store.info.classes)} classes, layout {load_layout(store.info.layout).name}, {made.seconds:.1f} s"
    )
    if made.incomplete:
        print(f"note: {made.incomplete}")
    for note in made.notes:
        print(f"note: {note}")
    for why, names in made.skipped.items():
        print(f"left out: {len(names):,} {why}")
    if not made.issues:
        return
    print("issues:")
    for kind, count in Counter(issue.kind for issue in made.issues).most_common():
        print(f"  {kind:<12}{count:>8,}")
    for issue in made.issues[:_SHOWN]:
        print(f"  {issue.kind}: {issue.message}")
    if len(made.issues) > _SHOWN:
        print(f"  ... and {len(made.issues) - _SHOWN:,} more")
