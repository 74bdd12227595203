"""`poseglot info`: the content of a packed store, the clips worth a look, and pictures; or an export or a comparison."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.safe_text import json_text

if TYPE_CHECKING:
    from poseglot.data.quality.checks import Finding
    from poseglot.data.store import PackedStore

_LISTED = 3  # clips per check


def add(command: AddCommand) -> None:
    info = command("info", run, "what is in a store, which clips are worth a look, pictures; or export or compare it")
    info.add_argument("store", type=Path, help="the store's folder")
    info.add_argument("--classes", action="store_true", help="list every class, however many there are")
    info.add_argument("--findings", type=int, default=_LISTED, metavar="N", help=f"clips to list for each check ({_LISTED})")
    info.add_argument("--checks", action=_PrintChecks, nargs=0, help="print the checks and their limits, and exit")
    info.add_argument("--pictures", type=Path, metavar="FOLDER", help="the folder for pictures of some clips (STORE/pictures)")
    info.add_argument("--no-pictures", action="store_true", help="draw no pictures")
    info.add_argument("--json", action="store_true", help="print JSON")
    other = info.add_argument_group("instead")
    other.add_argument("--export", nargs=2, metavar=("FORMAT", "PATH"), help="write the store to a file; FORMAT is pyskl")
    other.add_argument("--compare", type=Path, metavar="ARRAY.npz", help="compare with an array like NTU60_CS.npz")
    other.add_argument("--split", help="with --compare: the store's split; a clip must be in the same subset as its row")
    other.add_argument(
        "--tolerance",
        type=float,
        help="with --compare: the largest difference of equal coordinates (1e-4, and float16's rounding)",
    )


class _PrintChecks(argparse.Action):
    """Prints the table of checks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from poseglot.app.formatting.info import checks_text

        print(checks_text())
        parser.exit()


def run(parsed: argparse.Namespace) -> None:
    from poseglot.data.store import open_store

    _check_options(parsed)
    store = open_store(parsed.store)
    if parsed.export:
        from poseglot.data.readers.pyskl import write_pyskl
        from poseglot.safe_text import counted

        write_pyskl(store, Path(parsed.export[1]))
        print(f"{parsed.export[1]}: {counted(len(store), 'clip')} of {store.info.name}")
    if parsed.compare:
        _compare(store, parsed)
    if not (parsed.export or parsed.compare):
        _inspect(store, parsed)


def _check_options(parsed: argparse.Namespace) -> None:
    if not parsed.compare and (parsed.split or parsed.tolerance is not None):
        raise SettingError("--split and --tolerance go with --compare ARRAY.npz.")
    for flag, value in (("--tolerance", parsed.tolerance), ("--findings", parsed.findings)):
        if value is not None and not value >= 0:
            raise SettingError(f"{flag} is at least 0, not {value}.")
    if parsed.export and parsed.export[0] != "pyskl":
        raise SettingError(f"cannot export to {parsed.export[0]!r}; the format is pyskl.")
    if parsed.export and os.path.lexists(parsed.export[1]):
        raise FileError(f"{parsed.export[1]} already exists. Choose another path, or remove it.")


def _inspect(store: PackedStore, parsed: argparse.Namespace) -> None:
    from poseglot.app.formatting.info import findings_text, summary_text
    from poseglot.data.quality.inspect import inspect_store

    found = inspect_store(store)
    if not parsed.json:
        print(summary_text(found.summary, parsed.store, every_class=parsed.classes))
        print(findings_text(found.findings, clips=len(store), listed=parsed.findings, overlap=found.trained_and_tested))
    pictures, reason = ([], None) if parsed.no_pictures else _draw(store, found.findings, parsed)
    if parsed.json:
        print(json_text({**found.table(), "pictures": list(map(str, pictures)), "no_pictures": reason}, indent=1))
        return
    for line in [*map(str, pictures), *([f"no pictures: {reason}"] if reason else [])]:
        print(line)


def _draw(store: PackedStore, findings: Sequence[Finding], parsed: argparse.Namespace) -> tuple[list[Path], str | None]:
    """Return the pictures that were written, and why there are no more."""
    try:
        from poseglot.report.store_sheets import write_sheets
    except ImportError as error:
        return [], missing_package("drawing", error)
    written: list[Path] = []
    try:
        written.extend(write_sheets(store, findings, parsed.pictures or parsed.store / "pictures"))
    except PoseglotError as error:
        if parsed.pictures:
            raise
        return written, f"{error} (or --pictures FOLDER)"  # a store's folder is often read-only
    return written, None


def _compare(store: PackedStore, parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.app.formatting.info import comparison_text
    from poseglot.data.quality.verify import default_tolerance, verify_against_array
    from poseglot.data.readers.npz import stored_rows
    from poseglot.skeletons.layout import load_layout

    tolerance, reason = default_tolerance(store) if parsed.tolerance is None else (parsed.tolerance, "as given")
    rows = tqdm(stored_rows(parsed.compare), unit=" rows", desc="comparing", disable=not sys.stderr.isatty())
    compared = verify_against_array(store, rows, split=parsed.split, tolerance=tolerance)
    if parsed.json:
        print(json_text({**asdict(compared), "why_tolerance": reason, "same": compared.same}, indent=1))
        return
    heading = f"{parsed.store} against {parsed.compare}"
    print(comparison_text(compared, heading, reason=reason, split=parsed.split, layout=load_layout(store.info.layout)))
