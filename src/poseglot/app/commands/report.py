"""`poseglot report`: one HTML page about an evaluated run."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package
from poseglot.errors import MissingPackageError, SettingError


def add(command: AddCommand) -> None:
    report = command("report", run, "write one HTML page about an evaluated run, which needs no network")
    report.add_argument("run", type=Path)
    report.add_argument("--out", type=Path, metavar="FILE.html", help="where to write it (RUN/report.html)")
    report.add_argument(
        "--layers", type=int, nargs="+", metavar="N", help="whose learned topologies to show, from 1 (first, middle, last)"
    )
    report.add_argument("--clips", type=int, default=12, help="how many clips to show moving, at most (12)")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.page import write_page
    except ImportError as error:
        raise MissingPackageError(missing_package("a report", error)) from error

    check_run_folder(parsed.run, "report")
    if parsed.clips < 0:
        raise SettingError(f"--clips takes a number from 0, not {parsed.clips}.")
    page = write_page(parsed.run, parsed.out, layers=parsed.layers, clips=parsed.clips)
    print(f"{page.path} ({page.size / 1e6:.2f} MB)")
    for section, reason in page.left_out.items():
        print(f"  without {section}: {reason}")
