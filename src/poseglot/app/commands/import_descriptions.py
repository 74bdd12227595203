"""`poseglot import-descriptions`: the texts of GAP's authors as a description set."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import FileError, SettingError

_PREFIXES = {"nw-ucla": "ucla_", "ntu60": "", "ntu120": ""}


def add(command: AddCommand) -> None:
    texts = command("import-descriptions", run, "the text files of GAP's authors as a description set")
    texts.add_argument("folder", type=Path, help="the folder `text` of their repository, with *_openai_t01.txt")
    texts.add_argument("--benchmark", required=True, choices=list(_PREFIXES), help="whose classes to import")
    texts.add_argument(
        "--out", type=Path, required=True, metavar="FILE.yaml", help="the description set, for --text.descriptions"
    )


def run(parsed: argparse.Namespace) -> None:
    from poseglot.data.benchmarks import load_benchmark
    from poseglot.descriptions.official import import_official_texts

    if parsed.out.suffix != ".yaml":
        raise SettingError(f"--out must end in .yaml, not {parsed.out.name}.")
    if os.path.lexists(parsed.out):
        raise FileError(f"{parsed.out} already exists. Choose another path, or remove it.")
    classes = load_benchmark(parsed.benchmark).classes
    left_out = import_official_texts(
        parsed.folder, classes, prefix=_PREFIXES[parsed.benchmark], name=f"gap-{parsed.benchmark}", out=parsed.out
    )
    print(f"{parsed.out}: {len(classes)} classes; {left_out} repeated synonyms were left out")
