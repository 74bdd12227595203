"""`poseglot init`: a project folder of one's own clips, in which `poseglot train` runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from poseglot.app.commands.dataset_options import add_dataset_options, custom_dataset, print_prepared
from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import InputError, MissingPackageError

_DESCRIPTION = """Make a project of your own clips: layout, packed clips, class names, a template for descriptions, a recipe, a README.

    poseglot init gestures --source my-clips --layout coco17
    poseglot init mhad --source Skeleton.zip --layout kinect20 --joints joints.txt --classes classes.txt \\
                      --names 'a{label}_s{subject}_t*' --test-subjects 2 4 6 8
    cd gestures && poseglot train --out runs/first

Clips are read as by `poseglot prepare` (see its help): files in a folder per class, with telling names, or listed in clips.csv. Their
format is recognized by content. Where people are known, some of them form the test set."""


def add(command: AddCommand) -> None:
    init = command("init", run, "make a project of your own clips")
    init.formatter_class = argparse.RawDescriptionHelpFormatter
    init.description = _DESCRIPTION
    init.add_argument("folder", type=Path, help="the folder to make")
    init.add_argument("--source", type=Path, nargs="+", required=True, help="a folder, a zip, or files")
    init.add_argument("--format", help="as in `poseglot prepare FORMAT` (default: recognized by content)")
    add_dataset_options(init)


def run(parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    try:
        from poseglot.app.project import init_project
    except ImportError as error:
        raise MissingPackageError(missing_package("init", error)) from error

    folder = parsed.folder
    with tqdm(unit=" clips", desc="packing", disable=not sys.stderr.isatty()) as bar:
        custom = custom_dataset(parsed, folder.name)
        project = init_project(folder, parsed.source, format=parsed.format, custom=custom, bar=bar)
    print_prepared(folder / "data", project.prepared)
    for note in project.notes:
        print(f"note: {note}")
    print(f"{folder / 'README.md'} says what to do next: cd {folder} && poseglot train --out runs/first")
    if issues := project.prepared.issues:
        raise InputError(f"{len(issues):,} clips could not be read; all are listed in {folder / 'data' / 'preparation.json'}.")
