"""`poseglot prepare`: data sets, and people's own files, to packed stores."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.skeletons.prepare import OwnData, Prepared

_SHOWN = 10
_DESCRIPTION = """Check and pack a data set into a store.

  demo            the built-in synthetic set; no source
  nw-ucla         all_sqe.zip, or the folder in it
  ntu60, ntu120   nturgbd_skeletons_s001_to_s017.zip (and s018_to_s032 for ntu120), not unpacked, or folders of .skeleton files
  pyskl           a .pkl of PYSKL or MMAction2
  npz             an .npz of CTR-GCN (NTU60_CS.npz)
  npy, bvh        a folder of files, one a clip, in a sub-folder for each class or listed in clips.csv
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
    own = prepare.add_argument_group("of one's own data (pyskl, npz, npy, bvh, csv)")
    own.add_argument("--layout", help="of the joints: a packaged one (coco17, ...), or a path ending in .yaml")
    own.add_argument(
        "--classes", type=Path, help="a text file with the name of a class in each line, in the order of the labels"
    )
    own.add_argument("--test-subjects", type=int, nargs="+", help="numbers of the people for the test side")
    own.add_argument("--scored", action="store_true", help="the last number of every joint is the confidence in it")
    own.add_argument("--set-name", help="what to call the data set (default: the folder's name)")


def _prepare(parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.skeletons.prepare import prepare
    from poseglot.skeletons.store_writer import REPORT_FILE

    workers = _cores() if parsed.workers is None else parsed.workers
    if workers < 1:
        raise PoseglotError(f"--workers must be at least 1, not {workers}.")
    with tqdm(unit=" clips", desc=f"packing {parsed.name}", disable=not sys.stderr.isatty()) as bar:
        made = prepare(
            parsed.name,
            source=parsed.source,
            out=parsed.out,
            overwrite=parsed.overwrite,
            own=_own(parsed),
            dtype=parsed.dtype,
            workers=workers,
            bar=bar,
        )
    _report(parsed.out, made)
    if made.faults:
        raise PoseglotError(
            f"{len(made.faults):,} {'fault' if len(made.faults) == 1 else 'faults'}; everything else is stored. All is listed in "
            f"{parsed.out / REPORT_FILE}."
        )


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _own(parsed: argparse.Namespace) -> OwnData | None:
    """What was said of one's own data; None if nothing was."""
    from poseglot.skeletons.prepare import OwnData

    said: dict[str, Any] = {}
    if parsed.layout:
        said["layout"] = parsed.layout
    if parsed.classes:
        try:
            lines = parsed.classes.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise PoseglotError(f"could not read the class names in {parsed.classes}: {error}.") from error
        said["classes"] = tuple(line.strip() for line in lines if line.strip())
    if parsed.test_subjects:
        said["test_subjects"] = tuple(parsed.test_subjects)
    if parsed.scored:
        said["scored"] = True
    if parsed.set_name:
        said["name"] = parsed.set_name
    return OwnData(**{"name": parsed.out.name, **said}) if said else None


def _report(out: Path, made: Prepared) -> None:
    from poseglot.skeletons.layout import load_layout

    store = made.store
    sides = ", ".join(f"{count:,} {side}" for side, count in made.counts.items())
    print(
        f"{out}: {len(store):,} clips ({sides} of {made.split}), {store.clips['frames'].sum():,} frames, "
        f"{len(store.info.classes)} classes, layout {load_layout(store.info.layout).name}, {made.seconds:.1f} s"
    )
    if made.incomplete:
        print(f"note: {made.incomplete}")
    for note in made.notes:
        print(f"note: {note}")
    for why, names in made.skipped.items():
        print(f"left out: {len(names):,} {why}")
    if not made.faults:
        return
    print("faults:")
    for kind, count in Counter(fault.kind for fault in made.faults).most_common():
        print(f"  {kind:<12}{count:>8,}")
    for fault in made.faults[:_SHOWN]:
        print(f"  {fault.kind}: {fault.message}")
    if len(made.faults) > _SHOWN:
        print(f"  ... and {len(made.faults) - _SHOWN:,} more")
