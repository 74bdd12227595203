"""`poseglot report`: one HTML page about an evaluated run."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package, notes
from poseglot.errors import MissingPackageError, SettingError


def add(command: AddCommand) -> None:
    report = command("report", run, "write one HTML page about an evaluated run, which needs no network")
    report.add_argument("run", type=Path)
    report.add_argument("--out", type=Path, metavar="FILE.html", help="where to write it (RUN/report.html)")
    report.add_argument("--store", type=Path, help="evaluate on another store for this page, and write RUN/report-STORE.html")
    report.add_argument("--class-map", type=Path, metavar="FILE", help="classes of that store, as for `poseglot evaluate`")
    report.add_argument(
        "--layers", type=int, nargs="+", metavar="N", help="whose learned topologies to show, from 1 (first, middle, last)"
    )
    report.add_argument("--clips", type=int, default=12, help="how many clips to show moving, at most (12)")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.data.adapt import read_class_map
        from poseglot.report.page import write_page
    except ImportError as error:
        raise MissingPackageError(missing_package("a report", error)) from error

    check_run_folder(parsed.run, "report")
    if parsed.clips < 0:
        raise SettingError(f"--clips takes a number from 0, not {parsed.clips}.")
    if parsed.class_map is not None and parsed.store is None:
        raise SettingError("--class-map is for the store of --store; give both.")
    out = parsed.out or (parsed.store and parsed.run / f"report-{parsed.store.resolve().name}.html")
    class_map = None if parsed.class_map is None else read_class_map(parsed.class_map)
    with notes():
        page = write_page(parsed.run, out, store=parsed.store, class_map=class_map, layers=parsed.layers, clips=parsed.clips)
    print(f"{page.path} ({page.size / 1e6:.2f} MB)")
    for section, reason in page.left_out.items():
        print(f"  without {section}: {reason}")
