"""`poseglot info` and `poseglot export-clip`: what is in a packed store, and one clip out of it."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.data.quality.checks import Finding
    from poseglot.data.store import PackedStore
    from poseglot.skeletons.layout import Layout

_LISTED = 3  # clips of each check, unless --findings says otherwise


def add(command: AddCommand) -> None:
    data = command("info", _data, "what is in a store, which of its clips are worth a look, pictures; or export or compare it")
    data.add_argument("store", type=Path, help="its folder")
    data.add_argument("--classes", action="store_true", help="list every class, however many there are")
    data.add_argument(
        "--findings", type=int, default=_LISTED, metavar="N", help=f"how many clips to list for each check ({_LISTED})"
    )
    data.add_argument("--checks", action=_PrintChecks, help="say what is looked for, with the limits, and stop")
    data.add_argument("--pictures", type=Path, metavar="FOLDER", help="where to draw some clips (STORE/pictures)")
    data.add_argument("--no-pictures", action="store_true", help="draw none")
    data.add_argument("--json", action="store_true", help="print everything as JSON")
    other = data.add_argument_group("instead of that")
    other.add_argument("--export", nargs=2, metavar=("FORMAT", "PATH"), help="write the store to a file; FORMAT is pyskl")
    other.add_argument(
        "--compare", type=Path, metavar="ARRAY.npz", help="hold it against an array made by the field's scripts (NTU60_CS.npz)"
    )
    other.add_argument("--split", help="of the store, if a clip is to be on the array's side of it (with --compare)")
    other.add_argument(
        "--tolerance",
        type=float,
        help="by how much a coordinate may differ and be equal (1e-4, and the rounding of float16; with --compare)",
    )

    export = command("export-clip", _export_clip, "write one clip of a store to a .npy file")
    export.add_argument("store", type=Path)
    export.add_argument("clip", help="its name")
    export.add_argument("--out", type=Path, required=True)


class _PrintChecks(argparse.Action):
    """Print the table of checks; nothing is loaded for it before somebody asks."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from poseglot.app.commands.info_text import checks_text

        print(checks_text())
        parser.exit()


def _data(parsed: argparse.Namespace) -> None:
    from poseglot.data.store import open_store

    _check_options(parsed)
    store = open_store(parsed.store)
    if parsed.export:
        _export(store, parsed.export)
    if parsed.compare:
        _compare(store, parsed)
    if not (parsed.export or parsed.compare):
        _look(store, parsed)


def _check_options(parsed: argparse.Namespace) -> None:
    if not parsed.compare and (parsed.split or parsed.tolerance is not None):
        raise PoseglotError("--split and --tolerance go with --compare ARRAY.npz.")
    if parsed.tolerance is not None and not parsed.tolerance >= 0:
        raise PoseglotError(f"--tolerance takes a number from 0 on, not {parsed.tolerance}.")
    if parsed.findings < 0:
        raise PoseglotError(f"--findings takes a number from 0 on, not {parsed.findings}.")
    if parsed.export and parsed.export[0] != "pyskl":
        raise PoseglotError(f"cannot export to {parsed.export[0]!r}; the format is pyskl.")
    if parsed.export and os.path.lexists(parsed.export[1]):
        raise PoseglotError(f"{parsed.export[1]} already exists. Choose another path, or remove it.")


def _look(store: PackedStore, parsed: argparse.Namespace) -> None:
    from poseglot.app.commands.info_text import contents_text, findings_text
    from poseglot.data.quality.checks import CHECKS, check_clips
    from poseglot.data.quality.statistics import typical_body
    from poseglot.data.quality.summary import summarize, trained_and_tested
    from poseglot.skeletons.layout import load_layout

    layout = load_layout(store.info.layout)
    contents = {**summarize(store), "body": typical_body(store)}
    if not parsed.json:
        print(contents_text(contents, parsed.store, every_class=parsed.classes))
    findings = check_clips(store)
    twice = {
        split: trained_and_tested(store, split, findings)
        for split, subsets in store.info.splits.items()
        if {"train", "test"} <= set(subsets)
    }
    if not parsed.json:
        print(findings_text(findings, clips=len(store), listed=parsed.findings, twice=twice))
    pictures, unable = ([], None) if parsed.no_pictures else _draw(store, layout, findings, parsed)
    if parsed.json:
        checks = {what: asdict(check) for what, check in CHECKS.items()}
        found = [asdict(finding) for finding in findings]
        everything = {**contents, "findings": found, "checks": checks, "trained_and_tested": twice}
        print(json.dumps({**everything, "pictures": [str(path) for path in pictures], "no_pictures": unable}, indent=1))
        return
    for path in pictures:
        print(path)
    if unable:
        print(f"no pictures: {unable}")


def _draw(
    store: PackedStore, layout: Layout, findings: Sequence[Finding], parsed: argparse.Namespace
) -> tuple[list[Path], str | None]:
    """The pictures that were made, and why there are no more."""
    try:
        from poseglot.report.store_pictures import draw_sheet, some_clips, suspicious_clips
    except ImportError as error:
        return [], missing_package("drawing", error)
    from poseglot.data.quality.summary import counted, found_clips

    folder, name = parsed.pictures or parsed.store / "pictures", store.info.name
    sheets = {"clips.png": (some_clips(store), f"{name}: some of its {counted(len(store), 'clip')}")}
    if findings:
        rows = suspicious_clips(store, findings)
        count = counted(len(found_clips(findings)), "clip")
        sheets["worth-a-look.png"] = (rows, f"{name}: {len(rows):,} of the {count} worth a look")
    made: list[Path] = []
    for file, (rows, title) in sheets.items():
        try:
            draw_sheet(store, layout, rows, folder / file, title=title)
        except PoseglotError as error:
            if parsed.pictures:
                raise
            return made, f"{error} (or --pictures FOLDER)"  # a store is often where one may not write
        made.append(folder / file)
    return made, None


def _export(store: PackedStore, request: Sequence[str]) -> None:
    from poseglot.data.quality.summary import counted
    from poseglot.data.readers.pyskl import write_pyskl

    out = Path(request[1])
    write_pyskl(store, out)
    print(f"{out}: {counted(len(store), 'clip')} of {store.info.name} ({out.stat().st_size / 1e6:,.1f} MB)")


def _compare(store: PackedStore, parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.app.commands.info_text import comparison_text
    from poseglot.data.quality.verify import default_tolerance, verify_against_array
    from poseglot.data.readers.npz import stored_rows
    from poseglot.skeletons.layout import load_layout

    tolerance, why = default_tolerance(store) if parsed.tolerance is None else (parsed.tolerance, "as asked for")
    rows = tqdm(stored_rows(parsed.compare), unit=" rows", desc="comparing", disable=not sys.stderr.isatty())
    compared = verify_against_array(store, rows, split=parsed.split, tolerance=tolerance)
    if parsed.json:
        print(json.dumps({**asdict(compared), "why_tolerance": why, "same": compared.same}, indent=1))
        return
    heading = f"{parsed.store} against {parsed.compare}"
    print(comparison_text(compared, heading, why=why, split=parsed.split, layout=load_layout(store.info.layout)))


def _export_clip(parsed: argparse.Namespace) -> None:
    from poseglot.data.store import open_store
    from poseglot.files import write_atomically

    store = open_store(parsed.store)
    places = np.flatnonzero(store.clips["name"] == parsed.clip)
    if not len(places):
        raise PoseglotError(f"{parsed.store} has no clip named {parsed.clip!r}; the first is {store.clips['name'][0]}.")
    clip = store[int(places[0])]
    if parsed.out.suffix != ".npy":
        raise PoseglotError(f"--out must end in .npy, not {parsed.out.name}.")
    buffer = io.BytesIO()
    np.save(buffer, clip.joints, allow_pickle=False)
    write_atomically(parsed.out, buffer.getvalue())
    true = store.info.classes[clip.label] if clip.label >= 0 else "unknown"
    print(f"{parsed.out}: {clip.name}, {clip.joints.shape[1]} frames, true action: {true}")
