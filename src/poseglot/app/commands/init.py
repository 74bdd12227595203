"""`poseglot init`: a folder of one's own clips that `poseglot train` runs in."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from poseglot.app.commands.prepare import add_own, custom_dataset, report
from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import PoseglotError

_DESCRIPTION = """Make a project of clips of your own: layout, packed clips, class names, a template for descriptions, a recipe, a README.

    poseglot init gestures --source my-clips --layout coco17
    poseglot init mhad --source Skeleton.zip --layout kinect20 --joints joints.txt --classes classes.txt \\
                      --names 'a{label}_s{subject}_t*' --test-subjects 2 4 6 8
    cd gestures && poseglot train --out runs/first

The clips are read as `poseglot prepare` reads them (see its help): files in a folder for each class, with names that say it, or listed in
clips.csv. Their format is recognized by content. People are held out for testing where they are known."""

def add(command: AddCommand) -> None:
    new = command("init", run, "make a project of one's own clips")
    new.formatter_class = argparse.RawDescriptionHelpFormatter
    new.description = _DESCRIPTION
    new.add_argument("folder", type=Path, help="to make")
    new.add_argument("--source", type=Path, nargs="+", required=True, help="a folder, a zip, or files")
    new.add_argument("--format", help="of the files, as in `poseglot prepare FORMAT` (default: recognized by content)")
    add_own(new)


def run(parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.data.prepare import prepare
    from poseglot.data.readers import guess_format
    from poseglot.files import folder_written_atomically

    try:
        from poseglot.app.project import write_project
    except ImportError as error:
        raise PoseglotError(missing_package("training", error)) from error

    format = parsed.format or guess_format(parsed.source)
    parsed.out = parsed.folder  # after which the set is called
    with folder_written_atomically(parsed.folder) as folder:
        with tqdm(unit=" clips", desc="packing", disable=not sys.stderr.isatty()) as bar:
            made = prepare(format, source=parsed.source, out=folder / "data", custom=custom_dataset(parsed), bar=bar)
        write_project(folder, parsed.folder.resolve().name, made.store, made.split, made.counts["train"])
    report(parsed.folder / "data", made)
    for note in _class_names(made.store.info.classes):
        print(f"note: {note}")
    print(f"{parsed.folder / 'README.md'} says how to go on: cd {parsed.folder} && poseglot train --out runs/first")
    if made.issues:
        raise PoseglotError(
            f"{len(made.issues):,} clips could not be read; all is listed in {parsed.folder / 'data' / 'preparation.json'}."
        )


def _class_names(classes: Sequence[str]) -> list[str]:
    """What a text encoder would not understand of class names."""
    found = []
    if all(name.removeprefix("class ").isdigit() for name in classes):
        found.append("the classes are numbers, which no text encoder understands: name them by --classes names.txt.")
    odd = [name for name in classes if "_" in name or (name.isupper() and len(name) > 3) or (name[1:] != name[1:].lower())]
    if odd:
        found.append(
            f"class names are words that are read: {', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''} would be better as plain words "
            "(wave both hands)."
        )
    return found
