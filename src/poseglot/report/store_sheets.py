"""The pictures of `poseglot info`: one sheet of some clips of a store, and one of clips that are worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

from poseglot.data.quality.checks import Finding
from poseglot.data.quality.summary import found_clips
from poseglot.data.store import PackedStore
from poseglot.report.contact_sheets import plot_contact_sheet, some_clips, suspicious_clips
from poseglot.safe_text import counted
from poseglot.skeletons.layout import load_layout


def write_sheets(store: PackedStore, findings: Sequence[Finding], folder: str | PathLike[str]) -> Iterator[Path]:
    """Write `clips.png` and, if there are findings, `worth-a-look.png` into a folder; yield the path of each when it is written.

    Raises:
        FileError: A file cannot be written.
    """
    name = store.info.name
    sheets = {"clips.png": (some_clips(store), f"{name}: some of its {counted(len(store), 'clip')}")}
    if findings:
        rows = suspicious_clips(store, findings)
        count = counted(len(found_clips(findings)), "clip")
        sheets["worth-a-look.png"] = (rows, f"{name}: {len(rows):,} of the {count} worth a look")
    for file, (rows, title) in sheets.items():
        path = Path(folder) / file
        plot_contact_sheet(store, load_layout(store.info.layout), rows, path, title=title)
        yield path
